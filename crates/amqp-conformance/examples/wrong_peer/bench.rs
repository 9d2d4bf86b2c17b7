//! Runs checks against a right peer, or made wrong.

use crate::{
    place,
    proxy::{Proxy, Side},
    right::{Pace, Right, Server},
    wrong::{Piece, Wrong, take_piece},
};
use amqp_conformance::{
    Case, Check, Outcome, Stop, Tag, Twin, Verdict,
    client::{ClientTarget, ClientTrial, Scenario},
    server::{ServerTrial, Sheet},
    wire::{Logs, Step, WireLog},
};
use bytes::{Bytes, BytesMut};
use std::{
    collections::{HashMap, HashSet},
    env, io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The longest wait for an answer of a right peer. It is not waited for in vain, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// The longest wait for an answer of a peer that fails the case, or may.
pub(crate) const HASTE: Duration = Duration::from_millis(300);
/// The longest wait that a failure must survive before it is believed.
pub(crate) const DOUBT: Duration = Duration::from_millis(1500);
/// The time within which a check must be over, and one that waits or floods.
const TIMEOUT: Duration = Duration::from_secs(15);
const SLOW_TIMEOUT: Duration = Duration::from_secs(60);

/// The result of a check, and the pieces that passed in it on each connection.
pub(crate) struct Checked {
    pub(crate) outcome: Outcome,
    pub(crate) connections: Vec<Conversation>,
}

/// The pieces that passed on a connection.
#[derive(Default)]
pub(crate) struct Conversation {
    /// The headers and frames that the tool sent.
    pub(crate) sent: Vec<Bytes>,
    /// The names of those that came from the peer.
    pub(crate) came: Vec<String>,
}

impl Checked {
    fn skipped(reason: &str) -> Self {
        Self { outcome: Outcome::skip(reason), connections: Vec::new() }
    }

    /// The names of the pieces that passed, in either direction.
    pub(crate) fn names(&self) -> HashSet<String> {
        let sent = |conversation: &Conversation| {
            conversation.sent.iter().take(1000).map(|octets| String::from(Piece::new(octets.clone()).name())).collect()
        };
        let of = |conversation| {
            let names: Vec<String> = sent(conversation);
            conversation.came.iter().cloned().chain(names)
        };
        self.connections.iter().flat_map(of).collect()
    }
}

/// The check of a case, or of its twin.
#[derive(Clone, Copy)]
enum Which {
    Case,
    Twin(&'static Twin),
}

/// One worker, with an address and servers of its own.
pub(crate) struct Bench<'a> {
    rights: &'a [(&'a Right, Sheet)],
    twins: &'a Twins,
    worker: u8,
    /// Whether each check is reported on the standard error.
    is_verbose: bool,
    /// The number of clients that were started: each is given another port.
    clients: u16,
}

/// The twins that were run, by the right peer, the wrong peer and the twin's name: for one that does not pass, the longest
/// patience with which it was run.
pub(crate) type Twins = Mutex<TwinsRun>;

type TwinsRun = HashMap<(usize, &'static str, &'static str), Option<Duration>>;

impl<'a> Bench<'a> {
    pub(crate) fn new(rights: &'a [(&'a Right, Sheet)], twins: &'a Twins, worker: u8) -> Self {
        Self { rights, twins, worker, is_verbose: env::var_os("VERBOSE").is_some(), clients: 0 }
    }

    fn twins(&self) -> MutexGuard<'a, TwinsRun> {
        self.twins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a case against the first right peer that it judges. Returns its number too.
    pub(crate) fn right(&mut self, case: &Case) -> (usize, Checked) {
        let rights = self.rights;
        let pace = if case.has(Tag::Slow) { Pace::Slow } else { Pace::Quick };
        let mut first = None;
        for (number, (right, sheet)) in rights.iter().enumerate().filter(|(_, (right, _))| right.is_for(pace)) {
            let checked = match case.needs.iter().find(|need| !sheet.has(**need)) {
                Some(need) => Checked::skipped(need.name()),
                None => self.check(right, sheet, None, case, Which::Case, PATIENCE),
            };
            // The machine may have been busy.
            let checked = match checked.outcome.verdict {
                Verdict::Pass | Verdict::PassWider | Verdict::Info | Verdict::Skip => checked,
                _ => self.check(right, sheet, None, case, Which::Case, PATIENCE.saturating_mul(3)),
            };
            if checked.outcome.verdict.is_judgement() {
                return (number, checked);
            }
            first.get_or_insert((number, checked));
        }
        first.unwrap_or_else(|| (0, Checked::skipped("no right peer")))
    }

    /// Runs a case against a wrong peer, unless the peer does not even pass the case's twin.
    pub(crate) fn wrong(&mut self, number: usize, wrong: &Wrong, case: &Case, patience: Duration) -> Option<Outcome> {
        let (right, sheet) = self.rights.get(number)?;
        Some(self.check(right, sheet, Some(wrong), case, Which::Case, patience).outcome)
    }

    /// The pieces that the tool sends in the lawful twins of these cases. Workers have nodes of different names.
    pub(crate) fn vocabulary(&mut self, cases: &[&'static Case]) -> HashSet<Bytes> {
        let (mut run, mut pieces) = (HashSet::new(), HashSet::new());
        let rights = self.rights;
        for (number, (right, sheet)) in rights.iter().enumerate() {
            for case in cases {
                let Some(twin) = case.twin.filter(|twin| run.insert((number, twin.name))) else { continue };
                let checked = self.check(right, sheet, None, case, Which::Twin(twin), PATIENCE);
                let sent = checked.connections.iter().flat_map(|conversation| &conversation.sent);
                pieces.extend(sent.map(place::nameless));
            }
        }
        pieces
    }

    /// Returns `true` if the case has no twin, or the peer passes it. A peer that is wrong at a place of the case's
    /// conversation stands aside: at that of the twin's something else is.
    pub(crate) fn twin_passes(&mut self, number: usize, wrong: &Wrong, case: &Case, patience: Duration) -> bool {
        let Some(twin) = case.twin else { return true };
        let wrong = Some(wrong).filter(|wrong| wrong.place.is_none());
        let key = (number, wrong.map_or("right", |wrong| wrong.name), twin.name);
        match self.twins().get(&key) {
            Some(None) => return true,
            Some(Some(waited)) if patience <= *waited => return false,
            _ => {}
        }
        let passes = self.rights.get(number).is_some_and(|(right, sheet)| {
            self.check(right, sheet, wrong, case, Which::Twin(twin), patience).outcome.verdict == Verdict::Pass
        });
        self.twins().insert(key, (!passes).then_some(patience));
        passes
    }

    fn check(
        &mut self,
        right: &Right,
        sheet: &Sheet,
        wrong: Option<&Wrong>,
        case: &Case,
        which: Which,
        patience: Duration,
    ) -> Checked {
        let check = match which {
            Which::Case => case.check,
            Which::Twin(twin) => twin.check,
        };
        let limit = if case.has(Tag::Slow) || case.has(Tag::Hostile) { SLOW_TIMEOUT } else { TIMEOUT };
        let (logs, start) = (Logs::within(limit), Instant::now());
        let run = || match (check, right) {
            (Check::Server(check), Right::Running(_) | Right::Broker(..)) => {
                let must_live = matches!(which, Which::Case);
                self.check_server((right, sheet), wrong, check, must_live, patience, logs.clone())
            }
            (Check::Client(scenario, check), Right::Client(command, _)) => {
                self.check_client(command, wrong, scenario, check, patience, logs.clone())
            }
            _ => Ok(Outcome::skip("the case is for the other role")),
        };
        // A case that goes on after its deadline is ended by an unwinding.
        let outcome = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Stop::NoConnection(error).into_outcome(),
            Err(_) => Outcome::fail(format!("the case was not over within {limit:?}")),
        };
        if self.is_verbose {
            let name = wrong.map_or("right", |wrong| wrong.name);
            let of = if let Which::Twin(twin) = which { twin.name } else { "" };
            let millis = start.elapsed().as_millis();
            eprintln!("{} {name} {of} {millis} ms: {} {}", case.id, outcome.verdict, outcome.reason);
        }
        Checked { outcome, connections: logs.read(conversation) }
    }

    fn check_server(
        &mut self,
        (right, sheet): (&Right, &Sheet),
        wrong: Option<&Wrong>,
        check: fn(&mut ServerTrial<'_>) -> Result<Outcome, Stop>,
        must_live: bool,
        patience: Duration,
        logs: Logs,
    ) -> io::Result<Outcome> {
        let server: Server = right.serve()?;
        let node = format!("matrix-{}", self.worker);
        if let Right::Running(address) = right {
            let direct = server.target(*address, &node, PATIENCE, right.login());
            if let Err(stop) = ServerTrial::new(&direct, sheet, true).purge() {
                return Ok(stop.into_outcome());
            }
        }
        let proxy = wrong.map(|wrong| Proxy::start(*wrong, Side::Server, server.address)).transpose()?;
        let address = proxy.as_ref().map_or(server.address, |proxy| proxy.address);
        let target = server.target(address, &node, patience, right.login());
        let outcome =
            check(&mut ServerTrial::new(&target, sheet, true).logging(logs)).unwrap_or_else(Stop::into_outcome);
        if !must_live || outcome.verdict == Verdict::Skip || outcome.verdict >= Verdict::Fail {
            return Ok(outcome);
        }
        // It must still serve another connection.
        Ok(match ServerTrial::new(&target, sheet, true).opened() {
            Ok(_) => outcome,
            Err(Stop::NoConnection(error)) => {
                Outcome::new(Verdict::Crashed, format!("no connection after it: {error}"))
            }
            // Some wrong peers open no connection at all.
            Err(_) if outcome.verdict == Verdict::Unreachable => outcome,
            Err(stop) => Outcome::new(Verdict::Hung, format!("after it, {}", stop.into_outcome().reason)),
        })
    }

    fn check_client(
        &mut self,
        command: &[String],
        wrong: Option<&Wrong>,
        scenario: Scenario,
        check: fn(&mut ClientTrial<'_>) -> Result<Outcome, Stop>,
        patience: Duration,
        logs: Logs,
    ) -> io::Result<Outcome> {
        let listen = self.next_address();
        let proxy = wrong.map(|wrong| Proxy::start(*wrong, Side::Client, listen)).transpose()?;
        let url = proxy.as_ref().map_or_else(|| String::from("{url}"), |proxy| format!("amqp://{}", proxy.address));
        let command = command.iter().map(|word| word.replace("{url}", &url));
        let target = ClientTarget { patience, listen, ..ClientTarget::new(command) };
        let mut trial = ClientTrial::start(&target, scenario, 1, true)?.logging(logs);
        Ok(check(&mut trial).unwrap_or_else(Stop::into_outcome))
    }

    /// An address at which the tool has not listened before, so that no client of an earlier check comes to it. The
    /// network is this machine's own, and other runs have other addresses in it.
    fn next_address(&mut self) -> SocketAddr {
        let [.., high, low] = process::id().to_be_bytes();
        self.clients = self.clients.wrapping_add(1) % 20_000;
        SocketAddr::from(([127, 100_u8.wrapping_add(self.worker), high, low.max(1)], 10_000 + self.clients))
    }
}

/// The pieces that passed on a connection.
fn conversation(log: &WireLog) -> Conversation {
    let (mut conversation, mut sent) = (Conversation::default(), BytesMut::new());
    for (_, step) in log.steps() {
        match step {
            Step::Sent(octets) => {
                sent.extend_from_slice(&octets);
                while let Some(piece) = take_piece(&mut sent) {
                    conversation.sent.push(piece);
                }
            }
            Step::Got(name) => conversation.came.push(name),
            _ => {}
        }
    }
    conversation
}
