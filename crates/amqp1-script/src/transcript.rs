//! What went each way, and when.

use std::{collections::VecDeque, fmt, time::Duration};

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The scripted peer.
    Sent,
    /// The other.
    Received,
    /// Nobody: a remark of the script.
    Note,
}

/// One frame, header, or event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, from the start of the transport.
    pub at: Duration,
    /// Which way.
    pub direction: Direction,
    /// What, without payloads and secrets.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.direction {
            Direction::Sent => "->",
            Direction::Received => "<-",
            Direction::Note => "--",
        };
        write!(f, "{:>5}.{:06} {arrow} {}", self.at.as_secs(), self.at.subsec_micros(), self.text)
    }
}

/// The last lines of a conversation, one for each frame. A peer that floods is not kept whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    lines: VecDeque<Line>,
    dropped: usize,
}

impl Transcript {
    /// How many lines are kept.
    pub const MAX: usize = 4096;

    /// The lines that are kept, in their order.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &Line> + ExactSizeIterator {
        self.lines.iter()
    }

    /// How many lines came before those.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Adds a line. What could begin another one is escaped.
    pub(crate) fn add(&mut self, at: Duration, direction: Direction, text: &str) {
        if self.lines.len() >= Self::MAX {
            self.lines.pop_front();
            self.dropped = self.dropped.saturating_add(1);
        }
        let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        self.lines.push_back(Line { at, direction, text: text.chars().map(escape).collect() });
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dropped > 0 {
            writeln!(f, "             {} lines before", self.dropped)?;
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
