//! The end of a run: the report is shown and written, and becomes the exit code.

use super::{Exit, Failure, args::OutputArgs, files::Files, output, progress::sheet_in_words};
use crate::{
    case::Role,
    report::{Changes, Report, Terminal, one_line},
    run::{CaseResult, FailOn, Options},
    verdict::Verdict,
};
use std::{
    env,
    io::{self, IsTerminal},
    path::Path,
};

/// The files that a run reads and writes at its end, opened before it begins.
pub(super) struct Ready {
    old: Option<Report>,
    files: Files,
}

impl Ready {
    /// Reads the baseline, and opens the files, of a run whose peer has this role.
    pub(super) fn new(role: Role, args: &OutputArgs) -> Result<Self, Failure> {
        let old = args.baseline.as_deref().map(|path| baseline(path, role)).transpose()?;
        Ok(Self { old, files: Files::open(args)? })
    }

    /// Shows the report, then writes it: neither a disk that is full nor an output that takes nothing hides the verdicts.
    pub(super) fn finish(self, report: &Report, options: &Options, args: &OutputArgs) -> Result<Exit, Failure> {
        let Self { old, files } = self;
        let changes = old.as_ref().map(|old| Changes::between(old, report).within(&options.selection));
        let printed = print(report, changes.as_ref(), args);
        files.write(report, options.fail_on)?;
        printed?;
        if report.interrupted {
            output::warn("the run was interrupted: the cases that it had not judged are unreachable");
            return Ok(Exit::Interrupted);
        }
        hint(report, options.fail_on, args);
        let exit = match &changes {
            Some(changes) => exit(changes.worse(options.fail_on)),
            None => exit(report.unexpected(options.fail_on)),
        };
        let is_void = judges_nothing(report, old.as_ref(), options.fail_on);
        Ok(if is_void { exit.max(Exit::Failed) } else { exit })
    }
}

/// Reads a baseline. The cases of the other role have the same ids, and other rules.
fn baseline(path: &Path, role: Role) -> Result<Report, Failure> {
    let report = output::read(path)?;
    let roles = [report.peer.role].into_iter().chain(report.cases.iter().map(|case| case.role));
    match roles.into_iter().find(|other| *other != role) {
        Some(other) => {
            Err(Failure::usage(format!("{}: the baseline is the report of a {other}, not of a {role}", path.display())))
        }
        None => Ok(report),
    }
}

/// Says where more about a failure is to be found.
fn hint(report: &Report, fail_on: FailOn, args: &OutputArgs) {
    let Some(case) = report.unexpected(fail_on).next() else { return };
    let page = if args.html.is_some() { "" } else { ", and --html FILE writes a page with the conversations" };
    eprintln!("amqp-conformance: `amqp-conformance list --explain {}` explains a case{page}", one_line(&case.id));
}

/// Warns of a run that has judged nothing. Returns `true` if it fails for that: a case was not reached, and an earlier
/// report, if there is one, has judged something.
fn judges_nothing(report: &Report, old: Option<&Report>, fail_on: FailOn) -> bool {
    let has_judged = |report: &Report| report.cases.iter().any(|case| case.outcome.verdict.is_judgement());
    if has_judged(report) {
        return false;
    }
    output::warn(
        "no case has judged the peer: the reasons are in the tree. With --fail-on unreachable, each case that was not \
         reached fails the run",
    );
    let is_lost = |case: &CaseResult| case.outcome.verdict == Verdict::Unreachable && case.expected.is_none();
    fail_on != FailOn::Never && old.is_none_or(has_judged) && report.cases.iter().any(is_lost)
}

fn print(report: &Report, changes: Option<&Changes<'_>>, args: &OutputArgs) -> Result<(), Failure> {
    let has_colours = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
    let sheet = sheet_in_words(&report.sheet);
    output::show(&match changes {
        Some(changes) => format!("{changes}\n{}", Terminal::new(report, has_colours, false).summary()),
        None => format!("{sheet}\n\n{}", Terminal::new(report, has_colours, args.verbose)),
    })
}

/// The exit code for these results, none of which should have been.
fn exit<'a>(unexpected: impl Iterator<Item = &'a CaseResult>) -> Exit {
    match unexpected.map(|case| case.outcome.verdict).max() {
        None => Exit::AsExpected,
        Some(Verdict::Hung | Verdict::Crashed) => Exit::Crashed,
        Some(_) => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Case, Outcome, server::ServerTarget};

    fn report(verdicts: &[Verdict]) -> Report {
        let of = |verdict: &Verdict| CaseResult::without_run(&Case::SERVER, Outcome::new(*verdict, "as it is"));
        let target = ServerTarget::new(([127, 0, 0, 1], 5672).into(), "q").into();
        Report::new(&target, &Default::default(), &Options::default(), verdicts.iter().map(of).collect(), Vec::new())
    }

    #[test]
    fn a_run_that_reaches_no_case_fails() {
        use Verdict::{Info, Pass, Skip, Unreachable};
        let fails = |verdicts: &[Verdict]| judges_nothing(&report(verdicts), None, FailOn::Fail);
        assert!(fails(&[Unreachable, Skip, Info]));
        assert!(!fails(&[Unreachable, Pass]));
        assert!(!fails(&[Skip, Info]), "the peer was reached, and offers nothing that is judged");
        assert!(!judges_nothing(&report(&[Unreachable]), None, FailOn::Never));
        let old = |verdict| judges_nothing(&report(&[Unreachable]), Some(&report(&[verdict])), FailOn::Fail);
        assert_eq!((old(Pass), old(Unreachable)), (true, false), "a baseline excuses what was so before");
    }
}
