use alloc::string::String;
use core::fmt;

use super::{SasError, SasKey, SasToken};
use crate::UnixSeconds;
use crate::secret::SecretText;

/// The text of a shared access key, as connection strings and the portal show it. Wiped when dropped, never shown.
///
/// A hub's policy key serves two services that use it differently, so the text must be kept:
/// [`decoded`](Self::decoded) signs for the hub, [`raw`](Self::raw) for its Event-Hubs-compatible endpoint.
#[derive(Clone)]
pub struct SharedAccessKey(SecretText);

impl SharedAccessKey {
    /// Takes any text that is not empty; whether it is base64 matters only to [`decoded`](Self::decoded).
    ///
    /// # Errors
    ///
    /// [`SasError::InvalidKey`] if the text is empty.
    pub fn new(text: impl Into<String>) -> Result<Self, SasError> {
        let text = SecretText::new(text);
        if text.expose().is_empty() {
            return Err(SasError::InvalidKey);
        }
        Ok(Self(text))
    }

    /// IoT Hub's convention: the key is what the base64 text stands for.
    ///
    /// # Errors
    ///
    /// [`SasError::InvalidKey`] if the text is not base64.
    pub fn decoded(&self) -> Result<SasKey, SasError> {
        SasKey::from_base64(self.0.expose())
    }

    /// The convention of Event Hubs and Service Bus: the key is the text.
    pub fn raw(&self) -> SasKey {
        SasKey::from_octets(self.0.expose().as_bytes())
    }

    /// Verifies a token the way a hub has to: with the decoded key, and if the token's resource is a URI with a
    /// scheme (`sb://…`, `amqps://…`), as Event Hubs clients write it, with the raw text as well.
    ///
    /// # Errors
    ///
    /// As [`SasToken::verify`].
    pub fn verify(&self, token: &SasToken, now: UnixSeconds) -> Result<(), SasError> {
        let first = self.decoded().map_err(|_| SasError::BadSignature).and_then(|key| token.verify(&key, now));
        match first {
            Err(SasError::BadSignature) if token.resource().contains("://") => token.verify(&self.raw(), now),
            answer => answer,
        }
    }

    /// The text itself, for writing a connection string.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for SharedAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedAccessKey(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;
    use crate::sas::PercentEncoding;

    const EXPIRY: UnixSeconds = UnixSeconds::new(100);

    fn token(key: &SasKey, resource: &str) -> SasToken {
        key.sign(resource, PercentEncoding::Component, EXPIRY, Some("service"))
    }

    #[test]
    fn hub_audiences_want_the_decoded_key_and_uris_take_either() {
        let key = SharedAccessKey::new("YWJj").expect("a text");
        let (decoded, raw) = (key.decoded().expect("base64"), key.raw());
        let verify = |token: &SasToken| key.verify(token, UnixSeconds::new(99));
        assert_eq!(verify(&token(&decoded, "hub")), Ok(()));
        assert_eq!(verify(&token(&raw, "hub")), Err(SasError::BadSignature));
        assert_eq!(verify(&token(&decoded, "sb://ns/hub")), Ok(()));
        assert_eq!(verify(&token(&raw, "sb://ns/hub")), Ok(()));
        assert_eq!(verify(&token(&raw, "amqps://ns/hub")), Ok(()));
    }

    #[test]
    fn an_expired_token_of_the_raw_key_is_expired_not_forged() {
        let key = SharedAccessKey::new("YWJj").expect("a text");
        let raw = key.raw();
        let expired = Err(SasError::Expired { expiry: EXPIRY, now: EXPIRY });
        assert_eq!(key.verify(&token(&raw, "sb://ns/hub"), EXPIRY), expired);
    }

    #[test]
    fn a_text_that_is_not_base64_still_verifies_event_hubs_tokens() {
        let key = SharedAccessKey::new("not base64!").expect("a text");
        let raw = key.raw();
        assert_eq!(key.verify(&token(&raw, "sb://ns/hub"), UnixSeconds::new(0)), Ok(()));
        assert_eq!(key.verify(&token(&raw, "hub"), UnixSeconds::new(0)), Err(SasError::BadSignature));
    }

    #[test]
    fn debug_does_not_show_the_text() {
        assert_eq!(format!("{:?}", SharedAccessKey::new("YWJj")), "Ok(SharedAccessKey(<redacted>))");
        assert_eq!(SharedAccessKey::new("").map(|_| ()), Err(SasError::InvalidKey));
    }
}
