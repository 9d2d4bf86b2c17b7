//! What the clients of the demo saw, added up.

use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// What a device did with a message in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Final {
    Completed,
    Rejected,
}

/// Counts and identities: a figure that was reached by counting something twice does not balance.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Messages that the hub accepted from the service.
    sent: HashSet<String>,
    delivered: u64,
    abandoned: u64,
    finals: HashMap<String, Final>,
    feedback: HashMap<String, Final>,
    telemetry_sent: HashMap<String, Vec<u8>>,
    telemetry_read: HashSet<String>,
    /// Devices that have answered the method of the demo, and those whose answer the service has got.
    methods_answered: HashSet<String>,
    methods_called: HashSet<String>,
    /// Devices that have reported what their twin wants, and those where the service has read that.
    twins_reported: HashSet<String>,
    twins_read: HashSet<String>,
    /// What should not be: duplicates, strangers, bodies that changed.
    oddities: Vec<String>,
}

/// More oddities than this are only counted.
const SHOWN: usize = 10;

impl Ledger {
    pub(crate) fn sent(&mut self, id: &str) {
        if !self.sent.insert(id.to_owned()) {
            self.odd(format!("message {id} was sent twice"));
        }
    }

    pub(crate) fn delivered(&mut self) {
        self.delivered += 1;
    }

    pub(crate) fn abandoned(&mut self) {
        self.abandoned += 1;
    }

    pub(crate) fn settled(&mut self, id: &str, outcome: Final) {
        if self.finals.insert(id.to_owned(), outcome).is_some() {
            self.odd(format!("message {id} was settled twice"));
        }
    }

    /// Whether this is the first record for the message.
    pub(crate) fn feedback(&mut self, id: &str, outcome: Final) -> bool {
        let first = self.feedback.insert(id.to_owned(), outcome).is_none();
        if !first {
            self.odd(format!("feedback for message {id} came twice"));
        }
        first
    }

    pub(crate) fn telemetry_sent(&mut self, id: &str, body: &[u8]) {
        self.telemetry_sent.insert(id.to_owned(), body.to_vec());
    }

    pub(crate) fn telemetry_read(&mut self, id: &str, body: &[u8], expected: &[u8]) {
        if !self.telemetry_read.insert(id.to_owned()) {
            self.odd(format!("telemetry {id} was read twice"));
        }
        if body != expected {
            self.odd(format!("telemetry {id} has changed on its way"));
        }
    }

    pub(crate) fn method_answered(&mut self, device: &str) {
        if !self.methods_answered.insert(device.to_owned()) {
            self.odd(format!("the method of {device} was called twice"));
        }
    }

    pub(crate) fn method_called(&mut self, device: &str) {
        self.methods_called.insert(device.to_owned());
    }

    pub(crate) fn twin_reported(&mut self, device: &str) {
        if !self.twins_reported.insert(device.to_owned()) {
            self.odd(format!("the twin of {device} changed twice"));
        }
    }

    pub(crate) fn twin_read(&mut self, device: &str) {
        self.twins_read.insert(device.to_owned());
    }

    pub(crate) fn odd(&mut self, what: String) {
        self.oddities.push(what);
    }

    pub(crate) fn oddities(&self) -> impl Iterator<Item = &str> {
        self.oddities.iter().take(SHOWN).map(String::as_str)
    }

    fn completed(&self) -> u64 {
        count(self.finals.values().filter(|outcome| **outcome == Final::Completed).count())
    }

    fn rejected(&self) -> u64 {
        count(self.finals.values().filter(|outcome| **outcome == Final::Rejected).count())
    }

    /// How far everything is: for progress, and to see whether anything moves.
    pub(crate) fn steps(&self) -> u64 {
        count(self.sent.len() + self.finals.len() + self.feedback.len() + self.telemetry_read.len())
            + count(self.methods_answered.len() + self.methods_called.len())
            + count(self.twins_reported.len() + self.twins_read.len())
            + self.delivered
            + self.abandoned
    }

    pub(crate) fn feedback_count(&self) -> u64 {
        count(self.feedback.len())
    }

    /// Whether everything that was acknowledged is accounted for, once each.
    pub(crate) fn is_balanced(&self) -> bool {
        let matched = self
            .sent
            .iter()
            .all(|id| self.finals.get(id).is_some_and(|outcome| self.feedback.get(id) == Some(outcome)));
        let read = self.telemetry_sent.keys().all(|id| self.telemetry_read.contains(id));
        matched
            && read
            && self.finals.len() == self.sent.len()
            && self.feedback.len() == self.sent.len()
            && self.delivered == self.completed() + self.rejected() + self.abandoned
            && self.telemetry_read.len() == self.telemetry_sent.len()
            && self.methods_called == self.methods_answered
            && self.twins_read == self.twins_reported
            && self.oddities.is_empty()
    }

    pub(crate) fn to_json(&self, interrupted: bool) -> Value {
        let mut ledger = json!({
            "event": "ledger",
            "sent": self.sent.len(),
            "delivered": self.delivered,
            "completed": self.completed(),
            "rejected": self.rejected(),
            "abandoned": self.abandoned,
            "feedback": self.feedback.len(),
            "telemetry_sent": self.telemetry_sent.len(),
            "telemetry_read": self.telemetry_read.len(),
            "methods_called": self.methods_called.len(),
            "methods_answered": self.methods_answered.len(),
            "twins_reported": self.twins_reported.len(),
            "twins_read": self.twins_read.len(),
            "balanced": self.is_balanced(),
        });
        if interrupted && let Some(fields) = ledger.as_object_mut() {
            fields.insert("interrupted".to_owned(), Value::Bool(true));
        }
        ledger
    }

    /// The ledger as a table for people.
    pub(crate) fn to_table(&self) -> String {
        let rows = [
            ("sent and accepted by the hub", count(self.sent.len())),
            ("delivered to devices", self.delivered),
            ("  completed", self.completed()),
            ("  rejected", self.rejected()),
            ("  abandoned, delivered again", self.abandoned),
            ("feedback received", count(self.feedback.len())),
            ("telemetry sent", count(self.telemetry_sent.len())),
            ("telemetry read", count(self.telemetry_read.len())),
            ("methods answered by devices", count(self.methods_answered.len())),
            ("answers received", count(self.methods_called.len())),
            ("twins reported by devices", count(self.twins_reported.len())),
            ("reports read", count(self.twins_read.len())),
        ];
        let mut table = String::from("\nLedger, as the clients saw it\n");
        for (what, how_many) in rows {
            table.push_str(&format!("  {what:<32}{how_many:>8}\n"));
        }
        table.push_str(if self.is_balanced() { "It balances." } else { "It does NOT balance." });
        table
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balanced() -> Ledger {
        let mut ledger = Ledger::default();
        for id in ["a", "b"] {
            ledger.sent(id);
            ledger.delivered();
            let outcome = if id == "a" { Final::Completed } else { Final::Rejected };
            ledger.settled(id, outcome);
            ledger.feedback(id, outcome);
            ledger.telemetry_sent(id, b"t");
            ledger.telemetry_read(id, b"t", b"t");
            ledger.method_answered(id);
            ledger.method_called(id);
            ledger.twin_reported(id);
            ledger.twin_read(id);
        }
        ledger
    }

    #[test]
    fn what_is_accounted_for_once_balances() {
        assert!(balanced().is_balanced());
    }

    #[test]
    fn a_lost_message_does_not_balance() {
        let mut ledger = balanced();
        ledger.sent("c");
        assert!(!ledger.is_balanced());
    }

    #[test]
    fn an_answer_or_a_report_that_is_lost_does_not_balance() {
        let mut ledger = balanced();
        ledger.method_answered("c");
        assert!(!ledger.is_balanced());
        let mut ledger = balanced();
        ledger.twin_reported("c");
        assert!(!ledger.is_balanced());
    }

    #[test]
    fn feedback_of_another_outcome_does_not_balance() {
        let mut ledger = balanced();
        ledger.feedback.insert("a".to_owned(), Final::Rejected);
        assert!(!ledger.is_balanced());
    }

    #[test]
    fn what_comes_twice_does_not_balance() {
        let mut ledger = balanced();
        ledger.telemetry_read("a", b"t", b"t");
        assert!(!ledger.is_balanced());
    }
}
