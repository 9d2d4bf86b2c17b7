//! Tries the mutants, or checks the catalogue alone.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::PathBuf,
    process::ExitCode,
};

use amqp1_mutants::{
    bench, catalogue, entries, root,
    suite::Suite,
    trial::{Entry, Verdict},
};

const USAGE: &str = "\
usage: amqp1-mutants [WORD...]         tries all mutants, or those with a word in their name, file, rows or tests
       amqp1-mutants --show [WORD...]  says for each which tests have found it";

fn main() -> ExitCode {
    let mut words: Vec<_> = env::args().skip(1).collect();
    let show = words.first().is_some_and(|word| word == "--show");
    if show {
        words.remove(0);
    }
    if words.iter().any(|word| word.starts_with('-')) {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    match run(&words, show) {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) | Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            ExitCode::FAILURE
        }
    }
}

/// What is wrong, of all that was tried, or before anything could be.
fn run(words: &[String], show: bool) -> Result<Vec<String>, Vec<String>> {
    let one = |problem: String| vec![problem];
    let root = root();
    let catalogue = catalogue().map_err(one)?;
    let suite = Suite::read(&root).map_err(|error| one(error.to_string()))?;
    let entries = entries(&catalogue, &suite, words)?;
    let mut problems = suite.missing(&catalogue);
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let target = std::path::absolute(target).map_err(|error| one(error.to_string()))?;
    let bench = bench(&root, &target, &entries)?;
    let cases: BTreeSet<_> = entries.iter().flat_map(|entry| entry.cases.clone()).collect();
    let not_turned = bench.without(&cases).map_err(one)?;
    let tell = |entry: &Entry<'_>, verdict: &Verdict| match verdict {
        Verdict::Found(by) if show => println!("{}: found by {}", entry.mutant.name, by.join(", ")),
        Verdict::Found(_) => {}
        Verdict::Survived => println!("{}: SURVIVED", entry.mutant.name),
        Verdict::NeverReached => println!("{}: NEVER REACHED", entry.mutant.name),
    };
    let verdicts = bench.try_all(&entries, &not_turned, tell).map_err(one)?;
    let mut score: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (entry, verdict) in &verdicts {
        let (all, found) = score.entry(entry.mutant.package()).or_default();
        *all += 1;
        let paths = || entry.cases.iter().map(|case| case.path.as_str()).collect::<Vec<_>>().join(", ");
        match verdict {
            Verdict::Found(_) => *found += 1,
            Verdict::Survived => problems.push(format!("{} has survived {}", entry.mutant.name, paths())),
            Verdict::NeverReached => problems.push(format!("{} is not reached by {}", entry.mutant.name, paths())),
        }
    }
    for (package, (all, found)) in score {
        println!("{package}: {found} of {all} mutants found");
    }
    Ok(problems)
}
