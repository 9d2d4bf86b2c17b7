//! OAUTHBEARER, RFC 7628: a token of OAuth 2.0, in clear, so only to be used within TLS.
//!
//! A server that refuses the token says why in a challenge, [`failure`], which the client answers with one octet;
//! the outcome comes after that.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::bearer::{self, Dialog, SEPARATOR, TokenStatus};
use super::{ClientMechanism, SaslError, gs2, text};
use crate::secret::SecretText;

pub use super::bearer::MAX_TOKEN;

/// The registered name.
pub const NAME: &str = "OAUTHBEARER";

/// The longest host name taken, in octets.
pub const MAX_HOST: usize = 255;
const HOST: &str = "host";

/// RFC 7628 §3.2.3: the client's answer to a failure.
pub const DUMMY_RESPONSE: &[u8] = b"\x01";

/// The client's half.
#[derive(Clone)]
pub struct OAuthBearer {
    request: Request,
    dialog: Dialog,
}

impl OAuthBearer {
    /// With a token, as its issuer gave it.
    ///
    /// # Errors
    ///
    /// [`SaslError::EmptyField`], [`SaslError::FieldTooLong`] above [`MAX_TOKEN`] octets,
    /// [`SaslError::ForbiddenCharacter`] for anything but visible ASCII.
    pub fn new(token: impl Into<String>) -> Result<Self, SaslError> {
        let token = SecretText::new(token);
        bearer::check_token(token.expose())?;
        Ok(Self { request: Request { authzid: None, host: None, port: None, token }, dialog: Dialog::new(NAME) })
    }

    /// Names whom to act as; an empty one leaves that to the token.
    ///
    /// # Errors
    ///
    /// [`SaslError::FieldTooLong`], [`SaslError::ForbiddenCharacter`] for a NUL.
    pub fn with_authzid(mut self, authzid: impl Into<String>) -> Result<Self, SaslError> {
        let authzid = authzid.into();
        text(authzid.as_bytes(), gs2::AUTHZID, gs2::MAX_NAME)?;
        self.request.authzid = Some(authzid).filter(|authzid| !authzid.is_empty());
        Ok(self)
    }

    /// Names the host and the port that the client has connected to, which some servers compare with the token's.
    ///
    /// # Errors
    ///
    /// [`SaslError::EmptyField`], [`SaslError::FieldTooLong`] above [`MAX_HOST`] octets,
    /// [`SaslError::ForbiddenCharacter`] for anything but visible ASCII.
    pub fn with_host(mut self, host: impl Into<String>, port: impl Into<Option<u16>>) -> Result<Self, SaslError> {
        let host = host.into();
        if host.is_empty() {
            return Err(SaslError::EmptyField { field: HOST });
        }
        bearer::visible(&host, HOST, MAX_HOST)?;
        (self.request.host, self.request.port) = (Some(host), port.into());
        Ok(self)
    }
}

/// The head, the token and the end. Sized at once: growing would leave copies of the token behind.
pub(super) fn secret_message(head: &str, token: &str) -> Bytes {
    let parts = [head, "auth=Bearer ", token, "\x01\x01"];
    let mut message = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| message.extend_from_slice(part.as_bytes()));
    Bytes::from_owner(message)
}

impl ClientMechanism for OAuthBearer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn initial_response(&mut self) -> Option<Bytes> {
        Some(self.request.message())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        self.dialog.respond(challenge, || self.request.message(), DUMMY_RESPONSE)
    }

    fn verify_outcome(&mut self, _additional_data: Option<&[u8]>) -> Result<(), SaslError> {
        self.dialog.verify()
    }

    fn refusal(&self) -> Option<SaslError> {
        self.dialog.refusal()
    }
}

impl fmt::Debug for OAuthBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthBearer")
            .field("authzid", &self.request.authzid)
            .field("host", &self.request.host)
            .field("port", &self.request.port)
            .finish_non_exhaustive()
    }
}

/// The server's half: what a client wrote into its response.
#[derive(Clone, Debug)]
pub struct Request {
    authzid: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    token: SecretText,
}

impl Request {
    /// Reads an OAUTHBEARER response. Whether the token is good is for the caller to find out.
    ///
    /// # Errors
    ///
    /// [`SaslError::Malformed`]; [`SaslError::EmptyField`] without a token, with which a client asks what it should
    /// get a token for; [`SaslError::ChannelBinding`], [`SaslError::InvalidUtf8`], [`SaslError::FieldTooLong`],
    /// [`SaslError::ForbiddenCharacter`]. The answer is a [`failure`].
    pub fn parse(response: &[u8]) -> Result<Self, SaslError> {
        let header = gs2::read(bearer::message(response)?, NAME)?;
        let malformed = |what| SaslError::Malformed { mechanism: NAME, what };
        let rest = header.rest.strip_prefix(SEPARATOR).ok_or_else(|| malformed("pair"))?;
        let [host, port, auth] = bearer::pairs(rest, ["host", "port", "auth"], NAME)?;
        let host = host.filter(|host| !host.is_empty());
        bearer::visible(host.unwrap_or_default(), HOST, MAX_HOST)?;
        let port = port.filter(|port| !port.is_empty());
        let port = port.map(|port| port.parse().map_err(|_| malformed("port"))).transpose()?;
        let token = SecretText::new(bearer::token(auth, NAME)?);
        Ok(Self { authzid: header.authzid, host: host.map(String::from), port, token })
    }

    /// Whom the client asks to act as; `None` is the one that the token is for.
    pub fn authzid(&self) -> Option<&str> {
        self.authzid.as_deref()
    }

    /// The host that the client believes it talks to.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The port that the client has connected to.
    pub const fn port(&self) -> Option<u16> {
        self.port
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
        let mut head = gs2::header(self.authzid.as_deref().unwrap_or_default());
        head.push(SEPARATOR);
        if let Some(host) = &self.host {
            head += &format!("host={host}\x01");
        }
        if let Some(port) = self.port {
            head += &format!("port={port}\x01");
        }
        secret_message(&head, self.token.expose())
    }
}

/// The server's half: the challenge with which it says why it refuses. Servers may say more there (the scope that is
/// wanted, where to get a token): RFC 7628 §3.2.2 has the JSON for it.
pub fn failure(status: TokenStatus) -> Bytes {
    bearer::failure(status.as_str())
}

#[cfg(test)]
mod tests {
    use std::{format, string::ToString};

    use super::*;

    #[test]
    fn what_the_client_writes_the_server_reads() {
        let mut client = OAuthBearer::new("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")
            .and_then(|client| client.with_authzid("user@example.com"))
            .and_then(|client| client.with_host("server.example.com", 143))
            .expect("an example of the RFC");
        let response = client.initial_response().expect("OAUTHBEARER answers at once");
        assert_eq!(
            &response[..],
            b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
              auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
        );
        let read = Request::parse(&response).expect("our own response");
        assert_eq!(read.authzid(), Some("user@example.com"));
        assert_eq!((read.host(), read.port()), (Some("server.example.com"), Some(143)));
        assert!(read.token_matches("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="));
    }

    #[test]
    fn what_is_optional_may_be_left_out() {
        let token = "t".repeat(4000);
        let response = OAuthBearer::new(token.as_str()).expect("a token").initial_response().expect("an answer");
        assert!(response.starts_with(b"n,,\x01auth=Bearer tttt"));
        let read = Request::parse(&response).expect("our own response");
        assert_eq!((read.authzid(), read.host(), read.port()), (None, None, None));
        assert_eq!(read.token(), token);
    }

    #[test]
    fn malformed_responses_are_refused() {
        for response in [
            &b""[..],
            b"n,,",
            b"n,,\x01",
            b"n,,\x01\x01",
            b"n,,auth=Bearer t\x01\x01",
            b"n,,\x01auth=Bearer t\x01",
            b"n,,\x01auth=Bearer t\x01\x01x",
            b"n,,\x01port=65536\x01auth=Bearer t\x01\x01",
            b"n,,\x01host=a b\x01auth=Bearer t\x01\x01",
            b"n,,\x01host=a\x01\x01",
            b"p=tls-unique,,\x01auth=Bearer t\x01\x01",
            b"n,,\x01auth=Bearer \xFF\x01\x01",
            DUMMY_RESPONSE,
        ] {
            assert!(Request::parse(response).is_err(), "{}", response.escape_ascii());
        }
        let asks = Request::parse(b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=\x01\x01");
        assert_eq!(asks.expect_err("no token"), SaslError::EmptyField { field: "token" });
        let long = format!("n,,\x01auth=Bearer {}\x01\x01", "t".repeat(MAX_TOKEN + 1));
        let too_long = SaslError::FieldTooLong { field: "token", max: MAX_TOKEN };
        assert_eq!(Request::parse(long.as_bytes()).expect_err("too long"), too_long);
    }

    #[test]
    fn the_client_refuses_values_that_would_make_other_pairs() {
        for token in ["", "a b", "a\x01host=x", "å"] {
            assert!(OAuthBearer::new(token).is_err(), "{}", token.escape_debug());
        }
        let client = OAuthBearer::new("t").expect("a token");
        assert!(client.clone().with_host("", None).is_err() && client.clone().with_host("a\x01b", 1).is_err());
        assert!(client.with_authzid("a\0").is_err());
    }

    #[test]
    fn a_failure_is_answered_once_and_told_without_the_token() {
        let mut client = OAuthBearer::new("secret.token").expect("a token");
        client.initial_response();
        assert_eq!(client.refusal(), None);
        let challenge = failure(TokenStatus::InvalidToken);
        assert_eq!(&challenge[..], br#"{"status":"invalid_token"}"#);
        assert_eq!(client.respond(&challenge).as_deref(), Ok(DUMMY_RESPONSE));
        let refusal = client.refusal().expect("the server has said why");
        assert_eq!(refusal, SaslError::ServerStatus { mechanism: NAME, status: "invalid_token" });
        assert!(refusal.to_string().contains("invalid_token"));
        assert_eq!(client.respond(&challenge), Err(SaslError::UnexpectedChallenge { mechanism: NAME }));
        assert_eq!(client.verify_outcome(None), Err(refusal), "ok after a failure is no ok");
        let read = Request::parse(&client.request.message()).expect("our own response");
        assert!(!format!("{client:?} {read:?} {refusal}").contains("secret.token"));
    }

    #[test]
    fn an_empty_challenge_gets_the_response_once_more_and_only_once() {
        let mut client = OAuthBearer::new("t").expect("a token");
        let first = client.initial_response().expect("an answer");
        assert_eq!(client.respond(b""), Ok(first));
        assert!(client.respond(b"").is_err());
        assert_eq!(client.verify_outcome(None), Ok(()));
    }
}
