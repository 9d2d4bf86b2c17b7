//! One page that puts several peers side by side.

use super::{Report, Section, escape::Escaped, terminal::by_section};
use crate::{case::Role, run::CaseResult, verdict::Verdict};
use std::{collections::HashMap, fmt};

/// Shows reports as one HTML page without scripts and external resources: a table for each role, a row for each case, a
/// column for each peer. The conversation of a case is an overlay that its verdict links to.
#[derive(Clone, Copy, Debug)]
pub struct Html<'a> {
    reports: &'a [Report],
}

impl<'a> Html<'a> {
    /// The page of these reports.
    pub const fn new(reports: &'a [Report]) -> Self {
        Self { reports }
    }

    /// The reports of peers in this role, each with its number.
    fn of_role(&self, role: Role) -> Vec<(usize, &'a Report)> {
        self.reports.iter().enumerate().filter(|(_, report)| report.peer.role == role).collect()
    }
}

const STYLE: &str = include_str!("page.css");

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>AMQP 1.0 conformance</title>\n<style>\n{STYLE}</style>\n</head>\n<body id=\"top\">\n\
             <h1>AMQP 1.0 conformance</h1>\n"
        )?;
        for (role, title) in [(Role::Server, "Servers"), (Role::Client, "Clients")] {
            let reports = self.of_role(role);
            if !reports.is_empty() {
                writeln!(f, "<h2>{title}</h2>")?;
                summary(f, &reports)?;
                table(f, &reports)?;
            }
        }
        for (number, report) in self.reports.iter().enumerate() {
            report.cases.iter().try_for_each(|case| conversation(f, number, report, case))?;
        }
        writeln!(f, "</body>\n</html>")
    }
}

fn summary(f: &mut fmt::Formatter<'_>, reports: &[(usize, &Report)]) -> fmt::Result {
    write!(f, "<table class=\"summary\">\n<tr><th>peer</th>")?;
    for verdict in Verdict::ALL {
        write!(f, "<th>{verdict}</th>")?;
    }
    writeln!(f, "<th>level</th></tr>")?;
    for (_, report) in reports {
        let sheet = format!("{} over {}\n{}", report.peer.address, report.peer.transport, report.sheet);
        write!(
            f,
            "<tr><td><details><summary>{}</summary><pre>{}</pre></details></td>",
            Escaped(&report.peer.title()),
            Escaped(&sheet)
        )?;
        for verdict in Verdict::ALL {
            let count = report.count(verdict);
            let class = if count == 0 { "none" } else { verdict.name() };
            write!(f, "<td class=\"{class}\">{count}</td>")?;
        }
        let robustness = if report.robustness { ", robustness" } else { "" };
        writeln!(f, "<td>{}{robustness}</td></tr>", report.level.name())?;
    }
    writeln!(f, "</table>")
}

/// The columns in which a case has a result, in their order.
type Row<'a> = Vec<(usize, &'a CaseResult)>;

/// The cases of all reports by section, each once.
type Sections<'a> = Vec<(Section, Vec<&'a CaseResult>)>;

/// The sections of the table, and its rows by the ids of their cases.
fn rows<'a>(reports: &[(usize, &'a Report)]) -> (Sections<'a>, HashMap<&'a str, Row<'a>>) {
    let mut rows: HashMap<&str, Row<'_>> = HashMap::new();
    let mut first = Vec::new();
    for (column, (_, report)) in reports.iter().enumerate() {
        for case in &report.cases {
            let row = rows.entry(&case.id).or_default();
            if row.is_empty() {
                first.push(case);
            }
            // A report has each case once.
            if row.last().is_none_or(|(last, _)| *last != column) {
                row.push((column, case));
            }
        }
    }
    (by_section(first), rows)
}

/// The largest number of columns that a cell may span.
const MAX_SPAN: usize = 1000;

/// Cells for columns without a result. They take one element together, so that a page grows with its results alone.
fn gap(f: &mut fmt::Formatter<'_>, mut columns: usize) -> fmt::Result {
    while columns > 1 {
        let span = columns.min(MAX_SPAN);
        write!(f, "<td colspan=\"{span}\"></td>")?;
        columns = columns.saturating_sub(span);
    }
    if columns == 1 { write!(f, "<td></td>") } else { Ok(()) }
}

fn table(f: &mut fmt::Formatter<'_>, reports: &[(usize, &Report)]) -> fmt::Result {
    let (sections, rows) = rows(reports);
    for (section, cases) in sections {
        write!(
            f,
            "<details class=\"section\" open><summary>{} {}</summary>\n<table>\n<tr><th>case</th><th>rule</th>",
            Escaped(section.prefix),
            Escaped(section.title)
        )?;
        for (_, report) in reports {
            write!(f, "<th>{}</th>", Escaped(&report.peer.title()))?;
        }
        writeln!(f, "</tr>")?;
        for case in cases {
            write!(f, "<tr><td>{}</td><td>{}</td>", Escaped(&case.id), Escaped(&case.rule))?;
            let mut next = 0;
            for (column, result) in rows.get(case.id.as_str()).into_iter().flatten() {
                gap(f, column.saturating_sub(next))?;
                cell(f, reports.get(*column).map_or(0, |(number, _)| *number), result)?;
                next = column.saturating_add(1);
            }
            gap(f, reports.len().saturating_sub(next))?;
            writeln!(f, "</tr>")?;
        }
        writeln!(f, "</table></details>")?;
    }
    Ok(())
}

fn cell(f: &mut fmt::Formatter<'_>, number: usize, case: &CaseResult) -> fmt::Result {
    let verdict = case.outcome.verdict;
    let mark = if case.expected.is_some() { " (expected)" } else { "" };
    write!(
        f,
        "<td class=\"{verdict}\"><a href=\"#w{number}-{}\" title=\"{}\">{verdict}</a>{mark}</td>",
        anchor(&case.id),
        Escaped(&case.outcome.reason)
    )
}

/// An id as a part of an anchor: letters, digits, full stops and hyphens.
fn anchor(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' }).collect()
}

fn conversation(f: &mut fmt::Formatter<'_>, number: usize, report: &Report, case: &CaseResult) -> fmt::Result {
    let verdict = case.outcome.verdict;
    writeln!(
        f,
        "<section class=\"wire\" id=\"w{number}-{}\"><a class=\"close\" href=\"#top\">close</a>\n<h3>{} · {}</h3>\n\
         <p>{}</p>\n<p>Sends {}. Wants {}.</p>\n<p><b class=\"{verdict}\">{verdict}</b> {}</p>",
        anchor(&case.id),
        Escaped(&case.id),
        Escaped(&report.peer.title()),
        Escaped(&case.rule),
        Escaped(&case.sends),
        Escaped(&case.wants),
        Escaped(&case.outcome.reason)
    )?;
    if let Some(expected) = &case.expected {
        write!(f, "<p>Expected: {}", Escaped(&expected.reason))?;
        match &expected.link {
            Some(link) if link.starts_with("https://") || link.starts_with("http://") => {
                writeln!(f, " <a rel=\"noreferrer\" href=\"{0}\">{0}</a></p>", Escaped(link))?;
            }
            Some(link) => writeln!(f, " {}</p>", Escaped(link))?,
            None => writeln!(f, "</p>")?,
        }
    }
    for (index, entries) in case.wire.iter().enumerate() {
        writeln!(f, "<h4>Connection {}</h4>\n<table class=\"log\">", index.saturating_add(1))?;
        for entry in entries {
            let arrow = if entry.direction == "sent" { "→" } else { "←" };
            writeln!(
                f,
                "<tr class=\"{}\"><td>{}</td><td>{arrow}</td><td>{}</td><td><code>{}</code></td></tr>",
                Escaped(&entry.direction),
                milliseconds(entry.at_us),
                Escaped(&entry.text),
                Escaped(&entry.hex)
            )?;
        }
        writeln!(f, "</table>")?;
    }
    writeln!(f, "</section>")
}

fn milliseconds(micros: u64) -> String {
    format!("{}.{:03} ms", micros / 1000, micros % 1000)
}
