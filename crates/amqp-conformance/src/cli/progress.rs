//! The progress of a run in the terminal.

use crate::{
    report::{Texts as _, one_line},
    run::{Event, FailOn},
    server::Sheet,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The time between two lines of the progress where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// A bar on standard error, and above it what has failed so far. Where that is not a terminal, a line now and then.
pub(super) struct Progress {
    bar: ProgressBar,
    lines: Option<Mutex<Lines>>,
    fail_on: FailOn,
}

/// The progress in lines.
#[derive(Debug)]
struct Lines {
    cases: usize,
    over: usize,
    failed: usize,
    last: Instant,
}

impl Lines {
    fn new(now: Instant) -> Self {
        Self { cases: 0, over: 0, failed: 0, last: now }
    }

    /// Takes note of an event. Returns a line if one is due.
    fn note(&mut self, event: &Event<'_>, fail_on: FailOn, now: Instant) -> Option<String> {
        match event {
            Event::Begun { cases, .. } => self.cases = *cases,
            Event::Case(_) => {}
            Event::Result(result) => {
                self.over = self.over.saturating_add(1);
                self.failed = self.failed.saturating_add(usize::from(fail_on.includes(result.outcome.verdict)));
            }
        }
        if now.saturating_duration_since(self.last) < INTERVAL {
            return None;
        }
        self.last = now;
        Some(format!("{} of {} cases, {} failed", self.over, self.cases, self.failed))
    }
}

impl Progress {
    pub(super) fn new(is_quiet: bool, fail_on: FailOn) -> Self {
        let is_shown = !is_quiet && io::stderr().is_terminal();
        let bar = if is_shown { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        let lines = (!is_quiet && !is_shown).then(|| Mutex::new(Lines::new(Instant::now())));
        Self { bar, lines, fail_on }
    }

    pub(super) fn show(&self, event: Event<'_>) {
        if let Some(lines) = &self.lines {
            let line = lines.lock().unwrap_or_else(PoisonError::into_inner).note(&event, self.fail_on, Instant::now());
            if let Some(line) = line {
                eprintln!("amqp-conformance: {line}");
            }
        }
        match event {
            Event::Begun { sheet, cases } => {
                self.bar.set_length(u64::try_from(cases).unwrap_or(u64::MAX));
                self.bar.println(sheet_in_words(sheet));
            }
            Event::Case(case) => self.bar.set_message(case.id),
            Event::Result(result) => {
                self.bar.inc(1);
                if self.fail_on.includes(result.outcome.verdict) {
                    let text = format!("{} {}: {}", result.outcome.verdict, result.id, result.outcome.reason);
                    self.bar.println(one_line(&text));
                }
            }
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The capabilities in a few lines.
pub(super) fn sheet_in_words(sheet: &Sheet) -> String {
    let mut sheet = sheet.clone();
    sheet.each_text(&mut |text| *text = one_line(text));
    sheet.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        case::Case,
        run::CaseResult,
        verdict::{Outcome, Verdict},
    };

    #[test]
    fn a_product_takes_one_line() {
        let sheet = Sheet { product: Some(String::from("a\n::error::b")), ..Sheet::default() };
        let text = sheet_in_words(&sheet);
        assert!(text.starts_with("a\\n::error::b, container"), "{text}");
        assert_eq!(text.lines().count(), sheet_in_words(&Sheet::default()).lines().count());
    }

    #[test]
    fn without_a_terminal_a_line_is_due_every_ten_seconds() {
        let start = Instant::now();
        let mut lines = Lines::new(start);
        let mut note = |event: &Event<'_>, seconds: u64| {
            lines.note(event, FailOn::Fail, start.checked_add(Duration::from_secs(seconds)).expect("a time"))
        };
        let result = |verdict| CaseResult::without_run(&Case::SERVER, Outcome::new(verdict, ""));
        assert_eq!(note(&Event::Begun { sheet: &Sheet::default(), cases: 3 }, 0), None);
        assert_eq!(note(&Event::Result(&result(Verdict::Pass)), 9), None);
        assert_eq!(note(&Event::Result(&result(Verdict::Fail)), 10).as_deref(), Some("2 of 3 cases, 1 failed"));
        assert_eq!(note(&Event::Case(&Case::SERVER), 19), None);
        assert_eq!(note(&Event::Case(&Case::SERVER), 20).as_deref(), Some("2 of 3 cases, 1 failed"));
    }
}
