//! Accepts connections, to test clients.

use crate::{peer::Peer, transport::Tcp};
use std::{
    fmt,
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

/// Listens on a free port of this machine.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

/// No connection was accepted.
#[derive(Debug)]
pub enum AcceptError {
    /// Nobody connected in time.
    Timeout(Duration),
    /// The system refused.
    Io(io::Error),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(within) => write!(f, "nobody connected within {within:?}"),
            Self::Io(error) => write!(f, "no connection could be accepted: {error}"),
        }
    }
}

impl std::error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Timeout(_) => None,
            Self::Io(error) => Some(error),
        }
    }
}

/// How often it is looked whether somebody has connected: sockets have no time-out for that.
const INTERVAL: Duration = Duration::from_millis(1);

impl Listener {
    /// Listens at 127.0.0.1, on a port that the system chooses.
    ///
    /// # Errors
    ///
    /// If the system has none.
    pub fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where clients are to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection, if somebody connects within this time. Its peer has said nothing.
    ///
    /// # Errors
    ///
    /// If nobody does, or the system refuses.
    pub fn accept(&self, within: Duration) -> Result<Peer<Tcp>, AcceptError> {
        let start = Instant::now();
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Tcp::new(stream).map(Peer::new).map_err(AcceptError::Io),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(AcceptError::Io(error)),
            }
            if start.elapsed() >= within {
                return Err(AcceptError::Timeout(within));
            }
            thread::sleep(INTERVAL);
        }
    }
}
