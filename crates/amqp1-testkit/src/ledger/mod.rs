//! What is counted while something goes wrong, and the judgement of it.

mod book;
mod watch;

pub use book::Book;
pub use watch::{Operation, Watch};

use core::time::Duration;
use std::collections::BTreeMap;

/// Reasons beyond so many are counted and not kept.
const REASONS: usize = 12;

/// The account of a fault: what was sent and what became of it, over all its runs.
///
/// It holds when nothing was noted against it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// How often the fault was made: cuts, seeds, or both.
    pub runs: u64,
    /// Messages that the application had to send.
    pub messages: u64,
    /// How often one was given to the engine, again included.
    pub sent: u64,
    /// Outcomes that were *accepted*.
    pub accepted: u64,
    /// Other ends of a delivery: other outcomes, none, or sent settled.
    pub otherwise: u64,
    /// Deliveries that were reported lost.
    pub lost: u64,
    /// Deliveries that were handed over for resumption.
    pub suspended: u64,
    /// Deliveries that the receiving application took for new.
    pub received: u64,
    /// Those of them that it had received before. The outcome was unknown to the sender, or the ledger does not hold.
    pub duplicates: u64,
    /// Deliveries that were resumed, and that the receiving application knew by their tags.
    pub recognised: u64,
    /// Operations that were begun: open, begin, attach, drain, detach, end, close.
    pub begun: u64,
    /// Operations of which an event has told the end.
    pub ended: u64,
    /// State changes that were reported.
    pub changes: u64,
    /// Virtual time, of all runs together.
    pub time: Duration,
    /// The longest time that an operation or a message has waited for its end.
    pub worst_wait: Duration,
    /// Links that were attached anew because not all deliveries could be named in one attach.
    pub reattached: u64,
    /// Deliveries by the state in which they were cut off, where a fault counts that.
    pub states: BTreeMap<&'static str, u64>,
    /// What was noted against it.
    reasons: Vec<String>,
    /// How often something was noted.
    wrongs: u64,
}

impl Ledger {
    /// The account of one run, of which nothing is known yet.
    pub fn of_run() -> Self {
        Self { runs: 1, ..Self::default() }
    }

    /// Notes that something does not hold.
    pub fn wrong(&mut self, reason: impl Into<String>) {
        self.wrongs += 1;
        if self.reasons.len() < REASONS {
            self.reasons.push(reason.into());
        }
    }

    /// Notes that something does not hold, unless it does.
    pub fn expect(&mut self, holds: bool, reason: impl FnOnce() -> String) {
        if !holds {
            self.wrong(reason());
        }
    }

    /// Something has waited so long for its end.
    pub fn waited(&mut self, time: Duration) {
        self.worst_wait = self.worst_wait.max(time);
    }

    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.wrongs == 0
    }

    /// What does not hold; of many reasons, the first ones.
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }

    /// Takes in another account of the same fault. Its reasons are told with what made it.
    pub fn add(&mut self, what: &str, other: Self) {
        self.runs += other.runs;
        self.messages += other.messages;
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.otherwise += other.otherwise;
        self.lost += other.lost;
        self.suspended += other.suspended;
        self.received += other.received;
        self.duplicates += other.duplicates;
        self.recognised += other.recognised;
        self.begun += other.begun;
        self.ended += other.ended;
        self.changes += other.changes;
        self.time += other.time;
        self.waited(other.worst_wait);
        self.reattached += other.reattached;
        for (state, count) in other.states {
            *self.states.entry(state).or_default() += count;
        }
        self.wrongs += other.wrongs;
        let room = REASONS.saturating_sub(self.reasons.len());
        self.reasons.extend(other.reasons.into_iter().take(room).map(|reason| format!("{what}: {reason}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_with_what_made_them() {
        let mut all = Ledger::default();
        let mut one = Ledger { runs: 1, worst_wait: Duration::from_secs(3), ..Ledger::default() };
        all.add("seed 0", one.clone());
        assert!(all.holds());
        one.wrong("it stands still");
        all.add("seed 1", one);
        assert_eq!((all.runs, all.holds(), all.worst_wait), (2, false, Duration::from_secs(3)));
        assert_eq!(all.reasons(), ["seed 1: it stands still"]);
    }
}
