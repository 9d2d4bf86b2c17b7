//! The peer's text for people: escaped, and cut to a stated length.
//!
//! A peer chooses its names and descriptions. Written to a terminal or a log as they came, they can move the cursor,
//! forge lines, reverse what follows, or fill the disk. Every `Display` and `Debug` of an error here, and every `Debug`
//! of something that a peer sent, goes through this module. `Display` of [`Str`](crate::Str),
//! [`Symbol`](crate::Symbol) and [`MessageId`](crate::messaging::MessageId) does not: it is how their text is copied.
//!
//! ```
//! use amqp1_codec::printable::printable;
//!
//! assert_eq!(printable("line\nbreak \u{202e}esrever").to_string(), r"line\nbreak \u{202e}esrever");
//! assert!(printable(&"x".repeat(60_000)).to_string().ends_with("… (60000 octets)"));
//! ```

use crate::secrets::redacted;
use core::fmt::{self, Formatter, Write};

/// The most octets that one text of a peer takes in a report, with the note of how long it was.
pub const MAX_TEXT: usize = 1024;

/// The most octets of the text of an error, of a `Debug`, or of a line of a trace.
pub const MAX_REPORT: usize = 4096;

/// Room for `… (18446744073709551615 octets)`, and quotes.
const NOTE: usize = 40;

/// The mark of a text that was cut.
const ELLIPSIS: char = '…';

/// A text, to be shown escaped and in at most [`MAX_TEXT`] octets. `Debug` puts it in quotes. Shared access signatures and
/// keys, bearer tokens, and passwords of connection strings and URLs are shown as `<redacted>`.
#[derive(Clone, Copy)]
pub struct Printable<'a> {
    text: &'a str,
    limit: usize,
}

/// The text, to be shown escaped and in at most [`MAX_TEXT`] octets.
pub const fn printable(text: &str) -> Printable<'_> {
    Printable { text, limit: MAX_TEXT }
}

impl Printable<'_> {
    /// Sets how many octets it takes at most; [`MAX_TEXT`] unless set. At least 48.
    pub const fn limit(self, octets: usize) -> Self {
        Self { text: self.text, limit: octets }
    }

    /// Writes it without its secrets. They are looked for only in as much as can be shown.
    fn write(&self, cut: &mut Cut<'_, '_>) -> fmt::Result {
        let most = (self.limit..self.text.len()).find(|at| self.text.is_char_boundary(*at));
        let Some((shown, _)) = most.and_then(|most| self.text.split_at_checked(most)) else {
            return cut.write_str(&redacted(self.text));
        };
        cut.write_str(&redacted(shown))?;
        cut.is_cut = true;
        Err(fmt::Error)
    }

    fn note(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{ELLIPSIS} ({} octets)", self.text.len())
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut cut = Cut::new(f, self.limit.saturating_sub(NOTE));
        match self.write(&mut cut) {
            Err(_) if cut.is_cut => self.note(f),
            other => other,
        }
    }
}

impl fmt::Debug for Printable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut cut = Cut { quoted: true, ..Cut::new(f, self.limit.saturating_sub(NOTE)) };
        let written = self.write(&mut cut);
        let is_cut = cut.is_cut;
        if !is_cut {
            written?;
        }
        f.write_char('"')?;
        if is_cut { self.note(f) } else { Ok(()) }
    }
}

/// Something whose `Display` or `Debug` is escaped as a whole, and takes at most [`MAX_REPORT`] octets. Lines that
/// `{:#?}` breaks stay broken.
#[derive(Clone, Copy)]
pub struct Bounded<T>(pub T);

impl<T: fmt::Display> fmt::Display for Bounded<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        bounded(f, format_args!("{}", self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Bounded<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if f.alternate() { bounded(f, format_args!("{:#?}", self.0)) } else { bounded(f, format_args!("{:?}", self.0)) }
    }
}

/// Formats through a function.
pub(crate) struct By<F>(pub(crate) F);

impl<F: Fn(&mut Formatter<'_>) -> fmt::Result> fmt::Display for By<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

impl<F: Fn(&mut Formatter<'_>) -> fmt::Result> fmt::Debug for By<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

/// Writes a `Debug` that is escaped and cut as [`Bounded`] does.
///
/// # Errors
///
/// If the formatter fails.
pub fn bounded_debug(f: &mut Formatter<'_>, write: impl Fn(&mut Formatter<'_>) -> fmt::Result) -> fmt::Result {
    fmt::Debug::fmt(&Bounded(By(write)), f)
}

fn bounded(f: &mut Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    bounded_to(MAX_REPORT, f, text)
}

/// Writes a text that is escaped, and cut to this many octets.
pub(crate) fn bounded_to(limit: usize, f: &mut Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    let broken = f.alternate();
    let mut cut = Cut { broken, ..Cut::new(f, limit.saturating_sub(ELLIPSIS.len_utf8())) };
    match cut.write_fmt(text) {
        Err(_) if cut.is_cut => f.write_char(ELLIPSIS),
        other => other,
    }
}

/// Escapes what is written through it, and fails when the room is used up.
struct Cut<'a, 'f> {
    out: &'a mut Formatter<'f>,
    left: usize,
    /// Line feeds are let through.
    broken: bool,
    /// It stands in quotes.
    quoted: bool,
    is_cut: bool,
}

impl<'a, 'f> Cut<'a, 'f> {
    fn new(out: &'a mut Formatter<'f>, left: usize) -> Self {
        Self { out, left, broken: false, quoted: false, is_cut: false }
    }

    fn piece(&mut self, len: usize, piece: impl fmt::Display) -> fmt::Result {
        match self.left.checked_sub(len) {
            Some(left) => {
                self.left = left;
                write!(self.out, "{piece}")
            }
            None => {
                self.is_cut = true;
                Err(fmt::Error)
            }
        }
    }
}

impl Write for Cut<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        match c {
            '\n' if self.broken => self.piece(1, c),
            '"' | '\\' if self.quoted => self.piece(2, c.escape_default()),
            ' '..='~' => self.piece(1, c),
            '\n' | '\r' | '\t' => self.piece(2, c.escape_default()),
            c if is_hidden(c) => self.piece(c.escape_unicode().len(), c.escape_unicode()),
            c => self.piece(c.len_utf8(), c),
        }
    }
}

/// Whether a character does something other than to stand there: control characters, line and paragraph separators,
/// what changes the direction of text, what has no width, what stands for no character.
const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}'
    )
}
