//! Mutants: bugs on purpose, one a rule, that the rule's tests must find.
//!
//! `catalogue/*.toml` has them, beside the sources rather than in them. The program copies the workspace, puts every
//! mutant into the copy behind a switch, compiles the tests once, and runs what each mutant's rows name with that
//! mutant switched on. README.md says how one is added.

#![forbid(unsafe_code)]

pub mod catalogue;
pub mod compile;
pub mod place;
pub mod plant;
pub mod run;
pub mod suite;
pub mod trial;
pub mod workspace;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use catalogue::{Catalogue, Mutant};
use suite::{Binary, Suite};
use trial::{Bench, Entry};
use workspace::Metadata;

/// Where the repository is.
pub fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.ancestors().nth(2).unwrap_or(folder).into()
}

/// The catalogue of this repository.
///
/// # Errors
///
/// What is wrong with it.
pub fn catalogue() -> Result<Catalogue, String> {
    Catalogue::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue"))
}

/// Each mutant whose name, file, rows or tests have one of these words in them, with its tests. Without words, all.
///
/// # Errors
///
/// For each mutant that has no tests, why.
pub fn entries<'a>(catalogue: &'a Catalogue, suite: &Suite, words: &[String]) -> Result<Vec<Entry<'a>>, Vec<String>> {
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    for (number, mutant) in (1..).zip(&catalogue.mutants) {
        let texts = [&mutant.name, &mutant.file].into_iter().chain(&mutant.rows).chain(&mutant.tests);
        let asked = |word: &String| texts.clone().any(|text| text.contains(word.as_str()));
        if words.is_empty() || words.iter().any(asked) {
            match suite.against(mutant) {
                Ok(cases) => entries.push(Entry { number, mutant, cases }),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
}

/// Everything that is put into the sources, with the mutants' numbers.
pub fn planted(entries: &[Entry<'_>]) -> Vec<(usize, Mutant)> {
    entries.iter().flat_map(|entry| entry.mutant.places().map(|place| (entry.number, place))).collect()
}

/// Compiles the tests with these mutants in the sources, below the folder `target`.
///
/// # Errors
///
/// Mutants that do not fit, and what does not compile.
pub fn bench(root: &Path, target: &Path, entries: &[Entry<'_>]) -> Result<Bench, Vec<String>> {
    let one = |problem| vec![problem];
    let binaries: BTreeSet<Binary> =
        entries.iter().flat_map(|entry| &entry.cases).map(|case| case.binary.clone()).collect();
    let metadata = Metadata::read(root).map_err(one)?;
    let wanted = metadata.closure(binaries.iter().map(|binary| binary.package.clone()).collect());
    let folder = target.join("mutants");
    let (copy, outputs) = (folder.join("workspace"), folder.join("outputs"));
    for folder in [&copy, &outputs] {
        std::fs::create_dir_all(folder).map_err(|error| vec![format!("{}: {error}", folder.display())])?;
    }
    workspace::copy(root, &copy, &metadata, &wanted, &planted(entries))?;
    let programs = compile::compile(&copy, target, &binaries).map_err(one)?;
    Ok(Bench { programs, copy, outputs })
}
