//! A number that stands for the octets that two engines have written.

use crate::Pair;

/// FNV-1a, 64 bits: enough to notice a change, in no way secure.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The digest of what both ends of one connection have written, as the `number`th connection of a seed.
pub(crate) fn digest(seed: u64, number: u64, pair: &Pair) -> u64 {
    let mut state = OFFSET;
    let mut add = |octets: &[u8]| {
        for octet in octets {
            state = (state ^ u64::from(*octet)).wrapping_mul(PRIME);
        }
    };
    add(&seed.to_be_bytes());
    add(&number.to_be_bytes());
    for end in [&pair.client, &pair.server] {
        add(&(end.written.len() as u64).to_be_bytes());
        add(&end.written);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_octet_more_or_another_order_is_another_digest() {
        let mut pair = Pair::open();
        let first = digest(1, 0, &pair);
        assert_eq!(first, digest(1, 0, &Pair::open()));
        assert_ne!(first, digest(2, 0, &pair));
        assert_ne!(first, digest(1, 1, &pair));
        std::mem::swap(&mut pair.client.written, &mut pair.server.written);
        assert_ne!(first, digest(1, 0, &pair));
        std::mem::swap(&mut pair.client.written, &mut pair.server.written);
        pair.server.written.push(0);
        assert_ne!(first, digest(1, 0, &pair));
    }
}
