//! What can be wrong.

use std::fmt;

/// One thing that somebody has to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A test or a comment names a requirement that does not exist.
    Unknown {
        /// The id as it is written there.
        id: String,
        /// The file, or the test.
        place: String,
    },
    /// A range whose ends do not stand in this order, or in different parts.
    Range {
        /// As it is written there.
        range: String,
        /// The file, or the test.
        place: String,
    },
    /// Two requirements have the same id.
    Twice(String),
    /// An exemption covers no requirement, or one that another exempts already.
    Exemption(String),
    /// A deviation is from no requirement, or from one that has a deviation already.
    Deviation(String),
    /// There is a test for what is said to have none.
    ExemptButShown {
        /// The requirement.
        id: String,
        /// A test that shows it.
        test: String,
    },
    /// More requirements than before have neither a test nor a reason.
    TooManyOpen {
        /// Their ids.
        open: Vec<String>,
        /// How many there may be.
        allowed: usize,
    },
    /// The table is not what would be written now.
    Stale,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { id, place } => write!(f, "{place}: there is no requirement {id}"),
            Self::Range { range, place } => write!(f, "{place}: {range} is no range of requirements"),
            Self::Twice(id) => write!(f, "requirements.tsv: {id} is there twice"),
            Self::Exemption(id) => {
                write!(f, "exemptions.tsv: {id} covers no requirement, or one that is exempt already")
            }
            Self::Deviation(id) => {
                write!(f, "deviations.tsv: {id} is no requirement, or has a deviation already")
            }
            Self::ExemptButShown { id, test } => {
                write!(f, "exemptions.tsv: {id} is shown by {test}: take the exemption out")
            }
            Self::TooManyOpen { open, allowed } => write!(
                f,
                "{} requirements have neither a test nor a reason, {allowed} may: {}",
                open.len(),
                open.join(", ")
            ),
            Self::Stale => f.write_str("REQUIREMENTS.md is stale: run `cargo run -p amqp1-requirements` and commit it"),
        }
    }
}
