//! The mutants, from the files of `catalogue/`.

use std::{collections::BTreeSet, fs, path::Path};

use serde::Deserialize;

/// A bug that is put into a source, and what has to find it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// What is wrong then, in a few words: `a_sender_ignores_the_initial_delivery_count`.
    pub name: String,
    /// The requirements that it breaks. The tests of each of them that are in the mutant's package must find it.
    #[serde(default)]
    pub rows: Vec<String>,
    /// Tests, or modules of tests, that are run instead: `amqp1::cancellation`.
    #[serde(default)]
    pub tests: Vec<String>,
    /// The source, relative to the repository.
    pub file: String,
    /// The function in which `find` is looked for; without it, the whole file.
    pub within: Option<String>,
    /// Text that is there exactly once. White space is any white space.
    pub find: String,
    /// What is done instead. With `$is` in it, it replaces the text as a whole, and `$is` is whether the mutant is on.
    pub replace: String,
    /// Why no assertion can find it before the time is over; the tests are expected not to end.
    pub hangs: Option<String>,
    /// Why no assertion can find it before the process dies; the tests are expected to abort.
    pub aborts: Option<String>,
    /// What else has to change with it, where one place alone would be made good by another.
    #[serde(default)]
    pub also: Vec<Also>,
}

/// Another place of a mutant.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Also {
    /// The source, if it is not that of the mutant; of the same package.
    pub file: Option<String>,
    /// As of the mutant.
    pub within: Option<String>,
    /// As of the mutant.
    pub find: String,
    /// As of the mutant.
    pub replace: String,
}

impl Mutant {
    /// The mutant in each of its places.
    pub fn places(&self) -> impl Iterator<Item = Self> {
        let also = self.also.iter().map(|also| {
            let file = also.file.as_ref().unwrap_or(&self.file).clone();
            let Also { within, find, replace, .. } = also.clone();
            Self { file, within, find, replace, also: Vec::new(), ..self.clone() }
        });
        std::iter::once(self.clone()).chain(also)
    }

    /// The number of its switch: a hash of its name (FNV-1a), so that a new mutant leaves other sources as they were
    /// compiled. 0 is no mutant's.
    pub fn number(&self) -> u32 {
        let hash = |hash: u32, octet: u8| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193);
        self.name.bytes().fold(0x811c_9dc5, hash).max(1)
    }

    /// The package whose source it changes: the folder's name.
    pub fn package(&self) -> &str {
        self.file.split('/').nth(1).unwrap_or_default()
    }
}

/// A file of the catalogue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    mutant: Vec<Mutant>,
}

/// Why a row has no mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Without {
    /// The requirement.
    pub row: String,
    /// Why.
    pub reason: String,
}

/// All mutants and what stands beside them.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// In the order of the files and of what is in them.
    pub mutants: Vec<Mutant>,
    /// The rows that have none.
    pub without: Vec<Without>,
}

impl Catalogue {
    /// Reads the files in `folder`: `*.toml`, and `without.tsv`.
    ///
    /// # Errors
    ///
    /// What cannot be read, is not as it must be, or is there twice.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            files.push(entry.map_err(|error| error.to_string())?.path());
        }
        files.sort();
        let mut catalogue = Self::default();
        for path in files {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("toml") => {
                    let subject: Subject =
                        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
                    catalogue.mutants.extend(subject.mutant);
                }
                Some("tsv") => catalogue.without = without(&text)?,
                _ => return Err(format!("{}: neither a list of mutants nor one of reasons", path.display())),
            }
        }
        let mut numbers = BTreeSet::new();
        match catalogue.mutants.iter().find(|mutant| !numbers.insert(mutant.number())) {
            Some(mutant) => Err(format!("there are two mutants called {}, or with its number", mutant.name)),
            None => Ok(catalogue),
        }
    }
}

/// The lines behind the first, which has the names of the columns.
fn without(table: &str) -> Result<Vec<Without>, String> {
    let line = |line: &str| match line.split_once('\t') {
        Some((row, reason)) if !reason.trim().is_empty() => {
            Ok(Without { row: row.into(), reason: reason.trim().into() })
        }
        _ => Err(format!("without.tsv: not a row and a reason: {line}")),
    };
    table.lines().skip(1).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_list_of_mutants() {
        let subject: Subject = toml::from_str(
            "[[mutant]]\nname = 'a'\nrows = ['T-2.2-1']\nfile = 'crates/amqp1-engine/src/link/mod.rs'\nfind = 'x'\nreplace = 'y'\n",
        )
        .unwrap();
        assert_eq!(subject.mutant[0].package(), "amqp1-engine");
        assert_eq!(subject.mutant[0].within, None);
        assert!(
            toml::from_str::<Subject>("[[mutant]]\nname = 'a'\nfile = 'b'\nfind = 'x'\nreplacement = 'y'\n").is_err()
        );
    }

    #[test]
    fn a_row_without_a_mutant_has_a_reason() {
        let found = without("row\treason\nT-2.2-1\tbecause\n").unwrap();
        assert_eq!(found, [Without { row: "T-2.2-1".into(), reason: "because".into() }]);
        assert!(without("row\treason\nT-2.2-1\t \n").is_err());
    }
}
