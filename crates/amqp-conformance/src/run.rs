//! Runs cases and collects their outcomes.

use crate::{
    case::{Case, Check, Severity, Twin},
    client::{ClientTarget, ClientTrial},
    server::{ServerTarget, ServerTrial, Sheet},
    verdict::{Outcome, Stop, Verdict},
    wire::Entry,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// The peer under test.
#[derive(Clone, Debug)]
pub enum Target {
    /// A server.
    Server(ServerTarget),
    /// A client.
    Client(ClientTarget),
}

/// The result of one case, with the conversation that led to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case.
    pub id: String,
    /// The strength of its rule.
    pub severity: Severity,
    /// The verdict and its reason.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The time that it took.
    pub took: Duration,
    /// The log of each of its connections.
    pub wire: Vec<Vec<Entry>>,
}

/// Runs the cases of one target one after another.
#[derive(Debug)]
pub struct Runner<'a> {
    target: &'a Target,
    sheet: &'a Sheet,
    is_strict: bool,
    twins: HashMap<&'static str, Outcome>,
}

impl<'a> Runner<'a> {
    /// A runner for this target.
    pub fn new(target: &'a Target, sheet: &'a Sheet, is_strict: bool) -> Self {
        Self { target, sheet, is_strict, twins: HashMap::new() }
    }

    /// Runs one case: its twin if that has not run yet, then the case, then a check that the peer still serves.
    pub fn run(&mut self, case: &Case) -> CaseResult {
        let start = Instant::now();
        let (outcome, wire) = match self.reason_against(case) {
            Some(outcome) => (outcome, Vec::new()),
            None => self.check(case.check),
        };
        CaseResult {
            id: String::from(case.id),
            severity: case.severity,
            outcome: self.alive_after(outcome),
            took: start.elapsed(),
            wire,
        }
    }

    /// The outcome of a case that cannot be run.
    fn reason_against(&mut self, case: &Case) -> Option<Outcome> {
        if let Some(need) = case.needs.iter().find(|need| !self.sheet.has(**need)) {
            return Some(Outcome::skip(format!("the peer does not offer {need:?}")));
        }
        let twin: &Twin = case.twin?;
        let outcome = match self.twins.get(twin.name) {
            Some(outcome) => outcome.clone(),
            None => {
                let (outcome, _) = self.check(twin.check);
                self.twins.insert(twin.name, outcome.clone());
                outcome
            }
        };
        let is_refused = outcome.verdict != Verdict::Pass;
        is_refused
            .then(|| Outcome::new(Verdict::Unreachable, format!("the lawful twin {:?}: {}", twin.name, outcome.reason)))
    }

    fn check(&self, check: Check) -> (Outcome, Vec<Vec<Entry>>) {
        match (check, self.target) {
            (Check::Server(check), Target::Server(target)) => {
                let mut trial = ServerTrial::new(target, self.sheet, self.is_strict);
                let outcome = check(&mut trial).unwrap_or_else(Stop::into_outcome);
                (outcome, trial.logs())
            }
            (Check::Client(scenario, check), Target::Client(target)) => {
                match ClientTrial::start(target, scenario, 1, self.is_strict) {
                    Ok(mut trial) => {
                        let outcome = check(&mut trial).unwrap_or_else(Stop::into_outcome);
                        (outcome, trial.logs())
                    }
                    Err(error) => (Stop::NoConnection(error).into_outcome(), Vec::new()),
                }
            }
            _ => (Outcome::skip("the case is for the other role"), Vec::new()),
        }
    }

    /// A server must still serve another connection after each case.
    fn alive_after(&self, outcome: Outcome) -> Outcome {
        let Target::Server(target) = self.target else { return outcome };
        if matches!(outcome.verdict, Verdict::Skip) {
            return outcome;
        }
        match ServerTrial::new(target, self.sheet, self.is_strict).opened() {
            Ok(_) => outcome,
            Err(Stop::NoConnection(error)) => {
                Outcome::new(Verdict::Crashed, format!("no connection after it: {error}"))
            }
            Err(stop) => Outcome::new(Verdict::Hung, format!("after it, {}", stop.into_outcome().reason)),
        }
    }
}
