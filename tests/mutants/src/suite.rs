//! The tests of the repository, and which of them have to find a mutant.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use amqp1_requirements::{coverage::Row, sources};

use crate::catalogue::{Catalogue, Mutant, Without};

/// What a test is compiled into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binary {
    /// How low its package stands: the lowest are run first.
    pub layer: usize,
    /// Its package, by the folder's name.
    pub package: String,
    /// The file or folder in `tests`; none is the library.
    pub test: Option<String>,
}

/// A test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// Where it is.
    pub binary: Binary,
    /// With all its modules: `amqp1_engine::behaviour::credit::t_2_6_7_1_counts_wrap`.
    pub path: String,
    /// As its binary knows it: `credit::t_2_6_7_1_counts_wrap`.
    pub name: String,
}

/// All tests that can be run against mutants.
#[derive(Clone, Debug)]
pub struct Suite {
    cases: Vec<Case>,
    rows: Vec<(String, Vec<String>)>,
    /// The rows that are to have a mutant.
    wanted: Vec<String>,
}

impl Suite {
    /// Reads the repository at `root`.
    ///
    /// # Errors
    ///
    /// Sources that cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut cases = Vec::new();
        for source in sources::read(root)? {
            for test in &source.file.tests {
                let path = [&source.module].into_iter().chain(&test.modules).chain([&test.name]);
                let path = path.map(String::as_str).collect::<Vec<_>>().join("::");
                cases.extend(case(&source.path, source.layer, path));
            }
        }
        let coverage = amqp1_requirements::coverage(root)?;
        let row = |row: &Row| (row.requirement.id.clone(), row.shown.iter().map(|shown| shown.test.clone()).collect());
        let wanted = coverage.rows.iter().filter(|row| is_wanted(row)).map(|row| row.requirement.id.clone()).collect();
        Ok(Self { cases, rows: coverage.rows.iter().map(row).collect(), wanted })
    }

    /// The tests that have to find this mutant, by its rows: at least one of each row's. They are those of its package
    /// that carry the row. Where the package has none, they are those of the lowest package above it that has. If the
    /// mutant names tests, these stand for all of its rows.
    ///
    /// # Errors
    ///
    /// Names and rows without a test.
    pub fn against(&self, mutant: &Mutant) -> Result<BTreeMap<String, BTreeSet<Case>>, String> {
        let problem = |problem: String| format!("{}: {problem}", mutant.name);
        if !mutant.tests.is_empty() {
            let mut cases = BTreeSet::new();
            for name in &mutant.tests {
                let inner = format!("{name}::");
                let named = |case: &&Case| case.path == *name || case.path.starts_with(&inner);
                let before = cases.len();
                cases.extend(self.cases.iter().filter(named).cloned());
                if cases.len() == before {
                    return Err(problem(format!("there is no test {name}")));
                }
            }
            return Ok(BTreeMap::from([("the tests that it names".into(), cases)]));
        }
        if mutant.rows.is_empty() {
            return Err(problem("neither rows nor tests".into()));
        }
        let of_row = |id: &String| Ok((id.clone(), self.of_row(id, mutant.package()).map_err(problem)?));
        mutant.rows.iter().map(of_row).collect()
    }

    /// The tests of a row that have to find a mutant of this package.
    fn of_row(&self, id: &str, package: &str) -> Result<BTreeSet<Case>, String> {
        let Some((_, shown)) = self.rows.iter().find(|(row, _)| row == id) else {
            return Err(format!("there is no requirement {id}"));
        };
        let cases = self.cases.iter().filter(|case| shown.contains(&case.path));
        let (own, others): (Vec<_>, Vec<_>) = cases.partition(|case| case.binary.package == package);
        let layer = self.cases.iter().find(|case| case.binary.package == package).map(|case| case.binary.layer);
        let above = |case: &&&Case| layer.is_none_or(|layer| case.binary.layer > layer);
        let lowest = others.iter().filter(above).map(|case| case.binary.layer).min();
        let found: BTreeSet<_> = if own.is_empty() {
            others.into_iter().filter(|case| Some(case.binary.layer) == lowest).cloned().collect()
        } else {
            own.into_iter().cloned().collect()
        };
        if found.is_empty() { Err(format!("no test that can be run shows {id}")) } else { Ok(found) }
    }

    /// What is wrong with the catalogue as a whole: reasons for what has a mutant or does not exist, and rows with neither
    /// a mutant nor a reason.
    pub fn missing(&self, catalogue: &Catalogue) -> Vec<String> {
        let mut problems = Vec::new();
        let has_mutant = |row: &String| catalogue.mutants.iter().any(|mutant| mutant.rows.contains(row));
        for Without { row, .. } in &catalogue.without {
            if !self.rows.iter().any(|(known, _)| known == row) {
                problems.push(format!("without.tsv: there is no requirement {row}"));
            }
            if has_mutant(row) {
                problems.push(format!("without.tsv: {row} has a mutant"));
            }
        }
        let has_reason = |row: &String| catalogue.without.iter().any(|without| without.row == *row);
        let missing = self.wanted.iter().filter(|row| !has_mutant(row) && !has_reason(row));
        problems.extend(missing.map(|row| format!("{row} has neither a mutant nor a reason")));
        problems
    }
}

/// Whether a requirement is to have a mutant: all but extensions, and what has no test.
fn is_wanted(row: &Row) -> bool {
    row.untested.is_none() && !row.requirement.id.starts_with('E')
}

/// A test by its file, if it is in a binary that is run: not in a program, nor in the whole-stack tests.
fn case(file: &str, layer: usize, path: String) -> Option<Case> {
    let words: Vec<_> = file.split('/').collect();
    let ["crates", package, part, first, ..] = words[..] else { return None };
    let (test, modules) = match part {
        "tests" => (Some(first.trim_end_matches(".rs").to_owned()), 2),
        "src" if first != "bin" && first != "main.rs" => (None, 1),
        _ => return None,
    };
    let name = path.split("::").skip(modules).collect::<Vec<_>>().join("::");
    Some(Case { binary: Binary { layer, package: package.into(), test }, path, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_known_by_their_binaries() {
        let path = "amqp1_engine::behaviour::credit::counts_wrap";
        let found = case("crates/amqp1-engine/tests/behaviour/credit.rs", 2, path.into()).unwrap();
        let binary = Binary { layer: 2, package: "amqp1-engine".into(), test: Some("behaviour".into()) };
        assert_eq!(found, Case { binary, path: path.into(), name: "credit::counts_wrap".into() });
        let found = case("crates/amqp1/tests/links.rs", 5, "amqp1::links::a".into()).unwrap();
        assert_eq!((found.binary.test.as_deref(), found.name.as_str()), (Some("links"), "a"));
        let found = case("crates/amqp1/src/types/url.rs", 5, "amqp1::types::url::tests::a".into()).unwrap();
        assert_eq!((found.binary.test, found.name.as_str()), (None, "types::url::tests::a"));
        assert_eq!(case("crates/iothub-cli/src/main.rs", 5, "a::b".into()), None);
        assert_eq!(case("tests/devices/twins.rs", 5, "a::b".into()), None);
    }
}
