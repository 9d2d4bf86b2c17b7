//! A transport that logs both directions.

use super::{
    Deadline, WireLog,
    log::{BROKEN, FINISHED, LEFT, RESET},
};
use amqp1_script::{Direction, Read, Transport, Written};
use std::{
    fmt, panic,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A transport that adds everything that is written and read to a [`WireLog`].
pub struct Recorder {
    transport: Box<dyn Transport + Send>,
    log: Arc<Mutex<WireLog>>,
    limit: Limit,
}

/// A [`Deadline`] in the transport's time.
#[derive(Clone, Copy, Debug)]
enum Limit {
    None,
    Case(Duration),
    Connection(Duration),
}

/// The time after its deadline at which a case that still waits is ended.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

impl Recorder {
    /// Logs what goes over this transport.
    pub fn new(transport: impl Transport + Send + 'static, log: Arc<Mutex<WireLog>>) -> Self {
        let deadline = log.lock().unwrap_or_else(PoisonError::into_inner).deadline();
        let at = |deadline: Instant| transport.now().saturating_add(deadline.saturating_duration_since(Instant::now()));
        let limit = match deadline {
            Deadline::None => Limit::None,
            Deadline::Case(deadline) => Limit::Case(at(deadline)),
            Deadline::Connection(deadline) => Limit::Connection(at(deadline)),
        };
        Self { transport: Box::new(transport), log, limit }
    }

    /// The time by which the connection must be over, in its own time.
    pub(crate) fn deadline(&self) -> Duration {
        match self.limit {
            Limit::None => Duration::MAX,
            Limit::Case(limit) | Limit::Connection(limit) => limit,
        }
    }

    /// The deadline of a wait: that of the connection if it is sooner; `None` if the connection has no more time. A case
    /// that passes over time-outs without end is ended here, by an unwinding that the runner expects.
    fn limited(&self, deadline: Duration) -> Option<Duration> {
        let now = self.transport.now();
        match self.limit {
            Limit::Case(limit) if now > limit.saturating_add(GRACE) => {
                panic::resume_unwind(Box::new("the case went on after its deadline"));
            }
            Limit::Connection(limit) if now >= limit => None,
            _ => Some(deadline.min(self.deadline())),
        }
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
        let Some(deadline) = self.limited(deadline) else { return Written::Timeout(0) };
        let written = self.transport.write(octets, deadline);
        let count = match written {
            Written::All => octets.len(),
            Written::Reset(count) | Written::Timeout(count) => count,
        };
        self.record(Direction::Sent, octets.get(..count).unwrap_or(octets));
        if let Written::Reset(_) = written {
            self.ended(Direction::Sent, BROKEN);
        }
        written
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Duration) -> Read {
        let Some(deadline) = self.limited(deadline) else { return Read::Timeout };
        let read = self.transport.read(buffer, deadline);
        match read {
            Read::Octets(count) => self.record(Direction::Received, buffer.get(..count).unwrap_or_default()),
            Read::Eof => self.ended(Direction::Received, FINISHED),
            Read::Reset => self.ended(Direction::Received, RESET),
            Read::Timeout => {}
        }
        read
    }

    fn now(&self) -> Duration {
        self.transport.now()
    }

    fn finish(&mut self) {
        self.ended(Direction::Sent, FINISHED);
        self.transport.finish();
    }
}

/// The longest time that a peer is given to notice the end of a connection on which deliveries are left.
const PARTING: Duration = Duration::from_millis(250);

/// Deliveries that were not settled return to their node when the peer has noticed the end of the connection, so that is
/// waited for: the next case must not find them.
impl Drop for Recorder {
    fn drop(&mut self) {
        self.ended(Direction::Sent, LEFT);
        let has_deliveries = self.log.lock().unwrap_or_else(PoisonError::into_inner).has_deliveries();
        if !has_deliveries {
            return;
        }
        self.transport.finish();
        let deadline = self.transport.now().saturating_add(PARTING);
        let mut buffer = [0; 4096];
        while let Read::Octets(_) = self.transport.read(&mut buffer, deadline) {
            if self.transport.now() >= deadline {
                break;
            }
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}
