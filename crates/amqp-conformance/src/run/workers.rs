//! Runs the cases of a run, on one or more workers.

use super::{CaseResult, Event, Options, Runner, Target};
use crate::{
    case::{Case, Tag},
    server::{ServerTrial, Sheet},
    verdict::{Outcome, Verdict},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The time that a crashed peer has to come back.
const RECOVERY: Duration = Duration::from_secs(10);

struct Shared<'a> {
    left: Mutex<VecDeque<(usize, &'static Case)>>,
    results: Mutex<Vec<(usize, CaseResult)>>,
    /// The reason for which no more cases are run.
    stopped: Mutex<Option<String>>,
    sheet: &'a Arc<Sheet>,
    options: &'a Options,
    observer: &'a (dyn Fn(Event<'_>) + Sync),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The results, in the order of the cases. Hostile cases and those that restart the peer run alone, after all others.
pub(super) fn run_all(
    targets: &[Target],
    sheet: &Arc<Sheet>,
    cases: &[&'static Case],
    options: &Options,
    observer: &(dyn Fn(Event<'_>) + Sync),
) -> Vec<CaseResult> {
    let is_alone = |case: &Case| targets.len() > 1 && (case.has(Tag::Hostile) || case.has(Tag::Restart));
    let numbered = || cases.iter().copied().enumerate();
    let shared = Shared {
        left: Mutex::new(numbered().filter(|(_, case)| !is_alone(case)).collect()),
        results: Mutex::default(),
        stopped: Mutex::default(),
        sheet,
        options,
        observer,
    };
    thread::scope(|scope| {
        for target in targets {
            scope.spawn(|| work(target, &shared));
        }
    });
    *lock(&shared.left) = numbered().filter(|(_, case)| is_alone(case)).collect();
    if let Some(target) = targets.first() {
        work(target, &shared);
    }
    let mut results = lock(&shared.results).split_off(0);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

fn work(target: &Target, shared: &Shared<'_>) {
    let options = shared.options;
    let is_strict = options.selection.level.is_strict();
    let mut runner = Runner::new(Arc::new(target.clone()), Arc::clone(shared.sheet), is_strict, options.timeout);
    loop {
        let Some((number, case)) = lock(&shared.left).pop_front() else {
            // The next run must find the node empty.
            return runner.empty_node();
        };
        let stopped = lock(&shared.stopped).clone();
        let result = match stopped {
            Some(reason) => CaseResult::without_run(case, Outcome::new(Verdict::Unreachable, reason)),
            None => {
                (shared.observer)(Event::Case(case));
                runner.run(case)
            }
        };
        (shared.observer)(Event::Result(&result));
        let reason = reason_to_stop(&result, target, shared);
        if reason.is_some() {
            lock(&shared.stopped).get_or_insert_default().clone_from(&reason.unwrap_or_default());
        }
        lock(&shared.results).push((number, result));
    }
}

fn reason_to_stop(result: &CaseResult, target: &Target, shared: &Shared<'_>) -> Option<String> {
    let options = shared.options;
    let verdict = result.outcome.verdict;
    let is_expected = options.expectations.find(&result.id, verdict).is_some();
    if options.fail_fast && options.fail_on.includes(verdict) && !is_expected {
        return Some(format!("the run was stopped after {}", result.id));
    }
    let is_down = matches!(verdict, Verdict::Crashed | Verdict::Hung) && !comes_back(target, shared.sheet);
    (is_down && !options.keep_going).then(|| format!("the peer is down since {}", result.id))
}

/// Waits until a server accepts connections again: something may restart it.
fn comes_back(target: &Target, sheet: &Sheet) -> bool {
    let Target::Server(server) = target else { return true };
    let start = Instant::now();
    loop {
        if ServerTrial::new(server, sheet, false).opened().is_ok() {
            return true;
        }
        if start.elapsed() >= RECOVERY {
            return false;
        }
        thread::sleep(Duration::from_millis(100));
    }
}
