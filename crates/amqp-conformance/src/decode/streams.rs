//! TCP streams, put together from segments that may come twice, or in another order.

use amqp1_script::{Got, Splitter};
use std::collections::BTreeMap;

/// The octets that a direction keeps while a segment before them is missing.
const MAX_PENDING: usize = 16 * 1024 * 1024;

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    /// The sequence number of the octet that comes next.
    next: Option<u32>,
    /// Segments that came too early, by their distance from `next` when the first of them came.
    pending: BTreeMap<u32, Vec<u8>>,
    pending_octets: usize,
    splitter: Splitter,
    kind: Kind,
    /// The first octets, until the kind is known.
    beginning: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unknown,
    Amqp,
    Other,
}

impl Stream {
    /// A direction of which nothing has come. With `is_named`, it is taken for AMQP whatever it begins with.
    pub(super) fn new(is_named: bool) -> Self {
        Self {
            next: None,
            pending: BTreeMap::new(),
            pending_octets: 0,
            splitter: Splitter::new(u32::MAX),
            kind: if is_named { Kind::Amqp } else { Kind::Unknown },
            beginning: Vec::new(),
        }
    }

    /// A SYN: the stream begins after it. Returns `true` if that is another connection than before.
    pub(super) fn begin(&mut self, sequence: u32) -> bool {
        let first = sequence.wrapping_add(1);
        let is_other = self.next.is_some_and(|next| next != first);
        if self.next.is_none() {
            self.next = Some(first);
        }
        is_other
    }

    /// A segment. Returns the frames that it completes.
    pub(super) fn segment(&mut self, sequence: u32, octets: &[u8]) -> Vec<Got> {
        if octets.is_empty() {
            return Vec::new();
        }
        // Without the beginning of the connection, the first segment that was captured is the beginning.
        let next = *self.next.get_or_insert(sequence);
        let ahead = sequence.wrapping_sub(next);
        if ahead == 0 {
            self.take(octets);
        } else if ahead <= u32::MAX / 2 {
            self.keep(sequence, octets);
        } else {
            // It begins before the octet that comes next, and may end after it.
            let known = usize::try_from(next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
            self.take(octets.get(known..).unwrap_or_default());
        }
        self.take_pending();
        self.frames()
    }

    fn keep(&mut self, sequence: u32, octets: &[u8]) {
        let total = self.pending_octets.saturating_add(octets.len());
        let is_longer = self.pending.get(&sequence).is_none_or(|kept| kept.len() < octets.len());
        if total <= MAX_PENDING && is_longer {
            let replaced = self.pending.insert(sequence, octets.to_vec());
            self.pending_octets = total.saturating_sub(replaced.map_or(0, |kept| kept.len()));
        }
    }

    fn take(&mut self, octets: &[u8]) {
        let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        self.next = self.next.map(|next| next.wrapping_add(length));
        match self.kind {
            Kind::Other => {}
            Kind::Amqp => self.splitter.feed(octets),
            Kind::Unknown => {
                self.beginning.extend_from_slice(octets);
                if let Some(first) = self.beginning.get(..4) {
                    self.kind = if first == b"AMQP" { Kind::Amqp } else { Kind::Other };
                    let beginning = std::mem::take(&mut self.beginning);
                    if self.kind == Kind::Amqp {
                        self.splitter.feed(&beginning);
                    }
                }
            }
        }
    }

    /// Takes what has come early and is not early any more.
    fn take_pending(&mut self) {
        while let Some(next) = self.next {
            let is_due = |(sequence, _): &(&u32, &Vec<u8>)| {
                sequence.wrapping_sub(next) == 0 || sequence.wrapping_sub(next) > u32::MAX / 2
            };
            let Some(sequence) = self.pending.iter().find(is_due).map(|(sequence, _)| *sequence) else { return };
            let octets = self.pending.remove(&sequence).unwrap_or_default();
            self.pending_octets = self.pending_octets.saturating_sub(octets.len());
            let known = usize::try_from(next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
            self.take(octets.get(known..).unwrap_or_default());
        }
    }

    fn frames(&mut self) -> Vec<Got> {
        std::iter::from_fn(|| self.splitter.next()).collect()
    }

    /// Returns `true` if it is AMQP.
    pub(super) fn is_amqp(&self) -> bool {
        self.kind == Kind::Amqp
    }

    /// The octets that came after a gap which was never filled.
    pub(super) fn after_gap(&self) -> usize {
        self.pending_octets
    }

    /// The octets of a frame that was not finished.
    pub(super) fn unfinished(&self) -> usize {
        self.splitter.unfinished()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::frame::ProtocolHeader;
    use amqp1_script::frames;

    /// A header and an open, as one stream of octets.
    fn octets() -> Vec<u8> {
        [&ProtocolHeader::AMQP.encode()[..], &frames::encode(0, frames::open("client"), b"")].concat()
    }

    fn names(got: &[Got]) -> Vec<&str> {
        got.iter().map(Got::name).collect()
    }

    /// Gives each of these ranges as a segment, from this sequence number.
    fn given(first: u32, ranges: &[(usize, usize)]) -> (Stream, Vec<Got>) {
        let (octets, mut stream, mut all) = (octets(), Stream::new(false), Vec::new());
        stream.begin(first.wrapping_sub(1));
        for (from, to) in ranges {
            let sequence = first.wrapping_add(u32::try_from(*from).expect("it is small"));
            all.extend(stream.segment(sequence, &octets[*from..(*to).min(octets.len())]));
        }
        (stream, all)
    }

    #[test]
    fn segments_are_put_in_order_and_taken_once() {
        let end = octets().len();
        for ranges in [
            &[(0, end)][..],
            &[(8, end), (0, 8)],
            &[(0, 8), (0, 8), (8, end)],
            &[(0, 10), (5, 20), (15, end)],
            &[(20, end), (10, 25), (0, 12), (0, end)],
            &[(3, 5), (5, end), (3, 9), (0, 3)],
        ] {
            let (stream, got) = given(1000, ranges);
            assert_eq!(names(&got), ["header", "open"], "{ranges:?}");
            assert_eq!((stream.after_gap(), stream.unfinished()), (0, 0), "{ranges:?}");
        }
    }

    #[test]
    fn sequence_numbers_wrap() {
        let end = octets().len();
        let (_, got) = given(u32::MAX - 9, &[(12, end), (8, 12), (0, 9)]);
        assert_eq!(names(&got), ["header", "open"]);
    }

    #[test]
    fn a_gap_that_is_never_filled_is_counted() {
        let end = octets().len();
        let (stream, got) = given(7, &[(0, 8), (12, end)]);
        assert_eq!(names(&got), ["header"]);
        assert_eq!(stream.after_gap(), end - 12);
    }

    #[test]
    fn a_stream_of_another_protocol_is_left_alone() {
        let mut stream = Stream::new(false);
        assert_eq!(stream.segment(1, b"GE"), []);
        assert_eq!(stream.segment(3, b"T / HTTP/1.1"), []);
        assert!(!stream.is_amqp());
    }
}
