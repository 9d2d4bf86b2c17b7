//! Writes `REQUIREMENTS.md`, checks it, or says what is open.

#![forbid(unsafe_code)]

use std::{env, fs, process::ExitCode};

use amqp1_requirements::{TABLE, check, coverage, problem::Problem, root, table};

const USAGE: &str = "\
usage: amqp1-requirements            writes REQUIREMENTS.md
       amqp1-requirements --check    fails when it is stale, or something else is wrong
       amqp1-requirements --open     lists the requirements with neither a test nor a reason, as TSV";

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
        _ => Err(USAGE.into()),
    }
}
