//! XOAUTH2, the mechanism that Google and Microsoft had before OAUTHBEARER: a user name and a token of OAuth 2.0, in
//! clear, so only to be used within TLS.
//!
//! A server that refuses the token says why in a challenge, [`failure`], which the client answers with nothing; the
//! outcome comes after that.

use alloc::format;
use alloc::string::String;
use core::fmt;

use bytes::Bytes;

use super::bearer::{self, Dialog, TokenStatus};
use super::oauthbearer::secret_message;
use super::{ClientMechanism, SaslError, gs2::MAX_NAME};
use crate::secret::SecretText;

pub use super::bearer::MAX_TOKEN;

/// The name. It was never registered.
pub const NAME: &str = "XOAUTH2";

const USER: &str = "user name";

/// The client's half.
#[derive(Clone)]
pub struct XOAuth2 {
    request: Request,
    dialog: Dialog,
}

impl XOAuth2 {
    /// With the user that the token is for, and the token as its issuer gave it.
    ///
    /// # Errors
    ///
    /// [`SaslError::EmptyField`], [`SaslError::FieldTooLong`], [`SaslError::ForbiddenCharacter`] for a control
    /// character in the user name and for anything but visible ASCII in the token.
    pub fn new(user: impl Into<String>, token: impl Into<String>) -> Result<Self, SaslError> {
        let (user, token) = (user.into(), SecretText::new(token));
        check_user(&user)?;
        bearer::check_token(token.expose())?;
        Ok(Self { request: Request { user, token }, dialog: Dialog::new(NAME) })
    }
}

impl ClientMechanism for XOAuth2 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn initial_response(&mut self) -> Option<Bytes> {
        Some(self.request.message())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        self.dialog.respond(challenge, || self.request.message(), b"")
    }

    fn verify_outcome(&mut self, _additional_data: Option<&[u8]>) -> Result<(), SaslError> {
        self.dialog.verify()
    }

    fn refusal(&self) -> Option<SaslError> {
        self.dialog.refusal()
    }
}

impl fmt::Debug for XOAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XOAuth2").field("user", &self.request.user).finish_non_exhaustive()
    }
}

/// The server's half: what a client wrote into its response.
#[derive(Clone, Debug)]
pub struct Request {
    user: String,
    token: SecretText,
}

impl Request {
    /// Reads an XOAUTH2 response. Whether the token is good, and the user's, is for the caller to find out.
    ///
    /// # Errors
    ///
    /// [`SaslError::Malformed`], [`SaslError::EmptyField`], [`SaslError::InvalidUtf8`], [`SaslError::FieldTooLong`],
    /// [`SaslError::ForbiddenCharacter`]. The answer is a [`failure`].
    pub fn parse(response: &[u8]) -> Result<Self, SaslError> {
        let [user, auth] = bearer::pairs(bearer::message(response)?, ["user", "auth"], NAME)?;
        let user = user.ok_or(SaslError::Malformed { mechanism: NAME, what: USER })?;
        check_user(user)?;
        Ok(Self { user: String::from(user), token: SecretText::new(bearer::token(auth, NAME)?) })
    }

    /// Whom the client says it is.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The token. A secret.
    pub fn token(&self) -> &str {
        self.token.expose()
    }

    /// Whether the token is `expected`, in a time that does not depend on where they differ.
    pub fn token_matches(&self, expected: &str) -> bool {
        self.token.matches(expected)
    }

    fn message(&self) -> Bytes {
        secret_message(&format!("user={}\x01", self.user), self.token.expose())
    }
}

/// The server's half: the challenge with which it says why it refuses.
pub fn failure(status: TokenStatus) -> Bytes {
    bearer::failure(status.http())
}

fn check_user(user: &str) -> Result<(), SaslError> {
    if user.is_empty() {
        return Err(SaslError::EmptyField { field: USER });
    }
    if user.len() > MAX_NAME {
        return Err(SaslError::FieldTooLong { field: USER, max: MAX_NAME });
    }
    if user.chars().any(char::is_control) {
        return Err(SaslError::ForbiddenCharacter { field: USER });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn what_the_client_writes_the_server_reads() {
        let mut client = XOAuth2::new("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")
            .expect("a user and a token");
        let response = client.initial_response().expect("XOAUTH2 answers at once");
        assert_eq!(
            &response[..],
            b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01"
        );
        let read = Request::parse(&response).expect("our own response");
        assert_eq!(read.user(), "someuser@example.com");
        assert!(read.token_matches("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg") && !read.token_matches("ya29"));
        assert!(!format!("{client:?} {read:?}").contains("ya29"));
    }

    #[test]
    fn malformed_responses_are_refused() {
        for response in [
            &b""[..],
            b"\x01",
            b"user=u\x01\x01",
            b"auth=Bearer t\x01\x01",
            b"user=\x01auth=Bearer t\x01\x01",
            b"user=u\x01auth=Bearer t\x01",
            b"user=u\x01user=v\x01auth=Bearer t\x01\x01",
            b"user=a\nb\x01auth=Bearer t\x01\x01",
            b"user=u\x01auth=Bearer \0\x01\x01",
        ] {
            assert!(Request::parse(response).is_err(), "{}", response.escape_ascii());
        }
        assert!(
            XOAuth2::new("", "t").is_err() && XOAuth2::new("a\x01", "t").is_err() && XOAuth2::new("u", "").is_err()
        );
    }

    #[test]
    fn a_failure_is_answered_with_nothing_and_told() {
        let mut client = XOAuth2::new("u", "t").expect("a user and a token");
        client.initial_response();
        assert_eq!(client.respond(&failure(TokenStatus::InvalidToken)), Ok(Bytes::new()));
        assert_eq!(client.refusal(), Some(SaslError::ServerStatus { mechanism: NAME, status: "401" }));
        assert!(client.respond(b"").is_err() && client.verify_outcome(None).is_err());
    }
}
