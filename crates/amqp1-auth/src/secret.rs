//! Text that must not be shown and does not outlive its use.

use alloc::string::String;
use core::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// HMAC-SHA256 over `message`, ready to be finished or verified.
pub(crate) fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac
}

/// Compares in a time that does not depend on where the octets differ: their keyed hashes are compared.
pub(crate) fn equal(left: &[u8], right: &[u8]) -> bool {
    let digest = |octets: &[u8]| mac(b"amqp1-auth secret comparison", octets);
    digest(left).verify_slice(&digest(right).finalize().into_bytes()).is_ok()
}

/// Text that is wiped when dropped and that `Debug` does not show.
///
/// There is no `==` on purpose: it would take the longer the more of a guess is right.
#[derive(Clone)]
pub(crate) struct SecretText(Zeroizing<String>);

impl SecretText {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in a time that does not depend on where the texts differ.
    pub(crate) fn matches(&self, other: &str) -> bool {
        equal(self.expose().as_bytes(), other.as_bytes())
    }

    /// Gives the text away; from here on wiping it is the caller's business.
    pub(crate) fn into_inner(mut self) -> String {
        core::mem::take(&mut *self.0)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_text() {
        let secret = SecretText::new("hunter2");
        assert_eq!(format!("{secret:?}"), "<redacted>");
        assert_eq!(secret.into_inner(), "hunter2");
    }

    #[test]
    fn only_the_same_text_matches() {
        let secret = SecretText::new("hunter2");
        assert!(secret.matches("hunter2"));
        for other in ["", "hunter", "hunter22", "Hunter2"] {
            assert!(!secret.matches(other), "{other}");
        }
    }
}
