//! A report as a tree in the terminal.

use super::{Report, Section, escape::one_line, section_of, sections::place_of};
use crate::{run::CaseResult, verdict::Verdict};
use std::fmt;

/// Shows a report as a tree: parts of the specification, sections, cases.
#[derive(Clone, Copy, Debug)]
pub struct Terminal<'a> {
    report: &'a Report,
    has_colours: bool,
    shows_all: bool,
}

impl<'a> Terminal<'a> {
    /// The tree of this report. It shows the cases that do not pass, and with `shows_all` every one.
    pub const fn new(report: &'a Report, has_colours: bool, shows_all: bool) -> Self {
        Self { report, has_colours, shows_all }
    }

    fn paint(&self, verdict: Verdict, text: &str) -> String {
        if !self.has_colours {
            return String::from(text);
        }
        let colour = match verdict {
            Verdict::Pass => 32,
            Verdict::PassWider => 36,
            Verdict::Info | Verdict::Skip | Verdict::Unreachable => 90,
            Verdict::Warn => 33,
            Verdict::Fail => 31,
            Verdict::Hung | Verdict::Crashed => 35,
        };
        format!("\u{1b}[{colour}m{text}\u{1b}[0m")
    }

    fn case(&self, f: &mut fmt::Formatter<'_>, case: &CaseResult) -> fmt::Result {
        let verdict = case.outcome.verdict;
        let mark = self.paint(verdict, &format!("{} {:<11}", mark(verdict), verdict.name()));
        writeln!(f, "    {mark} {}  {}", one_line(&case.id), one_line(&case.rule))?;
        if !case.outcome.reason.is_empty() {
            writeln!(f, "                  {}", one_line(&case.outcome.reason))?;
        }
        if verdict >= Verdict::Fail && case.expected.is_none() {
            writeln!(f, "                  sends: {}", one_line(&case.sends))?;
            writeln!(f, "                  wants: {}", one_line(&case.wants))?;
        }
        match &case.expected {
            Some(expected) => {
                writeln!(f, "                  expected: {}", one_line(&expected.reason))?;
                expected.link.iter().try_for_each(|link| writeln!(f, "                  {}", one_line(link)))
            }
            None => Ok(()),
        }
    }
}

/// The sign before a verdict.
const fn mark(verdict: Verdict) -> char {
    match verdict {
        Verdict::Pass => '✔',
        Verdict::PassWider => '◦',
        Verdict::Info => 'i',
        Verdict::Skip | Verdict::Unreachable => '·',
        Verdict::Warn => '!',
        Verdict::Fail => '✘',
        Verdict::Hung | Verdict::Crashed => '☠',
    }
}

/// The cases of each section, in the order of the specification.
pub(super) fn by_section<'a>(cases: impl IntoIterator<Item = &'a CaseResult>) -> Vec<(Section, Vec<&'a CaseResult>)> {
    let mut sections: Vec<(Section, Vec<&CaseResult>)> = Vec::new();
    for case in cases {
        let section = section_of(&case.id);
        match sections.iter_mut().find(|(known, _)| *known == section) {
            Some((_, cases)) => cases.push(case),
            None => sections.push((section, vec![case])),
        }
    }
    sections.sort_by_key(|(section, _)| section.place());
    for (_, cases) in &mut sections {
        cases.sort_by_cached_key(|case| place_of(&case.id));
    }
    sections
}

impl fmt::Display for Terminal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        for (section, cases) in by_section(&report.cases) {
            let count = |verdict| cases.iter().filter(|case| case.outcome.verdict == verdict).count();
            let (passed, skipped) = (count(Verdict::Pass), count(Verdict::Skip));
            let prefix = section.prefix.trim_end_matches('-');
            write!(f, "  {prefix} {}  {passed}/{}", section.title, cases.len().saturating_sub(skipped))?;
            writeln!(f, "{}", if skipped > 0 { format!(", {skipped} skipped") } else { String::new() })?;
            for case in cases {
                if self.shows_all || !matches!(case.outcome.verdict, Verdict::Pass) {
                    self.case(f, case)?;
                }
            }
        }
        write!(f, "\n{}", self.summary())
    }
}

impl Terminal<'_> {
    /// The number of cases for each verdict, in one line, after entries of expected failures that have gone.
    pub fn summary(&self) -> String {
        let report = self.report;
        let mut text = String::new();
        for entry in &report.stale {
            text += &format!("no longer fails, though it is expected to: {}\n", one_line(entry));
        }
        let counts = Verdict::ALL.into_iter().filter(|verdict| report.count(*verdict) > 0);
        let counts: Vec<String> =
            counts.map(|verdict| self.paint(verdict, &format!("{} {verdict}", report.count(verdict)))).collect();
        text += &format!("{}: {}", report.peer.title(), counts.join(", "));
        let expected = report.cases.iter().filter(|case| case.expected.is_some()).count();
        if expected > 0 {
            text += &format!(" ({expected} of them expected)");
        }
        text + "\n"
    }
}
