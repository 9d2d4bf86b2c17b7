//! Numbers that are hard to meet twice. They are no secrets.

use amqp1::message::Uuid;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A number at random.
pub(crate) fn random() -> u64 {
    // The standard library's hashers are seeded at random.
    RandomState::new().build_hasher().finish()
}

/// A random UUID, version 4.
pub(crate) fn uuid() -> Uuid {
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&random().to_be_bytes());
    octets[8..].copy_from_slice(&random().to_be_bytes());
    octets[6] = (octets[6] & 0x0f) | 0x40;
    octets[8] = (octets[8] & 0x3f) | 0x80;
    Uuid(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_of_version_4_and_differ() {
        let (first, second) = (uuid(), uuid());
        assert_ne!(first, second);
        assert_eq!((first.0[6] >> 4, first.0[8] >> 6), (4, 2));
    }
}
