//! The octets of a received message as they came.

use super::{Apart, EncodedMessage, Message, Pieces};
use crate::messaging::section_code;
use alloc::{boxed::Box, vec::Vec};
use bytes::Bytes;

/// Octets in one piece or in several.
#[derive(Clone)]
pub(super) enum Chunks {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Chunks {
    /// Those of the chunks that are not empty.
    #[inline]
    pub(super) fn gather(chunks: impl IntoIterator<Item = Bytes>) -> Self {
        let mut chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty());
        let first = chunks.next().unwrap_or_default();
        let Some(second) = chunks.next() else { return Self::One(first) };
        let mut all = Vec::from([first, second]);
        all.extend(chunks);
        Self::Many(all)
    }

    pub(super) fn as_slice(&self) -> &[Bytes] {
        match self {
            Self::One(chunk) => core::slice::from_ref(chunk),
            Self::Many(chunks) => chunks,
        }
    }

    fn to_detached(&self) -> Self {
        match self {
            Self::One(octets) => Self::One(copy(octets)),
            Self::Many(chunks) => Self::Many(chunks.iter().map(copy).collect()),
        }
    }
}

fn copy(octets: &Bytes) -> Bytes {
    Bytes::copy_from_slice(octets)
}

impl Message {
    /// The octets of the whole message, in the pieces they came in.
    pub(super) fn octets(&self) -> Chunks {
        match self.pieces() {
            None => Chunks::One(self.head.clone()),
            Some(Pieces { whole: Some(whole), .. }) => Chunks::Many(whole.clone()),
            Some(Pieces { body, tail, whole: None }) => {
                let mut parts = Vec::from([self.head.clone()]);
                parts.extend(body.as_slice().iter().cloned());
                parts.push(tail.clone());
                Chunks::Many(parts)
            }
        }
    }

    /// The message as it was received, octet for octet, to be sent on: of any message, also of one that is malformed.
    pub fn to_encoded(&self) -> EncodedMessage {
        match self.octets() {
            Chunks::One(octets) => EncodedMessage::from_parts([octets]),
            Chunks::Many(parts) => EncodedMessage::from_parts(parts),
        }
    }

    /// A copy that keeps no larger buffer alive than its own octets.
    #[must_use]
    pub fn to_detached(&self) -> Self {
        let apart = self.apart.as_ref().map(|apart| {
            let pieces = apart.pieces.as_ref().map(|pieces| Pieces {
                body: pieces.body.to_detached(),
                tail: copy(&pieces.tail),
                whole: pieces.whole.as_ref().map(|whole| whole.iter().map(copy).collect()),
            });
            Box::new(Apart { pieces, faults: apart.faults.clone(), irregular: apart.irregular })
        });
        Self { head: copy(&self.head), apart, index: self.index, limits: self.limits }
    }

    /// How many octets the message has.
    pub fn encoded_len(&self) -> usize {
        let sum = |chunks: &[Bytes]| chunks.iter().fold(0_usize, |sum, chunk| sum.saturating_add(chunk.len()));
        match self.pieces() {
            None => self.head.len(),
            Some(Pieces { whole: Some(whole), .. }) => sum(whole),
            Some(Pieces { body, tail, whole: None }) => {
                self.head.len().saturating_add(sum(body.as_slice())).saturating_add(tail.len())
            }
        }
    }
}

impl core::fmt::Debug for Message {
    /// Which sections there are, and how many octets; what they hold may be large or secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (index, body) = (&self.index, self.index.body_number);
        let mut sections = Vec::new();
        for (name, there) in [
            ("header", index.head(section_code::HEADER).is_there()),
            ("delivery-annotations", index.head(section_code::DELIVERY_ANNOTATIONS).is_there()),
            ("message-annotations", index.head(section_code::MESSAGE_ANNOTATIONS).is_there()),
            ("properties", index.head(section_code::PROPERTIES).is_there()),
            ("application-properties", index.head(section_code::APPLICATION_PROPERTIES).is_there()),
            ("data", body == section_code::DATA),
            ("amqp-sequence", body == section_code::AMQP_SEQUENCE),
            ("amqp-value", body == section_code::AMQP_VALUE),
            ("footer", index.footer.is_there()),
        ] {
            if there {
                sections.push(name);
            }
        }
        let mut shown = f.debug_struct("Message");
        shown.field("sections", &sections).field("octets", &self.encoded_len());
        if let Some(error) = self.layout_error() {
            shown.field("malformed", &error);
        }
        shown.finish()
    }
}
