//! The matrix: each case, passed by the right peer and failed by at least one wrong one.

use crate::{
    changes,
    proxy::{self, Side},
    wrong::Wrong,
};
use amqp_conformance::{
    Case, Check, Outcome, Role, Stop, Twin, Verdict,
    client::{self, ClientTarget, ClientTrial},
    run::Target,
    server::{ServerTarget, ServerTrial, Sheet},
    wire::Logs,
};
use std::{
    collections::{BTreeMap, HashMap},
    env,
    error::Error,
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// The right peer.
pub(crate) enum Right {
    /// A server at this address.
    Server(SocketAddr),
    /// A client that this command runs, with `{url}` and its like.
    Client(Vec<String>),
}

/// The longest time that is waited for an answer: the peers are on this machine.
const PATIENCE: Duration = Duration::from_millis(400);
/// The time within which a case must be over.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The number of cases that are tested at the same time.
const WORKERS: usize = 4;

/// The result of one case.
struct Row {
    case: &'static Case,
    right: Outcome,
    /// The first wrong peer that fails it.
    failed_by: Option<(&'static str, Outcome)>,
}

/// Tests every case of the peer's role that this selects, and prints the matrix. `kept` is the file with the wrong peer
/// that has failed each case before, which is tried first; it is written if `writes`.
///
/// Returns `false` if a case that judges the right peer is failed by no wrong one.
pub(crate) fn print(right: &Right, kept: &PathBuf, writes: bool, only: &str) -> Result<bool, Box<dyn Error>> {
    let (role, target) = match right {
        Right::Server(address) => (Role::Server, Target::Server(server(*address, "matrix"))),
        Right::Client(command) => (Role::Client, Target::Client(client(command.clone()))),
    };
    let sheet = match &target {
        Target::Server(target) => Sheet::of(target),
        Target::Client(target) => client::sheet_of(target),
    };
    let sheet = sheet.map_err(|stop| stop.into_outcome().reason)?;
    let mut before = read(kept)?;
    let cases: Vec<&Case> =
        amqp_conformance::cases().filter(|case| case.role() == role && case.id.starts_with(only)).collect();
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (next, rows, cases, sheet, before) = (&next, &rows, &cases, &sheet, &before);
            scope.spawn(move || {
                let mut bench = Bench { right, sheet, worker, twins: HashMap::new(), proxies: HashMap::new() };
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = bench.test(case, before.get(&key(case)).map(String::as_str));
                    rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|row| cases.iter().position(|case| case.id == row.case.id));
    let mut is_complete = true;
    for row in &rows {
        let failed_by = match &row.failed_by {
            Some((name, outcome)) => {
                before.insert(key(row.case), String::from(*name));
                format!("{name}: {}", outcome.reason)
            }
            None if row.right.verdict.is_judgement() => {
                is_complete = false;
                String::from("NO WRONG PEER")
            }
            None => String::new(),
        };
        println!("{:<32} {:<12} {failed_by}", row.case.id, row.right.verdict);
    }
    if writes {
        let lines: String = before.iter().map(|((role, id), name)| format!("{role}\t{id}\t{name}\n")).collect();
        fs::write(kept, lines)?;
    }
    let judged = rows.iter().filter(|row| row.right.verdict.is_judgement()).count();
    let failed = rows.iter().filter(|row| row.right.verdict.is_judgement() && row.failed_by.is_some()).count();
    println!("{} cases, {judged} judge the right peer, {failed} of these are failed by a wrong one", rows.len());
    Ok(is_complete)
}

type Key = (String, String);

fn key(case: &Case) -> Key {
    let role = if case.role() == Role::Server { "server" } else { "client" };
    (String::from(role), String::from(case.id))
}

fn read(kept: &PathBuf) -> Result<BTreeMap<Key, String>, Box<dyn Error>> {
    if !kept.exists() {
        return Ok(BTreeMap::new());
    }
    let text = fs::read_to_string(kept)?;
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('\t').map(String::from);
        Some(((words.next()?, words.next()?), words.next()?))
    });
    Ok(lines.collect())
}

fn server(address: SocketAddr, node: &str) -> ServerTarget {
    ServerTarget { patience: PATIENCE, ..ServerTarget::new(address, node) }
}

fn client(command: Vec<String>) -> ClientTarget {
    ClientTarget { patience: PATIENCE, ..ClientTarget::new(command) }
}

/// One worker, with a queue and proxies of its own.
struct Bench<'a> {
    right: &'a Right,
    sheet: &'a Sheet,
    worker: usize,
    /// Whether a twin passes, by the wrong peer and the twin's name.
    twins: HashMap<(&'static str, &'static str), bool>,
    proxies: HashMap<&'static str, SocketAddr>,
}

impl Bench<'_> {
    fn test(&mut self, case: &'static Case, before: Option<&str>) -> Row {
        let right = match case.needs.iter().find(|need| !self.sheet.has(**need)) {
            Some(need) => Outcome::skip(need.name()),
            None => self.check(None, case.check),
        };
        let mut row = Row { case, right, failed_by: None };
        if !row.right.verdict.is_judgement() {
            return row;
        }
        let is_first = |wrong: &&Wrong| Some(wrong.name) == before;
        let (first, others) = (changes::ALL.iter().filter(is_first), changes::ALL.iter().filter(|w| !is_first(w)));
        for wrong in first.chain(others) {
            if case.twin.is_some_and(|twin| !self.twin_passes(wrong, twin)) {
                continue;
            }
            let outcome = self.check(Some(wrong), case.check);
            if outcome.verdict >= Verdict::Warn && outcome.verdict > row.right.verdict {
                row.failed_by = Some((wrong.name, outcome));
                break;
            }
        }
        row
    }

    fn twin_passes(&mut self, wrong: &'static Wrong, twin: &'static Twin) -> bool {
        if let Some(passes) = self.twins.get(&(wrong.name, twin.name)) {
            return *passes;
        }
        let passes = self.check(Some(wrong), twin.check).verdict == Verdict::Pass;
        self.twins.insert((wrong.name, twin.name), passes);
        passes
    }

    /// Runs a check against the right peer, or made wrong.
    fn check(&mut self, wrong: Option<&'static Wrong>, check: Check) -> Outcome {
        let logs = Logs::within(TIMEOUT);
        match (check, self.right) {
            (Check::Server(check), Right::Server(address)) => {
                let node = format!("matrix-{}", self.worker);
                let direct = ServerTarget { container_id: node.clone(), ..server(*address, &node) };
                if let Err(stop) = ServerTrial::new(&direct, self.sheet, true).purge() {
                    return stop.into_outcome();
                }
                let address = match wrong {
                    None => *address,
                    Some(wrong) => match self.proxy(wrong, *address) {
                        Ok(proxy) => proxy,
                        Err(error) => return Stop::NoConnection(error).into_outcome(),
                    },
                };
                let target = ServerTarget { container_id: node.clone(), ..server(address, &node) };
                check(&mut ServerTrial::new(&target, self.sheet, true).logging(logs)).unwrap_or_else(Stop::into_outcome)
            }
            (Check::Client(scenario, check), Right::Client(command)) => {
                let target = client(match wrong {
                    None => command.clone(),
                    Some(wrong) => wrong_command(wrong, command),
                });
                match ClientTrial::start(&target, scenario, 1, true) {
                    Ok(trial) => check(&mut trial.logging(logs)).unwrap_or_else(Stop::into_outcome),
                    Err(error) => Stop::NoConnection(error).into_outcome(),
                }
            }
            _ => Outcome::skip("the case is for the other role"),
        }
    }

    fn proxy(&mut self, wrong: &'static Wrong, upstream: SocketAddr) -> std::io::Result<SocketAddr> {
        if let Some(address) = self.proxies.get(wrong.name) {
            return Ok(*address);
        }
        let address = proxy::start(*wrong, Side::Server, upstream)?;
        self.proxies.insert(wrong.name, address);
        Ok(address)
    }
}

/// The command of this program that runs the right client, and makes it wrong.
fn wrong_command(wrong: &Wrong, command: &[String]) -> Vec<String> {
    let program = env::current_exe().map_or_else(|_| String::from("wrong_peer"), |path| path.display().to_string());
    let prefix = [program, String::from("client"), String::from(wrong.name), String::from("{url}")];
    prefix.into_iter().chain(command.iter().map(|word| word.replace("{url}", "{proxy}"))).collect()
}
