//! What both roles do before and after a run.

use super::{
    Exit, Failure,
    args::{OutputArgs, RunArgs},
    progress::Progress,
    ready::Ready,
    signals,
};
use crate::{
    case::{Case, Role, Severity, Tag},
    client::{ClientTarget, stand::Stand},
    profile::{Profile, ProfileError},
    report::{Expectations, Report, one_line},
    repro::{self, ReplayError, Script, ScriptError},
    run::{self, Level, Options, RunError, Selection, Target},
};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _, Write as _},
    path::Path,
};

/// The profile of this name, of a peer in this role; an empty one without a name.
pub(super) fn profile(name: Option<&str>, role: Role) -> Result<Profile, Failure> {
    let Some(name) = name else { return Ok(Profile::default()) };
    let profile = Profile::find(name).map_err(|error| match error {
        // It says the name itself.
        ProfileError::Unknown { .. } => because(&error),
        error => in_file(name.as_ref(), &error),
    })?;
    match profile.role() {
        Some(other) if other != role => Err(Failure::usage(format!("{name} is the profile of a {other}"))),
        _ => Ok(profile),
    }
}

/// The options of a run, as far as both roles have them.
pub(super) fn options(role: Role, args: &RunArgs, profile: &Profile) -> Result<Options, Failure> {
    let known = profile.expectations().map_err(Failure::usage)?;
    let from_file = match &args.output.expected {
        Some(path) => Expectations::read(path).map_err(|error| in_file(path, &error))?,
        None => Expectations::default(),
    };
    for case in from_file.unknown() {
        warn(&format!("no case is named {case:?}, which is expected to fail"));
    }
    for selector in args.select.only.iter().chain(&args.select.exclude) {
        if !crate::cases().any(|case| case.role() == role && selector.selects(case)) {
            warn(&format!("{selector} selects no case of a {role}"));
        }
    }
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
    let cases = selected(role, &options.selection)?;
    show(&cases.iter().map(|case| format!("{}  {}\n", case.id, case.rule)).collect::<String>())?;
    Ok(Exit::AsExpected)
}

/// The cases of a run; if there are none, an error that says what those that are named need.
fn selected(role: Role, selection: &Selection) -> Result<Vec<&'static Case>, Failure> {
    let cases = run::selected(role, selection);
    if !cases.is_empty() {
        return Ok(cases);
    }
    let all = Selection { level: Level::Strict, robustness: true, slow: true, restart: true, ..selection.clone() };
    let needs: BTreeSet<String> =
        run::selected(role, &all).iter().map(|case| needs(case, selection).join(" and ")).collect();
    if needs.is_empty() {
        return Err(Failure::usage(RunError::NoCase));
    }
    let needs = needs.into_iter().collect::<Vec<_>>().join(", or ");
    Err(Failure::usage(format!("no case is selected: those that are named run only with {needs}")))
}

/// The options without which a case does not run.
fn needs(case: &Case, selection: &Selection) -> Vec<&'static str> {
    let is_strict = selection.level.is_strict();
    let options = [
        ("--robustness", case.has(Tag::Hostile) && !selection.robustness),
        ("--slow", case.has(Tag::Slow) && !selection.slow),
        ("--restart COMMAND", case.has(Tag::Restart) && !selection.restart),
        ("--level strict", case.has(Tag::Strict) && !is_strict),
        ("--level should", !case.has(Tag::Strict) && case.severity != Severity::Must && selection.level == Level::Must),
    ];
    options.into_iter().filter(|(_, is_needed)| *is_needed).map(|(name, _)| name).collect()
}

/// A warning, on standard error.
pub(super) fn warn(text: &str) {
    eprintln!("amqp-conformance: warning: {}", one_line(text));
}

/// Runs what was asked for: the cases, one of them for its script, or a script.
pub(super) fn run(target: Target, options: &Options, args: &RunArgs) -> Result<Exit, Failure> {
    let secrets = target.secrets();
    let without_secrets = |Failure { exit, reason }| Failure { exit, reason: secrets.text(&reason) };
    run_any(target, options, args).map_err(without_secrets)
}

fn run_any(target: Target, options: &Options, args: &RunArgs) -> Result<Exit, Failure> {
    let role = target.role();
    if args.repro.is_some() || args.replay.is_some() {
        signals::watch(None).map_err(Failure::usage)?;
    }
    if let Some(id) = &args.repro {
        let transport = target.transport();
        let (result, mut script) = run::repro(target, id, options).map_err(|error| match error {
            RunError::NoCase => Failure::usage(unknown_case(role, id)),
            error => of_run(error),
        })?;
        script.remarks.push(format!("over {transport}"));
        eprintln!("{} {}: {}", result.outcome.verdict, result.id, one_line(&result.outcome.reason));
        show(&script.to_string())?;
        return Ok(Exit::AsExpected);
    }
    match &args.replay {
        Some(path) => replay(&target, path),
        None => run_and_report(target, options, &args.output),
    }
}

/// Says that there is no such case, and which cases a row has.
fn unknown_case(role: Role, id: &str) -> String {
    let cases = crate::cases().filter(|case| case.role() == role && case.row() == id);
    match cases.map(|case| case.id).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => format!("no case of a {role} is named {id:?}"),
        cases => format!("{id} is a row of several cases: use one of {cases}"),
    }
}

fn of_run(error: RunError) -> Failure {
    match error {
        RunError::Unreachable(_) | RunError::Refused(_) => Failure::unreachable(error),
        RunError::Crashed(_) => Failure { exit: Exit::Crashed, reason: error.to_string() },
        RunError::Interrupted => Failure { exit: Exit::Interrupted, reason: error.to_string() },
        _ => Failure::usage(error),
    }
}

fn replay(target: &Target, path: &Path) -> Result<Exit, Failure> {
    let text = read_at_most(path, MAX_SCRIPT)?;
    let text = String::from_utf8(text).map_err(|error| in_file(path, &error))?;
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
    if replayed.differences.is_empty() {
        text += "as in the script\n";
    }
    show(&text)?;
    Ok(if replayed.differences.is_empty() { Exit::AsExpected } else { Exit::Failed })
}

/// Runs the cases, and writes every report that was asked for.
fn run_and_report(target: Target, options: &Options, args: &OutputArgs) -> Result<Exit, Failure> {
    selected(target.role(), &options.selection)?;
    let ready = Ready::new(target.role(), args)?;
    signals::watch(Some(options.interrupt.clone())).map_err(Failure::usage)?;
    let progress = Progress::new(args.quiet, options.fail_on);
    let report = run::run_with(target, options, &|event| progress.show(event));
    progress.finish();
    ready.finish(&report.map_err(of_run)?, options, args)
}

/// Serves each case at an address of its own, until the report is fetched.
pub(super) fn stand(target: ClientTarget, options: Options, args: &OutputArgs) -> Result<Exit, Failure> {
    selected(Role::Client, &options.selection)?;
    let ready = Ready::new(Role::Client, args)?;
    signals::watch(Some(options.interrupt.clone())).map_err(Failure::usage)?;
    let progress = Progress::new(args.quiet, options.fail_on);
    let stand = Stand::open(target, options.clone()).map_err(of_run)?;
    let address = stand.address().map_err(Failure::unreachable)?;
    eprintln!("amqp-conformance: list and report are at {address}, in the nodes `list` and `report`");
    let report = stand.serve(&|event| progress.show(event));
    progress.finish();
    ready.finish(&report.map_err(Failure::unreachable)?, &options, args)
}

/// The largest report that is read, in octets.
const MAX_REPORT: u64 = 1024 * 1024 * 1024;
/// The largest script that is read, in octets.
const MAX_SCRIPT: u64 = 64 * 1024 * 1024;

/// Reads a report.
pub(super) fn read(path: &Path) -> Result<Report, Failure> {
    let json = read_at_most(path, MAX_REPORT)?;
    Report::from_json(&json).map_err(|error| in_file(path, &error))
}

fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    let file = File::open(path).map_err(|error| in_file(path, &error))?;
    file.take(limit).read_to_end(&mut octets).map_err(|error| in_file(path, &error))?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) >= limit {
        return Err(Failure::usage(format!("{}: it is larger than {} MiB", path.display(), limit / (1024 * 1024))));
    }
    Ok(octets)
}

/// Writes to standard output. A reader that goes away is not an error.
pub(super) fn show(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::usage(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
