//! The output of Qpid Proton with `PN_TRACE_FRM=1`.
//!
//! ```text
//! [0x55d0c3a4b2c0]: AMQP:FRAME:0 -> @transfer(20) [handle=0x0, delivery-id=0x0] (10) \x00Sw\xa1\x05hello
//! [0x1e0a2f0]:0 <- @open(16) [container-id="broker"]
//! [0x1e0a2f0]:0 -> @transfer(20) [handle=0, delivery-id=0] (10) "\x00Sw\xa1\x05hello"
//! ```

use super::message;
use std::fmt;

/// One frame or header of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    arrow: &'static str,
    channel: Option<u16>,
    /// What follows the arrow, up to the payload.
    what: &'a str,
    payload: Option<Payload>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Payload {
    octets: Vec<u8>,
    /// Its whole length: a long one is cut short in the trace.
    length: usize,
}

impl<'a> Line<'a> {
    /// The frame that a line shows; `None` for other lines.
    pub(super) fn of(line: &'a str) -> Option<Self> {
        let (at, arrow) =
            ["->", "<-"].into_iter().filter_map(|arrow| Some((line.find(&format!(" {arrow} "))?, arrow))).min()?;
        let before = line.get(..at)?.trim_end();
        // The connection in brackets comes first, the channel last.
        if !before.contains("]:") {
            return None;
        }
        let channel = before.rsplit(':').next().and_then(|channel| channel.trim().parse().ok());
        let rest = line.get(at.saturating_add(4)..)?.trim();
        let is_header = matches!(rest, "AMQP" | "SASL" | "TLS" | "EOS");
        if !is_header && !rest.starts_with('@') && rest != "(EMPTY FRAME)" {
            return None;
        }
        let (what, payload) = with_payload(rest);
        Some(Self { arrow, channel, what, payload })
    }

    /// The line as it is shown: without the responses of SASL, unless `secrets` are shown.
    pub(super) fn shown(self, secrets: bool) -> Shown<'a> {
        Shown { line: self, secrets }
    }
}

/// Splits the length and the octets of a payload off the end: `(10) \x00Sw…`, with or without quotation marks.
fn with_payload(text: &str) -> (&str, Option<Payload>) {
    let Some((what, rest)) = after_fields(text).and_then(|at| text.split_at_checked(at)) else { return (text, None) };
    let payload = || {
        let (length, rest) = rest.trim_start().strip_prefix('(')?.split_once(')')?;
        let octets = rest.strip_prefix(' ').unwrap_or(rest);
        let octets = octets.strip_suffix("...").unwrap_or(octets);
        let quoted = octets.strip_prefix('"').map(|octets| octets.strip_suffix('"').unwrap_or(octets));
        Some(Payload { octets: unescaped(quoted.unwrap_or(octets)), length: length.parse().ok()? })
    };
    (what, payload())
}

/// The place after the bracket that closes the fields.
fn after_fields(text: &str) -> Option<usize> {
    let (mut depth, mut is_quoted, mut is_escaped) = (0usize, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '[' if !is_quoted => depth = depth.saturating_add(1),
            ']' if !is_quoted => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return at.checked_add(1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The octets of a text with `\x00`, `\"` and `\\`.
fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            octets.push(*first);
            continue;
        }
        match after {
            [b'x', high, low, more @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                octets.push(hex(*high).unwrap_or_default() << 4 | hex(*low).unwrap_or_default());
                rest = more;
            }
            [escaped, more @ ..] => {
                octets.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'0' => 0,
                    other => *other,
                });
                rest = more;
            }
            [] => octets.push(b'\\'),
        }
    }
    octets
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A line as it is shown.
pub(super) struct Shown<'a> {
    line: Line<'a>,
    secrets: bool,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = &self.line;
        write!(f, "{} ", line.arrow)?;
        if let Some(channel) = line.channel.filter(|_| line.what.starts_with('@') || line.what.starts_with('(')) {
            write!(f, "[{channel}] ")?;
        }
        let what = crate::report::one_line(line.what);
        match what.strip_prefix('@') {
            // `open(16) [a, b]` becomes `open a b`; texts in it stay as they are.
            Some(what) => {
                let (name, fields) = what.split_at(what.find([' ', '[']).unwrap_or(what.len()));
                let name = name.split_once('(').map_or(name, |(name, _)| name);
                let fields = fields.trim();
                let fields = fields.strip_prefix('[').and_then(|fields| fields.strip_suffix(']')).unwrap_or(fields);
                let is_secret = ["sasl-init", "sasl-response"].iter().any(|secret| name.eq_ignore_ascii_case(secret));
                let is_shown = !is_secret || self.secrets;
                let fields = if is_shown { String::from(fields) } else { without_secrets(fields) };
                writeln!(f, "{}", format!("{name} {fields}").trim_end())?;
            }
            None if what.starts_with('(') => writeln!(f, "empty")?,
            None if what == "EOS" => writeln!(f, "end")?,
            None => writeln!(f, "header {what}")?,
        }
        let Some(payload) = &line.payload else { return Ok(()) };
        if payload.octets.len() == payload.length {
            return f.write_str(&message::sections(&payload.octets, "    ", self.secrets));
        }
        writeln!(f, "    {} of {} octets are in the trace", payload.octets.len(), payload.length)
    }
}

/// The mechanism alone, if it is the first field.
fn without_secrets(fields: &str) -> String {
    let mechanism = fields.strip_prefix("mechanism=").map(|rest| {
        let is_other = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, ':' | '-' | '_');
        rest.split(is_other).next().unwrap_or_default()
    });
    mechanism.map_or_else(|| String::from("…"), |mechanism| format!("mechanism={mechanism}, …"))
}
