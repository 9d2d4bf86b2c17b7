//! Runs one case at a time against a target.

use super::Target;
use crate::{
    case::{Case, Check, Role, Severity, Tag, Twin},
    client::ClientTrial,
    report::Expected,
    server::{ServerTrial, Sheet},
    verdict::{Outcome, Stop, Verdict},
    wire::{Entry, GRACE, Logs, WireLog},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

/// The result of one case, with the conversation that led to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case.
    pub id: String,
    /// The role of the peer under test.
    pub role: Role,
    /// The strength of its rule.
    pub severity: Severity,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// The rule in one sentence.
    pub rule: String,
    /// The frames that are sent, in a few words.
    pub sends: String,
    /// The answer that the rule wants, in a few words.
    pub wants: String,
    /// The verdict and its reason.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The time that it took, in microseconds.
    pub took_us: u64,
    /// The reason for which this verdict was expected, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// The log of each of its connections.
    pub wire: Vec<Vec<Entry>>,
}

impl CaseResult {
    /// The result of a case that was not run.
    pub fn without_run(case: &Case, outcome: Outcome) -> Self {
        Self {
            id: String::from(case.id),
            role: case.role(),
            severity: case.severity,
            tags: case.tags.to_vec(),
            rule: String::from(case.rule),
            sends: String::from(case.sends),
            wants: String::from(case.wants),
            outcome,
            took_us: 0,
            expected: None,
            wire: Vec::new(),
        }
    }

    /// The row of the checklist.
    pub fn row(&self) -> &str {
        self.id.split_once('/').map_or(self.id.as_str(), |(row, _)| row)
    }
}

/// Runs the cases of one target one after another.
#[derive(Debug)]
pub struct Runner {
    target: Arc<Target>,
    sheet: Arc<Sheet>,
    is_strict: bool,
    timeout: Duration,
    twins: HashMap<&'static str, Outcome>,
    /// Whether messages may be left in the node.
    is_dirty: bool,
}

/// What a check gave: its outcome, and its connections.
struct Checked {
    outcome: Outcome,
    logs: Logs,
}

/// The factor by which a slow case, or one that restarts the peer, may take longer than another.
pub(super) const SLOW: u32 = 4;

/// The time between a connection that a server has broken and the next one, which tells whether it still listens.
pub(super) const DYING: Duration = Duration::from_millis(100);

impl Runner {
    /// A runner for this target. A case that is not over within `timeout` fails; one that is tagged as slow has four
    /// times as long.
    pub fn new(target: Arc<Target>, sheet: Arc<Sheet>, is_strict: bool, timeout: Duration) -> Self {
        Self { target, sheet, is_strict, timeout, twins: HashMap::new(), is_dirty: true }
    }

    /// Runs one case: its twin if that has not run yet, then the case, then a check that the peer still serves.
    pub fn run(&mut self, case: &'static Case) -> CaseResult {
        let (result, _) = self.run_logged(case);
        result
    }

    /// The same, with the logs of the case's connections.
    pub fn run_logged(&mut self, case: &'static Case) -> (CaseResult, Logs) {
        let start = Instant::now();
        let limit = if case.has(Tag::Slow) || case.has(Tag::Restart) {
            self.timeout.saturating_mul(SLOW)
        } else {
            self.timeout
        };
        let Checked { outcome, logs } = match self.reason_against(case) {
            Some(outcome) => Checked { outcome, logs: Logs::default() },
            None => self.check(case.check, limit),
        };
        let outcome = self.alive_after(outcome);
        let took_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let secrets = self.target.secrets();
        let mut result =
            CaseResult { took_us, wire: logs.entries(), ..CaseResult::without_run(case, secrets.outcome(outcome)) };
        secrets.hide(&mut result.wire);
        (result, logs)
    }

    /// The outcome of a case that cannot be run.
    fn reason_against(&mut self, case: &Case) -> Option<Outcome> {
        if let Some(need) = case.needs.iter().find(|need| !self.sheet.has(**need)) {
            return Some(Outcome::skip(format!("the peer does not offer {}", need.name())));
        }
        let twin: &Twin = case.twin?;
        let outcome = match self.twins.get(twin.name) {
            Some(outcome) => outcome.clone(),
            None => {
                let mut outcome = self.check(twin.check, self.timeout).outcome;
                if outcome.verdict != Verdict::Pass {
                    // Much rests on it, and the peer may only have been busy.
                    outcome = self.check_against(Arc::new(self.target.patient()), twin.check, self.timeout).outcome;
                }
                self.twins.insert(twin.name, outcome.clone());
                outcome
            }
        };
        let is_refused = outcome.verdict != Verdict::Pass;
        is_refused
            .then(|| Outcome::new(Verdict::Unreachable, format!("the lawful twin {:?}: {}", twin.name, outcome.reason)))
    }

    /// Runs a check on a thread of its own, so that one that never ends does not stop the run.
    fn check(&mut self, check: Check, limit: Duration) -> Checked {
        self.check_against(Arc::clone(&self.target), check, limit)
    }

    fn check_against(&mut self, target: Arc<Target>, check: Check, limit: Duration) -> Checked {
        self.empty_node();
        let logs = Logs::within(limit);
        let (done, result) = mpsc::channel();
        let work = {
            let (sheet, is_strict) = (Arc::clone(&self.sheet), self.is_strict);
            let logs = logs.clone();
            move || {
                let outcome = checked(check, &target, &sheet, is_strict, logs);
                // The runner may have stopped waiting.
                done.send(outcome).unwrap_or_default();
            }
        };
        if let Err(error) = thread::Builder::new().name(String::from("case")).spawn(work) {
            return Checked { outcome: Stop::NoConnection(error).into_outcome(), logs };
        }
        let outcome = match result.recv_timeout(limit.saturating_add(GRACE.saturating_mul(2))) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => {
                // Its thread is left alone, but nothing that it has started.
                logs.end_groups();
                Outcome::fail(format!("the case was not over within {limit:?}"))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Outcome::fail(format!("the case was ended: it was not over within {limit:?}, or has a defect"))
            }
        };
        self.is_dirty |= logs.read(WireLog::has_deliveries).contains(&true);
        Checked { outcome, logs }
    }

    /// Removes the messages that earlier cases have left in the node. If that fails, the next case shows it.
    pub(super) fn empty_node(&mut self) {
        let Target::Server(target) = &*self.target else { return };
        if self.is_dirty {
            let mut trial = ServerTrial::new(target, &self.sheet, self.is_strict).within(self.timeout);
            self.is_dirty = trial.purged(self.timeout).is_err();
        }
    }

    /// A server must still serve another connection after each case.
    fn alive_after(&self, outcome: Outcome) -> Outcome {
        let Target::Server(target) = self.target.patient() else { return outcome };
        if matches!(outcome.verdict, Verdict::Skip) {
            return outcome;
        }
        let opened = || ServerTrial::new(&target, &self.sheet, self.is_strict).opened();
        let Err(mut stop) = opened() else { return outcome };
        if !matches!(stop, Stop::NoConnection(_)) {
            // The listener of a process that dies may accept one more connection before it is closed.
            thread::sleep(DYING);
            if let Err(no_connection @ Stop::NoConnection(_)) = opened() {
                stop = no_connection;
            }
        }
        match stop {
            Stop::NoConnection(error) => Outcome::new(Verdict::Crashed, format!("no connection after it: {error}")),
            stop => Outcome::new(Verdict::Hung, format!("after it, {}", stop.into_outcome().reason)),
        }
    }
}

fn checked(check: Check, target: &Target, sheet: &Sheet, is_strict: bool, logs: Logs) -> Outcome {
    match (check, target) {
        (Check::Server(check), Target::Server(target)) => {
            let mut trial = ServerTrial::new(target, sheet, is_strict).logging(logs);
            check(&mut trial).unwrap_or_else(Stop::into_outcome)
        }
        (Check::Client(scenario, check), Target::Client(target)) => {
            match ClientTrial::start(target, scenario, 1, is_strict) {
                Ok(trial) => {
                    let mut trial = trial.logging(logs);
                    let outcome = check(&mut trial).unwrap_or_else(Stop::into_outcome);
                    trial.crash().map_or(outcome, |how| Outcome::new(Verdict::Crashed, how))
                }
                Err(error) => Stop::NoConnection(error).into_outcome(),
            }
        }
        _ => Outcome::skip("the case is for the other role"),
    }
}
