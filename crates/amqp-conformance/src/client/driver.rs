//! The client under test: a command that is run for each case.

use crate::transport::Listening;
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// The part that a client is asked to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Sends `{count}` messages to `{address}`, waits for each outcome, and closes.
    Send,
    /// Receives `{count}` messages from `{address}`, accepts each, and closes.
    Receive,
    /// Sends `{count}` requests to `{address}` with a `reply-to`, waits for the response of each, and closes.
    Request,
    /// Sends `{count}` messages to `{address}` in a transaction, commits it, and closes.
    Transaction,
    /// Opens a connection, leaves it alone for `{count}` seconds, and closes.
    Idle,
}

impl Scenario {
    /// Every scenario.
    pub const ALL: [Self; 5] = [Self::Send, Self::Receive, Self::Request, Self::Transaction, Self::Idle];

    /// The scenario of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// The value of `{scenario}`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Request => "request",
            Self::Transaction => "transaction",
            Self::Idle => "idle",
        }
    }
}

/// The client under test.
#[derive(Clone, Debug)]
pub struct ClientTarget {
    /// The command and its arguments, in which `{url}`, `{address}`, `{scenario}` and `{count}` are replaced. They are
    /// environment variables too: `AMQP_URL`, `AMQP_ADDRESS`, `AMQP_SCENARIO` and `AMQP_COUNT`.
    pub command: Vec<String>,
    /// The address at which the tool listens; with port 0, each case has a free port of its own.
    pub listen: SocketAddr,
    /// TLS and WebSocket. The client must trust the certificate.
    pub layers: Listening,
    /// The longest time that is waited for the client to do something.
    pub patience: Duration,
    /// The least time that a client has from its start to its first connection.
    pub starting: Duration,
    /// Writes every field of the frames that lead to a case, also those at the end that are null: some clients cannot read
    /// lists that leave them out, as they may (§1.4). Octets that a case is about are not changed.
    pub whole_lists: bool,
}

impl ClientTarget {
    /// A client that this command runs; it connects to a free port of this machine.
    pub fn new(command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            layers: Listening::default(),
            patience: Duration::from_secs(5),
            starting: Duration::from_secs(20),
            whole_lists: false,
        }
    }
}
