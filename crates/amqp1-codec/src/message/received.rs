//! Messages as they come, whatever their octets are.

use super::{
    Apart, Message, Pieces,
    layout::Faults,
    octets::Chunks,
    scan::{self, Index},
};
use crate::{DecodeError, Limits, limits::Packed};
use alloc::boxed::Box;
use bytes::Bytes;

impl Message {
    /// A message whatever its octets are, with these limits: what is wrong with them is said by the accessors of the
    /// sections that cannot be read.
    ///
    /// ```
    /// use amqp1_codec::{DecodeErrorKind, Limits, Message, message::Body};
    ///
    /// // Properties that are null, and data that is octets.
    /// let message = Message::received([(&b"\0\x53\x73\x40\0\x53\x75\xa0\x02hi"[..]).into()], Limits::DEFAULT);
    /// assert_eq!(message.properties().map_err(|error| error.kind), Err(DecodeErrorKind::UnexpectedFormatCode(0x40)));
    /// assert_eq!(message.data().as_deref(), Some(&b"hi"[..]));
    ///
    /// // No sections at all.
    /// let message = Message::received([(&b"<?xml?>"[..]).into()], Limits::DEFAULT);
    /// assert!(matches!(message.body(), Body::Malformed(_)));
    /// assert_eq!(message.to_encoded().into_parts().concat(), b"<?xml?>");
    /// ```
    #[inline]
    pub fn received(chunks: impl IntoIterator<Item = Bytes>, limits: Limits) -> Self {
        scan::scan(Chunks::gather(chunks), Packed::of(limits))
    }

    /// A message of a format other than 0 (§2.8.11), whose octets are not looked into: the accessors of all sections
    /// return [`DecodeErrorKind::OpaqueMessage`](crate::DecodeErrorKind::OpaqueMessage).
    pub fn opaque(chunks: impl IntoIterator<Item = Bytes>, limits: Limits) -> Self {
        let (head, pieces) = match Chunks::gather(chunks) {
            Chunks::One(head) => (head, None),
            Chunks::Many(all) => {
                let nothing = Chunks::One(Bytes::new());
                (Bytes::new(), Some(Pieces { body: nothing, tail: Bytes::new(), whole: Some(all) }))
            }
        };
        let apart = Apart { pieces, faults: Faults::opaque(), irregular: true };
        Self { head, apart: Some(Box::new(apart)), index: Index::default(), limits: Packed::of(limits) }
    }

    /// The same octets as the sections of a message, for formats that are built on format 0.
    #[must_use]
    pub fn scanned(&self) -> Self {
        Self::received(self.to_encoded().into_parts(), self.limits.unpack())
    }

    /// The first thing that is wrong with the sections as such: their order, their types, their ends. What stands inside
    /// them is not looked at; [`validate`](Self::validate) does.
    pub fn layout_error(&self) -> Option<DecodeError> {
        self.apart.as_ref().and_then(|apart| apart.faults.first())
    }
}
