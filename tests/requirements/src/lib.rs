//! The requirements of AMQP 1.0, and which tests of this workspace show them.
//!
//! `requirements.tsv` has the requirements, `exemptions.tsv` those that a library cannot show and why,
//! `deviations.tsv` what is done otherwise on purpose. The sources are
//! searched for tests that carry ids, in their names (`fn t_2_6_7_3_what_happens()`) or in the text of their doc
//! comments and bodies (`T-2.6.7-3`, or `T-2.6.7-3 to T-2.6.7-5`). `REQUIREMENTS.md` puts them together.

#![forbid(unsafe_code)]

pub mod coverage;
pub mod data;
pub mod ids;
pub mod problem;
pub mod rust_file;
pub mod sources;
pub mod table;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use coverage::Coverage;
use problem::Problem;

/// How many requirements may have neither a test nor a reason. It only ever goes down.
pub const ALLOWED_OPEN: usize = 0;

/// The file that is written, relative to the repository.
pub const TABLE: &str = "REQUIREMENTS.md";

/// Where the repository is.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the tests of the repository at `root` show.
///
/// # Errors
///
/// Sources that cannot be read.
pub fn coverage(root: &Path) -> io::Result<Coverage> {
    let coverage = Coverage::new(data::requirements(), data::exemptions(), &sources::read(root)?);
    Ok(coverage.deviating(data::deviations()))
}

/// Everything that is wrong: in the data, with the tests, and with the table that is there.
///
/// # Errors
///
/// Sources that cannot be read.
pub fn check(root: &Path) -> io::Result<Vec<Problem>> {
    let coverage = coverage(root)?;
    let mut problems = coverage.problems.clone();
    if coverage.open().count() > ALLOWED_OPEN {
        let open = coverage.open().map(|row| row.requirement.id.clone()).collect();
        problems.push(Problem::TooManyOpen { open, allowed: ALLOWED_OPEN });
    }
    let there = fs::read_to_string(root.join(TABLE)).unwrap_or_default();
    if there.replace("\r\n", "\n") != table::markdown(&coverage) {
        problems.push(Problem::Stale);
    }
    Ok(problems)
}
