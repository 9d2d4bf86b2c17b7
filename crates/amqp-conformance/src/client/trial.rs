//! What a case for clients works with: the client's connection in each state of the set-up.

mod arrival;

use super::{Attached, Attaching, ClientTarget, Scenario, process::Driver};
use crate::{
    verdict::Stop,
    wire::{Connection, Entry, Logs},
};
use amqp1_codec::{
    frame::ProtocolHeader,
    performative::{Attach, Open},
    sasl::SaslCode,
};
use amqp1_script::{Session, Unexpected, frames};
use arrival::bound;
use std::{fmt, io, net::TcpListener};

/// The factor by which a connection that is not of a case may last longer than the wait for one answer.
const ANSWERS: u32 = 6;

/// A connection on which both opens were exchanged.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub connection: Connection,
    /// The client's open.
    pub open: Open,
}

/// A connection on which the client has begun a session.
#[derive(Debug)]
pub struct Begun {
    /// The connection.
    pub connection: Connection,
    /// The client's open.
    pub open: Open,
    /// The session.
    pub session: Session,
}

/// One run of a case against a client.
///
/// The client is started when its first connection is waited for, and killed when the trial is dropped. Each step of the
/// set-up takes the client's next connection. A step that does not succeed is [`Stop::SetUp`], which makes the case unreachable; `?` on
/// what the connection's own methods return is a failure of the case.
#[derive(Debug)]
pub struct ClientTrial<'a> {
    target: &'a ClientTarget,
    is_strict: bool,
    listener: TcpListener,
    scenario: Scenario,
    count: u32,
    client: Option<Driver>,
    has_connected: bool,
    asks_for_tls: bool,
    visit: Option<Visit>,
    logs: Logs,
}

/// A client that comes of itself, to the address of the case.
struct Visit {
    /// Is called when the first connection of the client is waited for.
    announce: Box<dyn FnOnce(Asked) + Send>,
}

/// What the client is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The number of messages.
    pub(crate) count: u32,
    /// Whether it is to use TLS.
    pub(crate) tls: bool,
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").finish_non_exhaustive()
    }
}

/// The address of the node that clients are asked to use.
pub(super) const ADDRESS: &str = "conformance";

impl<'a> ClientTrial<'a> {
    /// A trial of this scenario.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub fn start(target: &'a ClientTarget, scenario: Scenario, count: u32, is_strict: bool) -> io::Result<Self> {
        let listener = bound(target.listen)?;
        listener.set_nonblocking(true)?;
        let logs = Logs::for_each_connection(target.patience.saturating_mul(ANSWERS));
        Ok(Self {
            target,
            is_strict,
            listener,
            scenario,
            count,
            client: None,
            has_connected: false,
            asks_for_tls: false,
            visit: None,
            logs,
        })
    }

    /// A trial of a client that comes of itself: no command is run, and its first connection is waited for without limit.
    pub(crate) fn visited(
        target: &'a ClientTarget,
        listener: TcpListener,
        scenario: Scenario,
        is_strict: bool,
        announce: impl FnOnce(Asked) + Send + 'static,
    ) -> Self {
        Self {
            target,
            is_strict,
            listener,
            scenario,
            count: 1,
            client: None,
            has_connected: false,
            asks_for_tls: false,
            visit: Some(Visit { announce: Box::new(announce) }),
            logs: Logs::default(),
        }
    }

    /// The same trial with logs of the runner's.
    pub fn logging(mut self, logs: Logs) -> Self {
        self.logs = logs;
        self
    }

    /// Asks the client for this many messages or requests instead of one; for the scenario `idle`, seconds. It has to be
    /// called before the first connection is waited for.
    pub fn set_count(&mut self, count: u32) {
        self.count = count;
    }

    /// Returns `true` at `--level strict`.
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// The logs of the connections so far, in the order in which they were made.
    pub fn logs(&self) -> Vec<Vec<Entry>> {
        self.logs.entries()
    }

    /// Returns `true` if the client connects with TLS.
    pub fn has_tls(&self) -> bool {
        self.target.layers.tls.is_some()
    }

    /// Returns `true` if the client connects with WebSocket.
    pub fn has_web_socket(&self) -> bool {
        self.target.layers.web_socket
    }

    /// Asks the client for TLS, to the host name `localhost`. It has to be called before the first connection is waited
    /// for.
    pub fn ask_for_tls(&mut self) {
        self.asks_for_tls = true;
    }

    /// The client's next connection, with the client's AMQP header read and answered. If the client asks for SASL,
    /// ANONYMOUS and PLAIN are offered, and every login succeeds.
    ///
    /// # Errors
    ///
    /// As said for [`connected`](Self::connected), and if the client does something else.
    pub fn authenticated(&mut self) -> Result<Connection, Stop> {
        let mut connection = self.connected()?;
        let header = connection.expect_any_header().map_err(set_up)?;
        connection.header(header);
        if header == ProtocolHeader::SASL {
            connection.sasl(frames::mechanisms(&["ANONYMOUS", "PLAIN"]));
            connection.expect::<amqp1_codec::sasl::SaslInit>().map_err(set_up)?;
            connection.sasl(frames::outcome(SaslCode::Ok));
            connection.expect_header(ProtocolHeader::AMQP).map_err(set_up)?;
            connection.header(ProtocolHeader::AMQP);
        }
        Ok(connection)
    }

    /// A connection on which the client's open was read and answered.
    ///
    /// # Errors
    ///
    /// As said for [`authenticated`](Self::authenticated), and if the client does something else.
    pub fn opened(&mut self) -> Result<Accepted, Stop> {
        self.opened_with(frames::open("amqp-conformance"))
    }

    /// The same with an open of the case's own.
    ///
    /// # Errors
    ///
    /// As said for [`opened`](Self::opened).
    pub fn opened_with(&mut self, answer: Open) -> Result<Accepted, Stop> {
        let mut connection = self.authenticated()?;
        let open = connection.expect::<Open>().map_err(set_up)?.body;
        connection.send(0, answer);
        Ok(Accepted { connection, open })
    }

    /// A connection on which the client's session was answered, on channel 0.
    ///
    /// # Errors
    ///
    /// As said for [`opened`](Self::opened), and if the client begins none.
    pub fn begun(&mut self) -> Result<Begun, Stop> {
        let Accepted { mut connection, open } = self.opened()?;
        let session = connection.begun_by_peer(0).map_err(set_up)?;
        Ok(Begun { connection, open, session })
    }

    /// A connection on which the client's first link was answered, on handle 0.
    ///
    /// # Errors
    ///
    /// As said for [`opened`](Self::opened), and if the client attaches none.
    pub fn attached(&mut self) -> Result<Attached, Stop> {
        self.link_where(|_| true).map(Attaching::answered)
    }

    /// The client's first attach, read and not answered.
    ///
    /// # Errors
    ///
    /// As said for [`begun`](Self::begun), and if the client attaches none.
    pub fn attaching(&mut self) -> Result<(Begun, Attach), Stop> {
        let mut begun = self.begun()?;
        let attach = begun.connection.expect::<Attach>().map_err(set_up)?.body;
        Ok((begun, attach))
    }
}

fn set_up(unexpected: Unexpected) -> Stop {
    Stop::set_up(&unexpected)
}
