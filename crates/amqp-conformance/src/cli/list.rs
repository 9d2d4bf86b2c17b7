//! `amqp-conformance list`.

use super::{Exit, Failure, args::ListArgs, output};
use crate::{
    case::{Case, Check, Role, Severity},
    coverage::Coverage,
    profile::{Profile, ProfileError},
    run::{Level, Selection, Selector},
};
use std::fmt::Write as _;

pub(super) fn run(args: &ListArgs) -> Result<Exit, Failure> {
    let text = if args.coverage {
        Coverage::of_this_crate().map_err(Failure::usage)?.to_string()
    } else if let Some(name) = &args.profiles {
        profiles(name.as_deref())?
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

/// The names of the profiles, or the text of one.
fn profiles(name: Option<&str>) -> Result<String, Failure> {
    if let Some(name) = name {
        return Profile::text(name).map(String::from).ok_or_else(|| Failure::usage(ProfileError::unknown(name)));
    }
    let mut text = String::new();
    for name in Profile::names() {
        let profile = Profile::find(name).map_err(|error| output::in_file(name.as_ref(), &error))?;
        writeln!(text, "{:6} {name}", profile.role().map_or("", role_name)).unwrap_or_default();
    }
    Ok(text)
}

const fn role(case: &Case) -> &'static str {
    role_name(case.role())
}

const fn role_name(role: Role) -> &'static str {
    match role {
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
