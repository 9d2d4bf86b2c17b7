//! One direction of a transport in memory, which cuts the octets into pieces, stalls, and breaks.

use crate::Random;
use bytes::BytesMut;
use std::collections::VecDeque;

/// How many octets arrive at a time.
#[derive(Clone, Debug, Default)]
pub enum Segment {
    /// All there are.
    #[default]
    Whole,
    /// Always this many.
    Of(usize),
    /// From one to so many.
    UpTo(usize, Random),
}

/// One direction of a transport.
#[derive(Debug, Default)]
pub struct Pipe {
    octets: VecDeque<u8>,
    /// How many octets arrive at a time.
    pub segment: Segment,
    /// Nothing arrives.
    pub stalled: bool,
    /// The transport breaks when so many octets more have arrived.
    pub cut_after: Option<usize>,
}

impl Pipe {
    /// Octets that were sent.
    pub fn write(&mut self, octets: &[u8]) {
        self.octets.extend(octets);
    }

    /// Moves the next piece; how many octets it has.
    pub fn read(&mut self, into: &mut BytesMut) -> usize {
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

    /// Whether the transport has broken.
    pub fn is_cut(&self) -> bool {
        self.cut_after == Some(0)
    }
}
