//! A position in a message that lies in several chunks.

use super::scan::{Section, section_start};
use crate::{DecodeError, DecodeErrorKind, Limits, Reader};
use bytes::{Bytes, BytesMut};

/// A position in several chunks, none of which is empty.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    chunks: &'a [Bytes],
    /// Octets taken from the first chunk; fewer than it has.
    at: usize,
    /// Octets taken in all.
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// How many octets of a section are looked at first.
    const WINDOW: usize = 48;

    pub(super) fn new(chunks: &'a [Bytes]) -> Self {
        Self { chunks, at: 0, offset: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { kind, offset: u32::try_from(self.offset).unwrap_or(u32::MAX) }
    }

    /// Octets that are left, up to `most`, in one piece.
    fn peek(&self, most: usize) -> Bytes {
        let mut at = self.at;
        let mut joined = BytesMut::new();
        for chunk in self.chunks {
            let rest = chunk.get(at..).unwrap_or_default();
            if joined.is_empty() && rest.len() >= most {
                return chunk.slice(at..at.saturating_add(most));
            }
            if joined.is_empty() {
                joined.reserve(most.min(Self::WINDOW));
            }
            at = 0;
            let wanted = most.saturating_sub(joined.len()).min(rest.len());
            joined.extend_from_slice(rest.get(..wanted).unwrap_or_default());
            if joined.len() >= most {
                break;
            }
        }
        joined.freeze()
    }

    /// The kind and the extent of the section that begins here.
    pub(super) fn measure(&self, limits: Limits) -> Result<Section, DecodeError> {
        // Enough for a descriptor and a constructor with its size, however they are written. Only what has no meaning
        // here and the descriptors of values within amqp-value sections are longer: these are tried with ever more,
        // which comes to a constant number of times what they have.
        let mut window = Self::WINDOW;
        loop {
            let octets = self.peek(window);
            let rest_is_seen = octets.len() < window;
            match Self::measure_in(&octets, limits) {
                Err(error) if error.kind == DecodeErrorKind::Truncated && !rest_is_seen => {
                    window = window.saturating_mul(8);
                }
                other => {
                    return other.map_err(|error| DecodeError {
                        kind: error.kind,
                        offset: self.error(error.kind).offset.saturating_add(error.offset),
                    });
                }
            }
        }
    }

    fn measure_in(octets: &Bytes, limits: Limits) -> Result<Section, DecodeError> {
        let mut reader = Reader::with_limits(octets, limits);
        let number = section_start(&mut reader)?;
        let descriptor = octets.len().saturating_sub(reader.remaining());
        let start = reader.remaining();
        let format = reader.skip_descriptors()?;
        let data = reader.data_len(format)?;
        let value = start.saturating_sub(reader.remaining()).saturating_add(data);
        Ok(Section { number, descriptor, value })
    }

    /// Takes `count` octets and drops them.
    pub(super) fn skip(&mut self, count: usize) -> Result<(), DecodeError> {
        self.take(count, &mut |_, _, _| {})
    }

    /// The octets from `start` to `end`, in the pieces they lie in.
    pub(super) fn range(mut self, start: usize, end: usize, sink: &mut dyn FnMut(Bytes)) -> Result<(), DecodeError> {
        self.skip(start)?;
        self.take(end.saturating_sub(start), &mut |chunk, from, to| sink(chunk.slice(from..to)))
    }

    fn take(&mut self, mut count: usize, sink: &mut dyn FnMut(&Bytes, usize, usize)) -> Result<(), DecodeError> {
        while count > 0 {
            let Some((first, rest)) = self.chunks.split_first() else {
                return Err(self.error(DecodeErrorKind::Truncated));
            };
            let taken = first.len().saturating_sub(self.at).min(count);
            let end = self.at.saturating_add(taken);
            sink(first, self.at, end);
            count = count.saturating_sub(taken);
            self.offset = self.offset.saturating_add(taken);
            if end >= first.len() {
                self.chunks = rest;
                self.at = 0;
            } else {
                self.at = end;
            }
        }
        Ok(())
    }
}
