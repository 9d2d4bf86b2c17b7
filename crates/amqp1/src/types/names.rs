//! Names that are unique.

use amqp1_codec::Str;
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Different each time, in this process and most likely in any other. No secret.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static PROCESS: OnceLock<u32> = OnceLock::new();
    // The standard library's hashers are seeded at random.
    let process = PROCESS.get_or_init(|| {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        u32::try_from(hasher.finish() >> 32).unwrap_or_default()
    });
    format!("{process:08x}-{:x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A container's name (§2.7.1).
pub(crate) fn container() -> Str {
    format!("amqp1-{}", unique()).into()
}

/// A link's name (§2.6.1), which shows the address.
pub(crate) fn link(address: &str) -> Str {
    format!("{address}-{}", unique()).into()
}
