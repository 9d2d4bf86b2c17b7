//! What a case for clients works with: the client's connection in each state of the set-up.

use super::{Attached, Attaching, ClientTarget, Scenario, process::Driver};
use crate::{
    transport::{Listening, ServerTls},
    verdict::Stop,
    wire::{Connection, Entry, Logs, Recorder},
};
use amqp1_codec::{
    EncodeStyle,
    frame::ProtocolHeader,
    performative::{Attach, Open},
    sasl::SaslCode,
};
use amqp1_script::{Peer, Session, Transport, Unexpected, frames};
use std::{
    fmt, io,
    net::{TcpListener, TcpStream},
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

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
/// The interval at which sockets and processes are looked at that have no time-out of their own.
const INTERVAL: Duration = Duration::from_millis(1);

impl<'a> ClientTrial<'a> {
    /// A trial of this scenario.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub fn start(target: &'a ClientTarget, scenario: Scenario, count: u32, is_strict: bool) -> io::Result<Self> {
        let listener = TcpListener::bind(target.listen)?;
        listener.set_nonblocking(true)?;
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
            logs: Logs::default(),
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

    fn start_client(&mut self) -> io::Result<()> {
        if self.client.is_none() && !self.target.command.is_empty() {
            self.logs.set_count(self.count);
            let listen = self.listener.local_addr()?;
            let scheme = self.target.layers.scheme(self.asks_for_tls);
            let url = if self.asks_for_tls {
                format!("{scheme}://localhost:{}", listen.port())
            } else {
                format!("{scheme}://{listen}")
            };
            let mut command = command(self.target, url, self.scenario, self.count)?;
            self.client = Some(Driver::start(&mut command)?);
        }
        Ok(())
    }

    /// Returns `true` at `--level strict`.
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// The logs of the connections so far, in the order in which they were made.
    pub fn logs(&self) -> Vec<Vec<Entry>> {
        self.logs.entries()
    }

    /// The client's next connection, on which nothing was written.
    ///
    /// # Errors
    ///
    /// If the client does not connect in time.
    pub fn connected(&mut self) -> Result<Connection, Stop> {
        let stream = self.accepted()?;
        let transport = self.target.layers.accept(stream, self.target.patience).map_err(Stop::NoConnection)?;
        Ok(self.connection(transport))
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

    /// The client's next connection as octets, without a layer of the tool's.
    ///
    /// # Errors
    ///
    /// As said for [`connected`](Self::connected).
    pub fn connected_bare(&mut self) -> Result<Connection, Stop> {
        let stream = self.accepted()?;
        let transport = Listening::default().accept(stream, self.target.patience).map_err(Stop::NoConnection)?;
        Ok(self.connection(transport))
    }

    /// The client's next connection, with TLS by a certificate that no client may trust; or the error of the handshake.
    ///
    /// # Errors
    ///
    /// As said for [`connected`](Self::connected).
    pub fn connected_untrusted(&mut self) -> Result<io::Result<Connection>, Stop> {
        let tls = ServerTls::untrusted().map_err(|error| Stop::SetUp(error.to_string()))?;
        let stream = self.accepted()?;
        let layers = Listening { tls: Some(tls), ..self.target.layers.clone() };
        let transport = layers.accept(stream, self.target.patience);
        Ok(transport.map(|transport| self.connection(transport)))
    }

    fn connection(&mut self, transport: Box<dyn Transport + Send>) -> Connection {
        let mut connection = Peer::new(Recorder::new(transport, self.logs.add()));
        connection.set_patience(self.target.patience);
        if self.target.whole_lists {
            connection.set_style(EncodeStyle::Full);
        }
        connection
    }

    /// The client's next connection as the system gives it.
    fn accepted(&mut self) -> Result<TcpStream, Stop> {
        if let Some(Visit { announce }) = self.visit.take() {
            self.logs.set_count(self.count);
            announce(Asked { count: self.count, tls: self.asks_for_tls || self.has_tls() });
            let (stream, _) = self.listener.accept().map_err(Stop::NoConnection)?;
            self.listener.set_nonblocking(true).map_err(Stop::NoConnection)?;
            return Ok(stream);
        }
        // A program takes its time to start, and only then to connect.
        let patience =
            if self.client.is_none() { self.target.patience.max(self.target.starting) } else { self.target.patience };
        self.start_client().map_err(Stop::NoConnection)?;
        let start = Instant::now();
        loop {
            let ended = self.client.as_mut().map(Driver::try_wait).transpose().map_err(Stop::NoConnection)?.flatten();
            match self.listener.accept() {
                Ok((stream, _)) => {
                    self.has_connected = true;
                    return Ok(stream);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(Stop::NoConnection(error)),
            }
            if let Some(status) = ended {
                return Err(self.absent(&format!("the client ended with {status} and did not connect")));
            }
            if start.elapsed() >= patience {
                return Err(self.absent(&format!("the client did not connect within {patience:?}")));
            }
            thread::sleep(INTERVAL);
        }
    }

    /// The client did not connect, with what it has written about that.
    fn absent(&mut self, how: &str) -> Stop {
        let words = self.client.as_mut().map(Driver::last_words).unwrap_or_default();
        Stop::SetUp(if words.is_empty() {
            String::from(how)
        } else {
            format!("{how}; its standard error ends with: {words}")
        })
    }

    /// Whether the client runs and has never connected.
    pub(super) fn is_silent(&mut self) -> bool {
        let is_running = self.client.as_mut().is_some_and(|client| matches!(client.try_wait(), Ok(None)));
        is_running && !self.has_connected
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

    /// The client's exit status, if it ends in time.
    ///
    /// # Errors
    ///
    /// If the system cannot say, or no command was run for the case.
    pub fn exit(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.target.command.is_empty() {
            return Err(io::Error::other("a client that comes of itself has no exit status"));
        }
        let start = Instant::now();
        loop {
            let status = self.client.as_mut().map(Driver::try_wait).transpose()?.flatten();
            if status.is_some() || start.elapsed() >= self.target.patience {
                return Ok(status);
            }
            thread::sleep(INTERVAL);
        }
    }
}

impl ClientTrial<'_> {
    /// The signal that has ended the client, if one has.
    #[cfg(unix)]
    pub(crate) fn crash(&mut self) -> Option<String> {
        use std::os::unix::process::ExitStatusExt;
        let signal = self.client.as_mut()?.try_wait().ok()??.signal()?;
        Some(format!("the client was ended by signal {signal}"))
    }

    /// Without signals a crash is not told from another end.
    #[cfg(not(unix))]
    pub(crate) fn crash(&mut self) -> Option<String> {
        None
    }
}

fn set_up(unexpected: Unexpected) -> Stop {
    Stop::set_up(&unexpected)
}

fn command(target: &ClientTarget, url: String, scenario: Scenario, count: u32) -> io::Result<Command> {
    let values = [
        ("url", url),
        ("address", String::from(ADDRESS)),
        ("scenario", String::from(scenario.name())),
        ("count", count.to_string()),
    ];
    let mut words = target.command.iter().map(|word| {
        values.iter().fold(word.clone(), |word, (name, value)| word.replace(&format!("{{{name}}}"), value))
    });
    let program = words.next().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    let mut command = Command::new(program);
    command.args(words);
    for (name, value) in values {
        command.env(format!("AMQP_{}", name.to_uppercase()), value);
    }
    Ok(command)
}
