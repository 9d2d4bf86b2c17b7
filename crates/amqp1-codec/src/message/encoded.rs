//! Messages that are encoded, to be sent.

use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// A message's octets, ready to be cut into transfers. A large body is shared, not copied.
#[derive(Clone, Default)]
pub struct EncodedMessage {
    /// Empty only if there is nothing.
    first: Bytes,
    /// None of them is empty.
    rest: Vec<Bytes>,
    length: usize,
}

impl EncodedMessage {
    /// Octets that are message sections already, in pieces.
    pub fn from_parts(parts: impl IntoIterator<Item = Bytes>) -> Self {
        let mut message = Self::default();
        parts.into_iter().for_each(|part| message.push(part));
        message
    }

    #[inline]
    pub(super) fn push(&mut self, part: Bytes) {
        if part.is_empty() {
            return;
        }
        self.length = self.length.saturating_add(part.len());
        if self.first.is_empty() {
            self.first = part;
        } else {
            self.rest.push(part);
        }
    }

    /// How many octets there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The octets, piece by piece.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        core::iter::once(&self.first).filter(|first| !first.is_empty()).chain(&self.rest)
    }

    /// The pieces.
    pub fn into_parts(self) -> Vec<Bytes> {
        let mut parts = Vec::with_capacity(self.pieces());
        if !self.first.is_empty() {
            parts.push(self.first);
        }
        parts.extend(self.rest);
        parts
    }

    /// The first piece, which is empty only if there is none, and the others. Most messages have one piece: then nothing is
    /// allocated.
    pub fn into_first_and_rest(self) -> (Bytes, Vec<Bytes>) {
        (self.first, self.rest)
    }

    fn pieces(&self) -> usize {
        self.rest.len().saturating_add(usize::from(!self.first.is_empty()))
    }
}

impl fmt::Debug for EncodedMessage {
    /// How long the pieces are; what they hold may be large or secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedMessage").field("octets", &self.length).field("pieces", &self.pieces()).finish()
    }
}
