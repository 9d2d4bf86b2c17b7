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
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

use catalogue::{Catalogue, Mutant};
use suite::{Binary, Suite};
use trial::{Bench, Entry};
use workspace::Metadata;

/// The path of the catalogue in a repository.
const CATALOGUE: &str = "tests/mutants/catalogue";

/// The repository that the current folder is in, so that a program that was built once serves every working tree.
/// Elsewhere it is the one that the program was built from.
pub fn root() -> PathBuf {
    let current = env::current_dir().unwrap_or_default();
    let built = Path::new(env!("CARGO_MANIFEST_DIR"));
    let here = current.ancestors().find(|folder| folder.join(CATALOGUE).is_dir());
    here.or_else(|| built.ancestors().nth(2)).unwrap_or(built).into()
}

/// The path of the mutants that the tests of their rows do not find yet.
const OPEN: &str = "tests/mutants/open";

/// The catalogue of the repository at `root`.
///
/// # Errors
///
/// What is wrong with it.
pub fn catalogue(root: &Path) -> Result<Catalogue, String> {
    Catalogue::read(&root.join(CATALOGUE))
}

/// The mutants of the repository at `root` that the tests of their rows do not find yet. Without the folder there are none.
///
/// # Errors
///
/// What is wrong with the list.
pub fn open(root: &Path) -> Result<Catalogue, String> {
    let folder = root.join(OPEN);
    // Git keeps no empty folder.
    if folder.is_dir() { Catalogue::read(&folder) } else { Ok(Catalogue::default()) }
}

/// For each mutant whose text is not in its source exactly once, or overlaps another's, its name and why. Reads the
/// sources only, so it works while they do not compile.
pub fn misplaced(root: &Path, catalogue: &Catalogue) -> Vec<String> {
    let mut by_file: BTreeMap<String, Vec<(u32, Mutant)>> = BTreeMap::new();
    for mutant in &catalogue.mutants {
        for place in mutant.places() {
            by_file.entry(place.file.clone()).or_default().push((mutant.number(), place));
        }
    }
    let mut problems = Vec::new();
    for (file, mutants) in by_file {
        match fs::read_to_string(root.join(&file)) {
            Ok(source) => problems.extend(plant::plant(&source, &mutants).err().into_iter().flatten()),
            Err(error) => {
                problems.extend(mutants.iter().map(|(_, mutant)| format!("{}: {file}: {error}", mutant.name)));
            }
        }
    }
    problems
}

/// Each mutant whose name, file, rows or tests have one of these words in them, with its tests. Without words, all.
///
/// # Errors
///
/// For each mutant that has no tests, why.
pub fn entries<'a>(catalogue: &'a Catalogue, suite: &Suite, words: &[String]) -> Result<Vec<Entry<'a>>, Vec<String>> {
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    for mutant in &catalogue.mutants {
        let texts = [&mutant.name, &mutant.file].into_iter().chain(&mutant.rows).chain(&mutant.tests);
        let asked = |word: &String| texts.clone().any(|text| text.contains(word.as_str()));
        if words.is_empty() || words.iter().any(asked) {
            match suite.against(mutant) {
                Ok(rows) => entries.push(Entry { mutant, rows }),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
}

/// Everything that is put into the sources, with the mutants' numbers.
fn planted(entries: &[Entry<'_>]) -> Vec<(u32, Mutant)> {
    entries.iter().flat_map(|entry| entry.mutant.places().map(|place| (entry.mutant.number(), place))).collect()
}

/// Compiles the tests that have to find `entries`, below the folder `target`. All mutants are in the sources, whichever of
/// them are tried, so that the next run finds most of it compiled.
///
/// # Errors
///
/// Mutants that do not fit, and what does not compile.
pub fn bench(root: &Path, target: &Path, all: &[Entry<'_>], entries: &[Entry<'_>]) -> Result<Bench, Vec<String>> {
    let one = |problem| vec![problem];
    let metadata = Metadata::read(root).map_err(one)?;
    let wanted = metadata.closure(binaries(all).into_iter().map(|binary| binary.package).collect());
    let folder = target.join("mutants");
    let (copy, outputs) = (folder.join("workspace"), folder.join("outputs"));
    for folder in [&copy, &outputs] {
        fs::create_dir_all(folder).map_err(|error| vec![format!("{}: {error}", folder.display())])?;
    }
    workspace::copy(root, &copy, &metadata, &wanted, &planted(all))?;
    let programs = compile::compile(&copy, target, &binaries(entries)).map_err(one)?;
    Ok(Bench { programs, copy, outputs })
}

/// What their tests are compiled into.
fn binaries(entries: &[Entry<'_>]) -> BTreeSet<Binary> {
    entries.iter().flat_map(Entry::cases).map(|case| case.binary.clone()).collect()
}
