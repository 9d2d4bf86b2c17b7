//! SASL mechanisms, \[AMQP 1.0 §5.3\].
//!
//! A client hands one [`ClientMechanism`] to its connection, which writes the frames. A server is told the
//! mechanism's name and the response's octets by an event, reads them with the parser of that mechanism
//! ([`plain::Credentials::parse`], [`anonymous::trace`], [`external::authzid`], [`oauthbearer::Request::parse`],
//! [`xoauth2::Request::parse`]), looks its users up in its own time and answers with a [`SaslOutcome`].
//!
//! With these the client's initial response says everything, and a server has no reason to challenge it but to say
//! why it refuses a token. SCRAM takes several steps: [`scram::ScramServer`] is its server's half.
//!
//! | mechanism | what the client shows | without TLS |
//! |---|---|---|
//! | [`anonymous`] | nothing | harmless |
//! | [`external`] | its certificate, in TLS | impossible |
//! | [`mssbcbs`] | nothing yet, a token on `$cbs` later | the token can be read |
//! | [`oauthbearer`], [`xoauth2`] | a token | the token can be read |
//! | [`plain`] | its password | the password can be read |
//! | [`scram`] | that it knows the password; so does the server | the password can be guessed at, not read |

mod bearer;
mod error;
mod gs2;
mod outcome;

pub mod anonymous;
pub mod external;
pub mod mssbcbs;
pub mod oauthbearer;
pub mod plain;
pub mod scram;
pub mod xoauth2;

use core::fmt::Debug;

use bytes::Bytes;

pub use self::anonymous::Anonymous;
pub use self::bearer::TokenStatus;
pub use self::error::SaslError;
pub use self::external::External;
pub use self::mssbcbs::Mssbcbs;
pub use self::oauthbearer::OAuthBearer;
pub use self::outcome::SaslOutcome;
pub use self::plain::Plain;
pub use self::scram::Scram;
pub use self::xoauth2::XOAuth2;

/// The client's half of a SASL mechanism.
///
/// The connection calls [`name`](Self::name) to find the mechanism in the server's list, and never uses one that is not
/// listed. It calls [`initial_response`](Self::initial_response) once, then [`respond`](Self::respond) for each challenge,
/// and at the end [`verify_outcome`](Self::verify_outcome) or [`refusal`](Self::refusal). It fills in the host name of
/// sasl-init by itself.
pub trait ClientMechanism: Send + Debug {
    /// The registered name, as it stands in sasl-mechanisms and sasl-init.
    fn name(&self) -> &'static str;

    /// §5.3.3.2: the octets of sasl-init's initial-response. `None` leaves the field null, which is not the same as
    /// an empty response.
    fn initial_response(&mut self) -> Option<Bytes>;

    /// §5.3.3.4: the answer to a challenge.
    ///
    /// # Errors
    ///
    /// [`SaslError::UnexpectedChallenge`] if the mechanism has nothing to say to it. The negotiation is over then:
    /// close the connection.
    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError>;

    /// §5.3.3.5: the server says ok. Whether it may: mechanisms in which the server has something to prove look for
    /// that in the outcome's additional-data, `None` if the field is null. The others take its word, as this does
    /// unless it is overridden.
    ///
    /// # Errors
    ///
    /// [`SaslError::ServerUnproven`] if it has not proven it. The negotiation has failed then, whatever the server
    /// says: close the connection.
    fn verify_outcome(&mut self, _additional_data: Option<&[u8]>) -> Result<(), SaslError> {
        Ok(())
    }

    /// §5.3.3.5: the server says something other than ok. What it has said about it before, in a challenge; `None`
    /// unless overridden, since most mechanisms have no words for it.
    fn refusal(&self) -> Option<SaslError> {
        None
    }
}

/// An optional identity in a response: valid UTF-8, no NUL, at most `max` octets.
fn text<'a>(octets: &'a [u8], field: &'static str, max: usize) -> Result<&'a str, SaslError> {
    if octets.len() > max {
        return Err(SaslError::FieldTooLong { field, max });
    }
    let text = core::str::from_utf8(octets).map_err(|_| SaslError::InvalidUtf8 { field })?;
    if text.contains('\0') {
        return Err(SaslError::ForbiddenCharacter { field });
    }
    Ok(text)
}

/// Says the same thing once more, once, to an empty challenge.
///
/// Servers whose SASL library does not tell an empty initial response from a missing one ask for it that way.
#[derive(Clone, Debug)]
struct SayAgain {
    mechanism: &'static str,
    spent: bool,
}

impl SayAgain {
    const fn new(mechanism: &'static str) -> Self {
        Self { mechanism, spent: false }
    }

    fn answer(&mut self, challenge: &[u8], response: &Bytes) -> Result<Bytes, SaslError> {
        if !challenge.is_empty() {
            return Err(SaslError::UnexpectedChallenge { mechanism: self.mechanism });
        }
        self.once().map(|()| response.clone())
    }

    fn once(&mut self) -> Result<(), SaslError> {
        if core::mem::replace(&mut self.spent, true) {
            return Err(SaslError::UnexpectedChallenge { mechanism: self.mechanism });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    use super::*;

    /// One of each, those of one step first.
    fn mechanisms() -> Vec<Box<dyn ClientMechanism>> {
        let scram = |hash| Scram::new(hash, "user", "password", "nonce").expect("a user and a password");
        alloc::vec![
            Box::new(Anonymous::default()),
            Box::new(External::default()),
            Box::new(Mssbcbs::default()),
            Box::new(Plain::new("user", "password").expect("a plain pair")),
            Box::new(OAuthBearer::new("token").expect("a token")),
            Box::new(XOAuth2::new("user", "token").expect("a user and a token")),
            Box::new(scram(scram::ScramHash::Sha1)),
            Box::new(scram(scram::ScramHash::Sha256)),
            Box::new(scram(scram::ScramHash::Sha512)),
        ]
    }

    #[test]
    fn s_5_3_2_3_each_mechanism_says_its_registered_name() {
        let names: Vec<_> = mechanisms().iter().map(|mechanism| mechanism.name()).collect();
        let of_one_step = ["ANONYMOUS", "EXTERNAL", "MSSBCBS", "PLAIN"];
        let of_several = ["OAUTHBEARER", "XOAUTH2", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"];
        assert_eq!(names, [&of_one_step[..], &of_several].concat());
    }

    #[test]
    fn s_5_3_3_2_3_a_missing_initial_response_differs_from_an_empty_one() {
        assert_eq!(Mssbcbs::default().initial_response(), None);
        assert_eq!(External::default().initial_response(), Some(Bytes::new()));
        assert_eq!(Anonymous::default().initial_response(), Some(Bytes::new()));
    }

    #[test]
    fn s_5_3_2_6_a_challenge_with_content_is_refused_by_mechanisms_of_one_step() {
        for mechanism in &mut mechanisms()[..4] {
            let mechanism_name = mechanism.name();
            mechanism.initial_response();
            assert_eq!(
                mechanism.respond(b"more"),
                Err(SaslError::UnexpectedChallenge { mechanism: mechanism_name }),
                "{mechanism_name}"
            );
        }
    }

    /// Also S-scram-1.
    #[test]
    fn s_5_3_3_5_1_only_mechanisms_that_want_something_of_the_outcome_look_into_it() {
        for mechanism in &mut mechanisms() {
            mechanism.initial_response();
            let proves = mechanism.name().starts_with("SCRAM");
            for additional_data in [None, Some(&b"welcome"[..])] {
                let verified = mechanism.verify_outcome(additional_data);
                assert_eq!(verified.is_err(), proves, "{}", mechanism.name());
            }
            assert_eq!(mechanism.refusal(), None);
        }
    }

    #[test]
    fn an_empty_challenge_gets_the_response_once_more_and_only_once() {
        let mut external = External::with_authzid("device1").expect("an identity");
        external.initial_response();
        assert_eq!(external.respond(b""), Ok(Bytes::from_static(b"device1")));
        assert_eq!(external.respond(b""), Err(SaslError::UnexpectedChallenge { mechanism: "EXTERNAL" }));
    }
}
