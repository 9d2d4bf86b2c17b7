//! How the tool logs in.

use crate::{verdict::Stop, wire::Connection};
pub use amqp1_auth::sasl::scram::ScramHash;
use amqp1_auth::sasl::{ClientMechanism, SaslError, scram::Scram};
use amqp1_codec::sasl::{SaslBody, SaslCode, SaslInit, SaslOutcome, SaslResponse, Secret};
use amqp1_script::{Got, frames};
use std::{fmt, str::FromStr};

/// The nonce of every dialog, so that runs are alike. That is safe where nothing is to be protected but a test.
pub(crate) const SCRAM_NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";

/// The login that is used where a case does not bring its own.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// No SASL: the AMQP header comes first.
    None,
    /// SASL ANONYMOUS.
    Anonymous,
    /// SASL PLAIN.
    Plain {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// SASL SCRAM, without channel binding.
    Scram {
        /// The hash function, which the mechanism is named for.
        hash: ScramHash,
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
}

/// A mechanism that needs a user and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMechanism {
    /// PLAIN.
    Plain,
    /// SCRAM with this hash function.
    Scram(ScramHash),
}

/// A mechanism that the tool cannot log in by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a mechanism for a user and a password: use PLAIN, SCRAM-SHA-1, SCRAM-SHA-256 or SCRAM-SHA-512")]
pub struct UnknownMechanism(String);

impl FromStr for PasswordMechanism {
    type Err = UnknownMechanism;

    fn from_str(name: &str) -> Result<Self, UnknownMechanism> {
        match ScramHash::from_mechanism(name) {
            Some(hash) => Ok(Self::Scram(hash)),
            None if name == "PLAIN" => Ok(Self::Plain),
            None => Err(UnknownMechanism(String::from(name))),
        }
    }
}

impl PasswordMechanism {
    /// Chooses one of those that a server offers: PLAIN, or the strongest SCRAM. PLAIN where neither is offered.
    pub fn among(offered: &[String]) -> Self {
        let is_offered = |name: &str| offered.iter().any(|offered| offered == name);
        let scram = ScramHash::ALL.into_iter().rev().find(|hash| is_offered(hash.mechanism()));
        match scram {
            Some(hash) if !is_offered("PLAIN") => Self::Scram(hash),
            _ => Self::Plain,
        }
    }

    /// The login of this user.
    ///
    /// # Errors
    ///
    /// If the mechanism cannot say the user or the password.
    pub fn login(self, user: impl Into<String>, password: impl Into<String>) -> Result<Login, SaslError> {
        let (user, password) = (user.into(), password.into());
        match self {
            Self::Plain => Ok(Login::Plain { user, password }),
            Self::Scram(hash) => {
                Scram::new(hash, user.as_str(), password.as_str(), SCRAM_NONCE)?;
                Ok(Login::Scram { hash, user, password })
            }
        }
    }
}

impl Login {
    /// The `sasl-init` of this login; `None` without SASL.
    pub fn init(&self) -> Option<SaslInit> {
        match self {
            Self::None => None,
            Self::Anonymous => Some(frames::anonymous()),
            Self::Plain { user, password } => Some(frames::plain(user, password)),
            Self::Scram { hash, .. } => Some(SaslInit {
                mechanism: amqp1_codec::Symbol::from_static(hash.mechanism()),
                initial_response: self.scram().and_then(|mut scram| scram.initial_response()).map(Secret),
                ..SaslInit::default()
            }),
        }
    }

    /// The user, if there is one.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::None | Self::Anonymous => None,
            Self::Plain { user, .. } | Self::Scram { user, .. } => Some(user),
        }
    }

    /// The password, if there is one.
    pub fn password(&self) -> Option<&str> {
        match self {
            Self::None | Self::Anonymous => None,
            Self::Plain { password, .. } | Self::Scram { password, .. } => Some(password),
        }
    }

    /// In words, that a server has refused it.
    pub(super) fn refused(&self, code: SaslCode) -> String {
        let who = match (self, self.user()) {
            (_, Some(user)) => format!("the login of user {user:?}"),
            (Self::Anonymous, None) => String::from("the login by ANONYMOUS"),
            _ => String::from("the login"),
        };
        let code = match code {
            SaslCode::Ok => "ok",
            SaslCode::Auth => "auth",
            SaslCode::Sys => "sys",
            SaslCode::SysPerm => "sys-perm",
            SaslCode::SysTemp => "sys-temp",
        };
        format!("{who} was refused (SASL code {code})")
    }

    /// The mechanism and its state at the beginning of a dialog, if this is SCRAM.
    fn scram(&self) -> Option<Scram> {
        match self {
            Self::Scram { hash, user, password } => {
                Scram::new(*hash, user.as_str(), password.as_str(), SCRAM_NONCE).ok()
            }
            _ => None,
        }
    }

    /// The rest of the dialog that [`init`](Self::init) has begun: answers challenges, and waits for the outcome. A server
    /// that says ok must have proven that it knows the password, where the mechanism has it do so.
    ///
    /// # Errors
    ///
    /// If the server sends something else, or does not prove what it must.
    pub fn outcome(&self, connection: &mut Connection) -> Result<SaslOutcome, Stop> {
        let Some(mut scram) = self.scram() else { return Ok(connection.expect::<SaslOutcome>()?.body) };
        let failed = |error: SaslError| Stop::Refused(format!("the login by SCRAM failed: {error}"));
        loop {
            match connection.next() {
                Got::Sasl(SaslBody::Challenge(challenge)) => {
                    let response = scram.respond(&challenge.challenge.0).map_err(failed)?;
                    connection.sasl(SaslBody::Response(SaslResponse { response: Secret(response) }));
                }
                Got::Sasl(SaslBody::Outcome(outcome)) => {
                    if outcome.code == SaslCode::Ok {
                        let data = outcome.additional_data.as_ref().map(|data| &data.0[..]);
                        scram.verify_outcome(data).map_err(failed)?;
                    }
                    return Ok(outcome);
                }
                got => return Err(connection.unexpected("sasl-challenge or sasl-outcome", got).into()),
            }
        }
    }
}

/// Passwords are not shown.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Plain { user, .. } => f.debug_struct("Plain").field("user", user).finish_non_exhaustive(),
            Self::Scram { hash, user, .. } => {
                f.debug_struct("Scram").field("hash", hash).field("user", user).finish_non_exhaustive()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_is_chosen_where_it_is_offered_and_the_strongest_scram_otherwise() {
        let among =
            |names: &[&str]| PasswordMechanism::among(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(among(&["SCRAM-SHA-256", "PLAIN"]), PasswordMechanism::Plain);
        assert_eq!(among(&["SCRAM-SHA-1", "SCRAM-SHA-256", "ANONYMOUS"]), PasswordMechanism::Scram(ScramHash::Sha256));
        assert_eq!(among(&["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"]), PasswordMechanism::Scram(ScramHash::Sha1));
        assert_eq!(among(&["ANONYMOUS"]), PasswordMechanism::Plain);
        assert_eq!("SCRAM-SHA-512".parse(), Ok(PasswordMechanism::Scram(ScramHash::Sha512)));
        assert!("EXTERNAL".parse::<PasswordMechanism>().is_err());
    }

    #[test]
    fn a_login_begins_with_the_users_name_and_shows_no_password() {
        let login = PasswordMechanism::Scram(ScramHash::Sha1).login("user", "pencil").expect("a login");
        let init = login.init().expect("a sasl-init");
        assert_eq!(init.mechanism.as_str(), "SCRAM-SHA-1");
        assert_eq!(init.initial_response.expect("a response").0, format!("n,,n=user,r={SCRAM_NONCE}"));
        assert!(!format!("{login:?}").contains("pencil"));
        assert!(PasswordMechanism::Scram(ScramHash::Sha1).login("", "pencil").is_err());
    }
}
