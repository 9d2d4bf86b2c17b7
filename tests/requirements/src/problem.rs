//! What can be wrong.

use crate::data::Proof;
use std::fmt;

/// A problem that has to be fixed.
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
    /// An exemption is of no requirement, of a role that it does not apply to, or of what is exempt already.
    Exemption(String),
    /// There is what an exemption says is missing.
    ExemptButShown {
        /// The requirement.
        id: String,
        /// What is said to be missing.
        of: Proof,
        /// What shows it.
        by: String,
    },
    /// Something is missing without a reason.
    Open {
        /// The requirement.
        id: String,
        /// What is missing.
        of: Proof,
    },
    /// An option or a helper that is declared does not exist.
    NoItem {
        /// The requirement.
        id: String,
        /// The name as it is declared.
        name: String,
    },
    /// A case passes only when strict, and the reason names no option that exists.
    NoOption {
        /// The case.
        case: String,
        /// The reason.
        reason: String,
    },
    /// A case of the tool is not in the record, or the record has one that the tool does not have.
    Record(String),
    /// A test that the table names has not passed.
    NotRun(String),
    /// The README does not make the claim that the table supports.
    Claim(String),
    /// The table is not what would be written now.
    Stale,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { id, place } => write!(f, "{place}: there is no requirement {id}"),
            Self::Range { range, place } => write!(f, "{place}: {range} is not a range of requirements"),
            Self::Twice(id) => write!(f, "requirements.tsv: {id} is there twice"),
            Self::Exemption(id) => {
                write!(f, "exemptions.tsv: {id} is no requirement, does not apply to this role, or is exempt already")
            }
            Self::ExemptButShown { id, of, by } => {
                write!(f, "exemptions.tsv: {id} is shown by {by}: remove the exemption of {}", of.name())
            }
            Self::Open { id, of: Proof::Test } => write!(f, "{id} has neither a test nor a reason in exemptions.tsv"),
            Self::Open { id, of: Proof::Case(role) } => {
                write!(f, "{id}: no case has judged our {role}, and exemptions.tsv has no reason")
            }
            Self::NoItem { id, name } => write!(f, "declared.tsv: {id}: {name} does not exist"),
            Self::NoOption { case, reason } => {
                write!(f, "{case} fails by default and passes when strict: its reason names no option: {reason}")
            }
            Self::Record(case) => write!(f, "judged.tsv and the tool's cases differ: {case}: run `.ci/run own_stack`"),
            Self::NotRun(test) => write!(f, "{test} is named, but has not run and passed"),
            Self::Claim(claim) => write!(f, "README.md does not say what the table supports: {claim}"),
            Self::Stale => f.write_str("REQUIREMENTS.md is stale: run `cargo run -p amqp1-requirements` and commit it"),
        }
    }
}
