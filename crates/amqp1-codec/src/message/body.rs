//! The body of a received message (§3.2.6 to §3.2.8).

use super::scan::Range;
use crate::{Decode, DecodeError, Reader, Value, types::format_code as code};
use bytes::Bytes;
use core::fmt;

/// The body of a message.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// Opaque octets, in one or more sections.
    Data(DataSections<'a>),
    /// Lists of values, one or more.
    Sequence(Sequences<'a>),
    /// One value.
    Value(BodyValue<'a>),
    /// No body section, which the specification does not allow and real peers send.
    Empty,
    /// A body that cannot be read, of a message taken as it was [received](super::Message::received).
    /// [`to_encoded`](super::Message::to_encoded) gives the message's octets.
    Malformed(DecodeError),
}

/// The data sections of a body.
#[derive(Clone, Copy)]
pub struct DataSections<'a> {
    chunks: &'a [Bytes],
    /// Where the next section begins in the first chunk.
    at: usize,
    /// Octets of all sections that are left.
    left: usize,
}

/// One data section: octets, in the pieces they came in.
#[derive(Clone, Copy)]
pub struct DataSection<'a> {
    chunks: &'a [Bytes],
    at: usize,
    length: usize,
}

impl<'a> DataSections<'a> {
    /// The sections in a part of the chunks.
    pub(super) fn new(chunks: &'a [Bytes], range: Range) -> Self {
        Self { chunks, at: range.start(), left: range.end().saturating_sub(range.start()) }
    }

    /// Whether no section is left.
    pub(super) fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Octets from here on, however they are cut.
    fn octets(&self) -> impl Iterator<Item = u8> + use<'a> {
        let (first, rest) = match self.chunks.split_first() {
            Some((first, rest)) => (first.get(self.at..).unwrap_or_default(), rest),
            None => (&[][..], self.chunks),
        };
        first.iter().chain(rest.iter().flat_map(|chunk| chunk.iter())).copied()
    }

    fn advance(&mut self, mut count: usize) {
        self.left = self.left.saturating_sub(count);
        while let Some((first, rest)) = self.chunks.split_first() {
            let available = first.len().saturating_sub(self.at);
            if count < available {
                self.at = self.at.saturating_add(count);
                return;
            }
            count = count.saturating_sub(available);
            self.chunks = rest;
            self.at = 0;
        }
    }

    /// The octets of the next section's descriptor and size, and of its data. The scan has checked them.
    fn extent(&self) -> Option<(usize, usize)> {
        if self.left == 0 {
            return None;
        }
        match self.chunks.first().and_then(|chunk| chunk.get(self.at..)) {
            Some([code::DESCRIBED, code::SMALL_ULONG, _, code::VBIN8, length, ..]) => Some((5, usize::from(*length))),
            Some([code::DESCRIBED, code::SMALL_ULONG, _, code::VBIN32, a, b, c, d, ..]) => {
                Some((8, usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok()?))
            }
            _ => self.unusual_extent(),
        }
    }

    /// As [`extent`](Self::extent), whatever the descriptor, and however the chunks are cut.
    fn unusual_extent(&self) -> Option<(usize, usize)> {
        let mut octets = self.octets();
        let mut header = 0usize;
        let mut next = || {
            header = header.saturating_add(1);
            octets.next()
        };
        next()?;
        let descriptor = match next()? {
            code::SMALL_ULONG => 1,
            code::ULONG => 8,
            code::SYM8 => usize::from(next()?),
            code::SYM32 => usize::try_from(u32::from_be_bytes([next()?, next()?, next()?, next()?])).ok()?,
            _ => 0,
        };
        for _ in 0..descriptor {
            next()?;
        }
        let length = match next()? {
            code::VBIN8 => usize::from(next()?),
            _ => usize::try_from(u32::from_be_bytes([next()?, next()?, next()?, next()?])).ok()?,
        };
        Some((header, length))
    }
}

impl<'a> Iterator for DataSections<'a> {
    type Item = DataSection<'a>;

    fn next(&mut self) -> Option<DataSection<'a>> {
        let (header, length) = self.extent()?;
        self.advance(header);
        let section = DataSection { chunks: self.chunks, at: self.at, length };
        self.advance(length);
        Some(section)
    }
}

impl<'a> DataSection<'a> {
    /// How many octets there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The octets, if they came in one piece.
    pub(super) fn in_one_piece(&self) -> Option<Bytes> {
        match self.chunks.first() {
            // A shared slice keeps the whole buffer alive, and an empty one needs none.
            _ if self.length == 0 => Some(Bytes::new()),
            Some(chunk) if chunk.len().saturating_sub(self.at) >= self.length => {
                Some(chunk.slice(self.at..self.at.saturating_add(self.length)))
            }
            _ => None,
        }
    }

    /// The octets, in the pieces they came in, as slices of the buffers they were read into.
    pub fn chunks(&self) -> impl Iterator<Item = Bytes> + use<'a> {
        let (mut at, mut left) = (self.at, self.length);
        self.chunks
            .iter()
            .map_while(move |chunk| {
                if left == 0 {
                    return None;
                }
                let start = at.min(chunk.len());
                let end = start.saturating_add(left).min(chunk.len());
                at = 0;
                left = left.saturating_sub(end.saturating_sub(start));
                Some(chunk.slice(start..end))
            })
            .filter(|piece| !piece.is_empty())
    }
}

/// The amqp-sequence sections of a body.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<'a> {
    reader: Reader<'a>,
}

impl<'a> Sequences<'a> {
    pub(super) fn new(reader: Reader<'a>) -> Self {
        Self { reader }
    }
}

impl Iterator for Sequences<'_> {
    type Item = Result<alloc::vec::Vec<Value>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let sequence = self.reader.descriptor().and_then(|_| {
            let format = self.reader.u8()?;
            crate::types::decode_list(&mut self.reader, format)
        });
        if sequence.is_err() {
            static NOTHING: Bytes = Bytes::new();
            self.reader = Reader::new(&NOTHING);
        }
        Some(sequence)
    }
}

/// The value of an amqp-value section.
#[derive(Clone, Copy, Debug)]
pub struct BodyValue<'a> {
    reader: Reader<'a>,
}

impl<'a> BodyValue<'a> {
    pub(super) fn new(reader: Reader<'a>) -> Self {
        Self { reader }
    }

    /// The value, read in place.
    ///
    /// # Errors
    ///
    /// If it is malformed.
    pub fn as_ref(&self) -> Result<crate::ValueRef<'a>, DecodeError> {
        let mut reader = self.reader;
        reader.descriptor()?;
        crate::ValueRef::read(&mut reader)
    }

    /// The value, owned.
    ///
    /// # Errors
    ///
    /// If it is malformed.
    pub fn to_value(&self) -> Result<Value, DecodeError> {
        self.decode()
    }

    /// The value as a type of one's own.
    ///
    /// # Errors
    ///
    /// If it is malformed or of another type.
    pub fn decode<T: Decode>(&self) -> Result<T, DecodeError> {
        let mut reader = self.reader;
        reader.descriptor()?;
        let value = T::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    /// The value as a type of one's own, by way of [`serde`](crate::serde); texts and octets may be borrowed from the
    /// message.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`](crate::serde::Error::Decode) if the value is malformed or breaks the message's limits;
    /// another if it is not what the type wants.
    #[cfg(feature = "serde")]
    pub fn deserialize<T: ::serde::Deserialize<'a>>(&self) -> Result<T, crate::serde::Error> {
        let mut reader = self.reader;
        reader.descriptor()?;
        crate::serde::Deserializer::new(reader).read_all()
    }
}

impl fmt::Debug for DataSection<'_> {
    /// How long it is; what it holds may be large or secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataSection({} octets)", self.length)
    }
}

impl fmt::Debug for DataSections<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        f.debug_list().entries(self.take(SHOWN)).finish()
    }
}
