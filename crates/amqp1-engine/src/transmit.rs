//! Octets that wait to be written.

use alloc::{collections::VecDeque, vec::Vec};
use bytes::{Buf, Bytes, BytesMut};
use core::fmt;

/// Octets in the order in which they must be written. Small pieces are gathered, large payloads are chained without a
/// copy.
#[derive(Default)]
pub struct TransmitQueue {
    /// The complete chunks.
    segments: VecDeque<Bytes>,
    /// The buffer that gathers small pieces; it comes last.
    tail: BytesMut,
    remaining: usize,
    /// Payloads that were gathered or discarded. Dropping the last handle of one may run its owner's code.
    gathered: Vec<Bytes>,
}

/// Payloads from this size on are chained.
const CHAINED: usize = 1024;

/// Small pieces are gathered in blocks of this size, so that those between two payloads do not cost an allocation each.
const BLOCK: usize = 4096;

/// The size that a small frame may have.
const SMALL: usize = 256;

impl TransmitQueue {
    /// How many octets wait.
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// The octets, piece by piece: for a vectored write.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter().map(|segment| &segment[..]).chain((!self.tail.is_empty()).then_some(&self.tail[..]))
    }

    /// All octets in one piece: for tests.
    pub fn to_vec(&self) -> Vec<u8> {
        self.segments().flatten().copied().collect()
    }

    /// Drops everything, what [`release`](Self::release) drops included.
    pub fn clear(&mut self) {
        self.release();
        self.segments.clear();
        self.tail.clear();
        self.remaining = 0;
    }

    /// Drops what is kept of payloads that were gathered or discarded: the octets of some belong to owners whose code
    /// runs when they are dropped, so that a runtime calls this where it holds no lock. [`advance`](Buf::advance) does
    /// it as well.
    pub fn release(&mut self) {
        self.gathered.clear();
    }

    /// Gives back the memory of a queue that is empty.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self { gathered: core::mem::take(&mut self.gathered), ..Self::default() };
        }
    }

    /// Takes payloads that are not to be written, to be dropped with those that were gathered.
    pub(crate) fn keep(&mut self, payloads: Vec<Bytes>) {
        self.gathered.extend(payloads);
    }

    /// Lets `write` append to the gathered octets.
    pub(crate) fn write<T>(&mut self, write: impl FnOnce(&mut BytesMut) -> T) -> T {
        let before = self.tail.len();
        if self.tail.capacity().saturating_sub(before) < SMALL {
            self.tail.reserve(BLOCK);
        }
        let result = write(&mut self.tail);
        self.remaining = self.remaining.saturating_add(self.tail.len()).saturating_sub(before);
        result
    }

    /// Appends a payload.
    pub(crate) fn push(&mut self, payload: Bytes) {
        self.remaining = self.remaining.saturating_add(payload.len());
        if payload.len() < CHAINED {
            self.tail.extend_from_slice(&payload);
            self.gathered.push(payload);
            return;
        }
        if !self.tail.is_empty() {
            self.segments.push_back(self.tail.split().freeze());
        }
        self.segments.push_back(payload);
    }
}

impl Buf for TransmitQueue {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.segments().next().unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.release();
        let mut left = count.min(self.remaining);
        self.remaining = self.remaining.saturating_sub(left);
        while left > 0 {
            let Some(first) = self.segments.front_mut() else {
                self.tail.advance(left.min(self.tail.len()));
                return;
            };
            let taken = left.min(first.len());
            first.advance(taken);
            left = left.saturating_sub(taken);
            if first.is_empty() {
                self.segments.pop_front();
            }
        }
    }
}

impl fmt::Debug for TransmitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} octets in {} pieces>", self.remaining, self.segments().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_between_gathered_and_chained_octets() {
        let mut queue = TransmitQueue::default();
        queue.write(|out| out.extend_from_slice(b"ab"));
        queue.push(Bytes::from(alloc::vec![b'x'; CHAINED]));
        queue.push(Bytes::from_static(b"cd"));
        assert_eq!(queue.remaining(), CHAINED + 4);
        queue.advance(1);
        assert_eq!(queue.chunk(), b"b");
        queue.advance(1 + CHAINED);
        assert_eq!(queue.to_vec(), b"cd");
        queue.advance(2);
        assert!(queue.is_empty());
    }
}
