//! A transport whose other end is a function.

use super::{Read, Transport, Written, memory::Queue};
use std::{fmt, time::Duration};

/// What the other end has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What it writes.
    pub octets: Vec<u8>,
    /// Whether it will write no more.
    pub eof: bool,
    /// Whether it breaks the transport.
    pub reset: bool,
    /// When it wants to be asked again although nothing was written: the deadline of an engine.
    pub wake: Option<Duration>,
}

impl Answer {
    /// These octets and nothing else.
    pub fn octets(octets: impl Into<Vec<u8>>) -> Self {
        Self { octets: octets.into(), ..Self::default() }
    }
}

/// Hands what is written to a function, and reads what that answers: this is how a test drives an engine without IO.
///
/// The function is also asked, with no octets, when something is waited for, at the time that it named to be woken and
/// when the deadline is reached. Time is what is waited, and no real time passes. Asking takes a microsecond, so that
/// a function that never falls silent meets the deadline too.
pub struct Answering<F> {
    answer: F,
    incoming: Queue,
    wake: Option<Duration>,
    now: Duration,
    /// Whether this end has said that it writes no more.
    finished: bool,
}

const ASKING: Duration = Duration::from_micros(1);

impl<F: FnMut(Duration, &[u8]) -> Answer> Answering<F> {
    /// The other end is this function of the time and of what was written.
    pub fn new(answer: F) -> Self {
        Self { answer, incoming: Queue::default(), wake: None, now: Duration::ZERO, finished: false }
    }

    fn ask(&mut self, octets: &[u8]) {
        let answer = (self.answer)(self.now, octets);
        self.wake = answer.wake;
        if self.incoming.end.is_some() {
            return;
        }
        self.incoming.octets.extend(answer.octets);
        if answer.reset {
            self.incoming.end = Some(Read::Reset);
        } else if answer.eof {
            self.incoming.end = Some(Read::Eof);
        }
    }
}

impl<F: FnMut(Duration, &[u8]) -> Answer> Transport for Answering<F> {
    fn write(&mut self, octets: &[u8], _: Duration) -> Written {
        if self.finished || self.incoming.end == Some(Read::Reset) {
            return Written::Reset(0);
        }
        if !octets.is_empty() {
            self.ask(octets);
        }
        Written::All
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Duration) -> Read {
        loop {
            if let Some(read) = self.incoming.read(buffer) {
                return read;
            }
            let late = self.now >= deadline;
            self.now = self.now.saturating_add(ASKING);
            self.ask(&[]);
            if let Some(read) = self.incoming.read(buffer) {
                return read;
            }
            if late {
                return Read::Timeout;
            }
            self.now = self.wake.map_or(deadline, |wake| wake.min(deadline)).max(self.now);
        }
    }

    fn now(&self) -> Duration {
        self.now
    }

    /// The function is not told.
    fn finish(&mut self) {
        self.finished = true;
    }
}

impl<F> fmt::Debug for Answering<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").field("now", &self.now).field("unread", &self.incoming.octets.len()).finish()
    }
}
