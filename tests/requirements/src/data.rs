//! The requirements, the exemptions and the deviations, from the tables of this crate.

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// `T-2.6.7-3`: the part's letter, the section or a word, a number.
    pub id: String,
    /// `MUST` and so on, as the text has it; `(robustness)` where the text is silent, `(derived)` where no one sentence
    /// says it.
    pub severity: String,
    /// Whose duty it is.
    pub applies_to: String,
    /// In one line.
    pub text: String,
}

/// Why a library cannot show a requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemption {
    /// The id, or what several begin with: `E-anon` covers `E-anon-1` and so on.
    pub id: String,
    /// One sentence.
    pub reason: String,
}

impl Exemption {
    /// Whether it covers this requirement.
    pub fn covers(&self, id: &str) -> bool {
        id.strip_prefix(self.id.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    }
}

/// All requirements, in the order of the specification.
///
/// # Panics
///
/// If a line of `requirements.tsv` has not four columns, all with something in them.
pub fn requirements() -> Vec<Requirement> {
    lines(include_str!("../requirements.tsv"))
        .map(|[id, severity, applies_to, text]| Requirement { id, severity, applies_to, text })
        .collect()
}

/// All exemptions.
///
/// # Panics
///
/// If a line of `exemptions.tsv` has not two columns, both with something in them.
pub fn exemptions() -> Vec<Exemption> {
    lines(include_str!("../exemptions.tsv")).map(|[id, reason]| Exemption { id, reason }).collect()
}

/// What is done otherwise than a requirement wants, on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The requirement.
    pub id: String,
    /// What is done instead, and why.
    pub text: String,
}

/// All deviations.
///
/// # Panics
///
/// If a line of `deviations.tsv` has not two columns, both with something in them.
pub fn deviations() -> Vec<Deviation> {
    lines(include_str!("../deviations.tsv")).map(|[id, text]| Deviation { id, text }).collect()
}

/// The lines behind the first, which has the names of the columns.
fn lines<const COLUMNS: usize>(table: &'static str) -> impl Iterator<Item = [String; COLUMNS]> {
    table.lines().skip(1).map(|line| {
        let columns: Vec<_> = line.split('\t').map(|column| column.trim().to_owned()).collect();
        match <[String; COLUMNS]>::try_from(columns) {
            Ok(columns) if columns.iter().all(|column| !column.is_empty()) => columns,
            _ => panic!("not {COLUMNS} columns: {line}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_requirements_are_there_and_in_six_parts() {
        let requirements = requirements();
        assert_eq!(requirements.len(), 437);
        let mut parts: Vec<_> = requirements.iter().map(|requirement| &requirement.id[..2]).collect();
        parts.dedup();
        assert_eq!(parts, ["Y-", "T-", "M-", "X-", "S-", "E-"]);
    }

    #[test]
    fn an_exemption_covers_whole_names_only() {
        let exemption = |id: &str| Exemption { id: id.into(), reason: "because".into() };
        assert!(exemption("E-anon").covers("E-anon-1"));
        assert!(exemption("M-3.2").covers("M-3.2.1-4"));
        assert!(exemption("M-3.2.1-4").covers("M-3.2.1-4"));
        assert!(!exemption("M-3.2.1-1").covers("M-3.2.1-12"));
        assert!(!exemption("M-3.2").covers("M-3.25-1"));
    }
}
