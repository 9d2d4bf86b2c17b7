//! A message on its way from one hop to the next.

use super::{EncodedMessage, Message, build::annotations};
use crate::{
    Encode, EncodeStyle,
    messaging::{Annotations, Header, section_code as section},
};
use alloc::vec::Vec;
use bytes::BytesMut;

impl Message {
    /// The message as an intermediary sends it on (§3.2): with this header and these annotations in place of those that
    /// it came with. The bare message, from its properties to its body, and the footer go as they came, octet for
    /// octet, and are shared, not copied.
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
        let style = EncodeStyle::Compact;
        let mut front = BytesMut::new();
        if *header != Header::default() {
            header.encode(style, &mut front);
        }
        annotations(section::DELIVERY_ANNOTATIONS, delivery_annotations, style, &mut front);
        annotations(section::MESSAGE_ANNOTATIONS, message_annotations, style, &mut front);
        // A message in one piece has its sections in their order; one in several has them put so.
        let replaced = [section::HEADER, section::DELIVERY_ANNOTATIONS, section::MESSAGE_ANNOTATIONS];
        let bare = replaced.iter().map(|number| self.index.head(*number).end()).max().unwrap_or_default();
        let mut parts = Vec::from([front.freeze(), self.head.slice(bare.min(self.head.len())..)]);
        if let Some(apart) = &self.apart {
            parts.extend(apart.body.as_slice().iter().cloned());
            parts.push(apart.tail.clone());
        }
        EncodedMessage::from_parts(parts)
    }
}
