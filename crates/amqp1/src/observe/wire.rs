//! The observers of a connection's octets: the log of frames, and the application's observer.

use super::{
    ConnectionInfo, Observer,
    frames::{Environment, FrameLog, TARGET},
    meter::Meter,
    splitter::Splitter,
};
use amqp1_codec::{Str, frame::Direction};
use amqp1_engine::Instant;
use bytes::Bytes;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// One for each connection, in its driver. Without an observer and without a log it does nothing.
pub(crate) struct Wire {
    connection: u64,
    environment: Environment,
    meter: Option<Box<Meter>>,
    log: Option<Box<FrameLog>>,
    incoming: Lane,
    outgoing: Lane,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    splitter: Splitter,
    /// Whether frames are told apart: one has to begin where the octets begin.
    is_followed: bool,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl Wire {
    pub(crate) fn new(connection: ConnectionInfo, observer: Option<Arc<dyn Observer>>) -> Self {
        Self {
            connection: connection.id,
            environment: Environment::get(),
            meter: observer.map(|observer| Box::new(Meter::new(connection, observer))),
            log: None,
            incoming: Lane::default(),
            outgoing: Lane::default(),
        }
    }

    /// Looks whether the frames are logged now. Returns whether anything looks on.
    #[inline]
    pub(crate) fn is_on(&mut self) -> bool {
        let logs = tracing::enabled!(target: TARGET, tracing::Level::TRACE) || self.environment.prints;
        if logs != self.log.is_some() {
            self.switch(logs);
        }
        logs || self.meter.is_some()
    }

    #[cold]
    fn switch(&mut self, logs: bool) {
        self.log = logs.then(|| Box::new(FrameLog::new(self.connection, self.environment)));
        if !logs && self.meter.is_none() {
            (self.incoming, self.outgoing) = (Lane::default(), Lane::default());
        }
    }

    /// Octets were read: `input` is all that the engine has not taken yet, and `fresh` of it are new.
    pub(crate) fn received(&mut self, input: &[u8], fresh: usize, now: Instant) {
        if let Some(meter) = &self.meter {
            meter.octets_received(fresh);
        }
        // The engine takes whole frames, so that what it has left begins with one.
        let known = if self.incoming.is_followed { input.len().saturating_sub(fresh) } else { 0 };
        self.incoming.is_followed = true;
        let Self { meter, log, incoming, .. } = self;
        incoming.splitter.take(input.get(known..).unwrap_or_default(), |frame, size| {
            look(meter, log, Direction::Incoming, frame, size, now);
        });
    }

    /// All that was to be written is written: what is written next begins with a frame.
    pub(crate) fn at_boundary(&mut self) {
        self.outgoing.is_followed = true;
    }

    /// The first `count` octets of these were written.
    pub(crate) fn sent<'a>(&mut self, segments: impl Iterator<Item = &'a [u8]>, count: usize, now: Instant) {
        if let Some(meter) = &self.meter {
            meter.octets_sent(count);
        }
        if !self.outgoing.is_followed {
            return;
        }
        let Self { meter, log, outgoing, .. } = self;
        let mut left = count;
        for segment in segments {
            let written = segment.get(..left).unwrap_or(segment);
            left = left.saturating_sub(written.len());
            outgoing.splitter.take(written, |frame, size| {
                look(meter, log, Direction::Outgoing, frame, size, now);
            });
            if left == 0 {
                break;
            }
        }
    }

    /// Whether there is an observer.
    pub(crate) fn is_observed(&self) -> bool {
        self.meter.is_some()
    }

    /// These octets will not be written.
    pub(crate) fn lost<'a>(&mut self, segments: impl Iterator<Item = &'a [u8]>) {
        let Self { meter: Some(meter), outgoing, .. } = self else { return };
        if !outgoing.is_followed {
            return;
        }
        for segment in segments {
            outgoing.splitter.take(segment, |frame, size| meter.lost(frame, size));
        }
    }

    /// The engine looks at no more input.
    pub(crate) fn input_ended(&mut self) {
        if let Some(meter) = &mut self.meter {
            meter.input_ended();
        }
    }

    /// Messages are lost that were queued on links of these names.
    pub(crate) fn unsent(&self, lost: &[(Str, u64)]) {
        if let Some(meter) = &self.meter {
            meter.unsent(lost);
        }
    }
}

/// Shows a frame to the observers.
fn look(
    meter: &mut Option<Box<Meter>>,
    log: &mut Option<Box<FrameLog>>,
    direction: Direction,
    frame: &Bytes,
    size: usize,
    now: Instant,
) {
    if let Some(log) = log {
        log.print(direction, frame, size);
    }
    if let Some(meter) = meter {
        meter.frame(direction, frame, size, now);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let Some(mut meter) = self.meter.take() else { return };
        // It may be dropped because the observer has panicked: if that panics again, it must not end the process.
        let ended = catch_unwind(AssertUnwindSafe(move || meter.end()));
        if ended.is_err() {
            tracing::debug!(target: "amqp1", "the observer panicked at the end of a connection");
        }
    }
}
