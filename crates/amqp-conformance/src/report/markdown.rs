//! The summary of several reports as a table in Markdown.

use super::{Report, escape::InMarkdown};
use crate::{case::Role, verdict::Verdict};
use std::fmt;

/// Shows the number of cases of each verdict, a line for each report.
#[derive(Clone, Copy, Debug)]
pub struct Markdown<'a> {
    reports: &'a [Report],
}

impl<'a> Markdown<'a> {
    /// The table of these reports.
    pub const fn new(reports: &'a [Report]) -> Self {
        Self { reports }
    }
}

impl fmt::Display for Markdown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (role, title) in [(Role::Server, "server"), (Role::Client, "client")] {
            let mut reports = self.reports.iter().filter(|report| report.peer.role == role).peekable();
            if reports.peek().is_none() {
                continue;
            }
            write!(f, "| {title} |")?;
            Verdict::ALL.iter().try_for_each(|verdict| write!(f, " {verdict} |"))?;
            write!(f, " expected |\n|---|")?;
            writeln!(f, "{}", "---:|".repeat(Verdict::ALL.len().saturating_add(1)))?;
            for report in reports {
                write!(f, "| {} |", InMarkdown(&report.peer.title()))?;
                Verdict::ALL.iter().try_for_each(|verdict| write!(f, " {} |", report.count(*verdict)))?;
                writeln!(f, " {} |", report.cases.iter().filter(|case| case.expected.is_some()).count())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
