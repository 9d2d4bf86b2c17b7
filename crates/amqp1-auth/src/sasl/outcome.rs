use core::fmt;

use amqp1_codec::sasl::SaslCode;

/// §5.3.3.6: how a SASL negotiation ended.
///
/// IoT Hub answers a wrong PLAIN password with [`Sys`](Self::Sys), so the codes 1, 2 and 3 all mean to a client that
/// the authentication failed; only 4 is worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaslOutcome {
    /// 0, ok: the connection is authenticated.
    Ok,
    /// 1, auth: there is something wrong with the credentials.
    Auth,
    /// 2, sys: a system error.
    Sys,
    /// 3, sys-perm: a system error that will not go away by itself.
    SysPerm,
    /// 4, sys-temp: a system error that may be gone later.
    SysTemp,
}

impl SaslOutcome {
    /// The code on the wire, 0 to 4.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Auth => 1,
            Self::Sys => 2,
            Self::SysPerm => 3,
            Self::SysTemp => 4,
        }
    }

    /// The outcome with this code; `None` for a code that the specification does not have.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Ok,
            1 => Self::Auth,
            2 => Self::Sys,
            3 => Self::SysPerm,
            4 => Self::SysTemp,
            _ => return None,
        })
    }

    /// Whether the client is authenticated.
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::Ok)
    }

    /// Whether the same attempt may succeed later: sys-temp only.
    pub const fn is_retriable(self) -> bool {
        matches!(self, Self::SysTemp)
    }
}

impl From<SaslCode> for SaslOutcome {
    fn from(code: SaslCode) -> Self {
        match code {
            SaslCode::Ok => Self::Ok,
            SaslCode::Auth => Self::Auth,
            SaslCode::Sys => Self::Sys,
            SaslCode::SysPerm => Self::SysPerm,
            SaslCode::SysTemp => Self::SysTemp,
        }
    }
}

impl From<SaslOutcome> for SaslCode {
    fn from(outcome: SaslOutcome) -> Self {
        match outcome {
            SaslOutcome::Ok => Self::Ok,
            SaslOutcome::Auth => Self::Auth,
            SaslOutcome::Sys => Self::Sys,
            SaslOutcome::SysPerm => Self::SysPerm,
            SaslOutcome::SysTemp => Self::SysTemp,
        }
    }
}

impl fmt::Display for SaslOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "authenticated (code 0, ok)",
            Self::Auth => "authentication failed: check the user name and the credentials (code 1, auth)",
            Self::Sys => {
                "authentication failed (code 2, sys): some servers, IoT Hub among them, say this of a wrong password"
            }
            Self::SysPerm => {
                "authentication failed by an error of the server that will not go away by itself (code 3, sys-perm)"
            }
            Self::SysTemp => "the server cannot authenticate at the moment: try again later (code 4, sys-temp)",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn s_5_3_3_6_1_codes_map_both_ways_and_there_are_no_others() {
        for code in 0..=4 {
            let outcome = SaslOutcome::from_code(code).expect("a code of the specification");
            assert_eq!(outcome.code(), code);
            assert_eq!(outcome.is_ok(), code == 0);
            assert_eq!(outcome.is_retriable(), code == 4);
            assert!(outcome.to_string().contains(&code.to_string()));
            assert_eq!(SaslCode::from(outcome).number(), code);
            assert_eq!(SaslOutcome::from(SaslCode::from(outcome)), outcome);
        }
        for code in 5..=u8::MAX {
            assert_eq!(SaslOutcome::from_code(code), None);
        }
    }
}
