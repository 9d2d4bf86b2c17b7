//! Tries the mutants, or checks the catalogue alone.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::PathBuf,
    process::ExitCode,
};

use amqp1_mutants::{
    bench, catalogue, entries, misplaced, open, root,
    suite::Suite,
    trial::{Entry, Verdict},
};

const USAGE: &str = "\
usage: amqp1-mutants [WORD...]         tries all mutants, or those with a word in their name, file, rows or tests
       amqp1-mutants --show [WORD...]  says for each which tests have found it
       amqp1-mutants --open [WORD...]  tries those of open/ in the same way, and says the same of each
       amqp1-mutants --texts           checks only that each text is in its source once, without compiling";

fn main() -> ExitCode {
    let mut words: Vec<_> = env::args().skip(1).collect();
    let is_open = words.first().is_some_and(|word| word == "--open");
    let show = is_open || words.first().is_some_and(|word| word == "--show");
    if show {
        words.remove(0);
    }
    let found = if words == ["--texts"] {
        texts()
    } else if words.iter().any(|word| word.starts_with('-')) {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    } else {
        run(&words, show, is_open)
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
    let one = |problem: String| vec![problem];
    let mut problems = Vec::new();
    for list in [catalogue(&root).map_err(one)?, open(&root).map_err(one)?] {
        let misplaced = misplaced(&root, &list);
        if misplaced.is_empty() {
            println!("{} mutants are in their places", list.mutants.len());
        }
        problems.extend(misplaced);
    }
    Ok(problems)
}

/// What is wrong, of all that was tried, or before anything could be.
fn run(words: &[String], show: bool, is_open: bool) -> Result<Vec<String>, Vec<String>> {
    let one = |problem: String| vec![problem];
    let root = root();
    let list = if is_open { open(&root) } else { catalogue(&root) }.map_err(one)?;
    let suite = Suite::read(&root).map_err(|error| one(error.to_string()))?;
    let (all, entries) = (entries(&list, &suite, &[])?, entries(&list, &suite, words)?);
    let mut problems = if is_open { Vec::new() } else { suite.missing(&list) };
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
