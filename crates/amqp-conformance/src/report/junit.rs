//! A report as JUnit XML, for the pages of CI services.

use super::{Report, escape::Escaped, one_line, terminal::by_section};
use crate::{
    run::{CaseResult, FailOn},
    verdict::Verdict,
};
use std::fmt;

/// Shows a report as JUnit XML: a suite for each section, and a test for each case.
///
/// What makes the run fail is a failure. What was not judged, or is expected, is skipped with its reason.
#[derive(Clone, Copy, Debug)]
pub struct Junit<'a> {
    report: &'a Report,
    fail_on: FailOn,
}

impl<'a> Junit<'a> {
    /// The XML of this report.
    pub const fn new(report: &'a Report, fail_on: FailOn) -> Self {
        Self { report, fail_on }
    }

    fn fails(&self, case: &CaseResult) -> bool {
        self.fail_on.includes(case.outcome.verdict) && case.expected.is_none()
    }

    fn is_skipped(&self, case: &CaseResult) -> bool {
        let is_unjudged = matches!(case.outcome.verdict, Verdict::Skip | Verdict::Unreachable | Verdict::Info);
        !self.fails(case) && (is_unjudged || case.expected.is_some())
    }

    fn counts(&self, cases: &[&CaseResult]) -> String {
        let failures = cases.iter().filter(|case| self.fails(case)).count();
        let skipped = cases.iter().filter(|case| self.is_skipped(case)).count();
        let micros = cases.iter().fold(0u64, |sum, case| sum.saturating_add(case.took_us));
        let tests = cases.len();
        format!(
            "tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{}\"",
            seconds(micros)
        )
    }

    fn case(&self, f: &mut fmt::Formatter<'_>, suite: &str, case: &CaseResult) -> fmt::Result {
        let (name, time) = (Escaped(&case.id), seconds(case.took_us));
        write!(f, "    <testcase classname=\"{}\" name=\"{name}\" time=\"{time}\"", Escaped(suite))?;
        let line = one_line(&case.outcome.reason);
        let (verdict, reason) = (case.outcome.verdict, Escaped(&line));
        if self.fails(case) {
            write!(f, ">\n      <failure type=\"{verdict}\" message=\"{reason}\">{}", Escaped(&case.rule))?;
            write!(f, "\nsends: {}\nwants: {}\n", Escaped(&case.sends), Escaped(&case.wants))?;
            for entry in case.wire.iter().flatten() {
                writeln!(f, "{} {}", Escaped(&entry.direction), Escaped(&one_line(&entry.text)))?;
            }
            write!(f, "</failure>\n    </testcase>")?;
        } else if self.is_skipped(case) {
            let why = case.expected.as_ref().map_or(case.outcome.reason.as_str(), |expected| &expected.reason);
            write!(f, ">\n      <skipped message=\"{verdict}: {}\"/>\n    </testcase>", Escaped(why))?;
        } else if verdict != Verdict::Pass {
            write!(f, ">\n      <system-out>{verdict}: {reason}</system-out>\n    </testcase>")?;
        } else {
            write!(f, "/>")?;
        }
        writeln!(f)
    }
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

impl fmt::Display for Junit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<&CaseResult> = self.report.cases.iter().collect();
        writeln!(f, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        writeln!(f, "<testsuites name=\"{}\" {}>", Escaped(&self.report.peer.title()), self.counts(&all))?;
        for (section, cases) in by_section(&self.report.cases) {
            let suite = format!("{} {}", section.prefix, section.title);
            writeln!(f, "  <testsuite name=\"{}\" {}>", Escaped(&suite), self.counts(&cases))?;
            let transport = Escaped(&self.report.peer.transport);
            writeln!(f, "    <properties><property name=\"transport\" value=\"{transport}\"/></properties>")?;
            cases.iter().try_for_each(|case| self.case(f, &suite, case))?;
            writeln!(f, "  </testsuite>")?;
        }
        writeln!(f, "</testsuites>")
    }
}
