//! What both roles do before and after a run.

use super::{
    Exit, Failure,
    args::{OutputArgs, RunArgs},
    progress::{Progress, sheet_in_words},
};
use crate::{
    case::Role,
    client::{ClientTarget, stand::Stand},
    profile::Profile,
    report::{Changes, Expectations, Html, Junit, Report, Terminal, one_line},
    repro::{self, ReplayError, Script, ScriptError},
    run::{self, CaseResult, FailOn, Options, RunError, Target},
    verdict::Verdict,
};
use std::{
    env, fs,
    io::{self, IsTerminal, Write},
    path::Path,
    slice,
};

/// The profile of this name; an empty one without a name.
pub(super) fn profile(name: Option<&str>) -> Result<Profile, Failure> {
    name.map_or_else(
        || Ok(Profile::default()),
        |name| Profile::find(name).map_err(|error| in_file(name.as_ref(), &error)),
    )
}

/// The options of a run, as far as both roles have them.
pub(super) fn options(args: &RunArgs, profile: &Profile) -> Result<Options, Failure> {
    let known = profile.expectations().map_err(Failure::usage)?;
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
        peer_name: args.peer_name.clone().or_else(|| profile.name.clone()),
        jobs: args.jobs.into(),
        expectations: known.and(from_file),
        ..Options::default()
    })
}

/// An error in a file, with all of its causes.
pub(super) fn in_file(path: &Path, error: &dyn std::error::Error) -> Failure {
    let Failure { exit, reason } = because(error);
    Failure { exit, reason: format!("{}: {reason}", path.display()) }
}

/// An error of usage, with all of its causes.
pub(super) fn because(error: &dyn std::error::Error) -> Failure {
    let mut reason = error.to_string();
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
    show(&cases.iter().map(|case| format!("{}  {}\n", case.id, case.rule)).collect::<String>())?;
    if cases.is_empty() { Err(Failure::usage(RunError::NoCase)) } else { Ok(Exit::AsExpected) }
}

/// Runs what was asked for: the cases, one of them for its script, or a script.
pub(super) fn run(target: Target, options: &Options, args: &RunArgs) -> Result<Exit, Failure> {
    if let Some(id) = &args.repro {
        let (result, script) = run::repro(target, id, options).map_err(|error| match error {
            RunError::NoCase => Failure::usage(format!("no case for this role is named {id:?}")),
            error => of_run(error),
        })?;
        eprintln!("{} {}: {}", result.outcome.verdict, result.id, one_line(&result.outcome.reason));
        show(&script.to_string())?;
        return Ok(Exit::AsExpected);
    }
    match &args.replay {
        Some(path) => replay(&target, path),
        None => run_and_report(target, options, &args.output),
    }
}

fn of_run(error: RunError) -> Failure {
    match error {
        RunError::Unreachable(_) => Failure::unreachable(error),
        _ => Failure::usage(error),
    }
}

fn replay(target: &Target, path: &Path) -> Result<Exit, Failure> {
    let text = fs::read_to_string(path).map_err(|error| in_file(path, &error))?;
    let script: Script = text.parse().map_err(|error: ScriptError| in_file(path, &error))?;
    let replayed = repro::replay(&script, target).map_err(|error| match error {
        ReplayError::Unreachable(_) => Failure::unreachable(error),
        _ => because(&error),
    })?;
    let mut text = String::new();
    for (entries, number) in replayed.wire.iter().zip(1usize..) {
        text += &format!("connection {number}\n");
        for entry in entries {
            let arrow = if entry.direction == "sent" { "->" } else { "<-" };
            let (seconds, micros) = (entry.at_us / 1_000_000, entry.at_us % 1_000_000);
            text += &format!("  {seconds:>3}.{micros:06} {arrow} {}\n", one_line(&entry.text));
        }
    }
    for difference in &replayed.differences {
        text += &format!("differs on {}\n", one_line(difference));
    }
    show(&text)?;
    Ok(if replayed.differences.is_empty() { Exit::AsExpected } else { Exit::Failed })
}

/// Runs the cases, and writes every report that was asked for.
fn run_and_report(target: Target, options: &Options, args: &OutputArgs) -> Result<Exit, Failure> {
    let progress = Progress::new(args.quiet, options.fail_on);
    let report = run::run_with(target, options, &|event| progress.show(event));
    progress.finish();
    finish(&report.map_err(of_run)?, options, args)
}

/// Serves each case at an address of its own, until the report is fetched.
pub(super) fn stand(target: ClientTarget, options: Options, args: &OutputArgs) -> Result<Exit, Failure> {
    let progress = Progress::new(args.quiet, options.fail_on);
    let stand = Stand::open(target, options.clone()).map_err(of_run)?;
    let address = stand.address().map_err(Failure::unreachable)?;
    eprintln!("amqp-conformance: list and report are at {address}, in the nodes `list` and `report`");
    let report = stand.serve(&|event| progress.show(event));
    progress.finish();
    finish(&report.map_err(Failure::unreachable)?, &options, args)
}

fn finish(report: &Report, options: &Options, args: &OutputArgs) -> Result<Exit, Failure> {
    let old = args.baseline.as_deref().map(read).transpose()?;
    write_reports(report, options.fail_on, args)?;
    let changes = old.as_ref().map(|old| Changes::between(old, report));
    print(report, changes.as_ref(), args)?;
    Ok(match &changes {
        Some(changes) => exit(changes.worse(options.fail_on)),
        None => exit(report.unexpected(options.fail_on)),
    })
}

/// Reads a report.
pub(super) fn read(path: &Path) -> Result<Report, Failure> {
    let json = fs::read(path).map_err(|error| in_file(path, &error))?;
    Report::from_json(&json).map_err(|error| in_file(path, &error))
}

fn write_reports(report: &Report, fail_on: FailOn, args: &OutputArgs) -> Result<(), Failure> {
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(report).map_err(Failure::usage)?;
        write(path, &json)?;
    }
    if let Some(path) = &args.junit {
        write(path, Junit::new(report, fail_on).to_string().as_bytes())?;
    }
    if let Some(path) = &args.html {
        write(path, Html::new(slice::from_ref(report)).to_string().as_bytes())?;
    }
    Ok(())
}

/// Writes a file, or says why not.
pub(super) fn write(path: &Path, octets: &[u8]) -> Result<(), Failure> {
    fs::write(path, octets).map_err(|error| in_file(path, &error))
}

fn print(report: &Report, changes: Option<&Changes<'_>>, args: &OutputArgs) -> Result<(), Failure> {
    let has_colours = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
    let sheet = sheet_in_words(&report.sheet);
    show(&match changes {
        Some(changes) => format!("{changes}\n{}", Terminal::new(report, has_colours, false).summary()),
        None => format!("{sheet}\n\n{}", Terminal::new(report, has_colours, args.verbose)),
    })
}

/// Writes to standard output. A reader that goes away is not an error.
pub(super) fn show(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::usage(error)),
        _ => Ok(()),
    }
}

/// The exit code for these results, none of which should have been.
fn exit<'a>(unexpected: impl Iterator<Item = &'a CaseResult>) -> Exit {
    match unexpected.map(|case| case.outcome.verdict).max() {
        None => Exit::AsExpected,
        Some(Verdict::Hung | Verdict::Crashed) => Exit::Crashed,
        Some(_) => Exit::Failed,
    }
}
