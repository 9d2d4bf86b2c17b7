//! Two queues of octets.

use super::{Read, Transport, Written};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) octets: VecDeque<u8>,
    /// What a read gives when the octets are used up, instead of a time-out.
    pub(super) end: Option<Read>,
}

impl Queue {
    /// Moves what fits; nothing if there is nothing.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Option<Read> {
        let count = self.octets.len().min(buffer.len());
        if count == 0 {
            return self.end;
        }
        for (slot, octet) in buffer.iter_mut().zip(self.octets.drain(..count)) {
            *slot = octet;
        }
        Some(Read::Octets(count))
    }
}

/// An end of a transport in memory.
///
/// Nobody can write while this end waits, so a wait for more than is there takes no time: the clock, which is this
/// end's own, goes to the deadline at once.
#[derive(Debug)]
pub struct Memory {
    incoming: Arc<Mutex<Queue>>,
    outgoing: Arc<Mutex<Queue>>,
    now: Duration,
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // Nothing can fail under the lock.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// Two ends: what one writes the other reads.
    pub fn pair() -> (Self, Self) {
        let queues = [Arc::default(), Arc::default()];
        let [one, other] = &queues;
        (
            Self { incoming: Arc::clone(one), outgoing: Arc::clone(other), now: Duration::ZERO },
            Self { incoming: Arc::clone(other), outgoing: Arc::clone(one), now: Duration::ZERO },
        )
    }

    /// Breaks the transport: either end reads what is under way and then [`Read::Reset`].
    pub fn reset(&mut self) {
        for queue in [&self.incoming, &self.outgoing] {
            lock(queue).end = Some(Read::Reset);
        }
    }

    /// Lets time pass at this end.
    pub fn advance(&mut self, duration: Duration) {
        self.now = self.now.saturating_add(duration);
    }
}

impl Transport for Memory {
    fn write(&mut self, octets: &[u8], _: Duration) -> Written {
        let mut queue = lock(&self.outgoing);
        if queue.end.is_some() {
            return Written::Reset(0);
        }
        queue.octets.extend(octets);
        Written::All
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Duration) -> Read {
        let read = lock(&self.incoming).read(buffer);
        read.unwrap_or_else(|| {
            self.now = self.now.max(deadline);
            Read::Timeout
        })
    }

    fn now(&self) -> Duration {
        self.now
    }

    fn finish(&mut self) {
        lock(&self.outgoing).end.get_or_insert(Read::Eof);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.finish();
        lock(&self.incoming).end.get_or_insert(Read::Eof);
    }
}
