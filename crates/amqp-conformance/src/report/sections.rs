//! The sections of the specification, by which reports are sorted.

use std::cmp::Ordering;

/// A section of the specification, or a chapter of rules of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Section {
    /// The prefix of the ids: `"T-2.4"`.
    pub prefix: &'static str,
    /// Its title.
    pub title: &'static str,
}

const fn section(prefix: &'static str, title: &'static str) -> Section {
    Section { prefix, title }
}

/// The longest prefix counts.
const SECTIONS: &[Section] = &[
    section("Y-1.1", "Type system"),
    section("Y-1.2", "Type encodings"),
    section("Y-1.3", "Type notation"),
    section("Y-1.4", "Composite types"),
    section("Y-1.5", "Descriptor values"),
    section("Y-1.6", "Primitive types"),
    section("Y-", "Types"),
    section("T-2.1", "Transport"),
    section("T-2.2", "Version negotiation"),
    section("T-2.3", "Framing"),
    section("T-2.4", "Connections"),
    section("T-2.5", "Sessions"),
    section("T-2.6", "Links"),
    section("T-2.7.1", "Open"),
    section("T-2.7.2", "Begin"),
    section("T-2.7.3", "Attach"),
    section("T-2.7.4", "Flow"),
    section("T-2.7.5", "Transfer"),
    section("T-2.7.6", "Disposition"),
    section("T-2.7.7", "Detach"),
    section("T-2.7.8", "End"),
    section("T-2.7.9", "Close"),
    section("T-2.8", "Definitions of the transport"),
    section("T-rob", "Robustness of the transport"),
    section("T-", "Transport"),
    section("M-3.1", "Messaging"),
    section("M-3.2", "Message format"),
    section("M-3.3", "Distribution nodes"),
    section("M-3.4", "Delivery states"),
    section("M-3.5", "Sources and targets"),
    section("M-", "Messaging"),
    section("X-4", "Transactions"),
    section("S-5.1", "Security layers"),
    section("S-5.2", "TLS"),
    section("S-5.3", "SASL"),
    section("S-", "Security"),
    section("E-", "Extensions"),
];

impl Section {
    /// Its place in the specification.
    pub(super) fn place(&self) -> usize {
        SECTIONS.iter().position(|section| section == self).unwrap_or(SECTIONS.len())
    }
}

/// A key by which ids are in the order of the specification: their section, and then their numbers, 2 before 10.
pub(crate) fn place_of(id: &str) -> (usize, Parts<'_>) {
    (section_of(id).place(), Parts(id))
}

/// The parts of an id: a text, and the number after it. Nothing is copied: a report that others have made has ids of any
/// length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a>(&'a str);

impl<'a> Iterator for Parts<'a> {
    type Item = (&'a str, u64);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let text = self.0.find(|c: char| c.is_ascii_digit()).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at_checked(text).unwrap_or((self.0, ""));
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, rest) = rest.split_at_checked(digits).unwrap_or((rest, ""));
        self.0 = rest;
        Some((text, number.parse().unwrap_or_default()))
    }
}

impl Ord for Parts<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        Iterator::cmp(*self, *other)
    }
}

impl PartialOrd for Parts<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(Ord::cmp(self, other))
    }
}

impl PartialEq for Parts<'_> {
    fn eq(&self, other: &Self) -> bool {
        Ord::cmp(self, other).is_eq()
    }
}

impl Eq for Parts<'_> {}

/// The section of the case or row with this id.
pub fn section_of(id: &str) -> Section {
    let is_in = |section: &&Section| {
        id.strip_prefix(section.prefix)
            .is_some_and(|rest| section.prefix.ends_with('-') || rest.starts_with(['-', '.', '/']) || rest.is_empty())
    };
    SECTIONS
        .iter()
        .filter(is_in)
        .max_by_key(|section| section.prefix.len())
        .copied()
        .unwrap_or(section("", "Other rules"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_the_specification() {
        let mut ids =
            ["M-3.2-1", "T-rob-1", "T-2.4.1-10", "T-2.4.1-2/b", "T-2.4.1-2", "T-2.4.1-2/a", "T-2.3-1", "Y-rob-1"];
        ids.sort_by_key(|id| place_of(id));
        assert_eq!(
            ids,
            ["Y-rob-1", "T-2.3-1", "T-2.4.1-2", "T-2.4.1-2/a", "T-2.4.1-2/b", "T-2.4.1-10", "T-rob-1", "M-3.2-1"]
        );
    }

    #[test]
    fn the_longest_prefix_names_the_section() {
        assert_eq!(section_of("T-2.7.1-3/x").title, "Open");
        assert_eq!(section_of("T-2.4.1-1").title, "Connections");
        assert_eq!(section_of("E-cbs-1").title, "Extensions");
        assert_eq!(section_of("Q-1").title, "Other rules");
    }
}
