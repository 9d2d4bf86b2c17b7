//! The ways in which a secret can be spelled.

use crate::report::one_line;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use std::{fmt::Write as _, ops::Range};

/// Where a spelling is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    Anywhere,
    /// Between characters that are no letters or digits.
    Alone,
    /// Anywhere, and the characters of Base64 beside it have bits of it.
    Base64,
    /// At the octets of a text in hexadecimal.
    Octets,
    /// At the octets, after a length or between octets that are no letters or digits.
    OctetsAlone,
}

/// One spelling of a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Spelling {
    pub(super) text: String,
    pub(super) at: Where,
}

/// The least characters of a part that is masked where the rest is cut off.
const SHORTEST_CUT: usize = 3;

impl Spelling {
    /// The places at which it occurs.
    pub(super) fn found_in(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| rest.find(&self.text)) {
            let start = from.saturating_add(at);
            let end = start.saturating_add(self.text.len());
            found.extend(self.range(text, start, end));
            // Occurrences may overlap.
            from = start.saturating_add(self.text.chars().next().map_or(1, char::len_utf8));
        }
        found
    }

    /// The range that is masked for an occurrence; `None` if it is no secret there.
    fn range(&self, text: &str, start: usize, end: usize) -> Option<Range<usize>> {
        let before = text.get(..start)?.chars().next_back();
        let after = text.get(end..)?.chars().next();
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        match self.at {
            Where::Anywhere => Some(start..end),
            Where::Alone => (!is_word(before) && !is_word(after)).then_some(start..end),
            Where::Base64 => {
                let is_digit = |c: Option<char>| {
                    usize::from(c.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')))
                };
                Some(start.saturating_sub(is_digit(before))..end.saturating_add(is_digit(after)))
            }
            Where::Octets => start.is_multiple_of(2).then_some(start..end),
            Where::OctetsAlone => {
                let octet = |at: usize| u8::from_str_radix(text.get(at..at.checked_add(2)?)?, 16).ok();
                let is_word = |octet: Option<u8>| is_word(octet.map(char::from));
                let before = start.checked_sub(2).and_then(octet);
                let has_length = before.is_some_and(|octet| usize::from(octet) == self.text.len() / 2);
                let is_alone = has_length || (!is_word(before) && !is_word(octet(end)));
                (start.is_multiple_of(2) && is_alone).then_some(start..end)
            }
        }
    }

    /// Whether a part of it is masked where the rest is cut off.
    fn is_cut_off(&self) -> bool {
        matches!(self.at, Where::Anywhere | Where::Base64)
    }

    /// The place of its beginning at the end of a text.
    pub(super) fn begun_at_end_of(&self, text: &str) -> Option<Range<usize>> {
        let mut ends = self.text.char_indices().map(|(at, _)| at).skip(SHORTEST_CUT).collect::<Vec<_>>();
        ends.reverse();
        let is_begun =
            |end: &usize| self.text.get(..*end).is_some_and(|beginning| text.ends_with(beginning.trim_end()));
        let end = ends.into_iter().find(is_begun).filter(|_| self.is_cut_off())?;
        let length = self.text.get(..end)?.trim_end().len();
        self.range(text, text.len().saturating_sub(length), text.len())
    }

    /// The place of its end at this place of a text.
    pub(super) fn ended_at(&self, text: &str, start: usize) -> Option<Range<usize>> {
        let rest = text.get(start..).filter(|_| self.is_cut_off())?;
        let longest = self.text.char_indices().skip(1).map(|(at, _)| self.text.get(at..).unwrap_or_default());
        let shown = longest.into_iter().find(|end| rest.starts_with(end))?;
        (shown.chars().count() >= SHORTEST_CUT).then(|| start..start.saturating_add(shown.len()))
    }
}

/// The spellings of a secret in texts.
pub(super) fn spellings(secret: &str, at: Where) -> Vec<Spelling> {
    let octets = secret.as_bytes();
    let mut texts = vec![String::from(secret), one_line(secret), markup(secret), markup(&one_line(secret))];
    texts.extend([secret.escape_debug().to_string(), secret.escape_default().to_string()]);
    texts.extend([octets.escape_ascii().to_string(), octets_in_debug(octets)]);
    texts.push(inner(&serde_json::to_string(secret).unwrap_or_default()));
    texts.extend([percent(octets, false), percent(octets, true)]);
    // The peer's texts are quoted where they are shown, and those of a quoted text again.
    for _ in 0..2 {
        texts.extend(texts.iter().map(|text| inner(&format!("{text:?}"))).collect::<Vec<_>>());
        texts.sort_unstable();
        texts.dedup();
    }
    // One octet would be found in every other number.
    if octets.len() > 1 {
        texts.push(decimal(octets));
        for separator in ["", " "] {
            let lower = hex(octets, separator);
            texts.extend([lower.to_uppercase(), lower]);
        }
    }
    texts.retain(|text| !text.is_empty());
    let mut all: Vec<Spelling> = texts.into_iter().map(|text| Spelling { text, at }).collect();
    if at == Where::Anywhere {
        all.extend(base64(octets).into_iter().map(|text| Spelling { text, at: Where::Base64 }));
    }
    all
}

/// The same spelling as octets in hexadecimal.
pub(super) fn octets_of(spelling: &Spelling) -> Spelling {
    let at = if spelling.at == Where::Alone { Where::OctetsAlone } else { Where::Octets };
    Spelling { text: hex(spelling.text.as_bytes(), ""), at }
}

/// A text without the quotation marks around it.
fn inner(text: &str) -> String {
    let text = text.strip_prefix('"').unwrap_or(text);
    String::from(text.strip_suffix('"').unwrap_or(text))
}

fn hex(octets: &[u8], separator: &str) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(separator)
}

/// As text in HTML and XML.
fn markup(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

/// The octets as a list, as Rust shows them.
fn decimal(octets: &[u8]) -> String {
    octets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// As `Bytes` shows them.
fn octets_in_debug(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        match octet {
            0 => text.push_str("\\0"),
            b'\'' => text.push('\''),
            // Writing to a `String` does not fail.
            octet => write!(text, "{}", octet.escape_ascii()).unwrap_or_default(),
        }
        text
    })
}

/// As a part of a URL.
fn percent(octets: &[u8], is_lower: bool) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(*octet)),
            octet if is_lower => write!(text, "%{octet:02x}").unwrap_or_default(),
            octet => write!(text, "%{octet:02X}").unwrap_or_default(),
        }
        text
    })
}

/// The digits that the secret gives to the Base64 of any text that contains it, for each of the three alignments.
///
/// A digit whose bits belong to the secret only in part is left out.
fn base64(octets: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    for before in 0..3usize {
        let padded = [&b"\0\0\0"[..before], octets].concat();
        let first = before.saturating_mul(8).div_ceil(6);
        let last = padded.len().saturating_mul(8) / 6;
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            all.extend(encoded.get(first..last).filter(|text| text.len() >= 4).map(String::from));
        }
    }
    all
}
