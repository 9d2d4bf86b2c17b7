//! Keeps passwords out of everything that is written.

mod command;
mod spellings;

pub use command::masked;

use super::Target;
use crate::{
    report::Texts as _,
    server::{Login, Sheet},
    verdict::Outcome,
    wire::{Entry, shorten},
};
use spellings::{Spelling, Where, octets_of, spellings};
use std::{fmt, ops::Range};

/// The secrets of a run. Each of their occurrences in a report is replaced by dots, however it is spelled: as it is, in
/// the escape sequences of Rust, JSON, HTML and URLs, in hexadecimal and in Base64.
///
/// One of fewer than four octets is masked where it stands alone, since it would be found in every other word: between
/// characters that are no letters and digits, and among octets also after its length. SASL frames are masked whatever
/// they hold.
#[derive(Clone, Default)]
pub struct Secrets {
    /// The longest first.
    spellings: Vec<Spelling>,
    /// The same for octets in hexadecimal.
    octets: Vec<Spelling>,
}

/// The number of octets below which a secret is not looked for within words.
const SHORTEST: usize = 4;

/// The number of places in a text at which a secret is looked for that is cut off: the tool cuts a text at a few.
const MAX_CUTS: usize = 64;

/// Stands for a secret.
const MASK: &str = "…";

impl Secrets {
    /// These secrets.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut all = Self::default();
        for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
            let at = if secret.len() < SHORTEST { Where::Alone } else { Where::Anywhere };
            all.add(&secret, at);
        }
        all.sorted()
    }

    /// The secrets of a login and of a command line.
    pub(super) fn of(target: &Target) -> Self {
        let (login, command) = match target {
            Target::Server(server) => (Some(&server.login), server.restart.as_slice()),
            Target::Client(client) => (None, client.command.as_slice()),
        };
        let password = login.and_then(Login::password);
        let mut all = Self::new(password.map(String::from));
        if let (Some(user), Some(password)) = (login.and_then(Login::user), password) {
            // The response of PLAIN, whatever the length of the password is.
            all.add(&format!("\0{user}\0{password}"), Where::Anywhere);
        }
        command::secrets(command).iter().for_each(|secret| all.add(secret, Where::Anywhere));
        all.sorted()
    }

    fn add(&mut self, secret: &str, at: Where) {
        let all = spellings(secret, at);
        self.octets.extend(all.iter().map(octets_of));
        self.spellings.extend(all);
    }

    fn sorted(mut self) -> Self {
        for all in [&mut self.spellings, &mut self.octets] {
            all.sort_by(|one, other| other.text.len().cmp(&one.text.len()).then_with(|| one.text.cmp(&other.text)));
            all.dedup_by(|one, other| one.text == other.text);
        }
        self
    }

    /// An outcome without them.
    pub fn outcome(&self, outcome: Outcome) -> Outcome {
        Outcome { reason: self.text(&outcome.reason), ..outcome }
    }

    /// A capability sheet without them.
    pub fn sheet(&self, sheet: &Sheet) -> Sheet {
        let mut sheet = sheet.clone();
        sheet.each_text(&mut |text| *text = self.text(text));
        sheet
    }

    /// A text without them.
    pub fn text(&self, text: &str) -> String {
        let mut found: Vec<Range<usize>> = self.spellings.iter().flat_map(|spelling| spelling.found_in(text)).collect();
        found.extend(self.cut_in(text));
        let mut masked = String::with_capacity(text.len());
        let mut rest = 0;
        for Range { start, end } in merged(found) {
            masked.push_str(text.get(rest..start).unwrap_or_default());
            masked.push_str(MASK);
            rest = end;
        }
        masked.push_str(text.get(rest..).unwrap_or_default());
        masked
    }

    /// The beginnings of secrets that are cut off by dots, and the ends of those that are cut off before them.
    fn cut_in(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for (at, dots) in text.match_indices(MASK).take(MAX_CUTS) {
            let before = text.get(..at).unwrap_or_default().trim_end();
            // The dots stand after the quotation mark of a text that was cut.
            let ends = [before, before.trim_end_matches(['"', '\'', '\\'])];
            found.extend(ends.iter().filter_map(|end| self.spellings.iter().find_map(|all| all.begun_at_end_of(end))));
            let rest = at.saturating_add(dots.len());
            found.extend(self.spellings.iter().find_map(|spelling| spelling.ended_at(text, rest)));
        }
        found
    }

    /// Removes them from the logs of connections, and what a report does not show of long ones.
    pub fn hide(&self, wire: &mut [Vec<Entry>]) {
        for entries in wire {
            for entry in &mut *entries {
                entry.text = self.text(&entry.text);
                let found = self.octets.iter().flat_map(|spelling| spelling.found_in(&entry.hex)).collect();
                for range in merged(found) {
                    let dots = ".".repeat(range.len());
                    entry.hex.replace_range(range, &dots);
                }
            }
            shorten(entries);
        }
    }
}

/// The ranges in their order, without overlaps.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("is_empty", &self.spellings.is_empty()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ServerTarget;

    fn hidden(secrets: &Secrets, text: &str, hex: &str) -> Entry {
        let entry = Entry { at_us: 0, direction: String::from("sent"), text: text.into(), hex: hex.into() };
        let mut wire = vec![vec![entry]];
        secrets.hide(&mut wire);
        wire.remove(0).remove(0)
    }

    #[test]
    fn a_password_occurs_neither_in_words_nor_in_octets() {
        let secrets = Secrets::new([String::from("sesame")]);
        let entry = hidden(&secrets, "said sesame", "00736573616d6500");
        assert_eq!((entry.text.as_str(), entry.hex.as_str()), ("said …", "00............00"));
        assert_eq!(secrets.outcome(Outcome::fail("got sesame")).reason, "got …");
        assert!(!format!("{secrets:?}").contains("sesame"));
        // Not in the middle of an octet.
        assert_eq!(hidden(&secrets, "", "0736573616d650").hex, "0736573616d650");
    }

    #[test]
    fn a_password_is_found_in_each_of_its_spellings() {
        let password = "s\"e&'\\\u{7}ä/%";
        let secrets = Secrets::new([String::from(password)]);
        let hex: String = password.bytes().map(|octet| format!("{octet:02x}")).collect();
        let json = serde_json::to_string(password).expect("it is JSON");
        for spelled in [
            String::from(password),
            format!("{password:?}"),
            format!("{:?}", format!("{password:?}")),
            password.escape_debug().to_string(),
            password.escape_default().to_string(),
            password.as_bytes().escape_ascii().to_string(),
            format!("{:?}", bytes::Bytes::from_static(password.as_bytes())),
            format!("{:?}", password.as_bytes()),
            json.trim_matches('"').into(),
            String::from("s&quot;e&amp;&#39;\\\u{7}ä/%"),
            String::from("s%22e%26%27%5C%07%C3%A4%2F%25"),
            hex.to_uppercase(),
            format!("x\"{hex}\""),
        ] {
            let masked = secrets.text(&format!("at {spelled} it"));
            assert!(
                masked.starts_with("at ") && masked.ends_with(" it") && masked.contains('…'),
                "{spelled}: {masked}"
            );
            let is_left = |piece: &str| masked.contains(piece);
            assert!(
                !is_left("s\"") && !is_left("73") && !is_left("115") && !is_left("s%") && !is_left("s&"),
                "{masked}"
            );
        }
    }

    #[test]
    fn a_password_is_found_in_base64_wherever_it_begins() {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let secrets = Secrets::new([String::from("open?sesame>")]);
        for before in ["", "\0", "\0u", "\0me\0"] {
            let encoded = STANDARD.encode(format!("{before}open?sesame>"));
            for encoded in [encoded.replace('+', "-").replace('/', "_"), encoded] {
                let masked = secrets.text(&format!("got {encoded}."));
                let length = masked.trim_matches(['=', '.']).len();
                assert!(masked.contains('…') && length < "got ".len() + 6 + "…".len(), "{encoded}: {masked}");
            }
        }
    }

    #[test]
    fn the_beginning_of_a_password_that_is_cut_off_is_masked() {
        let secrets = Secrets::new([String::from("open-sesame")]);
        assert_eq!(secrets.text("12 octets (6f 70 65 6e 2d 73 …)"), "12 octets (… …)");
        assert_eq!(secrets.text("\"xopen-se\"… (1050 octets)"), "\"x…\"… (1050 octets)");
        assert_eq!(secrets.text("\\\"xopen-se\\\"… (1050 octets)"), "\\\"x…\\\"… (1050 octets)");
        assert_eq!(secrets.text("\"xopen-se\" and"), "\"xopen-se\" and", "it is not cut");
        assert_eq!(secrets.text("xopen-se… and"), "x…… and");
        // Base64 of "xx" and the password.
        assert_eq!(secrets.text("eHhvcGVuLXNl… and"), "eH…… and");
    }

    #[test]
    fn a_text_that_is_cut_by_the_codec_ends_no_password_in_the_middle() {
        use amqp1_codec::printable::{MAX_TEXT, printable};
        let secrets = Secrets::new([String::from("open-sesame")]);
        for before in MAX_TEXT - 60..MAX_TEXT {
            let text = format!("{}open-sesame{}", "x".repeat(before), "y".repeat(MAX_TEXT));
            for shown in [printable(&text).to_string(), format!("{:?}", printable(&text))] {
                assert!(!secrets.text(&shown).contains("open"), "{before}: {shown}");
            }
        }
    }

    #[test]
    fn the_end_of_a_password_whose_beginning_is_cut_off_is_masked() {
        let secrets = Secrets::new([String::from("open-sesame")]);
        assert_eq!(secrets.text("ends with: …esame yes"), "ends with: …… yes");
        assert_eq!(secrets.text("ends with: …me yes"), "ends with: …me yes", "it is in every other word");
        assert_eq!(secrets.text("… sesame yes"), "… sesame yes", "nothing is cut off");
    }

    #[test]
    fn a_short_password_is_masked_where_it_stands_alone() {
        let secrets = Secrets::new([String::from("abc")]);
        assert_eq!(secrets.text("abc \"abc\" 'abc', abcd xabc (abc) abc"), "… \"…\" '…', abcd xabc (…) …");
        // After its length, and between octets that are no letters.
        assert_eq!(hidden(&secrets, "", "a10361626341").hex, "a103......41");
        assert_eq!(hidden(&secrets, "", "0061626300").hex, "00......00");
        assert_eq!(hidden(&secrets, "", "7861626300").hex, "7861626300");
        assert_eq!(Secrets::new([String::new()]).text("as it is"), "as it is");
        assert_eq!(Secrets::new([String::from("a")]).text("a 61 97 cat 'a'"), "… 61 97 cat '…'");
    }

    #[test]
    fn the_response_of_plain_is_masked_however_short_the_password_is() {
        let login = Login::Plain { user: String::from("me"), password: String::from("x") };
        let target = ServerTarget::new(([127, 0, 0, 1], 5672).into(), "q").with_login(login);
        let secrets = Target::from(target).secrets();
        assert_eq!(hidden(&secrets, "", "05006d65007805").hex, "05..........05");
        assert_eq!(secrets.text("b\"\\0me\\0x\""), "b\"…\"");
        assert_eq!(secrets.text("got AG1lAHg= back"), "got …= back");
    }
}
