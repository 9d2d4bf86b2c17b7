//! PLAIN, RFC 4616: a user name and a password in clear, so only to be used within TLS.
//!
//! The message is `[authzid] NUL authcid NUL passwd`, all UTF-8.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::{ClientMechanism, SaslError, text};
use crate::secret::SecretText;

/// The registered name.
pub const NAME: &str = "PLAIN";

/// The longest authzid and authcid taken, in octets. RFC 4616 asks for 255 at least; a module's user name on IoT Hub
/// needs more.
pub const MAX_IDENTITY: usize = 1024;
/// The longest password taken, in octets; a whole token travels in this field.
pub const MAX_PASSWORD: usize = 8192;

const AUTHZID: &str = "authorization id";
const AUTHCID: &str = "user name";
const PASSWORD: &str = "password";

/// The client's half.
#[derive(Clone)]
pub struct Plain {
    credentials: Credentials,
}

impl Plain {
    /// Authenticates as `authcid` and acts as the same.
    ///
    /// # Errors
    ///
    /// [`SaslError::EmptyField`] for an empty user name or password, [`SaslError::ForbiddenCharacter`] for a NUL,
    /// which would shift the fields, [`SaslError::FieldTooLong`] above [`MAX_IDENTITY`] or [`MAX_PASSWORD`] octets.
    pub fn new(authcid: impl Into<String>, password: impl Into<String>) -> Result<Self, SaslError> {
        Self::with_authzid("", authcid, password)
    }

    /// Authenticates as `authcid` and asks to act as `authzid`; an empty one is [`Plain::new`].
    ///
    /// # Errors
    ///
    /// As [`Plain::new`].
    pub fn with_authzid(
        authzid: impl Into<String>,
        authcid: impl Into<String>,
        password: impl Into<String>,
    ) -> Result<Self, SaslError> {
        let (authzid, authcid, password) = (authzid.into(), authcid.into(), SecretText::new(password));
        text(authzid.as_bytes(), AUTHZID, MAX_IDENTITY)?;
        required(authcid.as_bytes(), AUTHCID, MAX_IDENTITY)?;
        required(password.expose().as_bytes(), PASSWORD, MAX_PASSWORD)?;
        Ok(Self { credentials: Credentials { authzid: Some(authzid).filter(|id| !id.is_empty()), authcid, password } })
    }

    fn message(&self) -> Bytes {
        let Credentials { authzid, authcid, password } = &self.credentials;
        let authzid = authzid.as_deref().unwrap_or_default();
        let password = password.expose();
        // Sized at once: growing would leave copies of the password behind.
        let mut message = Zeroizing::new(Vec::with_capacity(authzid.len() + authcid.len() + password.len() + 2));
        message.extend_from_slice(authzid.as_bytes());
        message.push(0);
        message.extend_from_slice(authcid.as_bytes());
        message.push(0);
        message.extend_from_slice(password.as_bytes());
        Bytes::from_owner(message)
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain")
            .field("authzid", &self.credentials.authzid)
            .field("authcid", &self.credentials.authcid)
            .finish_non_exhaustive()
    }
}

impl ClientMechanism for Plain {
    fn name(&self) -> &'static str {
        NAME
    }

    fn initial_response(&mut self) -> Option<Bytes> {
        Some(self.message())
    }

    /// PLAIN has said all in its initial response; a password is not repeated on demand.
    fn respond(&mut self, _challenge: &[u8]) -> Result<Bytes, SaslError> {
        Err(SaslError::UnexpectedChallenge { mechanism: NAME })
    }
}

/// The server's half: what a client wrote into its response.
#[derive(Clone)]
pub struct Credentials {
    authzid: Option<String>,
    authcid: String,
    password: SecretText,
}

impl Credentials {
    /// Reads a PLAIN response. Whether the password is right is for the caller to find out.
    ///
    /// # Errors
    ///
    /// [`SaslError::MissingSeparator`] with fewer than two NULs, [`SaslError::ForbiddenCharacter`] with more;
    /// [`SaslError::EmptyField`] for an empty user name or password; [`SaslError::InvalidUtf8`];
    /// [`SaslError::FieldTooLong`] above [`MAX_IDENTITY`] or [`MAX_PASSWORD`] octets. The outcome to answer with is
    /// [`SaslOutcome::Auth`](super::SaslOutcome::Auth).
    pub fn parse(response: &[u8]) -> Result<Self, SaslError> {
        let mut fields = response.splitn(3, |octet| *octet == 0);
        let (Some(authzid), Some(authcid), Some(password)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(SaslError::MissingSeparator);
        };
        let authzid = text(authzid, AUTHZID, MAX_IDENTITY)?;
        let authcid = required(authcid, AUTHCID, MAX_IDENTITY)?;
        let password = required(password, PASSWORD, MAX_PASSWORD)?;
        Ok(Self {
            authzid: Some(authzid).filter(|id| !id.is_empty()).map(String::from),
            authcid: String::from(authcid),
            password: SecretText::new(password),
        })
    }

    /// Whom the client asks to act as; `None` is the user itself.
    pub fn authzid(&self) -> Option<&str> {
        self.authzid.as_deref()
    }

    /// The user name: whose password it is.
    pub fn authcid(&self) -> &str {
        &self.authcid
    }

    /// The password: on IoT Hub a whole token, to be parsed and verified. To compare it with a stored password use
    /// [`password_matches`](Self::password_matches).
    pub fn password(&self) -> &str {
        self.password.expose()
    }

    /// Whether the password is `expected`, in a time that does not depend on where they differ.
    pub fn password_matches(&self, expected: &str) -> bool {
        self.password.matches(expected)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("authzid", &self.authzid)
            .field("authcid", &self.authcid)
            .field("password", &self.password)
            .finish()
    }
}

fn required<'a>(octets: &'a [u8], field: &'static str, max: usize) -> Result<&'a str, SaslError> {
    if octets.is_empty() {
        return Err(SaslError::EmptyField { field });
    }
    text(octets, field, max)
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use std::format;

    use super::*;

    #[test]
    fn s_plain_1_what_the_client_writes_the_server_reads() {
        let mut client = Plain::with_authzid("admin", "användare", "lösen ord").expect("fields without NUL");
        let response = client.initial_response().expect("PLAIN answers at once");
        assert_eq!(&response[..], "admin\0användare\0lösen ord".as_bytes());
        let read = Credentials::parse(&response).expect("our own response");
        assert_eq!(read.authzid(), Some("admin"));
        assert_eq!(read.authcid(), "användare");
        assert_eq!(read.password(), "lösen ord");
        assert!(read.password_matches("lösen ord") && !read.password_matches("lösen"));
    }

    #[test]
    fn s_plain_1_an_empty_authorization_id_is_none() {
        let response = Plain::new("user", "pass").expect("a plain pair").initial_response().expect("an answer");
        assert_eq!(&response[..], b"\0user\0pass");
        assert_eq!(Credentials::parse(&response).expect("our own response").authzid(), None);
    }

    #[test]
    fn s_plain_1_malformed_responses_are_refused_each_with_its_reason() {
        let parse = |octets: &[u8]| Credentials::parse(octets).expect_err("malformed");
        for octets in [b"".as_slice(), b"user", b"user\0pass", b"\0"] {
            assert_eq!(parse(octets), SaslError::MissingSeparator, "{octets:?}");
        }
        assert_eq!(parse(b"\0\0pass"), SaslError::EmptyField { field: "user name" });
        assert_eq!(parse(b"\0user\0"), SaslError::EmptyField { field: "password" });
        assert_eq!(parse(b"\0\0"), SaslError::EmptyField { field: "user name" });
        assert_eq!(parse(b"\0user\0pa\0ss"), SaslError::ForbiddenCharacter { field: "password" });
        assert_eq!(parse(b"\xFF\0user\0pass"), SaslError::InvalidUtf8 { field: "authorization id" });
        assert_eq!(parse(b"\0\xC0\x80\0pass"), SaslError::InvalidUtf8 { field: "user name" });
        assert_eq!(parse(b"\0user\0\xED\xA0\x80"), SaslError::InvalidUtf8 { field: "password" });
    }

    #[test]
    fn s_plain_1_fields_up_to_the_limit_are_taken_and_one_more_octet_is_not() {
        let response = |authzid: usize, authcid: usize, password: usize| {
            [vec![b'z'; authzid], vec![b'c'; authcid], vec![b'p'; password]].join(&0)
        };
        assert!(Credentials::parse(&response(MAX_IDENTITY, MAX_IDENTITY, MAX_PASSWORD)).is_ok());
        for (octets, field, max) in [
            (response(MAX_IDENTITY + 1, 1, 1), "authorization id", MAX_IDENTITY),
            (response(0, MAX_IDENTITY + 1, 1), "user name", MAX_IDENTITY),
            (response(0, 1, MAX_PASSWORD + 1), "password", MAX_PASSWORD),
        ] {
            let error = Credentials::parse(&octets).expect_err("one octet too many");
            assert_eq!(error, SaslError::FieldTooLong { field, max });
        }
    }

    #[test]
    fn the_client_refuses_values_that_would_shift_the_fields() {
        let refused = |authzid: &str, authcid: &str, password: &str| {
            Plain::with_authzid(authzid, authcid, password).expect_err("not a plain triple")
        };
        assert_eq!(refused("a\0b", "u", "p"), SaslError::ForbiddenCharacter { field: "authorization id" });
        assert_eq!(refused("", "u\0", "p"), SaslError::ForbiddenCharacter { field: "user name" });
        assert_eq!(refused("", "u", "\0p"), SaslError::ForbiddenCharacter { field: "password" });
        assert_eq!(refused("", "", "p"), SaslError::EmptyField { field: "user name" });
        assert_eq!(refused("", "u", ""), SaslError::EmptyField { field: "password" });
    }

    #[test]
    fn a_response_of_uamqp_is_read() {
        let token = "SharedAccessSignature sr=localhost&sig=Ry%2F1ZiHVKUM8Huk%2B%2FAs8T4ZBdot5d8Av2f%2BS1NTnLkw%3D\
                     &se=1795377263&skn=service";
        let response = format!("\0service@sas.root.localhost\0{token}");
        assert_eq!(response.len(), 147);
        let credentials = Credentials::parse(response.as_bytes()).expect("a captured response");
        assert_eq!(credentials.authcid(), "service@sas.root.localhost");
        assert_eq!(credentials.password(), token);
    }

    #[test]
    fn neither_half_shows_the_password() {
        let mut client = Plain::new("user", "hunter2").expect("a plain pair");
        let response = client.initial_response().expect("an answer");
        let server = Credentials::parse(&response).expect("our own response");
        for text in [format!("{client:?}"), format!("{server:?}")] {
            assert!(text.contains("user"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
