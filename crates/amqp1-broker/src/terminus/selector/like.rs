//! The patterns of LIKE.

use alloc::{string::String, vec::Vec};

/// How long a part with a `_` may be that is looked for: each octet of a text may be compared with all of it.
const LONGEST: usize = 64;

/// A pattern, taken apart at each `%`. Matching takes time in proportion to the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern {
    first: Part,
    /// The parts behind the first `%`: those between two of them, and the last.
    rest: Option<(Vec<Part>, Part)>,
}

/// A part of a pattern between two `%`.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// Characters, and `None` for each `_`.
    Mixed(Vec<Option<char>>),
}

/// Of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    One(char),
    AnyOne,
    Any,
}

impl Part {
    fn new(pieces: &[Piece]) -> Self {
        let one = |piece: &Piece| match piece {
            Piece::One(c) => Some(*c),
            Piece::AnyOne | Piece::Any => None,
        };
        let text: Option<String> = pieces.iter().map(one).collect();
        text.map_or_else(|| Self::Mixed(pieces.iter().map(one).collect()), Self::Text)
    }

    /// The rest of a text behind this part, if the text begins with it.
    fn strip_from<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Text(part) => text.strip_prefix(part.as_str()),
            Self::Mixed(part) => {
                let mut chars = text.chars();
                part.iter().all(|wanted| fits(*wanted, chars.next())).then_some(chars.as_str())
            }
        }
    }

    /// The rest of a text before this part, if the text ends with it.
    fn strip_end<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Text(part) => text.strip_suffix(part.as_str()),
            Self::Mixed(part) => {
                let mut chars = text.chars();
                part.iter().rev().all(|wanted| fits(*wanted, chars.next_back())).then_some(chars.as_str())
            }
        }
    }

    /// The rest of a text behind the first occurrence of this part.
    fn find_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Text(part) => text.split_once(part.as_str()).map(|(_, behind)| behind),
            Self::Mixed(_) => {
                let starts = text.char_indices().map(|(at, _)| at);
                starts.filter_map(|at| text.get(at..)).find_map(|rest| self.strip_from(rest))
            }
        }
    }
}

fn fits(wanted: Option<char>, found: Option<char>) -> bool {
    found.is_some() && (wanted.is_none() || wanted == found)
}

impl Pattern {
    /// `None` if too much stands between two `%`.
    pub(super) fn new(pieces: &[Piece]) -> Option<Self> {
        let mut parts = pieces.split(|piece| *piece == Piece::Any).map(Part::new);
        let first = parts.next()?;
        let mut between: Vec<_> = parts.collect();
        let rest = between.pop().map(|last| (between, last));
        let between = rest.iter().flat_map(|(between, _)| between);
        let is_long = |part: &Part| matches!(part, Part::Mixed(part) if part.len() > LONGEST);
        if between.into_iter().any(is_long) { None } else { Some(Self { first, rest }) }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let Some(behind) = self.first.strip_from(text) else { return false };
        let Some((between, last)) = &self.rest else { return behind.is_empty() };
        let Some(middle) = last.strip_end(behind) else { return false };
        // The first place where a part is leaves most for those that follow.
        between.iter().try_fold(middle, |middle, part| part.find_in(middle)).is_some()
    }
}
