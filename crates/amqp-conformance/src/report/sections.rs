//! The sections of the specification, by which reports are sorted.

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
pub(crate) fn place_of(id: &str) -> (usize, Vec<(u64, String)>) {
    (section_of(id).place(), numbers_of(id))
}

fn numbers_of(id: &str) -> Vec<(u64, String)> {
    let mut parts = Vec::new();
    let mut rest = id;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (before, after) = rest.split_at_checked(text).unwrap_or((rest, ""));
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (number, after) = after.split_at_checked(digits).unwrap_or((after, ""));
        parts.push((u64::MAX, String::from(before)));
        parts.push((number.parse().unwrap_or_default(), String::new()));
        rest = after;
    }
    parts
}

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
