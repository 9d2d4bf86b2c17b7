//! `amqp-conformance list`.

use super::{Exit, Failure, args::ListArgs, output};
use crate::{
    case::{Case, Check, Role, Severity},
    coverage::Coverage,
    run::{Level, Selection, Selector},
};
use std::fmt::Write as _;

pub(super) fn run(args: &ListArgs) -> Result<Exit, Failure> {
    let text = if args.coverage {
        Coverage::of_this_crate().map_err(Failure::usage)?.to_string()
    } else if let Some(id) = &args.explain {
        explain(id)?
    } else {
        // Every case, whatever has to be asked for before it runs.
        let selection = Selection {
            level: Level::Strict,
            robustness: true,
            slow: true,
            restart: true,
            only: args.only.clone(),
            exclude: args.exclude.clone(),
        };
        let cases = crate::cases().filter(|case| selection.contains(case));
        cases.fold(String::new(), |list, case| list + &format!("{:6} {}  {}\n", role(case), case.id, case.rule))
    };
    output::show(&text)?;
    Ok(Exit::AsExpected)
}

const fn role(case: &Case) -> &'static str {
    match case.role() {
        Role::Server => "server",
        Role::Client => "client",
    }
}

/// Its name in JSON.
const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Must => "must",
        Severity::Should => "should",
        Severity::May => "may",
    }
}

/// Everything about the cases of an id or a row.
fn explain(id: &str) -> Result<String, Failure> {
    let mut text = String::new();
    for case in crate::cases().filter(|case| case.id == id || case.row() == id) {
        // Writing to a `String` does not fail.
        write!(text, "{} ({})\n  {}\n", case.id, role(case), case.rule).unwrap_or_default();
        write!(text, "  sends     {}\n  wants     {}\n", case.sends, case.wants).unwrap_or_default();
        writeln!(text, "  severity  {}", severity(case.severity)).unwrap_or_default();
        if let Check::Client(scenario, _) = case.check {
            writeln!(text, "  scenario  {}", scenario.name()).unwrap_or_default();
        }
        if let Some(twin) = case.twin {
            writeln!(text, "  twin      {}", twin.name).unwrap_or_default();
        }
        for need in case.needs {
            writeln!(text, "  needs     {}", need.name()).unwrap_or_default();
        }
        for tag in case.tags {
            writeln!(text, "  tag       {}", Selector::Tag(*tag)).unwrap_or_default();
        }
        text.push('\n');
    }
    let coverage = Coverage::of_this_crate().map_err(Failure::usage)?;
    for (role, reason) in coverage.exemptions(id) {
        writeln!(text, "{id} has no case for {role}s: {reason}").unwrap_or_default();
    }
    if text.is_empty() { Err(Failure::usage(format!("no case or row is named {id:?}"))) } else { Ok(text) }
}
