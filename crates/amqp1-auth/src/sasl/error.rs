use core::fmt;

use super::SaslOutcome;

/// What is wrong with a SASL response, or with the values it was to be made from.
///
/// None of the texts repeats what was received: it may hold a password.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslError {
    /// A field that must say something is empty.
    EmptyField {
        /// The name that the mechanism's specification gives the field.
        field: &'static str,
    },
    /// A field is longer than this implementation takes.
    FieldTooLong {
        /// The name that the mechanism's specification gives the field.
        field: &'static str,
        /// The greatest length taken.
        max: usize,
    },
    /// A field holds a NUL or another character that the mechanism forbids.
    ForbiddenCharacter {
        /// The name that the mechanism's specification gives the field.
        field: &'static str,
    },
    /// A field is not UTF-8.
    InvalidUtf8 {
        /// The name that the mechanism's specification gives the field.
        field: &'static str,
    },
    /// A PLAIN response without its two NULs.
    MissingSeparator,
    /// The server ended the negotiation with an outcome other than ok.
    Refused(SaslOutcome),
    /// The server sent a challenge that the mechanism has no answer to.
    UnexpectedChallenge {
        /// The mechanism in use.
        mechanism: &'static str,
    },
}

impl SaslError {
    /// Whether the same attempt may succeed later. Only a temporary failure of the server's system may.
    pub const fn is_retriable(&self) -> bool {
        matches!(self, Self::Refused(outcome) if outcome.is_retriable())
    }
}

impl fmt::Display for SaslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyField { field } => write!(f, "the {field} of the SASL response is empty"),
            Self::FieldTooLong { field, max } => {
                write!(f, "the {field} of the SASL response is longer than {max} octets")
            }
            Self::ForbiddenCharacter { field } => {
                write!(f, "the {field} of the SASL response holds a character that is not allowed there")
            }
            Self::InvalidUtf8 { field } => write!(f, "the {field} of the SASL response is not UTF-8"),
            Self::MissingSeparator => {
                f.write_str("the PLAIN response lacks the NULs that part its authorization id, user name and password")
            }
            Self::Refused(outcome) => write!(f, "the server refused the SASL negotiation: {outcome}"),
            Self::UnexpectedChallenge { mechanism } => {
                write!(f, "the server sent a challenge that SASL {mechanism} has no answer to")
            }
        }
    }
}

impl core::error::Error for SaslError {}

impl From<SaslOutcome> for SaslError {
    /// For an outcome other than ok.
    fn from(outcome: SaslOutcome) -> Self {
        Self::Refused(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_temporary_system_failure_is_worth_another_try() {
        assert!(SaslError::Refused(SaslOutcome::SysTemp).is_retriable());
        for outcome in [SaslOutcome::Ok, SaslOutcome::Auth, SaslOutcome::Sys, SaslOutcome::SysPerm] {
            assert!(!SaslError::Refused(outcome).is_retriable(), "{outcome:?}");
        }
        assert!(!SaslError::MissingSeparator.is_retriable());
    }
}
