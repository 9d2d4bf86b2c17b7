//! What a command prints: a story for people, or one JSON object a line for programs.

use indicatif::{ProgressBar, ProgressStyle};
use iothub::amqp1::codec::printable::{Printable, printable};
use serde_json::{Value, json};
use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

/// Where a command's words go.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    json: bool,
    bar: ProgressBar,
}

/// What devices and hubs have written, for a terminal: escaped, and not endless.
pub(crate) fn shown(text: &str) -> Printable<'_> {
    const MAX_SHOWN: usize = 64 * 1024;
    printable(text).limit(MAX_SHOWN)
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, bar: ProgressBar::hidden() }
    }

    /// Shows progress towards `total`, on a terminal only.
    pub(crate) fn with_progress(json: bool, total: u64) -> Self {
        if json || !std::io::stderr().is_terminal() {
            return Self::new(json);
        }
        let bar = ProgressBar::new(total);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { json, bar }
    }

    /// A line of the story, or its JSON.
    pub(crate) fn say(&self, sentence: &str, event: &Value) {
        let line = if self.json { event.to_string() } else { sentence.to_owned() };
        self.bar.suspend(|| {
            // A reader that is closed is no reason to fail: the work matters, and the exit code.
            let _ = writeln!(std::io::stdout(), "{line}");
            let _ = std::io::stdout().flush();
        });
    }

    /// A line of the story that programs have no use for.
    pub(crate) fn tell(&self, sentence: &str) {
        if !self.json {
            self.say(sentence, &json!(null));
        }
    }

    pub(crate) fn progress(&self, position: u64, message: &'static str) {
        self.bar.set_position(position);
        self.bar.set_message(message);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
