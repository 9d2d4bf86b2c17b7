//! EXTERNAL, RFC 4422 appendix A: who the client is was shown outside of SASL, by its TLS certificate.

use alloc::string::String;

use bytes::Bytes;

use super::{ClientMechanism, SaslError, SayAgain, text};

/// The registered name.
pub const NAME: &str = "EXTERNAL";

/// The longest authorization identity taken, in octets.
pub const MAX_AUTHZID: usize = 1024;
const FIELD: &str = "authorization id";

/// The client's half: an initial response that names the identity to act as, empty for the certificate's own.
#[derive(Clone, Debug)]
pub struct External {
    authzid: Bytes,
    again: SayAgain,
}

impl External {
    /// Acts as whom the certificate names.
    pub const fn new() -> Self {
        Self { authzid: Bytes::new(), again: SayAgain::new(NAME) }
    }

    /// Acts as `authzid`, if the server lets the certificate's owner do so. An empty one is [`External::new`].
    ///
    /// # Errors
    ///
    /// [`SaslError::FieldTooLong`] above [`MAX_AUTHZID`] octets, [`SaslError::ForbiddenCharacter`] for a NUL.
    pub fn with_authzid(authzid: impl Into<String>) -> Result<Self, SaslError> {
        let authzid = authzid.into();
        text(authzid.as_bytes(), FIELD, MAX_AUTHZID)?;
        Ok(Self { authzid: Bytes::from(authzid), again: SayAgain::new(NAME) })
    }
}

impl Default for External {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientMechanism for External {
    fn name(&self) -> &'static str {
        NAME
    }

    fn initial_response(&mut self) -> Option<Bytes> {
        Some(self.authzid.clone())
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Bytes, SaslError> {
        self.again.answer(challenge, &self.authzid)
    }
}

/// The server's half: the identity that the client asks to act as; `None` is that of its certificate.
///
/// The caller checks that there is a verified certificate, and that its owner may act as this identity.
///
/// # Errors
///
/// [`SaslError::InvalidUtf8`], [`SaslError::FieldTooLong`], [`SaslError::ForbiddenCharacter`] for a NUL.
pub fn authzid(response: &[u8]) -> Result<Option<&str>, SaslError> {
    let authzid = text(response, FIELD, MAX_AUTHZID)?;
    Ok(Some(authzid).filter(|authzid| !authzid.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_ext_1_the_identity_travels_as_it_is_and_empty_means_the_certificates_own() {
        let mut client = External::with_authzid("device1").expect("an identity");
        let response = client.initial_response().expect("EXTERNAL always answers");
        assert_eq!(authzid(&response), Ok(Some("device1")));
        assert_eq!(authzid(b""), Ok(None));
    }

    #[test]
    fn a_bad_identity_is_refused() {
        assert_eq!(authzid(&[0xFF]), Err(SaslError::InvalidUtf8 { field: "authorization id" }));
        assert_eq!(authzid(b"a\0b"), Err(SaslError::ForbiddenCharacter { field: "authorization id" }));
        let long = [b'a'; MAX_AUTHZID + 1];
        assert_eq!(authzid(&long), Err(SaslError::FieldTooLong { field: "authorization id", max: MAX_AUTHZID }));
        assert!(External::with_authzid("a\0b").is_err());
    }
}
