//! What both roles do before and after a run.

use super::{
    Exit, Failure,
    args::{OutputArgs, RunArgs},
    progress::{Progress, sheet_in_words},
};
use crate::{
    case::Role,
    report::{Expectations, Report, Terminal},
    run::{self, FailOn, Options, RunError, Target},
    verdict::Verdict,
};
use std::{
    env, fs,
    io::{self, IsTerminal, Write},
    path::Path,
};

/// The options of a run, as far as both roles have them.
pub(super) fn options(args: &RunArgs, known: Expectations) -> Result<Options, Failure> {
    let from_file = match &args.output.expected {
        Some(path) => Expectations::read(path).map_err(|error| in_file(path, &error))?,
        None => Expectations::default(),
    };
    Ok(Options {
        selection: args.select.selection(false),
        timeout: args.timeout,
        fail_fast: args.fail_fast,
        keep_going: args.keep_going,
        fail_on: args.fail_on.into(),
        peer_name: args.peer_name.clone(),
        jobs: args.jobs.into(),
        expectations: known.and(from_file),
        ..Options::default()
    })
}

/// An error in a file, with all of its causes.
pub(super) fn in_file(path: &Path, error: &dyn std::error::Error) -> Failure {
    let mut reason = format!("{}: {error}", path.display());
    let mut cause = error.source();
    while let Some(error) = cause {
        reason = format!("{reason}: {error}");
        cause = error.source();
    }
    Failure::usage(reason.replace('\n', " "))
}

/// Lists the cases that would run.
pub(super) fn dry_run(role: Role, options: &Options) -> Result<Exit, Failure> {
    let cases = run::selected(role, &options.selection);
    let mut out = io::stdout().lock();
    for case in &cases {
        if writeln!(out, "{}  {}", case.id, case.rule).is_err() {
            break;
        }
    }
    if cases.is_empty() { Err(Failure::usage(RunError::NoCase)) } else { Ok(Exit::AsExpected) }
}

/// Runs the cases, and writes every report that was asked for.
pub(super) fn run_and_report(target: Target, options: &Options, args: &OutputArgs) -> Result<Exit, Failure> {
    let progress = Progress::new(args.quiet, options.fail_on);
    let report = run::run_with(target, options, &|event| progress.show(event));
    progress.finish();
    let report = report.map_err(|error| match error {
        RunError::Unreachable(_) => Failure::unreachable(error),
        _ => Failure::usage(error),
    })?;
    write_reports(&report, args)?;
    print(&report, args)?;
    Ok(exit(&report, options.fail_on))
}

fn write_reports(report: &Report, args: &OutputArgs) -> Result<(), Failure> {
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(report).map_err(Failure::usage)?;
        write(path, &json)?;
    }
    Ok(())
}

/// Writes a file, or says why not.
pub(super) fn write(path: &Path, octets: &[u8]) -> Result<(), Failure> {
    fs::write(path, octets).map_err(|error| in_file(path, &error))
}

fn print(report: &Report, args: &OutputArgs) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let has_colours = out.is_terminal() && env::var_os("NO_COLOR").is_none();
    let sheet = sheet_in_words(&report.sheet);
    // A reader that goes away is no failure of the run.
    let written = write!(out, "{sheet}\n\n{}", Terminal::new(report, has_colours, args.verbose));
    written.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(Failure::usage(error)) })
}

fn exit(report: &Report, fail_on: FailOn) -> Exit {
    let worst = report.unexpected(fail_on).map(|case| case.outcome.verdict).max();
    match worst {
        None => Exit::AsExpected,
        Some(Verdict::Hung | Verdict::Crashed) => Exit::Crashed,
        Some(_) => Exit::Failed,
    }
}
