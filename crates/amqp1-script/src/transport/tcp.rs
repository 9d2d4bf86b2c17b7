//! A socket.

use super::{Read, Transport, Written};
use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// A TCP connection.
#[derive(Debug)]
pub struct Tcp {
    stream: TcpStream,
    start: Instant,
}

/// The shortest time that is waited: none at all would be for ever.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest time that is waited at once; some systems refuse longer ones.
const LONGEST: Duration = Duration::from_secs(3600);

impl Tcp {
    /// Connects, within this time.
    ///
    /// # Errors
    ///
    /// If nobody listens there, or does not answer in time.
    pub fn connect(address: SocketAddr, within: Duration) -> io::Result<Self> {
        Self::new(TcpStream::connect_timeout(&address, within.clamp(SHORTEST, LONGEST))?)
    }

    /// A connection that exists. Frames are not held back to gather more.
    ///
    /// # Errors
    ///
    /// If the socket takes no options.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, start: Instant::now() })
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn left(&self, deadline: Duration) -> Duration {
        deadline.saturating_sub(self.now()).clamp(SHORTEST, LONGEST)
    }
}

/// What is no time-out and no interruption is a broken transport.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

impl Transport for Tcp {
    fn write(&mut self, octets: &[u8], deadline: Duration) -> Written {
        let mut done = 0usize;
        loop {
            let Some(rest) = octets.get(done..).filter(|rest| !rest.is_empty()) else { return Written::All };
            if self.stream.set_write_timeout(Some(self.left(deadline))).is_err() {
                return Written::Reset(done);
            }
            match self.stream.write(rest) {
                Ok(0) => return Written::Reset(done),
                Ok(count) => done = done.saturating_add(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {}
                Err(_) => return Written::Reset(done),
            }
            // Also where the other end takes an octet now and then.
            if self.now() >= deadline && done < octets.len() {
                return Written::Timeout(done);
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Duration) -> Read {
        loop {
            if self.stream.set_read_timeout(Some(self.left(deadline))).is_err() {
                return Read::Reset;
            }
            match self.stream.read(buffer) {
                Ok(0) => return Read::Eof,
                Ok(count) => return Read::Octets(count),
                Err(error) if error.kind() == ErrorKind::Interrupted || is_timeout(&error) => {
                    if self.now() >= deadline {
                        return Read::Timeout;
                    }
                }
                Err(_) => return Read::Reset,
            }
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn finish(&mut self) {
        // It may be closed by now.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}
