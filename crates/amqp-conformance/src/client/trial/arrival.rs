//! Starts the client, takes its connections, and tells how it has ended.

use super::{Asked, ClientTrial, Visit};
use crate::{
    client::{ClientTarget, Scenario, process::Driver},
    transport::{Listening, ServerTls},
    verdict::Stop,
    wire::{Connection, Recorder, WireLog},
};
use amqp1_codec::EncodeStyle;
use amqp1_script::{Peer, Transport};
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

/// The interval at which sockets and processes are looked at that have no time-out of their own.
const INTERVAL: Duration = Duration::from_millis(1);
/// The time that a port may be taken by a case before, which was not over in time.
const TAKEN: Duration = Duration::from_secs(5);
/// The time that a client may take to end after it has left a connection.
const ENDING: Duration = Duration::from_millis(500);

impl ClientTrial<'_> {
    /// The client's next connection, on which nothing was written.
    ///
    /// # Errors
    ///
    /// If the client does not connect in time.
    pub fn connected(&mut self) -> Result<Connection, Stop> {
        let stream = self.accepted()?;
        let transport = self.target.layers.accept(stream, self.patience()).map_err(Stop::NoConnection)?;
        Ok(self.connection(transport))
    }

    /// The longest wait for the client, within the time of the case.
    fn patience(&self) -> Duration {
        self.logs.left_of(self.target.patience)
    }

    /// The client's next connection as octets, without a layer of the tool's.
    ///
    /// # Errors
    ///
    /// As said for [`connected`](Self::connected).
    pub fn connected_bare(&mut self) -> Result<Connection, Stop> {
        let stream = self.accepted()?;
        let transport = Listening::default().accept(stream, self.patience()).map_err(Stop::NoConnection)?;
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
        let transport = layers.accept(stream, self.patience());
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
        let patience = self.logs.left_of(patience);
        self.start_client().map_err(Stop::NoConnection)?;
        let start = Instant::now();
        loop {
            let ended = self.client.as_ref().map(Driver::try_wait).transpose().map_err(Stop::NoConnection)?.flatten();
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
    fn absent(&self, how: &str) -> Stop {
        let words = self.client.as_ref().map(Driver::last_words).unwrap_or_default();
        Stop::SetUp(if words.is_empty() {
            String::from(how)
        } else {
            format!("{how}; its standard error ends with: {words}")
        })
    }

    /// Whether the client runs and has never connected.
    pub(in crate::client) fn is_silent(&self) -> bool {
        let is_running = self.client.as_ref().is_some_and(|client| matches!(client.try_wait(), Ok(None)));
        is_running && !self.has_connected
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
            self.client = Some(Driver::start(&mut command, &self.logs)?);
        }
        Ok(())
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
        let status = self.client.as_ref().map(|client| client.wait(self.patience())).transpose()?;
        Ok(status.flatten())
    }

    /// The signal that has ended the client, if one has. A client that has left a connection has a moment to end: its
    /// wrapper ends after it.
    #[cfg(unix)]
    pub(crate) fn crash(&self) -> Option<String> {
        use std::os::unix::process::ExitStatusExt;
        let has_left = self.logs.read(WireLog::is_left_by_peer).contains(&true);
        let status = self.client.as_ref()?.wait(if has_left { ENDING } else { Duration::ZERO }).ok()??;
        match (status.signal(), status.code()) {
            (Some(signal), _) => Some(format!("the client was ended by signal {signal}")),
            // So a shell says it of a command.
            (None, Some(code @ 129..=159)) => {
                Some(format!("the client was ended by signal {}, as its exit status of {code} says", code - 128))
            }
            _ => None,
        }
    }

    /// Without signals a crash is not told from another end.
    #[cfg(not(unix))]
    pub(crate) fn crash(&self) -> Option<String> {
        None
    }
}

/// Listens. A case before that was not over in time may still hold the port.
pub(super) fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let start = Instant::now();
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && start.elapsed() < TAKEN => {
                thread::sleep(INTERVAL)
            }
            bound => return bound,
        }
    }
}

fn command(target: &ClientTarget, url: String, scenario: Scenario, count: u32) -> io::Result<Command> {
    let values = [
        ("url", url),
        ("address", String::from(super::ADDRESS)),
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
