//! What nobody can guess and nobody has had before.

use std::{
    collections::hash_map::RandomState,
    fmt::Write,
    hash::{BuildHasher, Hasher},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Four numbers out of a keyed hash, SipHash, over a counter. Its key of 128 bits is the one that the standard library
/// has from the operating system, and never leaves the process.
pub(crate) fn draw() -> [u64; 4] {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static KEY: OnceLock<RandomState> = OnceLock::new();
    let key = KEY.get_or_init(RandomState::new);
    [(); 4].map(|()| {
        let mut hasher = key.build_hasher();
        hasher.write_u64(NEXT.fetch_add(1, Ordering::Relaxed));
        // After a fork the key and the counter are the same.
        hasher.write_u32(std::process::id());
        hasher.finish()
    })
}

/// A nonce for one dialog of SCRAM.
pub(crate) fn nonce() -> String {
    draw().iter().fold(String::with_capacity(64), |mut text, number| {
        let _ = write!(text, "{number:016x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn nonces_are_not_drawn_twice() {
        let drawn: HashSet<_> = (0..1000).map(|_| nonce()).collect();
        assert_eq!(drawn.len(), 1000);
        assert!(drawn.iter().all(|nonce| nonce.len() == 64));
    }
}
