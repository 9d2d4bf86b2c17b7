//! Maps by the engine's ids, which are small numbers that no peer chooses.

use amqp1_engine::{LinkId, SessionId};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map by ids.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Mixes the one or two numbers that an id is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        octets.iter().for_each(|octet| self.write_u64(u64::from(*octet)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // The odd constant is 2^64 divided by the golden ratio; it spreads small numbers over all bits.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Whose changes are waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Connection,
    Session(SessionId),
    Link(LinkId),
}
