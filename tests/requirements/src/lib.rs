//! The requirements of AMQP 1.0, how this workspace keeps them, and what shows it.
//!
//! | file | has |
//! |---|---|
//! | `requirements.tsv` | the requirements |
//! | `judged.tsv` | what `amqp-conformance` has judged of the example broker and client, written from its reports |
//! | `declared.tsv` | what is kept by an option or a helper, or not kept, where the cases do not say so |
//! | `exemptions.tsv` | why a requirement has no test, or no case in a role |
//!
//! The sources are searched for tests that carry ids, in their names (`fn t_2_6_7_3_what_happens()`) or in the text of
//! their doc comments and bodies (`T-2.6.7-3`, or `T-2.6.7-3 to T-2.6.7-5`). `REQUIREMENTS.md` puts all of it together.

#![forbid(unsafe_code)]

pub mod coverage;
pub mod data;
pub mod ids;
pub mod items;
pub mod judged;
pub mod problem;
pub mod ran;
pub mod rust_file;
pub mod sources;
pub mod status;
pub mod table;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use coverage::Coverage;
use items::Items;
use judged::{RECORD, Record};
use problem::Problem;

/// The file that is written, relative to the repository.
pub const TABLE: &str = "REQUIREMENTS.md";

/// Where the repository is.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The committed record.
///
/// # Errors
///
/// If it cannot be read, or is not a record.
pub fn record(root: &Path) -> io::Result<Record> {
    Record::read(&fs::read_to_string(root.join(RECORD))?.replace("\r\n", "\n")).map_err(io::Error::other)
}

/// How the repository at `root` keeps the requirements.
///
/// # Errors
///
/// Files that cannot be read.
pub fn coverage(root: &Path) -> io::Result<Coverage> {
    let tool = amqp_conformance::coverage::Coverage::of_this_crate().map_err(io::Error::other)?;
    let applies = tool.rows().iter().map(|row| (row.id, row.role, row.exempt));
    Ok(Coverage::new(data::requirements(), &sources::read(root)?)
        .judged(applies, &record(root)?)
        .exempt(data::exemptions())
        .kept(&data::declared(), &Items::read(root)?))
}

/// Everything that is wrong: in the data, with the tests, and with the table that is there.
///
/// # Errors
///
/// Files that cannot be read.
pub fn check(root: &Path) -> io::Result<Vec<Problem>> {
    let coverage = coverage(root)?;
    let mut problems = coverage.problems.clone();
    problems.extend(coverage.open().map(|(row, of)| Problem::Open { id: row.requirement.id.clone(), of }));
    problems.extend(unrecorded(&record(root)?));
    let there = |file: &str| Ok::<_, io::Error>(fs::read_to_string(root.join(file))?.replace("\r\n", "\n"));
    if there(TABLE).unwrap_or_default() != table::markdown(&coverage) {
        problems.push(Problem::Stale);
    }
    let claim = table::claim(&coverage);
    let readme = there("README.md")?;
    if !readme.split_whitespace().collect::<Vec<_>>().join(" ").contains(&claim) {
        problems.push(Problem::Claim(claim));
    }
    Ok(problems)
}

/// Cases that only the record or only the tool has.
fn unrecorded(record: &Record) -> Vec<Problem> {
    let recorded: BTreeSet<_> = record.cases.iter().map(|judged| format!("{} {}", judged.role, judged.case)).collect();
    let cases: BTreeSet<_> = amqp_conformance::cases().map(|case| format!("{} {}", case.role(), case.id)).collect();
    recorded.symmetric_difference(&cases).cloned().map(Problem::Record).collect()
}

/// The tests that the table names, or claims to be run, and that have not passed.
pub fn not_run(coverage: &Coverage, passed: &BTreeSet<String>) -> Vec<Problem> {
    let named = coverage.rows.iter().flat_map(|row| &row.shown).map(|shown| shown.test.as_str());
    let named: BTreeSet<_> = named.chain(ran::VARIANTS).collect();
    named.into_iter().filter(|test| !passed.contains(*test)).map(|test| Problem::NotRun(test.to_owned())).collect()
}
