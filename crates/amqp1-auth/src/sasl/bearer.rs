//! The common part of OAUTHBEARER and XOAUTH2: pairs between ^A, a bearer token among them, and a failure in JSON.

use alloc::string::String;

use bytes::Bytes;

use super::{SaslError, SayAgain, text};

/// The longest token taken, in octets. Those of real issuers have 1 to 4 KiB, and more with many groups in them.
pub const MAX_TOKEN: usize = 32 * 1024;
pub(super) const TOKEN: &str = "token";

/// RFC 7628 §3.1: what parts the pairs.
pub(super) const SEPARATOR: char = '\x01';

/// RFC 6750 §3.1: why a server refuses a token.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenStatus {
    /// The message is malformed.
    InvalidRequest,
    /// The token is expired, revoked, or not this server's to take.
    InvalidToken,
    /// The token is good for less than this.
    InsufficientScope,
}

impl TokenStatus {
    /// As it stands in OAUTHBEARER's failure.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }

    /// The status of HTTP that goes with it, as it stands in XOAUTH2's failure.
    pub const fn http(self) -> &'static str {
        match self {
            Self::InvalidRequest => "400",
            Self::InvalidToken => "401",
            Self::InsufficientScope => "403",
        }
    }
}

/// RFC 7628 §3.2.2: what a server says before it refuses.
pub(super) fn failure(status: &str) -> Bytes {
    Bytes::from(["{\"status\":\"", status, "\"}"].concat())
}

/// Where a client stands.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    mechanism: &'static str,
    again: SayAgain,
    /// The server's error about the token.
    status: Option<&'static str>,
}

impl Dialog {
    pub(super) const fn new(mechanism: &'static str) -> Self {
        Self { mechanism, again: SayAgain::new(mechanism), status: None }
    }

    /// Answers a failure with `dummy`, once, and an empty challenge with `message`, once.
    pub(super) fn respond(
        &mut self,
        challenge: &[u8],
        message: impl FnOnce() -> Bytes,
        dummy: &'static [u8],
    ) -> Result<Bytes, SaslError> {
        if self.status.is_some() {
            return Err(SaslError::UnexpectedChallenge { mechanism: self.mechanism });
        }
        if challenge.is_empty() {
            return self.again.once().map(|()| message());
        }
        self.status = Some(status(challenge));
        Ok(Bytes::from_static(dummy))
    }

    pub(super) fn refusal(&self) -> Option<SaslError> {
        self.status.map(|status| SaslError::ServerStatus { mechanism: self.mechanism, status })
    }

    /// A server that has said why it refuses has no ground to say ok.
    pub(super) fn verify(&self) -> Result<(), SaslError> {
        self.refusal().map_or(Ok(()), Err)
    }
}

/// The status in a failure, if it is one that is known. Others are not repeated: a server might put the token there.
fn status(challenge: &[u8]) -> &'static str {
    const KNOWN: [&str; 6] = ["invalid_request", "invalid_token", "insufficient_scope", "400", "401", "403"];
    let found = || {
        let text = core::str::from_utf8(challenge).ok()?;
        let (_, rest) = text.split_once("\"status\"")?;
        let value = rest.trim_start().strip_prefix(':')?.trim_start();
        let value = value.strip_prefix('"').and_then(|value| value.split_once('"')).map_or_else(
            // A number is one without quotes.
            || value.split(|octet: char| !octet.is_ascii_digit()).next().unwrap_or_default(),
            |(value, _)| value,
        );
        KNOWN.into_iter().find(|known| *known == value)
    };
    found().unwrap_or("another status than is known")
}

/// RFC 6750 §2.1, less strictly: visible ASCII.
pub(super) fn check_token(token: &str) -> Result<(), SaslError> {
    if token.is_empty() {
        return Err(SaslError::EmptyField { field: TOKEN });
    }
    visible(token, TOKEN, MAX_TOKEN)
}

/// Visible ASCII, or nothing, up to a length.
pub(super) fn visible(text: &str, field: &'static str, max: usize) -> Result<(), SaslError> {
    if text.len() > max {
        return Err(SaslError::FieldTooLong { field, max });
    }
    if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(SaslError::ForbiddenCharacter { field });
    }
    Ok(())
}

/// A message as text.
pub(super) fn message(octets: &[u8]) -> Result<&str, SaslError> {
    text(octets, "message", MAX_TOKEN + 4096)
}

/// The value of each pair that is wanted; those that are not are passed over.
pub(super) fn pairs<'a, const N: usize>(
    text: &'a str,
    wanted: [&'static str; N],
    mechanism: &'static str,
) -> Result<[Option<&'a str>; N], SaslError> {
    let malformed = |what| SaslError::Malformed { mechanism, what };
    let pairs = text.strip_suffix("\x01\x01").ok_or_else(|| malformed("end"))?;
    let mut found = [None; N];
    for pair in pairs.split(SEPARATOR) {
        let (key, value) = pair.split_once('=').ok_or_else(|| malformed("pair"))?;
        if key.is_empty() || !key.bytes().all(|octet| octet.is_ascii_alphabetic()) {
            return Err(malformed("pair"));
        }
        let place = wanted.iter().zip(&mut found).find(|(name, _)| **name == key);
        if let Some((name, place)) = place {
            if place.replace(value).is_some() {
                return Err(malformed(name));
            }
        }
    }
    Ok(found)
}

/// The token in the value of `auth`.
pub(super) fn token(auth: Option<&str>, mechanism: &'static str) -> Result<String, SaslError> {
    let auth = auth.ok_or(SaslError::Malformed { mechanism, what: "auth" })?;
    if auth.is_empty() {
        return Err(SaslError::EmptyField { field: TOKEN });
    }
    let (scheme, token) = auth.split_once(' ').ok_or(SaslError::Malformed { mechanism, what: "auth" })?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(SaslError::Malformed { mechanism, what: "auth" });
    }
    let token = token.trim_matches(' ');
    check_token(token)?;
    Ok(String::from(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_status_is_found_and_no_other_is_repeated() {
        for (challenge, found) in [
            (&br#"{"status":"invalid_token","scope":"s"}"#[..], "invalid_token"),
            (br#"{ "schemes" : "bearer", "status" : "401" }"#, "401"),
            (br#"{"status": 400}"#, "400"),
            (br#"{"openid-configuration":"https://x/","status":"insufficient_scope"}"#, "insufficient_scope"),
        ] {
            assert_eq!(status(challenge), found);
        }
        for challenge in [
            &br#"{"status":"eyJ0eXAi.secret"}"#[..],
            br#"{"status":}"#,
            br#"{"status"#,
            br#"{"status":"invalid_token"#,
            br#"{"error":"invalid_token"}"#,
            b"\xFF",
            b"x",
        ] {
            assert_eq!(status(challenge), "another status than is known", "{}", challenge.escape_ascii());
        }
        for known in [TokenStatus::InvalidRequest, TokenStatus::InvalidToken, TokenStatus::InsufficientScope] {
            assert_eq!(status(&failure(known.as_str())), known.as_str());
            assert_eq!(status(&failure(known.http())), known.http());
        }
    }

    #[test]
    fn pairs_are_found_once_each() {
        let read = |text| pairs(text, ["host", "auth"], "X");
        assert_eq!(read("auth=Bearer t\x01x=1\x01\x01"), Ok([None, Some("Bearer t")]));
        assert_eq!(read("host=\x01auth=a=b\x01\x01"), Ok([Some(""), Some("a=b")]));
        for text in ["", "\x01\x01", "auth=Bearer t\x01", "auth\x01\x01", "=x\x01\x01", "a=1\x01\x01a=2\x01\x01"] {
            assert!(read(text).is_err(), "{}", text.escape_debug());
        }
        assert_eq!(
            read("auth=Bearer a\x01auth=Bearer b\x01\x01"),
            Err(SaslError::Malformed { mechanism: "X", what: "auth" })
        );
    }

    #[test]
    fn only_bearer_tokens_are_taken() {
        assert_eq!(token(Some("bEaReR  abc.def"), "X").as_deref(), Ok("abc.def"));
        for auth in [None, Some("Basic abc"), Some("Bearerabc"), Some("abc")] {
            assert_eq!(token(auth, "X"), Err(SaslError::Malformed { mechanism: "X", what: "auth" }), "{auth:?}");
        }
        assert_eq!(token(Some(""), "X"), Err(SaslError::EmptyField { field: "token" }));
        assert_eq!(token(Some("Bearer "), "X"), Err(SaslError::EmptyField { field: "token" }));
        assert_eq!(token(Some("Bearer a b"), "X"), Err(SaslError::ForbiddenCharacter { field: "token" }));
    }
}
