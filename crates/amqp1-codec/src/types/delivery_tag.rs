//! Delivery tags (§2.8.7).

use super::text::write_variable;
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Reader, types::format_code as code};
use bytes::BytesMut;
use core::fmt;

/// The sender's name for a delivery: up to 32 octets, stored in line.
#[derive(Clone, Copy, Default)]
pub struct DeliveryTag {
    length: u8,
    octets: [u8; Self::MAX],
}

/// A delivery-tag may have at most 32 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagTooLong;

impl fmt::Display for TagTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a delivery-tag may have at most 32 octets")
    }
}

impl core::error::Error for TagTooLong {}

impl DeliveryTag {
    /// The most octets that a tag may have.
    pub const MAX: usize = 32;

    /// A tag of these octets.
    ///
    /// # Errors
    ///
    /// [`TagTooLong`] if there are more than [`Self::MAX`].
    #[inline]
    pub fn new(octets: &[u8]) -> Result<Self, TagTooLong> {
        let mut tag = Self { length: u8::try_from(octets.len()).map_err(|_| TagTooLong)?, octets: [0; Self::MAX] };
        tag.octets.get_mut(..octets.len()).ok_or(TagTooLong)?.copy_from_slice(octets);
        Ok(tag)
    }

    /// How many octets there are.
    pub(crate) const fn len(&self) -> u8 {
        self.length
    }

    /// The octets as numbers that compare as they do, with zeros behind them.
    #[inline]
    fn halves(&self) -> (u128, u128) {
        let half = |octets: Option<&[u8; 16]>| octets.map_or(0, |octets| u128::from_be_bytes(*octets));
        (half(self.octets.first_chunk()), half(self.octets.last_chunk()))
    }

    /// The octets.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl From<u32> for DeliveryTag {
    /// The four octets of a counter, most significant first.
    fn from(number: u32) -> Self {
        let mut tag = Self { length: 4, octets: [0; Self::MAX] };
        if let Some(head) = tag.octets.first_chunk_mut() {
            *head = number.to_be_bytes();
        }
        tag
    }
}

impl From<[u8; 16]> for DeliveryTag {
    fn from(octets: [u8; 16]) -> Self {
        let mut tag = Self { length: 16, octets: [0; Self::MAX] };
        if let Some(head) = tag.octets.first_chunk_mut() {
            *head = octets;
        }
        tag
    }
}

impl PartialEq for DeliveryTag {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.halves() == other.halves()
    }
}

impl Eq for DeliveryTag {}

impl PartialOrd for DeliveryTag {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DeliveryTag {
    /// In the order of the octets.
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.halves().cmp(&other.halves()).then(self.length.cmp(&other.length))
    }
}

impl core::hash::Hash for DeliveryTag {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for DeliveryTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl Encode for DeliveryTag {
    fn encoded_len(&self, _: EncodeStyle) -> usize {
        usize::from(self.length).saturating_add(2)
    }

    fn encode(&self, _: EncodeStyle, out: &mut BytesMut) {
        write_variable(code::VBIN8, code::VBIN32, self.as_slice(), out);
    }
}

impl Decode for DeliveryTag {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let octets = match reader.u8()? {
            code::VBIN8 => reader.variable8()?,
            code::VBIN32 => reader.variable32()?,
            other => return Err(reader.wrong_code(other)),
        };
        Self::new(octets).map_err(|_| reader.error(DecodeErrorKind::TagTooLong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn tags_compare_as_their_octets_do() {
        let octets: Vec<Vec<u8>> =
            [&b""[..], b"\0", b"\0\0", b"a", b"a\0", b"a\0b", b"b", b"\xff", &[7; 16], &[7; 17], &[7; 32]]
                .into_iter()
                .map(Vec::from)
                .chain((0..32).map(|at| (0..32).map(|place| u8::from(place == at)).collect()))
                .collect();
        for a in &octets {
            for b in &octets {
                let (x, y) = (DeliveryTag::new(a).expect("a short tag"), DeliveryTag::new(b).expect("a short tag"));
                assert_eq!(x.cmp(&y), a.cmp(b), "{a:?} {b:?}");
                assert_eq!(x == y, a == b, "{a:?} {b:?}");
            }
        }
    }
}
