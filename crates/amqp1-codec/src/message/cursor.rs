//! A position in a message that lies in several chunks.

use crate::{DecodeError, DecodeErrorKind};
use bytes::{Bytes, BytesMut};

/// A position in several chunks that are not empty.
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
    pub(super) const WINDOW: usize = 48;

    pub(super) fn new(chunks: &'a [Bytes]) -> Self {
        Self { chunks, at: 0, offset: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::at(kind, self.offset)
    }

    /// Octets that are left, up to `most`, in one piece.
    pub(super) fn peek(&self, most: usize) -> Bytes {
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

    /// Takes `count` octets and drops them.
    pub(super) fn skip(&mut self, count: usize) -> Result<(), DecodeError> {
        self.take(count, &mut |_, _, _| {})
    }

    /// The octets from `start` to `end`, which were found there, in the pieces they lie in.
    pub(super) fn range(mut self, start: usize, end: usize, sink: &mut dyn FnMut(Bytes)) {
        let taken = self
            .skip(start)
            .and_then(|()| self.take(end.saturating_sub(start), &mut |chunk, from, to| sink(chunk.slice(from..to))));
        debug_assert!(taken.is_ok(), "a section that was found lies in the chunks");
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
