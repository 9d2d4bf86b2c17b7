//! Runs cases and collects their outcomes.
//!
//! ```no_run
//! use amqp_conformance::{run, server::{Login, ServerTarget}};
//!
//! let target = ServerTarget::new("127.0.0.1:5672".parse()?, "conformance-queue").with_login(Login::Anonymous);
//! let report = run(target, &run::Options::default())?;
//! assert_eq!(report.count(amqp_conformance::Verdict::Fail), 0, "{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod interrupt;
mod node;
mod reach;
mod runner;
mod secrets;
mod select;
mod workers;

pub use interrupt::Interrupt;
pub(crate) use reach::why_unreachable;
pub use runner::{CaseResult, Runner};
pub use secrets::{Secrets, masked};
pub use select::{Level, Selection, Selector, UnknownLevel, UnknownSelector};

use crate::{
    case::{Case, Role},
    client::{self, ClientTarget},
    report::{Expectations, Report, place_of},
    repro::Script,
    server::{self, ServerTarget, Sheet},
    verdict::Verdict,
};
use std::{sync::Arc, time::Duration};

/// The factor by which [`Target::patient`] waits longer.
const PATIENT: u32 = 5;

/// The peer under test.
#[derive(Clone, Debug)]
pub enum Target {
    /// A server.
    Server(ServerTarget),
    /// A client.
    Client(ClientTarget),
}

impl Target {
    /// The role of the peer.
    pub const fn role(&self) -> Role {
        match self {
            Self::Server(_) => Role::Server,
            Self::Client(_) => Role::Client,
        }
    }

    /// The layers below AMQP, in words.
    pub fn transport(&self) -> String {
        match self {
            Self::Server(server) => server.layers.name(),
            Self::Client(client) => client.layers.name(),
        }
    }

    /// The same peer with more patience, where one that is busy must not be taken for one that is not there.
    fn patient(&self) -> Self {
        match self {
            Self::Server(server) => {
                Self::Server(ServerTarget { patience: server.patience.saturating_mul(PATIENT), ..server.clone() })
            }
            Self::Client(client) => {
                Self::Client(ClientTarget { patience: client.patience.saturating_mul(PATIENT), ..client.clone() })
            }
        }
    }

    /// What must not be written anywhere.
    pub fn secrets(&self) -> Secrets {
        Secrets::of(self)
    }
}

impl From<ServerTarget> for Target {
    fn from(target: ServerTarget) -> Self {
        Self::Server(target)
    }
}

impl From<ClientTarget> for Target {
    fn from(target: ClientTarget) -> Self {
        Self::Client(target)
    }
}

/// The options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cases.
    pub selection: Selection,
    /// The time within which a case must be over; four times as long for slow ones.
    pub timeout: Duration,
    /// Stops after the first verdict at which the run fails.
    pub fail_fast: bool,
    /// Goes on after the peer has crashed.
    pub keep_going: bool,
    /// The least verdict at which the run fails.
    pub fail_on: FailOn,
    /// The name of the peer in reports; the product and version of its open if `None`.
    pub peer_name: Option<String>,
    /// Removes the messages of the node before the run.
    pub purge: bool,
    /// The number of cases that run at the same time.
    pub jobs: usize,
    /// The nodes of the workers after the first, which uses the target's: cases that run at the same time must not see
    /// each other's messages.
    pub more_nodes: Vec<String>,
    /// The verdicts that are known and have a reason.
    pub expectations: Expectations,
    /// The peer's capabilities. If `None`, the peer is asked.
    pub sheet: Option<Sheet>,
    /// Ends the run early. Cases that were not judged are unreachable then.
    pub interrupt: Interrupt,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            timeout: Duration::from_secs(30),
            fail_fast: false,
            keep_going: false,
            fail_on: FailOn::Fail,
            peer_name: None,
            purge: false,
            jobs: 1,
            more_nodes: Vec::new(),
            expectations: Expectations::default(),
            sheet: None,
            interrupt: Interrupt::default(),
        }
    }
}

/// The least verdict at which a run fails, unless the verdict is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailOn {
    /// A refusal at a wider scope than the text names.
    PassWider,
    /// A case that could not be reached.
    Unreachable,
    /// A SHOULD that is not followed.
    Warn,
    /// A MUST that is broken.
    Fail,
    /// A peer that hangs or has crashed.
    Hung,
    /// A peer that has crashed.
    Crashed,
    /// Never.
    Never,
}

impl FailOn {
    /// Returns `true` if this verdict makes the run fail.
    pub fn includes(self, verdict: Verdict) -> bool {
        let least = match verdict {
            Verdict::Pass | Verdict::Info | Verdict::Skip => return false,
            Verdict::PassWider => Self::PassWider,
            Verdict::Unreachable => Self::Unreachable,
            Verdict::Warn => Self::Warn,
            Verdict::Fail => Self::Fail,
            Verdict::Hung => Self::Hung,
            Verdict::Crashed => Self::Crashed,
        };
        least >= self
    }
}

/// A run that could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The peer could not be reached, or no connection could be opened.
    #[error("the peer cannot be reached: {0}")]
    Unreachable(String),
    /// The peer has refused the login.
    #[error("{0}")]
    Refused(String),
    /// The peer was reached, and then accepted no connection any more.
    #[error("the peer crashed: {0}")]
    Crashed(String),
    /// The run was interrupted before a case was judged.
    #[error("the run was interrupted before a case was judged")]
    Interrupted,
    /// The node has messages in it, and may not be emptied.
    #[error("the node {node:?} is not empty: name an empty queue, or allow with --purge that its messages are removed")]
    NotEmpty {
        /// The node.
        node: String,
    },
    /// The node cannot be used.
    #[error("the node {node:?} cannot be used: {reason}")]
    Node {
        /// The node.
        node: String,
        /// The reason.
        reason: String,
    },
    /// There are fewer nodes than workers.
    #[error("{jobs} jobs need {jobs} nodes, and there are {nodes}: give --node once for each job")]
    Nodes {
        /// The number of workers.
        jobs: usize,
        /// The number of nodes.
        nodes: usize,
    },
    /// Two workers have the same node: they would see each other's messages.
    #[error("the node {node:?} is given twice: each job needs a node of its own")]
    SameNode {
        /// The node.
        node: String,
    },
    /// No case is selected.
    #[error("no case is selected: see `amqp-conformance list`")]
    NoCase,
}

/// An event of a run, for those who show its progress.
#[derive(Debug)]
pub enum Event<'a> {
    /// The peer was asked for its capabilities; this many cases follow.
    Begun {
        /// The capabilities.
        sheet: &'a Sheet,
        /// The number of cases.
        cases: usize,
    },
    /// A case was begun.
    Case(&'a Case),
    /// A case is over.
    Result(&'a CaseResult),
}

/// The cases that this selection has for a peer in this role, in the order of the specification.
pub fn selected(role: Role, selection: &Selection) -> Vec<&'static Case> {
    crate::cases().filter(|case| case.role() == role && selection.contains(case)).collect()
}

/// The same cases in the order in which they run. What restarts a server comes last.
fn in_turn(role: Role, selection: &Selection) -> Vec<&'static Case> {
    let cases = server::cases::all().chain(client::cases::all());
    cases.filter(|case| case.role() == role && selection.contains(case)).collect()
}

/// Judges a peer.
///
/// # Errors
///
/// If the peer cannot be reached, its node is not empty, or no case is selected.
pub fn run(target: impl Into<Target>, options: &Options) -> Result<Report, RunError> {
    run_with(target, options, &|_| {})
}

/// Judges a peer, and says what happens while it does.
///
/// # Errors
///
/// As said for [`run`].
pub fn run_with(
    target: impl Into<Target>,
    options: &Options,
    observer: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Report, RunError> {
    let target = target.into();
    let cases = in_turn(target.role(), &options.selection);
    if cases.is_empty() {
        return Err(RunError::NoCase);
    }
    let targets = node::targets(&target, options)?;
    let sheet = sheet_of(&target, &targets, options)?;
    observer(Event::Begun { sheet: &target.secrets().sheet(&sheet), cases: cases.len() });
    let sheet = Arc::new(sheet);
    let workers::Results { cases: mut results, is_interrupted } =
        workers::run_all(&targets, &sheet, &cases, options, observer);
    results.sort_by(|one, other| place_of(&one.id).cmp(&place_of(&other.id)));
    let stale = options.expectations.apply(&mut results);
    Ok(Report { interrupted: is_interrupted, ..Report::new(&target, &sheet, options, results, stale) })
}

/// Runs one case, whatever its tags are, and returns its script.
///
/// # Errors
///
/// As said for [`run`], and if there is no such case.
pub fn repro(target: impl Into<Target>, id: &str, options: &Options) -> Result<(CaseResult, Script), RunError> {
    let target = target.into();
    let is_it = |case: &&Case| case.id == id && case.role() == target.role();
    let case = crate::cases().find(is_it).ok_or(RunError::NoCase)?;
    let targets = node::targets(&target, &Options { jobs: 1, ..options.clone() })?;
    let sheet = sheet_of(&target, &targets, options)?;
    let password = match &target {
        Target::Server(server) => server.login.password().map(String::from),
        Target::Client(_) => None,
    };
    let is_strict = options.selection.level.is_strict();
    let mut runner = Runner::new(Arc::new(target), Arc::new(sheet), is_strict, options.timeout);
    let (result, logs) = runner.run_logged(case);
    runner.empty_node();
    let script = Script::new(case, &result, &logs, password.as_deref());
    Ok((result, script))
}

/// The peer's capabilities, after its nodes were found empty or were emptied.
fn sheet_of(target: &Target, targets: &[Target], options: &Options) -> Result<Sheet, RunError> {
    if let Some(sheet) = &options.sheet {
        return Ok(sheet.clone());
    }
    let (target, targets) = (target.clone(), targets.to_vec());
    let (may_purge, limit) = (options.purge, options.timeout.saturating_mul(runner::SLOW));
    let ask = move || {
        node::prepare(&targets, may_purge, limit)?;
        let sheet = match &target {
            Target::Server(server) => Sheet::of(server),
            Target::Client(client) => client::sheet_of(client),
        };
        sheet.map_err(|stop| RunError::of_peer(&target, stop))
    };
    let asked = options.interrupt.unless(ask).map_err(|error| RunError::Unreachable(error.to_string()))?;
    asked.ok_or(RunError::Interrupted)?
}
