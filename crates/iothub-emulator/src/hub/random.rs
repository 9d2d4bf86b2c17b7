//! Seeded randomness: lock tokens, generation ids and entity tags.

use core::fmt;
use core::str::FromStr;

use std::sync::Arc;
use thiserror::Error;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// SplitMix64: small, fast, and the same on every machine for the same seed. Not for keys.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A token that no earlier call gave, as far as 122 random bits go.
    pub(crate) fn lock_token(&mut self) -> LockToken {
        let bits = (u128::from(self.next()) << 64) | u128::from(self.next());
        let mut octets = bits.to_be_bytes();
        // Version 4, variant 1: clients turn the tag into a UUID.
        octets[6] = octets[6] & 0x0F | 0x40;
        octets[8] = octets[8] & 0x3F | 0x80;
        LockToken(octets)
    }

    /// 18 decimal digits, in the form of the hub's generation ids.
    pub(crate) fn generation_id(&mut self) -> String {
        format!("{}", 100_000_000_000_000_000 + self.next() % 900_000_000_000_000_000)
    }

    /// The base64 text of some decimal digits, in the form of the entity tags of identities; another one than `last`.
    pub(crate) fn etag(&mut self, last: &str) -> Arc<str> {
        loop {
            let etag = STANDARD.encode((100_000_000 + self.next() % 900_000_000).to_string());
            if etag != last {
                return etag.into();
            }
        }
    }
}

/// Names one lock on one message: the 16 octets of the delivery-tag, shown as a UUID in `x-opt-lock-token`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockToken(pub [u8; 16]);

impl LockToken {
    /// From a delivery-tag; `None` unless it has 16 octets.
    #[must_use]
    pub fn from_tag(tag: &[u8]) -> Option<Self> {
        tag.try_into().ok().map(Self)
    }

    /// The 16 octets, for the delivery-tag.
    #[must_use]
    pub fn as_octets(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Parses the UUID that [`LockToken`] is shown as.
impl FromStr for LockToken {
    type Err = LockTokenError;

    fn from_str(text: &str) -> Result<Self, LockTokenError> {
        let hex: String = text.chars().filter(|c| *c != '-').collect();
        let digits = hex.len() == 32 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        let bits = u128::from_str_radix(&hex, 16).map_err(|_| LockTokenError)?;
        if digits { Ok(Self(bits.to_be_bytes())) } else { Err(LockTokenError) }
    }
}

/// A text is not a lock token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a lock token is a UUID")]
pub struct LockTokenError;

impl fmt::Display for LockToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, octet) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for LockToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn tokens_are_version_4_uuids_and_differ() {
        let mut random = Random::new(7);
        let tokens: BTreeSet<_> = (0..1000).map(|_| random.lock_token()).collect();
        assert_eq!(tokens.len(), 1000);
        for token in tokens {
            let text = token.to_string();
            assert_eq!((text.len(), text.as_bytes()[14]), (36, b'4'));
            assert!(b"89ab".contains(&text.as_bytes()[19]));
            assert_eq!(LockToken::from_tag(token.as_octets()), Some(token));
            assert_eq!(text.parse(), Ok(token));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_values() {
        let (mut a, mut b) = (Random::new(3), Random::new(3));
        assert_eq!((a.lock_token(), a.generation_id()), (b.lock_token(), b.generation_id()));
        assert_ne!(Random::new(4).lock_token(), Random::new(3).lock_token());
        assert_eq!(a.generation_id().len(), 18);
    }

    #[test]
    fn a_tag_of_another_length_is_no_token() {
        assert_eq!(LockToken::from_tag(&[0; 15]), None);
        for text in ["", "0", "+0000000000000000000000000000000", "0123456789abcdef0123456789abcdeg"] {
            assert_eq!(text.parse::<LockToken>(), Err(LockTokenError), "{text}");
        }
    }
}
