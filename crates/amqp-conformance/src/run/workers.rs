//! Runs the cases of a run, on one or more workers.

use super::{CaseResult, Event, Options, Runner, Target, interrupt::Nothing};
use crate::{
    case::{Case, Tag},
    server::{ServerTrial, Sheet},
    verdict::{Outcome, Verdict},
};
use std::{
    collections::{BTreeMap, VecDeque},
    panic,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

/// The time that a crashed peer has to come back.
const RECOVERY: Duration = Duration::from_secs(10);

struct Shared {
    left: Mutex<VecDeque<(usize, &'static Case)>>,
    /// The reason for which no more cases are run.
    stopped: Mutex<Option<String>>,
    sheet: Arc<Sheet>,
    options: Options,
}

/// The news of a worker.
enum News {
    Begun(&'static Case),
    Over(usize, Box<CaseResult>),
}

/// The results of a run.
pub(super) struct Results {
    pub(super) cases: Vec<CaseResult>,
    pub(super) is_interrupted: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The results, in the order of the cases. Hostile cases and those that restart the peer run alone, after all others.
///
/// Workers are threads that a run which is interrupted leaves alone: they end after the case that they run.
pub(super) fn run_all(
    targets: &[Target],
    sheet: &Arc<Sheet>,
    cases: &[&'static Case],
    options: &Options,
    observer: &(dyn Fn(Event<'_>) + Sync),
) -> Results {
    let is_alone = |case: &Case| targets.len() > 1 && (case.has(Tag::Hostile) || case.has(Tag::Restart));
    let numbered = || cases.iter().copied().enumerate();
    let shared = Arc::new(Shared {
        left: Mutex::new(numbered().filter(|(_, case)| !is_alone(case)).collect()),
        stopped: Mutex::default(),
        sheet: Arc::clone(sheet),
        options: options.clone(),
    });
    let mut results = BTreeMap::new();
    let mut is_interrupted = !serve(targets, &shared, observer, &mut results);
    if !is_interrupted {
        *lock(&shared.left) = numbered().filter(|(_, case)| is_alone(case)).collect();
        is_interrupted = !serve(targets.get(..1).unwrap_or_default(), &shared, observer, &mut results);
    }
    let reason = if is_interrupted { "the run was interrupted" } else { "no thread could run it" };
    let unjudged = |case| CaseResult::without_run(case, Outcome::new(Verdict::Unreachable, reason));
    let result = |(number, case): (usize, _)| results.remove(&number).unwrap_or_else(|| unjudged(case));
    Results { cases: numbered().map(result).collect(), is_interrupted }
}

/// Runs the cases that are left, on a worker for each target. Returns `false` if the run is interrupted before they are over.
fn serve(
    targets: &[Target],
    shared: &Arc<Shared>,
    observer: &(dyn Fn(Event<'_>) + Sync),
    results: &mut BTreeMap<usize, CaseResult>,
) -> bool {
    let (sender, news) = mpsc::channel();
    let mut workers = Vec::new();
    for target in targets {
        let (target, shared, sender) = (target.clone(), Arc::clone(shared), sender.clone());
        let worker = thread::Builder::new().name(String::from("worker"));
        // With fewer workers the others do more.
        workers.extend(worker.spawn(move || work(target, &shared, &sender)).ok());
    }
    drop(sender);
    loop {
        match shared.options.interrupt.receive(&news) {
            Ok(News::Begun(case)) => observer(Event::Case(case)),
            Ok(News::Over(number, result)) => {
                observer(Event::Result(&result));
                results.insert(number, *result);
            }
            Err(Nothing::Interrupted) => return false,
            Err(Nothing::Ended) => break,
        }
    }
    for worker in workers {
        if let Err(payload) = worker.join() {
            panic::resume_unwind(payload);
        }
    }
    true
}

fn work(target: Target, shared: &Shared, news: &Sender<News>) {
    let options = &shared.options;
    let is_strict = options.selection.level.is_strict();
    let target = Arc::new(target);
    let mut runner = Runner::new(Arc::clone(&target), Arc::clone(&shared.sheet), is_strict, options.timeout);
    while !options.interrupt.is_set() {
        let Some((number, case)) = lock(&shared.left).pop_front() else {
            // The next run must find the node empty.
            return runner.empty_node();
        };
        let stopped = lock(&shared.stopped).clone();
        let result = match stopped {
            Some(reason) => CaseResult::without_run(case, Outcome::new(Verdict::Unreachable, reason)),
            None => {
                // A run that is interrupted hears no more news.
                news.send(News::Begun(case)).unwrap_or_default();
                runner.run(case)
            }
        };
        let reason = reason_to_stop(&result, &target, shared);
        if reason.is_some() {
            lock(&shared.stopped).get_or_insert_default().clone_from(&reason.unwrap_or_default());
        }
        news.send(News::Over(number, Box::new(result))).unwrap_or_default();
    }
}

fn reason_to_stop(result: &CaseResult, target: &Target, shared: &Shared) -> Option<String> {
    let options = &shared.options;
    let verdict = result.outcome.verdict;
    let is_expected = options.expectations.find(&result.id, verdict).is_some();
    if options.fail_fast && options.fail_on.includes(verdict) && !is_expected {
        return Some(format!("the run was stopped after {}", result.id));
    }
    let is_down = matches!(verdict, Verdict::Crashed | Verdict::Hung) && !comes_back(target, &shared.sheet);
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
