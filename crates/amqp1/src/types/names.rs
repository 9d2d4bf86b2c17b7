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

/// A name that others cannot guess until they have seen it: no other name of this process or of others says anything of
/// it.
pub(crate) fn unguessable(what: &str) -> Str {
    // The keys of these hashers are secret, and each has others.
    let random = || RandomState::new().build_hasher().finish();
    format!("{what}-{:016x}{:016x}", random(), random()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_to_be_guessed_shares_nothing_with_others() {
        let parts = |name: &str| {
            let random = name.strip_prefix("request-").expect("the prefix");
            random.split_at_checked(16).map(|(one, other)| [one.to_owned(), other.to_owned()]).expect("32 digits")
        };
        let (first, second) = (unguessable("request"), unguessable("request"));
        assert_eq!(first.len(), "request-".len() + 32);
        let all: std::collections::HashSet<_> = parts(&first).into_iter().chain(parts(&second)).collect();
        assert_eq!(all.len(), 4);
        let container = container();
        let process = container.split('-').nth(1).expect("a number of the process");
        assert!(!first.contains(process), "{first} {container}");
    }
}
