//! Tries the mutants, or checks the catalogue alone.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::PathBuf,
    process::ExitCode,
};

use amqp1_mutants::{
    bench, catalogue, entries, misplaced, root,
    suite::Suite,
    trial::{Entry, Verdict},
};

const USAGE: &str = "\
usage: amqp1-mutants [WORD...]         tries all mutants, or those with a word in their name, file, rows or tests
       amqp1-mutants --show [WORD...]  says for each which tests have found it
       amqp1-mutants --texts           checks only that each text is in its source once, without compiling";

fn main() -> ExitCode {
    let mut words: Vec<_> = env::args().skip(1).collect();
    let show = words.first().is_some_and(|word| word == "--show");
    if show {
        words.remove(0);
    }
    let found = if words == ["--texts"] {
        texts()
    } else if words.iter().any(|word| word.starts_with('-')) {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    } else {
        run(&words, show)
    };
    match found {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) | Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The mutants that are not in their places.
fn texts() -> Result<Vec<String>, Vec<String>> {
    let root = root();
    let catalogue = catalogue(&root).map_err(|problem| vec![problem])?;
    let problems = misplaced(&root, &catalogue);
    if problems.is_empty() {
        println!("{} mutants are in their places", catalogue.mutants.len());
    }
    Ok(problems)
}

/// What is wrong, of all that was tried, or before anything could be.
fn run(words: &[String], show: bool) -> Result<Vec<String>, Vec<String>> {
    let one = |problem: String| vec![problem];
    let root = root();
    let catalogue = catalogue(&root).map_err(one)?;
    let suite = Suite::read(&root).map_err(|error| one(error.to_string()))?;
    let (all, entries) = (entries(&catalogue, &suite, &[])?, entries(&catalogue, &suite, words)?);
    let mut problems = suite.missing(&catalogue);
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let target = std::path::absolute(target).map_err(|error| one(error.to_string()))?;
    let bench = bench(&root, &target, &all, &entries)?;
    let cases: BTreeSet<_> = entries.iter().flat_map(Entry::cases).cloned().collect();
    let unfit = bench.without(&cases).map_err(one)?;
    let tell = |entry: &Entry<'_>, verdict: &Verdict| {
        for problem in entry.problems(verdict) {
            println!("{problem}");
        }
        for (row, cases) in entry.rows.iter().filter(|_| show) {
            let by = entry.found_by(cases, verdict);
            println!(
                "{}: {row}: found by {}",
                entry.mutant.name,
                if by.is_empty() { "none".into() } else { by.join(", ") }
            );
        }
    };
    let verdicts = bench.try_all(&entries, &unfit, tell).map_err(one)?;
    let mut score: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (entry, verdict) in &verdicts {
        let (all, found) = score.entry(entry.mutant.package()).or_default();
        let wrong = entry.problems(verdict);
        *all += 1;
        *found += usize::from(wrong.is_empty());
        problems.extend(wrong);
    }
    for (package, (all, found)) in score {
        println!("{package}: {found} of {all} mutants found by the tests of all their rows");
    }
    Ok(problems)
}
