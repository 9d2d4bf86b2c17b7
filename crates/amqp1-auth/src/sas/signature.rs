use alloc::vec::Vec;
use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{PercentEncoding, SasError, SasToken};
use crate::UnixSeconds;
use crate::secret::mac;

/// The octets of an HMAC key. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct SasKey(Zeroizing<Vec<u8>>);

impl SasKey {
    /// IoT Hub's convention: the key is what the base64 text stands for.
    ///
    /// # Errors
    ///
    /// [`SasError::InvalidKey`] if the text is not base64 (with its padding) or stands for no octets.
    pub fn from_base64(text: &str) -> Result<Self, SasError> {
        // Decoded into room that is wiped also when decoding fails half-way.
        let mut octets = Zeroizing::new(alloc::vec![0; base64::decoded_len_estimate(text.len())]);
        let len = STANDARD.decode_slice(text, &mut octets).map_err(|_| SasError::InvalidKey)?;
        octets.truncate(len);
        Some(Self(octets)).filter(|key| !key.0.is_empty()).ok_or(SasError::InvalidKey)
    }

    /// The convention of Event Hubs and Service Bus: the key is the text itself, be it base64 or not.
    ///
    /// # Errors
    ///
    /// [`SasError::InvalidKey`] if the text is empty.
    pub fn from_raw_text(text: &str) -> Result<Self, SasError> {
        Some(text)
            .filter(|text| !text.is_empty())
            .map(|text| Self::from_octets(text.as_bytes()))
            .ok_or(SasError::InvalidKey)
    }

    /// The caller has seen to it that there are some.
    pub(super) fn from_octets(octets: &[u8]) -> Self {
        Self(Zeroizing::new(octets.to_vec()))
    }

    /// Makes a token for `resource`, which is written in the given encoding, that is good until `expiry`.
    ///
    /// `policy` is the name of the shared access policy whose key this is; `None` for the key of a device or a
    /// module. Lower-case the resource's host name: the hub compares it so.
    pub fn sign(
        &self,
        resource: &str,
        encoding: PercentEncoding,
        expiry: UnixSeconds,
        policy: Option<&str>,
    ) -> SasToken {
        SasToken::signed(self, resource, encoding, expiry, policy)
    }

    /// The MAC over the two signed fields, as they stand in the token.
    pub(super) fn mac(&self, resource: &str, expiry: &str) -> Hmac<Sha256> {
        let mut mac = mac(&self.0, resource.as_bytes());
        mac.update(b"\n");
        mac.update(expiry.as_bytes());
        mac
    }
}

impl fmt::Debug for SasKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SasKey(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn a_key_must_be_base64_and_not_empty() {
        for text in ["", "a", "not base64!", "YWJj\n", "YWJ", "YWJj=", "YW=j"] {
            assert_eq!(SasKey::from_base64(text).map(|_| ()), Err(SasError::InvalidKey), "{text:?}");
        }
        assert_eq!(SasKey::from_raw_text("").map(|_| ()), Err(SasError::InvalidKey));
        assert!(SasKey::from_raw_text("not base64!").is_ok());
    }

    #[test]
    fn the_text_and_what_it_stands_for_are_different_keys() {
        let decoded = SasKey::from_base64("YWJj").expect("base64");
        let raw = SasKey::from_raw_text("abc").expect("a text");
        let other = SasKey::from_raw_text("YWJj").expect("a text");
        let mac = |key: &SasKey| key.mac("r", "1").finalize().into_bytes();
        assert_eq!(mac(&decoded), mac(&raw));
        assert_ne!(mac(&decoded), mac(&other));
    }

    #[test]
    fn debug_does_not_show_the_key() {
        let key = SasKey::from_raw_text("abc").expect("a text");
        assert_eq!(format!("{key:?}"), "SasKey(<redacted>)");
    }
}
