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
    /// The number of octets that were taken: the place of the one that comes next, which does not wrap.
    taken: u64,
    /// Segments that came too early, by the places of their first octets.
    pending: BTreeMap<u64, Vec<u8>>,
    pending_octets: usize,
    splitter: Splitter,
    /// Whether the first octets of the connection were captured.
    has_beginning: bool,
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
            taken: 0,
            pending: BTreeMap::new(),
            pending_octets: 0,
            splitter: Splitter::new(u32::MAX),
            has_beginning: false,
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
            self.has_beginning = true;
        }
        is_other
    }

    /// A segment. Returns the frames that it completes.
    pub(super) fn segment(&mut self, sequence: u32, octets: &[u8]) -> Vec<Got> {
        if octets.is_empty() || self.kind == Kind::Other {
            return Vec::new();
        }
        // Without the beginning of the connection, the first segment that was captured is the beginning.
        let next = *self.next.get_or_insert(sequence);
        let ahead = sequence.wrapping_sub(next);
        if ahead == 0 {
            self.take(octets);
        } else if ahead <= u32::MAX / 2 {
            self.keep(self.taken.saturating_add(ahead.into()), octets);
        } else {
            // It begins before the octet that comes next, and may end after it.
            let known = usize::try_from(next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
            self.take(octets.get(known..).unwrap_or_default());
        }
        self.take_pending();
        self.frames()
    }

    fn keep(&mut self, place: u64, octets: &[u8]) {
        let kept = self.pending.get(&place).map_or(0, Vec::len);
        let total = self.pending_octets.saturating_sub(kept).saturating_add(octets.len());
        if total <= MAX_PENDING && kept < octets.len() {
            self.pending.insert(place, octets.to_vec());
            self.pending_octets = total;
        }
    }

    fn take(&mut self, octets: &[u8]) {
        let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        self.next = self.next.map(|next| next.wrapping_add(length));
        self.taken = self.taken.saturating_add(length.into());
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
        while let Some(first) = self.pending.first_entry().filter(|first| *first.key() <= self.taken) {
            let (place, octets) = first.remove_entry();
            self.pending_octets = self.pending_octets.saturating_sub(octets.len());
            let known = usize::try_from(self.taken.saturating_sub(place)).unwrap_or(usize::MAX);
            self.take(octets.get(known..).unwrap_or_default());
        }
        if self.kind == Kind::Other {
            self.pending.clear();
            self.pending_octets = 0;
        }
    }

    fn frames(&mut self) -> Vec<Got> {
        std::iter::from_fn(|| self.splitter.next()).collect()
    }

    /// Returns `true` if the first octets of the connection were captured.
    pub(super) fn has_beginning(&self) -> bool {
        self.has_beginning
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

    /// A quadratic search takes minutes for this.
    #[test]
    fn many_segments_that_come_early_are_put_in_order_in_no_time() {
        const COUNT: u32 = 200_000;
        let frame = frames::empty(0);
        let length = u32::try_from(frame.len()).expect("it is small");
        let mut stream = Stream::new(true);
        stream.begin(u32::MAX);
        for number in (1..COUNT).rev() {
            assert_eq!(stream.segment(number * length, &frame), []);
        }
        assert_eq!(stream.segment(0, &frame).len(), usize::try_from(COUNT).expect("it is small"));
        assert_eq!(stream.after_gap(), 0);
    }

    #[test]
    fn what_comes_early_is_bounded_and_a_longer_segment_replaces_a_shorter_one() {
        let mut stream = Stream::new(true);
        stream.begin(u32::MAX);
        let large = vec![0; MAX_PENDING / 4 + 1];
        for place in 1..10 {
            stream.segment(place, &large);
        }
        assert_eq!(stream.after_gap(), 3 * large.len());
        let mut stream = Stream::new(true);
        stream.begin(u32::MAX);
        for length in [5, 9, 7] {
            stream.segment(1, &large[..length]);
        }
        assert_eq!(stream.after_gap(), 9);
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
        assert_eq!(stream.segment(1000, b"later"), []);
        assert_eq!(stream.after_gap(), 0, "nothing is kept");
    }
}
