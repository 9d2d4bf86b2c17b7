//! Verdicts that are known: each has a reason.

use crate::{
    run::{CaseResult, Selector},
    verdict::Verdict,
};
use serde::{Deserialize, Deserializer, Serialize};
use std::{fs, io, path::Path};

/// The reason for which a verdict was expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The reason.
    pub reason: String,
    /// An address at which it is discussed or documented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// One entry of a file of expected verdicts, in TOML:
///
/// ```toml
/// [[expected]]
/// case = "T-2.4.5-3"          # the beginning of an id, or a pattern; or several: ["T-2.4.5-3", "T-2.4.5-4"]
/// verdicts = ["fail"]         # fail and warn if left out
/// reason = "idle-time-out is halved by the server"
/// link = "https://example.org/issues/1"
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    #[serde(rename = "case", deserialize_with = "one_or_more")]
    cases: Vec<String>,
    #[serde(default = "failures")]
    verdicts: Vec<Verdict>,
    reason: String,
    #[serde(default)]
    link: Option<String>,
}

/// One selector, or a list of them.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(case) => vec![case],
        OneOrMore::More(cases) => cases,
    })
}

fn failures() -> Vec<Verdict> {
    vec![Verdict::Warn, Verdict::Fail]
}

/// The verdicts that are expected of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    #[serde(default, rename = "expected")]
    entries: Vec<Expectation>,
}

/// A file of expected verdicts that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExpectationsError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// It is not what it should be.
    #[error("it is not a file of expected verdicts")]
    Toml(#[from] toml::de::Error),
    /// An entry has no reason.
    #[error("the entry for {0:?} gives no reason")]
    NoReason(String),
    /// An entry selects nothing.
    #[error("the entry for {0:?} is neither the beginning of an id nor a pattern")]
    Selector(String),
}

impl Expectations {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or an entry gives no reason.
    pub fn read(path: &Path) -> Result<Self, ExpectationsError> {
        fs::read_to_string(path)?.parse()
    }

    /// These entries.
    ///
    /// # Errors
    ///
    /// If one gives no reason.
    pub(crate) fn new(entries: Vec<Expectation>) -> Result<Self, ExpectationsError> {
        for entry in &entries {
            if entry.reason.trim().is_empty() {
                return Err(ExpectationsError::NoReason(entry.cases.join(", ")));
            }
            for case in &entry.cases {
                if !matches!(case.parse(), Ok(Selector::Prefix(_) | Selector::Glob(_))) {
                    return Err(ExpectationsError::Selector(case.clone()));
                }
            }
        }
        Ok(Self { entries })
    }

    /// These, and others after them.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.entries.extend(others.entries);
        self
    }

    /// The entries that select no case of this version.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let cases = self.entries.iter().flat_map(|entry| &entry.cases);
        cases.map(String::as_str).filter(|entry| !crate::cases().any(|case| selects(entry, case.id)))
    }

    /// The reason for which this verdict of this case is expected, if it is.
    pub fn find(&self, id: &str, verdict: Verdict) -> Option<Expected> {
        let entry = self.entries.iter().find(|entry| entry.verdicts.contains(&verdict) && entry.selects(id))?;
        Some(Expected { reason: entry.reason.clone(), link: entry.link.clone() })
    }

    /// Marks the results that are expected. Returns the entries that were not met, though their cases were judged: the
    /// reason may have gone.
    pub fn apply(&self, results: &mut [CaseResult]) -> Vec<String> {
        for result in &mut *results {
            result.expected = self.find(&result.id, result.outcome.verdict);
        }
        let is_stale = |entry: &Expectation, case: &str| {
            let selected = results.iter().filter(|result| selects(case, &result.id));
            let verdicts = selected.map(|result| result.outcome.verdict);
            let is_judged = |verdict: &Verdict| !matches!(verdict, Verdict::Skip | Verdict::Unreachable);
            let mut judged = verdicts.filter(is_judged).peekable();
            judged.peek().is_some()
                && judged.all(|verdict| verdict < Verdict::Warn && !entry.verdicts.contains(&verdict))
        };
        let stale = |entry: &'_ Expectation| {
            let cases = entry.cases.iter().filter(|case| is_stale(entry, case));
            cases.cloned().collect::<Vec<_>>()
        };
        self.entries.iter().flat_map(stale).collect()
    }
}

impl Expectation {
    pub(crate) fn selects(&self, id: &str) -> bool {
        self.cases.iter().any(|case| selects(case, id))
    }
}

fn selects(case: &str, id: &str) -> bool {
    case.parse::<Selector>().is_ok_and(|selector| selector.selects_id(id))
}

impl std::str::FromStr for Expectations {
    type Err = ExpectationsError;

    fn from_str(text: &str) -> Result<Self, ExpectationsError> {
        let Self { entries } = toml::from_str(text)?;
        Self::new(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, case::Case};

    fn result(id: &'static str, outcome: Outcome) -> CaseResult {
        CaseResult::without_run(&Case { id, ..Case::SERVER }, outcome)
    }

    #[test]
    fn an_expected_failure_keeps_its_reason_and_one_that_passes_is_stale() {
        let text = "[[expected]]\ncase = 'T-1'\nreason = 'known'\nlink = 'https://example.org'\n\
                    [[expected]]\ncase = ['T-2-*', 'T-1-2']\nreason = 'was so once'\n";
        let expectations: Expectations = text.parse().expect("it is well formed");
        let mut results = [result("T-1-1", Outcome::fail("no")), result("T-2-1", Outcome::pass())];
        assert_eq!(expectations.apply(&mut results), ["T-2-*"]);
        assert_eq!(results[0].expected.as_ref().expect("it is expected").reason, "known");
        assert_eq!(results[1].expected, None);
        assert!(expectations.find("T-1-1", Verdict::Crashed).is_none(), "a crash is never expected by default");
    }

    #[test]
    fn an_entry_is_stale_though_a_case_of_its_prefix_is_skipped_or_passes_wider() {
        let text = "[[expected]]\ncase = ['T-1', 'T-2', 'T-3']\nreason = 'was so once'\n\
                    [[expected]]\ncase = 'T-4'\nverdicts = ['info']\nreason = 'silent'\n";
        let expectations: Expectations = text.parse().expect("it is well formed");
        let mut results = [
            result("T-1-1", Outcome::pass()),
            result("T-1-1/sends", Outcome::skip("not offered")),
            result("T-2-1", Outcome::new(Verdict::PassWider, "end")),
            result("T-3-1", Outcome::skip("not offered")),
            result("T-4-1", Outcome::new(Verdict::Info, "silent")),
        ];
        assert_eq!(expectations.apply(&mut results), ["T-1", "T-2"]);
    }

    #[test]
    fn an_entry_needs_a_reason_and_an_id() {
        let error = "[[expected]]\ncase = 'T-1'\nreason = ' '\n".parse::<Expectations>().expect_err("no reason");
        assert_eq!(error.to_string(), "the entry for \"T-1\" gives no reason");
        assert!("[[expected]]\ncase = 'hostile'\nreason = 'all'\n".parse::<Expectations>().is_err());
        assert!("[[expected]]\ncase = 'T-1'\nreason = 'x'\nother = 1\n".parse::<Expectations>().is_err());
    }
}
