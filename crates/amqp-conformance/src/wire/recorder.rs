//! A transport that logs both directions.

use super::WireLog;
use amqp1_script::{Direction, Read, Transport, Written};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A transport that adds everything that is written and read to a [`WireLog`].
pub struct Recorder {
    transport: Box<dyn Transport + Send>,
    log: Arc<Mutex<WireLog>>,
}

impl Recorder {
    /// Logs what goes over this transport.
    pub fn new(transport: impl Transport + Send + 'static, log: Arc<Mutex<WireLog>>) -> Self {
        Self { transport: Box::new(transport), log }
    }

    fn record(&self, direction: Direction, octets: &[u8]) {
        let at = self.transport.now();
        self.log.lock().unwrap_or_else(PoisonError::into_inner).add(at, direction, octets);
    }

    fn ended(&self, direction: Direction, how: &'static str) {
        let at = self.transport.now();
        self.log.lock().unwrap_or_else(PoisonError::into_inner).add_event(at, direction, how);
    }
}

impl Transport for Recorder {
    fn write(&mut self, octets: &[u8], deadline: Duration) -> Written {
        let written = self.transport.write(octets, deadline);
        let count = match written {
            Written::All => octets.len(),
            Written::Reset(count) | Written::Timeout(count) => count,
        };
        self.record(Direction::Sent, octets.get(..count).unwrap_or(octets));
        if let Written::Reset(_) = written {
            self.ended(Direction::Sent, "the connection is broken");
        }
        written
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Duration) -> Read {
        let read = self.transport.read(buffer, deadline);
        match read {
            Read::Octets(count) => self.record(Direction::Received, buffer.get(..count).unwrap_or_default()),
            Read::Eof => self.ended(Direction::Received, "end of the stream"),
            Read::Reset => self.ended(Direction::Received, "connection reset"),
            Read::Timeout => {}
        }
        read
    }

    fn now(&self) -> Duration {
        self.transport.now()
    }

    fn finish(&mut self) {
        self.ended(Direction::Sent, "end of the stream");
        self.transport.finish();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}
