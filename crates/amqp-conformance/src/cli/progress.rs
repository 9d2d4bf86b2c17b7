//! The progress of a run in the terminal.

use crate::{
    report::one_line,
    run::{Event, FailOn},
    server::Sheet,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};

/// A bar on standard error, and above it what has failed so far.
pub(super) struct Progress {
    bar: ProgressBar,
    fail_on: FailOn,
}

impl Progress {
    pub(super) fn new(is_quiet: bool, fail_on: FailOn) -> Self {
        let is_shown = !is_quiet && io::stderr().is_terminal();
        let bar = if is_shown { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        Self { bar, fail_on }
    }

    pub(super) fn show(&self, event: Event<'_>) {
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
    one_line_each(&sheet.to_string())
}

fn one_line_each(text: &str) -> String {
    text.lines().map(one_line).collect::<Vec<_>>().join("\n")
}
