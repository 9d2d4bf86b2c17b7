//! Clients that come of themselves: each case has an address of its own, and a control address has the list and the report.
//!
//! One program walks through the cases:
//!
//! 1. It connects to the control address and receives one message from the node `list`: a JSON object with the cases,
//!    `{"schema": 1, "cases": [{"id": …, "url": …, "address": …, "scenario": …, "count": …}, …]}`.
//! 2. For each of them, in any order, it connects to `url` and plays `scenario` with `address` and `count`.
//! 3. It receives one message from the node `report` at the control address: the report, as `--json` writes it, without
//!    the logs. When it closes that connection, the run is over.
//!
//! A case that the program does not come to is unreachable. The lawful twins of cases are in the list too, first, with
//! ids that begin with `twin/`: a case whose twin was not visited is unreachable.

mod control;
mod guests;

use super::{ClientTarget, ClientTrial, Scenario, trial::Asked};
use crate::{
    case::{Case, Check, Role},
    report::Report,
    run::{self, CaseResult, Event, Options, RunError, Target},
    server::Sheet,
    verdict::{Outcome, Stop, Verdict},
    wire::Logs,
};
use guests::Guests;
use serde::Serialize;
use std::{
    collections::{HashMap, HashSet},
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

/// The interval at which the control address and the cases are looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The case, or `twin/NAME`.
    pub id: String,
    /// The URL to which the client connects.
    pub url: String,
    /// The address of the node.
    pub address: &'static str,
    /// The scenario.
    pub scenario: Scenario,
    /// The number of messages or requests, or of seconds.
    pub count: u32,
}

/// The list.
#[derive(Debug, Serialize)]
struct List<'a> {
    schema: u32,
    cases: &'a [Place],
}

/// A place, and what has become of it.
#[derive(Debug)]
struct Stall {
    place: Place,
    case: Option<&'static Case>,
    logs: Logs,
    took: Mutex<Option<Duration>>,
    outcome: Mutex<Option<Outcome>>,
}

/// The places of a run, and its control address.
#[derive(Debug)]
pub struct Stand {
    target: Target,
    options: Options,
    control: TcpListener,
    stalls: Vec<Arc<Stall>>,
    /// What the first client at the control address tells about itself.
    sheet: OnceLock<Sheet>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unreachable(error: io::Error) -> RunError {
    RunError::Unreachable(format!("the tool cannot listen: {error}"))
}

impl Stand {
    /// Listens: the control address is the target's, and each case has a free port beside it.
    ///
    /// # Errors
    ///
    /// If the control address is taken, there are not enough ports, or no case is selected.
    pub fn open(target: ClientTarget, options: Options) -> Result<Self, RunError> {
        let cases = run::selected(Role::Client, &options.selection);
        if cases.is_empty() {
            return Err(RunError::NoCase);
        }
        let control = TcpListener::bind(target.listen).map_err(unreachable)?;
        let mut names = HashSet::new();
        let twins = cases.iter().filter_map(|case| case.twin).filter(|twin| names.insert(twin.name));
        let twins = twins.map(|twin| (format!("twin/{}", twin.name), twin.check, None));
        let cases = cases.iter().map(|case| (String::from(case.id), case.check, Some(*case)));
        let mut stalls = Vec::new();
        for (id, check, case) in twins.chain(cases) {
            stalls.push(opened(&target, &options, id, check, case)?);
        }
        // The address that reports name is the one at which the client finds the tool.
        let target = ClientTarget { listen: control.local_addr().map_err(unreachable)?, ..target };
        Ok(Self { target: target.into(), options, control, stalls, sheet: OnceLock::new() })
    }

    /// The control address.
    ///
    /// # Errors
    ///
    /// If the system cannot say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.control.local_addr()
    }

    /// The places, in the order of the list.
    pub fn places(&self) -> Vec<Place> {
        self.stalls.iter().map(|stall| stall.place.clone()).collect()
    }

    /// Serves the control address, several connections at a time, until a client has received the report.
    ///
    /// # Errors
    ///
    /// If the control address cannot be used any more.
    pub fn serve(&self, observer: &(dyn Fn(Event<'_>) + Sync)) -> io::Result<Report> {
        let met = |sheet| {
            if self.sheet.set(sheet).is_ok() {
                observer(Event::Begun { sheet: &self.sheet(), cases: self.cases().count() });
            }
        };
        let Target::Client(target) = &self.target else { return Err(io::ErrorKind::InvalidInput.into()) };
        let guests = Guests::default();
        self.control.set_nonblocking(true)?;
        thread::scope(|scope| {
            let served = self.accept_until_reported(&guests, |stream| {
                let guest = guests.add(&stream)?;
                let (guests, met) = (&guests, &met);
                let serve = move || {
                    let served = control::serve(stream, target, met, &|node| self.answer(node));
                    // A client that does not speak AMQP does not end the run.
                    guests.remove(guest, matches!(served, Ok(true)));
                };
                thread::Builder::new().name(String::from("control")).spawn_scoped(scope, serve).map(drop)
            });
            guests.dismiss();
            served
        })?;
        let report = self.report();
        report.cases.iter().for_each(|case| observer(Event::Result(case)));
        Ok(report)
    }

    /// Accepts connections to the control address until a client has received the report, or the run is interrupted.
    fn accept_until_reported(&self, guests: &Guests, serve: impl Fn(TcpStream) -> io::Result<()>) -> io::Result<()> {
        while !guests.has_reported() && !self.options.interrupt.is_set() {
            if guests.is_full() {
                thread::sleep(INTERVAL);
                continue;
            }
            match self.control.accept() {
                Ok((stream, _)) => serve(stream)?,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    thread::sleep(INTERVAL);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The capabilities of the client, as far as they are known.
    fn sheet(&self) -> Sheet {
        self.sheet.get().cloned().unwrap_or_default()
    }

    /// The places that are not twins.
    fn cases(&self) -> impl Iterator<Item = (&Stall, &'static Case)> {
        self.stalls.iter().filter_map(|stall| Some((&**stall, stall.case?)))
    }

    /// The content of a node of the control address.
    fn answer(&self, node: &str) -> Option<Vec<u8>> {
        match node {
            "list" => serde_json::to_vec(&List { schema: 1, cases: &self.places() }).ok(),
            "report" => {
                let mut report = self.report();
                report.cases.iter_mut().for_each(|case| case.wire.clear());
                serde_json::to_vec(&report).ok()
            }
            _ => None,
        }
    }

    /// The report so far. Cases that have begun have their patience to end.
    pub fn report(&self) -> Report {
        let start = Instant::now();
        let has_begun = |stall: &Arc<Stall>| !stall.logs.entries().is_empty() && lock(&stall.outcome).is_none();
        let is_interrupted = || self.options.interrupt.is_set();
        while self.stalls.iter().any(has_begun) && start.elapsed() < self.options.timeout && !is_interrupted() {
            thread::sleep(INTERVAL);
        }
        let outcomes: HashMap<&str, Outcome> =
            self.stalls.iter().map(|stall| (stall.place.id.as_str(), stall.outcome())).collect();
        let secrets = self.target.secrets();
        let mut results: Vec<CaseResult> = self
            .cases()
            .map(|(stall, case)| {
                let twin = case.twin.and_then(|twin| {
                    outcomes.get(format!("twin/{}", twin.name).as_str()).map(|outcome| (twin.name, outcome))
                });
                let outcome = match twin {
                    Some((name, outcome)) if outcome.verdict != Verdict::Pass => {
                        let reason = format!("the lawful twin {name:?}: {}", outcome.reason);
                        Outcome::new(Verdict::Unreachable, reason)
                    }
                    _ => stall.outcome(),
                };
                let mut wire = stall.logs.entries();
                secrets.hide(&mut wire);
                let took = lock(&stall.took).map_or(0, |took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
                CaseResult { took_us: took, wire, ..CaseResult::without_run(case, secrets.outcome(outcome)) }
            })
            .collect();
        let stale = self.options.expectations.apply(&mut results);
        let report = Report::new(&self.target, &self.sheet(), &self.options, results, stale);
        Report { interrupted: is_interrupted(), ..report }
    }
}

impl Stall {
    fn outcome(&self) -> Outcome {
        let outcome = lock(&self.outcome).clone();
        outcome.unwrap_or_else(|| {
            let reason =
                if self.logs.entries().is_empty() { "the client did not come" } else { "the case is not over" };
            Outcome::new(Verdict::Unreachable, reason)
        })
    }
}

/// Listens for one case, on a thread that waits for the client.
fn opened(
    target: &ClientTarget,
    options: &Options,
    id: String,
    check: Check,
    case: Option<&'static Case>,
) -> Result<Arc<Stall>, RunError> {
    let Check::Client(scenario, check) = check else { return Err(RunError::NoCase) };
    let listener = TcpListener::bind((target.listen.ip(), 0)).map_err(unreachable)?;
    let address = listener.local_addr().map_err(unreachable)?;
    let is_strict = options.selection.level.is_strict();
    let (layers, target) = (target.layers.clone(), ClientTarget { command: Vec::new(), ..target.clone() });
    let (announce, announced) = mpsc::channel();
    let (handed, stall) = mpsc::channel::<Arc<Stall>>();
    let logs = Logs::after_first_connection(options.timeout);
    let work = {
        let logs = logs.clone();
        move || {
            let announce_late = announce.clone();
            let announce = move |asked: Asked| announce.send(asked).unwrap_or_default();
            let trial = ClientTrial::visited(&target, listener, scenario, is_strict, announce);
            let mut trial = trial.logging(logs.clone());
            let outcome = check(&mut trial).unwrap_or_else(Stop::into_outcome);
            // A case that waits for no connection is in the list all the same.
            announce_late.send(Asked { count: 1, tls: false }).unwrap_or_default();
            if let Ok(stall) = stall.recv() {
                *lock(&stall.took) = logs.elapsed();
                *lock(&stall.outcome) = Some(outcome);
            }
        }
    };
    thread::Builder::new().name(id.clone()).spawn(work).map_err(unreachable)?;
    let Asked { count, tls } = announced.recv().unwrap_or(Asked { count: 1, tls: false });
    // A certificate has a name in it.
    let scheme = layers.scheme(tls);
    let url = if tls { format!("{scheme}://localhost:{}", address.port()) } else { format!("{scheme}://{address}") };
    let place = Place { id, url, address: super::trial::ADDRESS, scenario, count };
    let stall = Arc::new(Stall { place, case, logs, took: Mutex::default(), outcome: Mutex::default() });
    // The case's thread may be over already.
    handed.send(Arc::clone(&stall)).unwrap_or_default();
    Ok(stall)
}

#[cfg(test)]
mod tests;
