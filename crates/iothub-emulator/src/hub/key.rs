//! Symmetric keys of devices and policies.

use core::fmt;

use base64::Engine as _;
use base64::decoded_len_estimate;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

/// Why a text is not a key. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing there.
    #[error("the key is empty")]
    Empty,
    /// Not base64 of the standard alphabet with padding.
    #[error("the key is not base64 (standard alphabet, padded with =)")]
    NotBase64,
}

/// A symmetric key, in both forms in which clients use it. Zeroed on drop; neither form is in `Debug`.
#[derive(Clone)]
pub struct Key {
    text: Zeroizing<String>,
    octets: Zeroizing<Vec<u8>>,
}

impl Key {
    /// From the base64 text that connection strings carry.
    ///
    /// # Errors
    /// [`KeyError`] if the text is empty or no base64.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        // Decoded into room that is zeroed even if decoding fails half-way.
        let mut octets = Zeroizing::new(vec![0; decoded_len_estimate(text.len())]);
        let length = STANDARD.decode_slice(text, &mut octets).map_err(|_| KeyError::NotBase64)?;
        octets.truncate(length);
        Ok(Self { text: Zeroizing::new(text.into()), octets })
    }

    /// From the octets themselves, e.g. freshly drawn ones.
    ///
    /// # Errors
    /// [`KeyError::Empty`] if there are none.
    pub fn from_octets(octets: &[u8]) -> Result<Self, KeyError> {
        if octets.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self { text: Zeroizing::new(STANDARD.encode(octets)), octets: Zeroizing::new(octets.to_vec()) })
    }

    /// A new key: 32 octets of the operating system's generator.
    ///
    /// # Errors
    /// The operating system gives no random octets.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut octets = Zeroizing::new([0_u8; 32]);
        getrandom::fill(octets.as_mut_slice())?;
        Ok(Self { text: Zeroizing::new(STANDARD.encode(octets.as_slice())), octets: Zeroizing::new(octets.to_vec()) })
    }

    /// The octets that the base64 text stands for: what IoT Hub clients sign with.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The base64 text: for connection strings, and what Event Hubs clients sign with, undecoded.
    #[must_use]
    pub fn base64(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_kept_and_neither_is_shown() {
        let key = Key::from_base64("c2VjcmV0").unwrap();
        assert_eq!((key.octets(), key.base64()), (&b"secret"[..], "c2VjcmV0"));
        assert_eq!(Key::from_octets(b"secret").unwrap().base64(), "c2VjcmV0");
        assert_eq!(format!("{key:?}"), "Key(..)");
    }

    #[test]
    fn bad_keys_are_refused_without_being_repeated() {
        assert_eq!(Key::from_base64("  ").unwrap_err(), KeyError::Empty);
        let error = Key::from_base64("s3cr3t!").unwrap_err();
        assert_eq!(error, KeyError::NotBase64);
        assert!(!error.to_string().contains("s3cr3t"));
        assert_eq!(Key::from_base64("c2VjcmV0cw=").unwrap_err(), KeyError::NotBase64);
    }
}
