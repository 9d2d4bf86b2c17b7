//! One log line for each refusal: who was refused what, from where, and why.

use core::fmt;
use std::net::SocketAddr;

use amqp1_codec::printable::printable;

/// Octets of a peer's text that a line shows.
const MAX_SHOWN: usize = 300;

/// Logs a refusal. `who` and `resource` are the peer's words, `why` may quote them.
pub(crate) fn refused(
    what: &'static str,
    who: impl fmt::Display,
    from: SocketAddr,
    resource: impl fmt::Display,
    why: impl fmt::Display,
) {
    let (who, resource, why) = (Quoted(who), Quoted(resource), Quoted(why));
    tracing::warn!(%who, %from, %resource, %why, "{what} refused");
}

/// A text in quotes that fills no more than its part of one line: escaped, and the rest of a long text is cut off.
struct Quoted<T>(T);

impl<T: fmt::Display> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", printable(&self.0.to_string()).limit(MAX_SHOWN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_peer_cannot_begin_a_line_or_fill_the_log() {
        assert_eq!(Quoted("a\n\"b\u{1b}[31m\u{202e}\0").to_string(), r#""a\n\"b\u{1b}[31m\u{202e}\u{0}""#);
        let long = Quoted("x".repeat(100_000)).to_string();
        assert!(long.len() <= MAX_SHOWN && long.ends_with("… (100000 octets)"), "{long}");
    }
}
