//! SASL mechanisms, \[AMQP 1.0 §5.3\].
//!
//! A client hands one [`ClientMechanism`] to its connection, which writes the frames. A server is told the
//! mechanism's name and the response's octets by an event, reads them with the parser of that mechanism
//! ([`plain::Credentials::parse`], [`anonymous::trace`], [`external::authzid`]), looks its users up in its own time
//! and answers with a [`SaslOutcome`].
//!
//! The four mechanisms here are all done in one step: the client's initial response says everything, and no server
//! has a reason to challenge it.

mod error;
mod outcome;

pub mod anonymous;
pub mod external;
pub mod mssbcbs;
pub mod plain;

use core::fmt::Debug;

use bytes::Bytes;

pub use self::anonymous::Anonymous;
pub use self::error::SaslError;
pub use self::external::External;
pub use self::mssbcbs::Mssbcbs;
pub use self::outcome::SaslOutcome;
pub use self::plain::Plain;

/// The client's half of a SASL mechanism.
///
/// The connection calls [`name`](Self::name) to find the mechanism in the server's list and never uses one that is
/// not listed, then [`initial_response`](Self::initial_response) once, then [`respond`](Self::respond) for each
/// challenge. The host name in sasl-init is the connection's business.
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
        if self.spent || !challenge.is_empty() {
            return Err(SaslError::UnexpectedChallenge { mechanism: self.mechanism });
        }
        self.spent = true;
        Ok(response.clone())
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn s_5_3_2_3_each_mechanism_says_its_registered_name() {
        let mechanisms: Vec<Box<dyn ClientMechanism>> = alloc::vec![
            Box::new(Anonymous::default()),
            Box::new(External::default()),
            Box::new(Mssbcbs::default()),
            Box::new(Plain::new("user", "password").expect("a plain pair")),
        ];
        let names: Vec<_> = mechanisms.iter().map(|mechanism| mechanism.name()).collect();
        assert_eq!(names, ["ANONYMOUS", "EXTERNAL", "MSSBCBS", "PLAIN"]);
    }

    #[test]
    fn s_5_3_3_2_3_a_missing_initial_response_differs_from_an_empty_one() {
        assert_eq!(Mssbcbs::default().initial_response(), None);
        assert_eq!(External::default().initial_response(), Some(Bytes::new()));
        assert_eq!(Anonymous::default().initial_response(), Some(Bytes::new()));
    }

    #[test]
    fn s_5_3_2_6_a_challenge_with_content_is_refused_by_every_mechanism() {
        let mut mechanisms: Vec<Box<dyn ClientMechanism>> = alloc::vec![
            Box::new(Anonymous::default()),
            Box::new(External::default()),
            Box::new(Mssbcbs::default()),
            Box::new(Plain::new("user", "password").expect("a plain pair")),
        ];
        for mechanism in &mut mechanisms {
            let mechanism_name = mechanism.name();
            mechanism.initial_response();
            assert_eq!(
                mechanism.respond(b"more"),
                Err(SaslError::UnexpectedChallenge { mechanism: mechanism_name }),
                "{mechanism_name}"
            );
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
