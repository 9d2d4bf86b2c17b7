//! One direction of a transport in memory, which cuts the octets into pieces, stalls, and breaks.

use bytes::BytesMut;
use std::collections::VecDeque;

/// A small generator of numbers, so that a failing run is a seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }
}

/// How many octets arrive at a time.
#[derive(Clone, Debug, Default)]
pub(crate) enum Segment {
    /// All there are.
    #[default]
    Whole,
    /// Always this many.
    Of(usize),
    /// From one to so many.
    UpTo(usize, Random),
}

#[derive(Debug, Default)]
pub(crate) struct Pipe {
    octets: VecDeque<u8>,
    pub(crate) segment: Segment,
    /// Nothing arrives.
    pub(crate) stalled: bool,
    /// The transport breaks when so many octets more have arrived.
    pub(crate) cut_after: Option<usize>,
}

impl Pipe {
    pub(crate) fn write(&mut self, octets: &[u8]) {
        self.octets.extend(octets);
    }

    /// Moves the next piece; how many octets it has.
    pub(crate) fn read(&mut self, into: &mut BytesMut) -> usize {
        if self.stalled {
            return 0;
        }
        let mut count = match &mut self.segment {
            Segment::Whole => usize::MAX,
            Segment::Of(count) => *count,
            Segment::UpTo(most, random) => random.below(*most) + 1,
        };
        count = count.min(self.octets.len()).min(self.cut_after.unwrap_or(usize::MAX));
        into.extend(self.octets.drain(..count));
        if let Some(left) = &mut self.cut_after {
            *left -= count;
        }
        count
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut_after == Some(0)
    }
}
