//! Nonces: unguessable, and never repeated.

use std::fmt::Write;

/// Octets from the operating system, if it has any to give.
pub(crate) fn draw() -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    getrandom::fill(&mut octets).ok().map(|()| octets)
}

/// A nonce for one dialog of SCRAM; without random octets an empty one, which the mechanism refuses.
pub(crate) fn nonce() -> String {
    let octets = draw();
    octets.iter().flatten().fold(String::with_capacity(64), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
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
