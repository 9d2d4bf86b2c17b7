//! Keeps passwords out of everything that is written.

use crate::{verdict::Outcome, wire::Entry};
use std::fmt::{self, Write as _};

/// The secrets of a run. Each of their occurrences in a report is replaced by dots.
#[derive(Clone, Default)]
pub struct Secrets {
    texts: Vec<(String, String)>,
}

/// The number of octets below which a secret is not looked for in ordinary text: it would be found everywhere. SASL
/// frames are masked whatever they hold.
const SHORTEST: usize = 4;

impl Secrets {
    /// These secrets.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let with_hex = |secret: String| {
            let hex = secret.bytes().fold(String::new(), |mut hex, octet| {
                // Writing to a `String` does not fail.
                write!(hex, "{octet:02x}").unwrap_or_default();
                hex
            });
            (secret, hex)
        };
        Self { texts: secrets.into_iter().filter(|secret| secret.len() >= SHORTEST).map(with_hex).collect() }
    }

    /// An outcome without them.
    pub fn outcome(&self, outcome: Outcome) -> Outcome {
        Outcome { reason: self.text(&outcome.reason), ..outcome }
    }

    /// A text without them.
    pub fn text(&self, text: &str) -> String {
        self.texts.iter().fold(String::from(text), |text, (secret, _)| text.replace(secret, "…"))
    }

    /// Removes them from the logs of connections.
    pub fn hide(&self, wire: &mut [Vec<Entry>]) {
        for entry in wire.iter_mut().flatten() {
            for (secret, hex) in &self.texts {
                if entry.text.contains(secret.as_str()) {
                    entry.text = entry.text.replace(secret, "…");
                }
                if entry.hex.contains(hex.as_str()) {
                    entry.hex = entry.hex.replace(hex, &"..".repeat(secret.len()));
                }
            }
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("count", &self.texts.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_occurs_neither_in_words_nor_in_octets() {
        let secrets = Secrets::new([String::from("sesame")]);
        let mut wire = vec![vec![Entry {
            at_us: 0,
            direction: String::from("sent"),
            text: String::from("said sesame"),
            hex: String::from("00736573616d6500"),
        }]];
        secrets.hide(&mut wire);
        assert_eq!(wire[0][0].text, "said …");
        assert_eq!(wire[0][0].hex, "00............00");
        assert_eq!(secrets.outcome(Outcome::fail("got sesame")).reason, "got …");
        assert!(!format!("{secrets:?}").contains("sesame"));
    }
}
