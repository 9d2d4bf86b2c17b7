//! Sequence numbers (§2.8.10): RFC 1982 arithmetic on 32 bits.

use crate::{Decode, DecodeError, Encode, EncodeStyle, Reader};
use bytes::BytesMut;
use core::{cmp::Ordering, fmt};

/// A number that wraps at 2^32: delivery-ids, transfer-ids, delivery-counts.
///
/// It has no total order: of two numbers that are 2^31 apart neither comes first.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SequenceNo(pub u32);

impl SequenceNo {
    /// The number `count` after this one.
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// How many steps lead from `earlier` to this number, going up.
    #[must_use]
    pub const fn distance_from(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// How far this number is ahead of `other`; negative if it is behind.
    #[must_use]
    pub const fn offset_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }
}

impl PartialOrd for SequenceNo {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.offset_from(*other) {
            0 => Some(Ordering::Equal),
            i32::MIN => None,
            ahead if ahead > 0 => Some(Ordering::Greater),
            _ => Some(Ordering::Less),
        }
    }
}

impl From<u32> for SequenceNo {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Debug for SequenceNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SequenceNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Encode for SequenceNo {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        self.0.encoded_len(style)
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        self.0.encode(style, out);
    }
}

impl Decode for SequenceNo {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u32::decode(reader).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_across_the_wrap() {
        let before = SequenceNo(u32::MAX);
        assert!(before < before.next());
        assert_eq!(before.next(), SequenceNo(0));
        assert_eq!(SequenceNo(3).distance_from(before), 4);
        assert_eq!(before.offset_from(SequenceNo(3)), -4);
    }

    #[test]
    fn half_the_range_apart_has_no_order() {
        assert_eq!(SequenceNo(0).partial_cmp(&SequenceNo(1 << 31)), None);
    }
}
