//! The cases of a run: levels, tags, and selectors of the command line.

use super::CaseResult;
use crate::case::{Case, Severity, Tag};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The rules that a run judges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// MUST and MUST NOT alone.
    Must,
    /// SHOULD and MAY too.
    #[default]
    Should,
    /// The cases in which practice differs from the text too; error conditions must be those that the text names.
    Strict,
}

impl Level {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::Strict => "strict",
        }
    }

    /// Returns `true` at [`Level::Strict`].
    pub const fn is_strict(self) -> bool {
        matches!(self, Self::Strict)
    }
}

/// The name of a level that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a level: use must, should or strict")]
pub struct UnknownLevel(String);

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        match text {
            "must" => Ok(Self::Must),
            "should" => Ok(Self::Should),
            "strict" => Ok(Self::Strict),
            _ => Err(UnknownLevel(String::from(text))),
        }
    }
}

/// Selects cases by id or tag: `T-2.4` (the beginning of an id, up to a full stop, hyphen or slash), `T-*/begin`
/// (a pattern with `*` and `?`), or `hostile` (a tag; `tag:hostile` is the same).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The beginning of an id.
    Prefix(String),
    /// A pattern that the whole id matches.
    Glob(String),
    /// A tag.
    Tag(Tag),
}

/// The name of a tag that does not exist, or an empty selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} selects nothing: use the beginning of an id, a pattern with `*`, or one of the tags {tags}", tags = TAGS.map(|(name, _)| name).join(", "))]
pub struct UnknownSelector(String);

const TAGS: [(&str, Tag); 4] =
    [("hostile", Tag::Hostile), ("slow", Tag::Slow), ("restart", Tag::Restart), ("strict", Tag::Strict)];

impl FromStr for Selector {
    type Err = UnknownSelector;

    fn from_str(text: &str) -> Result<Self, UnknownSelector> {
        let name = text.strip_prefix("tag:").unwrap_or(text);
        if let Some((_, tag)) = TAGS.iter().find(|(known, _)| *known == name) {
            return Ok(Self::Tag(*tag));
        }
        if text.is_empty() || text.starts_with("tag:") {
            return Err(UnknownSelector(String::from(text)));
        }
        let is_glob = text.contains(['*', '?']);
        Ok(if is_glob { Self::Glob(String::from(text)) } else { Self::Prefix(String::from(text)) })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(text) | Self::Glob(text) => f.write_str(text),
            Self::Tag(tag) => f.write_str(TAGS.iter().find(|(_, known)| known == tag).map_or("", |(name, _)| name)),
        }
    }
}

impl Selector {
    /// Returns `true` if it selects this case.
    pub fn selects(&self, case: &Case) -> bool {
        match self {
            Self::Tag(tag) => case.has(*tag),
            _ => self.selects_id(case.id),
        }
    }

    /// Returns `true` if it selects the case with this id. A tag does not.
    pub fn selects_id(&self, id: &str) -> bool {
        match self {
            Self::Prefix(prefix) => id
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.', '/']) || prefix.ends_with('-')),
            Self::Glob(pattern) => glob(pattern.as_bytes(), id.as_bytes()),
            Self::Tag(_) => false,
        }
    }
}

/// Matches a text against a pattern of `*` and `?`, in a time that is at most the product of their lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => return true,
            (Some((b'*', rest)), _) => {
                retry = Some((rest, text));
                pattern = rest;
                continue;
            }
            (Some((wanted, wanted_rest)), Some((found, rest))) if *wanted == b'?' || wanted == found => {
                (pattern, text) = (wanted_rest, rest);
                continue;
            }
            _ => {}
        }
        // The last star takes one octet more.
        let Some((after, from)) = retry else { return false };
        let Some((_, rest)) = from.split_first() else { return false };
        retry = Some((after, rest));
        (pattern, text) = (after, rest);
    }
}

/// Selects the cases of a run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The level.
    pub level: Level,
    /// Whether hostile cases run.
    pub robustness: bool,
    /// Whether slow cases run.
    pub slow: bool,
    /// Whether cases run that restart the peer.
    pub restart: bool,
    /// If not empty, only what one of these selects.
    pub only: Vec<Selector>,
    /// Nothing that one of these selects.
    pub exclude: Vec<Selector>,
}

impl Selection {
    /// Returns `true` if it contains this case.
    pub fn contains(&self, case: &Case) -> bool {
        self.selects(case.id, case.severity, case.tags)
    }

    /// Returns `true` if it contains the case of this result, which may be one of an earlier version.
    pub(crate) fn contains_result(&self, result: &CaseResult) -> bool {
        self.selects(&result.id, result.severity, &result.tags)
    }

    fn selects(&self, id: &str, severity: Severity, tags: &[Tag]) -> bool {
        let has = |tag| tags.contains(&tag);
        let is_in_level = match self.level {
            Level::Must => severity == Severity::Must && !has(Tag::Strict),
            Level::Should => !has(Tag::Strict),
            Level::Strict => true,
        };
        let is_named = |selector: &Selector| match selector {
            Selector::Tag(tag) => has(*tag),
            _ => selector.selects_id(id),
        };
        is_in_level
            && (self.robustness || !has(Tag::Hostile))
            && (self.slow || !has(Tag::Slow))
            && (self.restart || !has(Tag::Restart))
            && (self.only.is_empty() || self.only.iter().any(is_named))
            && !self.exclude.iter().any(is_named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, id: &str) -> bool {
        selector.parse::<Selector>().expect("it is a selector").selects_id(id)
    }

    #[test]
    fn a_prefix_ends_where_a_part_of_the_id_ends() {
        assert!(selects("T-2.4", "T-2.4.1-1/begin"));
        assert!(selects("T-2.4.1-1", "T-2.4.1-1/begin"));
        assert!(selects("T-", "T-2.4.1-1"));
        assert!(selects("T", "T-2.4.1-1"));
        assert!(!selects("T-2.4.1-1", "T-2.4.1-10"));
        assert!(!selects("T-2.4", "T-2.41-1"));
    }

    #[test]
    fn a_pattern_matches_the_whole_id() {
        assert!(selects("T-*/begin", "T-2.4.1-1/begin"));
        assert!(selects("*-1?", "T-2.4.1-10"));
        assert!(!selects("*-1?", "T-2.4.1-1"));
        assert!(!selects("T-*", "M-2"));
    }

    #[test]
    fn a_tag_is_named_with_or_without_its_mark() {
        assert_eq!("hostile".parse(), Ok(Selector::Tag(Tag::Hostile)));
        assert_eq!("tag:slow".parse(), Ok(Selector::Tag(Tag::Slow)));
        assert!("tag:other".parse::<Selector>().is_err());
        assert!("".parse::<Selector>().is_err());
    }

    #[test]
    fn hostile_slow_and_strict_cases_run_only_when_asked_for() {
        let hostile = Case { id: "T-1-1", tags: &[Tag::Hostile], ..Case::SERVER };
        let strict = Case { id: "T-1-2", tags: &[Tag::Strict], ..Case::SERVER };
        let should = Case { id: "T-1-3", severity: Severity::Should, ..Case::SERVER };
        let plain = Selection::default();
        assert!(!plain.contains(&hostile) && !plain.contains(&strict) && plain.contains(&should));
        let all = Selection { level: Level::Strict, robustness: true, ..Selection::default() };
        assert!(all.contains(&hostile) && all.contains(&strict));
        assert!(!Selection { level: Level::Must, ..Selection::default() }.contains(&should));
    }
}
