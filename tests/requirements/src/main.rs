//! Writes `REQUIREMENTS.md` and the record of what was judged, checks them, or says what is open.

#![forbid(unsafe_code)]

use std::{env, fs, path::Path, process::ExitCode};

use amqp_conformance::Report;
use amqp1_requirements::{
    TABLE, check, coverage,
    judged::{Difference, RECORD, Record, replace},
    not_run,
    problem::Problem,
    ran::Programs,
    record, root, table,
};

const USAGE: &str = "\
usage: amqp1-requirements            writes REQUIREMENTS.md
       amqp1-requirements --check    fails when it is stale, or something else is wrong
       amqp1-requirements --open     lists what shows nothing and has no reason, as TSV

       amqp1-requirements judged [--check] DIRECTORY
           writes judged.tsv from the reports of .ci/own_stack.sh; --check fails when the committed one has other
           verdicts, but for a few cases that were not judged in one of the two

       amqp1-requirements surprises REPORT
           lists the cases of a report that came out otherwise than recorded, with commas between them

       amqp1-requirements ran PROGRAMS OUTPUT
           fails when a test that the table names has not passed; PROGRAMS is what
           `cargo test --no-run --message-format=json` writes, OUTPUT what `cargo test` writes";

/// How many cases that keep a rule a run may leave unjudged, or judge in addition, because the machine is busy.
const UNSTEADY: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[&str]) -> Result<Vec<Problem>, String> {
    let root = root();
    let failed = |error| format!("{}: {error}", root.display());
    match arguments {
        [] => {
            fs::write(root.join(TABLE), table::markdown(&coverage(&root).map_err(failed)?)).map_err(failed)?;
            check(&root).map_err(failed)
        }
        ["--check"] => check(&root).map_err(failed),
        ["--open"] => {
            print!("{}", table::open(&coverage(&root).map_err(failed)?));
            Ok(vec![])
        }
        ["judged", "--check", directory] => {
            let differences = record(&root).map_err(failed)?.differences(&judged(directory)?);
            differences.iter().for_each(|difference| eprintln!("{difference}"));
            if differences.len() <= UNSTEADY && differences.iter().all(Difference::is_unsteady) {
                return Ok(vec![]);
            }
            Err(format!(
                "{RECORD} is not what this run has judged: run `cargo run -p amqp1-requirements -- judged {directory}`, \
                 review the difference, and commit it"
            ))
        }
        ["judged", directory] => {
            fs::write(root.join(RECORD), judged(directory)?.tsv()).map_err(failed)?;
            Ok(vec![])
        }
        ["surprises", file] => {
            let (report, is_strict) = report(Path::new(file))?;
            println!("{}", record(&root).map_err(failed)?.surprises(&report, is_strict).join(","));
            Ok(vec![])
        }
        ["ran", programs, output] => {
            let passed = Programs::read(&read(programs)?)?.passed(&read(output)?);
            Ok(not_run(&coverage(&root).map_err(failed)?, &passed))
        }
        _ => Err(USAGE.into()),
    }
}

/// The record of the reports in a directory: `server-default.json` and so on. What `server-default.again.json` has counts
/// before that.
fn judged(directory: &str) -> Result<Record, String> {
    let (mut default, mut strict) = (Vec::new(), Vec::new());
    let mut files: Vec<_> = fs::read_dir(directory)
        .and_then(|files| files.map(|file| file.map(|file| file.path())).collect::<Result<_, _>>())
        .map_err(|error| format!("{directory}: {error}"))?;
    files.sort();
    for file in files.iter().filter(|file| !file.to_string_lossy().ends_with(AGAIN)) {
        let (mut first, is_strict) = report(file)?;
        let again = file.with_extension(&AGAIN[1..]);
        if again.exists() {
            replace(&mut first, &report(&again)?.0);
        }
        if is_strict { strict.push(first) } else { default.push(first) }
    }
    Record::of(&default, &strict)
}

/// The end of the name of a report of a second run.
const AGAIN: &str = ".again.json";

/// A report, and whether it is of the strict configuration, as its name says.
fn report(file: &Path) -> Result<(Report, bool), String> {
    let octets = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let report = Report::from_json(&octets).map_err(|error| format!("{}: {error}", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    match name.trim_end_matches(AGAIN).trim_end_matches(".json").rsplit('-').next() {
        Some("strict") => Ok((report, true)),
        Some("default") => Ok((report, false)),
        _ => Err(format!("{}: the name ends neither with default nor with strict", file.display())),
    }
}

fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))
}
