use core::fmt;

use super::SaslOutcome;

/// An error in a SASL response, or in the values it was to be made from.
///
/// None of the texts repeats what was received: it may hold a password.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslError {
    /// The client demands that the channel be bound to TLS, which is not supported here.
    ChannelBinding {
        /// The mechanism in use.
        mechanism: &'static str,
    },
    /// A field that must say something is empty.
    EmptyField {
        /// The name that the mechanism's specification gives the field.
        field: &'static str,
    },
    /// The peer demands an extension of the mechanism that is not known here.
    Extension {
        /// The mechanism in use.
        mechanism: &'static str,
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
    /// The peer does not repeat the nonce that it was given: what it says belongs to another dialog.
    ForeignNonce {
        /// The mechanism in use.
        mechanism: &'static str,
    },
    /// A field is not UTF-8.
    InvalidUtf8 {
        /// The name that the mechanism's specification gives the field.
        field: &'static str,
    },
    /// SCRAM with fewer iterations than are safe, or more than are bearable.
    Iterations {
        /// How many it would be; `u32::MAX` stands for more.
        count: u32,
        /// The least that is taken.
        min: u32,
        /// The most that is taken.
        max: u32,
    },
    /// A key of SCRAM has a length that it cannot have, or a secret is too short.
    KeyLength {
        /// The octets that it has to have; a secret may have more.
        expected: usize,
    },
    /// The peer's message lacks a part, or has one that cannot be read.
    Malformed {
        /// The mechanism in use.
        mechanism: &'static str,
        /// Which part.
        what: &'static str,
    },
    /// A PLAIN response without its two NULs.
    MissingSeparator,
    /// A server's state machine was called when it waited for something else.
    OutOfTurn {
        /// The mechanism in use.
        mechanism: &'static str,
    },
    /// The server ended the negotiation with an outcome other than ok.
    Refused(SaslOutcome),
    /// The server refused, and said why.
    ServerStatus {
        /// The mechanism in use.
        mechanism: &'static str,
        /// Its reason, in the mechanism's words; a reason that the mechanism does not define is not repeated.
        status: &'static str,
    },
    /// The server let the client in without having proven that it knows the password: it is not the one it says it
    /// is. The signature is wrong, or there is none.
    ServerUnproven {
        /// The mechanism in use.
        mechanism: &'static str,
    },
    /// The server sent a challenge that the mechanism has no answer to.
    UnexpectedChallenge {
        /// The mechanism in use.
        mechanism: &'static str,
    },
    /// The client does not know the password, or there is no such user.
    WrongProof,
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
            Self::ChannelBinding { mechanism } => {
                write!(f, "the client demands that SASL {mechanism} be bound to TLS, which is not supported")
            }
            Self::EmptyField { field } => write!(f, "the {field} of the SASL response is empty"),
            Self::Extension { mechanism } => {
                write!(f, "the peer demands an extension of SASL {mechanism} that is not known")
            }
            Self::FieldTooLong { field, max } => {
                write!(f, "the {field} of the SASL response is longer than {max} octets")
            }
            Self::ForbiddenCharacter { field } => {
                write!(f, "the {field} of the SASL response holds a character that is not allowed there")
            }
            Self::ForeignNonce { mechanism } => {
                write!(f, "the peer does not repeat the nonce of this SASL {mechanism} dialog")
            }
            Self::InvalidUtf8 { field } => write!(f, "the {field} of the SASL response is not UTF-8"),
            Self::Iterations { count, min, max } => {
                write!(f, "SCRAM with {count} iterations is refused: {min} to {max} are taken")
            }
            Self::KeyLength { expected } => {
                write!(f, "a key or a secret for SCRAM has a wrong length: it needs {expected} octets")
            }
            Self::Malformed { mechanism, what } => {
                write!(f, "the {what} is missing from a SASL {mechanism} message, or malformed")
            }
            Self::MissingSeparator => {
                f.write_str("the PLAIN response lacks the NULs that part its authorization id, user name and password")
            }
            Self::OutOfTurn { mechanism } => write!(f, "a step of SASL {mechanism} was taken out of turn"),
            Self::Refused(outcome) => write!(f, "the server refused the SASL negotiation: {outcome}"),
            Self::ServerStatus { mechanism, status } => {
                write!(f, "the server refused SASL {mechanism} and says: {status}")
            }
            Self::ServerUnproven { mechanism } => write!(
                f,
                "the server's signature in SASL {mechanism} is wrong or missing: it does not know the password, and \
                 may not be the server that it says it is"
            ),
            Self::UnexpectedChallenge { mechanism } => {
                write!(f, "the server sent a challenge that SASL {mechanism} has no answer to")
            }
            Self::WrongProof => f.write_str("the client does not know the password, or there is no such user"),
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
