//! Runs a script against a peer.

use super::{Line, Script, script::PAUSES};
use crate::{
    case::Role,
    client::{ClientTrial, Scenario},
    run::{Target, why_unreachable},
    server::{ServerTrial, Sheet},
    verdict::Stop,
    wire::{Connection, Entry, Logs},
};
use std::{
    collections::HashMap,
    io, thread,
    time::{Duration, Instant},
};

/// The conversation of a script that was run.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Where the peer has answered otherwise than in the script.
    pub differences: Vec<String>,
    /// The log of each connection.
    pub wire: Vec<Vec<Entry>>,
}

/// A script that could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The script is for a peer in the other role.
    #[error("the script is for a {0}")]
    Role(Role),
    /// The script is that of a login with a password.
    #[error(
        "the script needs a password of the length of the one that it was recorded with: give --user and --password"
    )]
    Password,
    /// A connection is used that is not connected.
    #[error("connection {0} of the script is used before it is connected")]
    NotConnected(usize),
    /// The peer cannot be reached.
    #[error("the peer cannot be reached: {0}")]
    Unreachable(String),
    /// It is not over within an hour.
    #[error("the script takes longer than {} s", LONGEST.as_secs())]
    TooLong,
    /// The tool cannot listen.
    #[error("the tool cannot listen")]
    Listen(#[source] io::Error),
}

/// The longest time that a script may take: each answer that does not come takes the peer's patience.
const LONGEST: Duration = PAUSES;

enum Trial<'a> {
    Server(ServerTrial<'a>),
    Client(ClientTrial<'a>),
}

impl Trial<'_> {
    fn connected(&mut self) -> Result<Connection, Stop> {
        match self {
            Self::Server(trial) => trial.connected(),
            Self::Client(trial) => trial.connected(),
        }
    }

    fn logs(&self) -> Vec<Vec<Entry>> {
        match self {
            Self::Server(trial) => trial.logs(),
            Self::Client(trial) => trial.logs(),
        }
    }
}

/// Runs a script against a peer.
///
/// # Errors
///
/// If the peer cannot be reached, or the script does not fit it.
pub fn replay(script: &Script, target: &Target) -> Result<Replayed, ReplayError> {
    replay_within(script, target, LONGEST)
}

fn replay_within(script: &Script, target: &Target, limit: Duration) -> Result<Replayed, ReplayError> {
    if script.role != target.role() {
        return Err(ReplayError::Role(script.role));
    }
    let sheet = Sheet::default();
    let (mut trial, password) = match target {
        Target::Server(server) => {
            (Trial::Server(ServerTrial::new(server, &sheet, false).logging(Logs::default())), server.login.password())
        }
        Target::Client(client) => {
            let (scenario, count) = script.scenario.unwrap_or((Scenario::Send, 1));
            let trial = ClientTrial::start(client, scenario, count, false).map_err(ReplayError::Listen)?;
            (Trial::Client(trial.logging(Logs::default())), None)
        }
    };
    let secrets = target.secrets();
    let mut connections: HashMap<usize, Connection> = HashMap::new();
    let mut differences = Vec::new();
    let start = Instant::now();
    for line in &script.lines {
        if start.elapsed() > limit {
            return Err(ReplayError::TooLong);
        }
        match line {
            Line::Connect(number) => {
                let connected = trial.connected();
                let connection = connected.map_err(|stop| ReplayError::Unreachable(why_unreachable(target, stop)))?;
                connections.insert(*number, connection);
            }
            Line::Wait(pause) => thread::sleep(*pause),
            Line::Send(number, octets) => {
                let octets = octets.with(password).ok_or(ReplayError::Password)?;
                of(&mut connections, *number)?.raw(octets);
            }
            Line::Finish(number) => of(&mut connections, *number)?.finish(),
            Line::Leave(number) => drop(connections.remove(number)),
            Line::Expect(number, name) => {
                let got = of(&mut connections, *number)?.next();
                if got.name() != name {
                    let got = secrets.text(&got.to_string());
                    differences.push(format!("connection {number}: {name} in the script, now {got}"));
                }
            }
        }
    }
    drop(connections);
    let mut wire = trial.logs();
    secrets.hide(&mut wire);
    Ok(Replayed { differences, wire })
}

fn of(connections: &mut HashMap<usize, Connection>, number: usize) -> Result<&mut Connection, ReplayError> {
    connections.get_mut(&number).ok_or(ReplayError::NotConnected(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ServerTarget;
    use std::net::TcpListener;

    #[test]
    fn a_script_that_waits_for_a_silent_peer_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let target = ServerTarget { patience: Duration::from_millis(10), ..ServerTarget::new(address, "q") };
        let text = format!("amqp-conformance-script 1\nrole server\n1 connect\n{}", "1 expect open\n".repeat(100_000));
        let script: Script = text.parse().expect("it is a script");
        let error = replay_within(&script, &target.into(), Duration::from_millis(50)).expect_err("it takes too long");
        assert!(matches!(error, ReplayError::TooLong), "{error}");
    }
}
