//! A message on its way from one hop to the next.

use super::{EncodedMessage, Message, build::annotations, cursor::Cursor, walk::Walk};
use crate::{
    DecodeErrorKind, Encode, EncodeStyle,
    messaging::{Annotations, Header, section_code as section},
};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

const REPLACED: [u8; 3] = [section::HEADER, section::DELIVERY_ANNOTATIONS, section::MESSAGE_ANNOTATIONS];

impl Message {
    /// The message as an intermediary sends it on (§3.2): with this header and these annotations in place of those that
    /// it came with. The bare message, from its properties to its body, and the footer go as they came, octet for
    /// octet, and are shared, not copied. So do the octets of a malformed message that are none of the three sections;
    /// those of a message of another format all stay as they are.
    ///
    /// Delivery-annotations are of one hop only (§3.2.2): those that it came with are not to be among these.
    ///
    /// ```
    /// use amqp1_codec::{Message, Symbol, messaging::{Annotations, Header}};
    ///
    /// let sent = Message::builder().delivery_annotation(Symbol::from_static("x-opt-hop"), 1).data("hello").build();
    /// let received = Message::from_chunks(sent.into_parts())?;
    ///
    /// let header = Header { delivery_count: 1, ..Header::default() };
    /// let again = received.relayed(&header, &Annotations::new(), &Annotations::new());
    /// let again = Message::from_chunks(again.into_parts())?;
    /// assert_eq!(again.header()?.map(|header| header.delivery_count), Some(1));
    /// assert_eq!(again.delivery_annotations()?, None);
    /// assert_eq!(again.data().as_deref(), Some(&b"hello"[..]));
    /// # Ok::<_, amqp1_codec::DecodeError>(())
    /// ```
    pub fn relayed(
        &self,
        header: &Header,
        delivery_annotations: &Annotations,
        message_annotations: &Annotations,
    ) -> EncodedMessage {
        let irregular = self.apart.as_ref().is_some_and(|apart| apart.irregular);
        if irregular && self.layout_error().is_some_and(|error| error.kind == DecodeErrorKind::OpaqueMessage) {
            return self.to_encoded();
        }
        let style = EncodeStyle::Compact;
        let mut front = BytesMut::new();
        if *header != Header::default() {
            header.encode(style, &mut front);
        }
        annotations(section::DELIVERY_ANNOTATIONS, delivery_annotations, style, &mut front);
        annotations(section::MESSAGE_ANNOTATIONS, message_annotations, style, &mut front);
        if irregular {
            let mut parts = Vec::from([front.freeze()]);
            self.rest_of_irregular(&mut parts);
            return EncodedMessage::from_parts(parts);
        }
        let bare = REPLACED.iter().map(|number| self.index.head(*number).end()).max().unwrap_or_default();
        let mut parts = Vec::from([front.freeze(), self.head.slice(bare.min(self.head.len())..)]);
        if let Some(pieces) = self.pieces() {
            parts.extend(pieces.body.as_slice().iter().cloned());
            parts.push(pieces.tail.clone());
        }
        EncodedMessage::from_parts(parts)
    }

    /// The sections other than the three that are replaced, wherever they stand.
    fn rest_of_irregular(&self, parts: &mut Vec<Bytes>) {
        let octets = self.octets();
        let all = Cursor::new(octets.as_slice());
        let mut walk = Walk::new(&octets, self.limits);
        let (mut kept, mut at) = (0_usize, 0_usize);
        while let Some(Ok(section)) = walk.next_section() {
            let end = at.saturating_add(section.descriptor).saturating_add(section.value);
            if REPLACED.contains(&section.number) {
                all.range(kept, at, &mut |part| parts.push(part));
                kept = end;
            }
            at = end;
        }
        all.range(kept, self.encoded_len(), &mut |part| parts.push(part));
    }
}
