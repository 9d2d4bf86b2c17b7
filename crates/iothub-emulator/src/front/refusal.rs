//! One log line for each refusal: who was refused what, from where, and why.

use core::fmt::{self, Write as _};
use std::net::SocketAddr;

/// Octets of a peer's text that a line shows.
const MAX_SHOWN: usize = 256;

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

/// A text in quotes that fills no more than its part of one line: what is not printable ASCII is escaped, and the rest
/// of a long text is cut off.
struct Quoted<T>(T);

impl<T: fmt::Display> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Cut<'a, 'f>(&'a mut fmt::Formatter<'f>, usize);
        impl fmt::Write for Cut<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for c in text.chars() {
                    if self.1 == 0 {
                        return Ok(());
                    }
                    self.1 -= 1;
                    match c {
                        ' '..='~' if c != '"' && c != '\\' => self.0.write_char(c)?,
                        c => write!(self.0, "{}", c.escape_default())?,
                    }
                    if self.1 == 0 {
                        self.0.write_str("...")?;
                    }
                }
                Ok(())
            }
        }
        f.write_char('"')?;
        write!(Cut(f, MAX_SHOWN), "{}", self.0)?;
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_peer_cannot_begin_a_line_or_fill_the_log() {
        assert_eq!(Quoted("a\n\"b\u{1b}[31m\u{202e}\0").to_string(), r#""a\n\"b\u{1b}[31m\u{202e}\u{0}""#);
        let long = Quoted("x".repeat(100_000)).to_string();
        assert_eq!(long.len(), MAX_SHOWN + 5);
    }
}
