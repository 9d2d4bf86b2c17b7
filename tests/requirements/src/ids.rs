//! Ids of requirements in the names of tests and in text.

use std::collections::{HashMap, HashSet};

use crate::data::Requirement;

/// What was found in a name or a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Places of the requirements in their table, in order and each once.
    pub rows: Vec<usize>,
    /// What looks like an id and is none.
    pub unknown: Vec<String>,
    /// Ranges that are none.
    pub ranges: Vec<String>,
}

/// All ids, for finding them.
#[derive(Debug)]
pub struct Ids {
    rows: HashMap<String, usize>,
    /// As they stand in names of functions: `t_2_6_7_3`.
    names: HashMap<String, usize>,
    /// What ids have instead of a section, behind their letter: `t_rob`.
    words: HashSet<String>,
}

impl Ids {
    /// Of these requirements; of ids that are there twice the first counts.
    pub fn new(requirements: &[Requirement]) -> Self {
        let mut ids = Self { rows: HashMap::new(), names: HashMap::new(), words: HashSet::new() };
        for (row, requirement) in requirements.iter().enumerate() {
            let name = in_names(&requirement.id);
            if let Some((word, _)) = name.rsplit_once('_').filter(|(word, _)| !word.contains(|c: char| c.is_numeric()))
            {
                ids.words.insert(word.to_owned());
            }
            ids.names.entry(name).or_insert(row);
            ids.rows.entry(requirement.id.clone()).or_insert(row);
        }
        ids
    }

    /// The id that a test's name begins with: the longest that exists.
    pub fn in_name(&self, name: &str) -> Found {
        let mut found = Found::default();
        if !self.claims(name) {
            return found;
        }
        let ends = name.char_indices().filter(|(_, c)| *c == '_').map(|(at, _)| at).chain([name.len()]);
        match ends.filter_map(|end| self.names.get(&name[..end])).next_back() {
            Some(row) => found.rows.push(*row),
            None => found.unknown.push(name.to_owned()),
        }
        found
    }

    /// Whether a name begins as ids do: a part's letter, then a number or one of the words.
    fn claims(&self, name: &str) -> bool {
        let mut words = name.split('_');
        match (words.next(), words.next()) {
            (Some(letter), Some(next)) => {
                is_part(letter) && (is_number(next) || self.words.contains(&format!("{letter}_{next}")))
            }
            _ => false,
        }
    }

    /// The ids in a text, ranges (`T-2.6.7-3 to T-2.6.7-5`) with all that lies between.
    pub fn in_text(&self, text: &str) -> Found {
        let mut found = Found::default();
        // The id before, if `to` followed it.
        let mut from: Option<&str> = None;
        let mut before: Option<&str> = None;
        for word in text.split(|c: char| c.is_whitespace() || "()[]{}\"'`,;:/!?".contains(c)) {
            let word = word.trim_end_matches('.');
            if word == "to" {
                from = before;
            } else if self.is_id(word) {
                match (self.rows.get(word), from.take().and_then(|id| self.rows.get(id).map(|row| (id, *row)))) {
                    (Some(&row), None) => found.rows.push(row),
                    (Some(&row), Some((id, first))) if first < row && id[..2] == word[..2] => {
                        found.rows.extend(first..=row);
                    }
                    (Some(_), Some((id, _))) => found.ranges.push(format!("{id} to {word}")),
                    (None, _) => found.unknown.push(word.to_owned()),
                }
                before = Some(word);
            } else {
                from = None;
                before = None;
            }
        }
        found.rows.sort_unstable();
        found.rows.dedup();
        found
    }

    /// Whether it is made like an id: a part's letter, a section or one of the words, a number.
    fn is_id(&self, word: &str) -> bool {
        let mut pieces = word.split('-');
        match (pieces.next(), pieces.next(), pieces.next(), pieces.next()) {
            (Some(letter), Some(section), Some(number), None) => {
                letter.chars().all(|c| c.is_ascii_uppercase())
                    && is_part(&letter.to_ascii_lowercase())
                    && (section.split('.').all(is_number)
                        || self.words.contains(&in_names(&format!("{letter}-{section}"))))
                    && is_number(number)
            }
            _ => false,
        }
    }
}

/// An id as it stands in names.
fn in_names(id: &str) -> String {
    id.to_ascii_lowercase().replace(['-', '.'], "_")
}

fn is_part(letter: &str) -> bool {
    matches!(letter, "y" | "t" | "m" | "x" | "s" | "e")
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 7] = ["T-2.2-1", "T-2.6.7-1", "T-2.6.7-2", "T-2.6.7-10", "T-rob-2", "M-3.2-1", "S-plain-1"];

    fn ids() -> Ids {
        let blank = |id: &&str| Requirement {
            id: (*id).into(),
            severity: "MUST".into(),
            applies_to: "both".into(),
            text: "…".into(),
        };
        Ids::new(&IDS.iter().map(blank).collect::<Vec<_>>())
    }

    fn known(found: &Found) -> Vec<&str> {
        assert_eq!((&found.unknown, &found.ranges), (&vec![], &vec![]));
        found.rows.iter().map(|row| IDS[*row]).collect()
    }

    #[test]
    fn a_name_begins_with_the_longest_id_that_exists() {
        assert_eq!(known(&ids().in_name("t_2_6_7_1_counts_wrap")), ["T-2.6.7-1"]);
        assert_eq!(known(&ids().in_name("t_2_6_7_10_settling_gives_no_credit")), ["T-2.6.7-10"]);
        assert_eq!(known(&ids().in_name("t_2_6_7_1_10_messages_arrive")), ["T-2.6.7-1"]);
        assert_eq!(known(&ids().in_name("t_rob_2")), ["T-rob-2"]);
        assert_eq!(known(&ids().in_name("s_plain_1_malformed_is_refused")), ["S-plain-1"]);
    }

    #[test]
    fn a_name_that_begins_like_an_id_must_be_one() {
        for name in ["t_2_6_7_3_no_such_number", "t_2_6_7_11", "t_2_6_7_no_number", "t_rob_3_x", "s_2_2_1_other_part"] {
            assert_eq!(ids().in_name(name).unknown, [name]);
        }
        for name in ["a_test", "t_what", "e_mail_1", "times_2_2_1", "s", ""] {
            assert_eq!(ids().in_name(name), Found::default());
        }
    }

    #[test]
    fn texts_have_ids_lists_and_ranges() {
        assert_eq!(
            known(&ids().in_text("T-2.6.7-2, M-3.2-1: both (S-plain-1).")),
            ["T-2.6.7-2", "M-3.2-1", "S-plain-1"]
        );
        assert_eq!(
            known(&ids().in_text("T-2.6.7-1 to T-2.6.7-10, \"T-rob-2\"")),
            ["T-2.6.7-1", "T-2.6.7-2", "T-2.6.7-10", "T-rob-2"]
        );
        assert_eq!(known(&ids().in_text("T-2.6.7-1 leads to T-2.6.7-10")), ["T-2.6.7-1", "T-2.6.7-10"]);
        assert_eq!(
            known(&ids().in_text("T-2.6.7, Y-1.4-*, §2.6.7, E-mail-1, UTF-8, SCRAM-SHA-1, T-2.6.7-1-x")),
            [""; 0]
        );
    }

    #[test]
    fn texts_with_ids_that_do_not_exist_are_found_out() {
        assert_eq!(ids().in_text("T-2.6.7-3: a slip").unknown, ["T-2.6.7-3"]);
        assert_eq!(ids().in_text("T-rob-9.").unknown, ["T-rob-9"]);
        assert_eq!(ids().in_text("T-2.6.7-10 to T-2.6.7-1").ranges, ["T-2.6.7-10 to T-2.6.7-1"]);
        assert_eq!(ids().in_text("T-rob-2 to M-3.2-1").ranges, ["T-rob-2 to M-3.2-1"]);
    }
}
