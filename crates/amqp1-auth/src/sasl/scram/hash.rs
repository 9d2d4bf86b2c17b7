use alloc::vec::Vec;

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

/// Key material. Wiped when dropped.
pub(super) type Octets = Zeroizing<Vec<u8>>;

/// The hash function that a SCRAM mechanism is built on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScramHash {
    /// SCRAM-SHA-1, RFC 5802: for peers that have nothing better. As SCRAM uses it, it is not known to be broken, but it
    /// makes guessing cheaper.
    Sha1,
    /// SCRAM-SHA-256, RFC 7677: the one to choose.
    Sha256,
    /// SCRAM-SHA-512, which some brokers offer besides.
    Sha512,
}

/// Does the same with each hash.
macro_rules! with {
    ($hash:expr, $type:ident => $body:expr) => {
        match $hash {
            ScramHash::Sha1 => {
                type $type = Sha1;
                $body
            }
            ScramHash::Sha256 => {
                type $type = Sha256;
                $body
            }
            ScramHash::Sha512 => {
                type $type = Sha512;
                $body
            }
        }
    };
}

impl ScramHash {
    /// All of them, the strongest one last.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// The mechanism's registered name.
    pub const fn mechanism(self) -> &'static str {
        match self {
            Self::Sha1 => super::SHA_1,
            Self::Sha256 => super::SHA_256,
            Self::Sha512 => super::SHA_512,
        }
    }

    /// The hash of the mechanism with this name; `None` for other mechanisms, those that bind the channel (`-PLUS`)
    /// among them.
    pub fn from_mechanism(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.mechanism() == name)
    }

    /// How many octets it gives, and so the length of every key.
    pub const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// RFC 5802's H.
    pub(super) fn digest(self, octets: &[u8]) -> Octets {
        with!(self, D => Zeroizing::new(D::digest(octets).to_vec()))
    }

    /// RFC 5802's HMAC, of `message` in parts.
    pub(super) fn hmac(self, key: &[u8], message: &[&[u8]]) -> Octets {
        with!(self, D => {
            let mut mac = Hmac::<D>::new_from_slice(key).expect("HMAC takes keys of any length");
            message.iter().for_each(|part| mac.update(part));
            Zeroizing::new(mac.finalize().into_bytes().to_vec())
        })
    }

    /// RFC 5802's Hi: PBKDF2 of one block. This is what costs: two hashes for each of the iterations.
    pub(super) fn salted_password(self, password: &[u8], salt: &[u8], iterations: u32) -> Octets {
        with!(self, D => {
            let keyed = Hmac::<D>::new_from_slice(password).expect("HMAC takes keys of any length");
            let mut round = keyed.clone();
            round.update(salt);
            round.update(&1_u32.to_be_bytes());
            let mut last = round.finalize().into_bytes();
            let mut salted = Zeroizing::new(last.to_vec());
            for _ in 1..iterations {
                let mut round = keyed.clone();
                round.update(&last);
                last = round.finalize().into_bytes();
                salted.iter_mut().zip(last.iter()).for_each(|(sum, octet)| *sum ^= octet);
            }
            salted
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for hash in ScramHash::ALL {
            assert_eq!(ScramHash::from_mechanism(hash.mechanism()), Some(hash));
            assert_eq!(hash.digest(b"").len(), hash.output_len());
        }
        for name in ["", "SCRAM-SHA-256-PLUS", "scram-sha-256", "PLAIN"] {
            assert_eq!(ScramHash::from_mechanism(name), None, "{name}");
        }
    }

    /// Vectors of RFC 6070 and of RFC 7914 §11, and the first octets of what is known for SHA-512 with few iterations.
    #[test]
    fn the_salted_password_is_pbkdf2s_first_block() {
        let salted = ScramHash::Sha1.salted_password(b"password", b"salt", 2);
        assert_eq!(salted[..8], [0xEA, 0x6C, 0x01, 0x4D, 0xC7, 0x2D, 0x6F, 0x8C]);
        let salted = ScramHash::Sha256.salted_password(b"passwd", b"salt", 1);
        assert_eq!(salted[..8], [0x55, 0xAC, 0x04, 0x6E, 0x56, 0xE3, 0x08, 0x9F]);
        let salted = ScramHash::Sha512.salted_password(b"password", b"salt", 2);
        assert_eq!(salted[..8], [0xE1, 0xD9, 0xC1, 0x6A, 0xA6, 0x81, 0x70, 0x8A]);
    }
}
