//! SCRAM, RFC 5802 and RFC 7677: both ends prove that they know the password, and neither tells it.
//!
//! | step | who | what |
//! |---|---|---|
//! | initial-response | client | its name and a nonce |
//! | challenge | server | the nonce, longer by its own, and how the password was salted |
//! | response | client | the proof |
//! | outcome | server | its own proof, in additional-data |
//!
//! [`Scram`] is the client's half. It ends the negotiation if the server's proof is wrong or missing: a peer that
//! cannot give it does not know the user. [`ScramServer`] is the server's half, which stops in between to be given the
//! user's [`StoredCredential`].
//!
//! Nonces are given by the caller: 18 octets or more from the operating system's random numbers, in base64, never
//! twice.
//!
//! # What is not there
//!
//! * Channel binding: the mechanisms whose names end in `-PLUS`.
//! * SASLprep (RFC 4013): ASCII is not changed by it, and other text is taken as it is in UTF-8. A name or a password
//!   whose characters have several spellings must be spelled at both ends alike: normalise it (NFKC) before it comes
//!   here.

mod client;
mod credential;
mod hash;
mod server;
#[cfg(test)]
mod tests;

use core::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use self::client::Scram;
pub use self::credential::{ScramDecoy, StoredCredential};
pub use self::hash::ScramHash;
pub use self::server::{ScramServer, ScramStep};
use super::SaslError;

/// The registered name of SCRAM with SHA-1.
pub const SHA_1: &str = "SCRAM-SHA-1";
/// The registered name of SCRAM with SHA-256.
pub const SHA_256: &str = "SCRAM-SHA-256";
/// The name of SCRAM with SHA-512.
pub const SHA_512: &str = "SCRAM-SHA-512";

/// The iterations that are taken, unless a client says otherwise: RFC 7677 §4 asks for 4096 at least, and more than a
/// million would keep a client busy for the pleasure of its server.
pub const ITERATIONS: RangeInclusive<u32> = 4096..=1_000_000;

/// The longest password taken, in octets.
pub const MAX_PASSWORD: usize = 8192;
/// The longest nonce taken, in octets; both ends' together may have twice as many.
pub const MAX_NONCE: usize = 256;
/// The longest salt taken, in octets.
pub const MAX_SALT: usize = 1024;
/// The longest message taken, in octets.
const MAX_MESSAGE: usize = 8192;

const USER: &str = "user name";
const PASSWORD: &str = "password";
const NONCE: &str = "nonce";

/// RFC 5802 §7: what may stand in a nonce.
fn check_nonce(nonce: &str, max: usize) -> Result<(), SaslError> {
    if nonce.is_empty() {
        return Err(SaslError::EmptyField { field: NONCE });
    }
    if nonce.len() > max {
        return Err(SaslError::FieldTooLong { field: NONCE, max });
    }
    if nonce.bytes().any(|octet| !octet.is_ascii_graphic() || octet == b',') {
        return Err(SaslError::ForbiddenCharacter { field: NONCE });
    }
    Ok(())
}

/// A message as text.
fn message<'a>(octets: &'a [u8], mechanism: &'static str) -> Result<&'a str, SaslError> {
    let field = "message";
    if octets.len() > MAX_MESSAGE {
        return Err(SaslError::FieldTooLong { field, max: MAX_MESSAGE });
    }
    let text = core::str::from_utf8(octets).map_err(|_| SaslError::InvalidUtf8 { field })?;
    if text.contains('\0') {
        return Err(SaslError::Malformed { mechanism, what: field });
    }
    Ok(text)
}

/// Takes the attributes of a message one by one, in the order that RFC 5802 §7 gives them.
#[derive(Clone, Debug)]
struct Attributes<'a> {
    mechanism: &'static str,
    rest: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    /// # Errors
    ///
    /// [`SaslError::Extension`] if the message begins with an extension that must be understood.
    fn of(message: &'a str, mechanism: &'static str) -> Result<Self, SaslError> {
        if message.starts_with("m=") {
            return Err(SaslError::Extension { mechanism });
        }
        Ok(Self { mechanism, rest: Some(message) })
    }

    /// The value of the next attribute, which must be the one of this letter.
    fn expect(&mut self, letter: char, what: &'static str) -> Result<&'a str, SaslError> {
        let malformed = SaslError::Malformed { mechanism: self.mechanism, what };
        let rest = self.rest.ok_or(malformed)?;
        let (attribute, rest) = rest.split_once(',').map_or((rest, None), |(first, rest)| (first, Some(rest)));
        self.rest = rest;
        attribute.strip_prefix(letter).and_then(|value| value.strip_prefix('=')).ok_or(malformed)
    }

    /// As [`expect`](Self::expect), of a value in base64.
    fn expect_base64(&mut self, letter: char, what: &'static str) -> Result<hash::Octets, SaslError> {
        let value = self.expect(letter, what)?;
        let octets = STANDARD.decode(value).map_err(|_| SaslError::Malformed { mechanism: self.mechanism, what })?;
        Ok(octets.into())
    }

    /// The rest must have the form of attributes; RFC 5802 §5.1 has unknown ones ignored.
    fn ignore_rest(self) -> Result<(), SaslError> {
        let Some(rest) = self.rest else { return Ok(()) };
        let attribute = |text: &str| {
            let mut octets = text.bytes();
            octets.next().is_some_and(|octet| octet.is_ascii_alphabetic())
                && octets.next() == Some(b'=')
                && octets.next().is_some()
        };
        if rest.split(',').all(attribute) {
            return Ok(());
        }
        Err(SaslError::Malformed { mechanism: self.mechanism, what: "extensions" })
    }
}
