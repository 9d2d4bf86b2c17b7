//! A message with other application-properties.

use super::{EncodedMessage, Message};
use crate::{
    Encode, EncodeStyle,
    messaging::{ApplicationProperties, section_code as section},
    write,
};
use alloc::vec::Vec;
use bytes::BytesMut;

impl Message {
    /// The message with these application-properties in place of its own. All other sections stay as they are, octet for
    /// octet, and are shared, not copied. A malformed message and one of another format stay as they are altogether.
    ///
    /// Application-properties are part of the bare message, which only its sender may change (§3.2).
    ///
    /// ```
    /// use amqp1_codec::{Message, messaging::ApplicationProperties};
    ///
    /// let message = Message::from_chunks(Message::builder().data("hello").build().into_parts())?;
    /// let mut properties = message.application_properties()?.unwrap_or_default();
    /// properties.insert("colour", "green");
    /// let message = Message::from_chunks(message.with_application_properties(&properties).into_parts())?;
    /// assert_eq!(message.application_property("colour")?.and_then(|value| value.as_text()), Some("green"));
    /// assert_eq!(message.data().as_deref(), Some(&b"hello"[..]));
    /// # Ok::<_, amqp1_codec::DecodeError>(())
    /// ```
    pub fn with_application_properties(&self, properties: &ApplicationProperties) -> EncodedMessage {
        if self.layout_error().is_some() || self.apart.as_ref().is_some_and(|apart| apart.irregular) {
            return self.to_encoded();
        }
        let before =
            (section::HEADER..section::APPLICATION_PROPERTIES).map(|number| self.index.head(number).end()).max();
        let start = before.unwrap_or_default().min(self.head.len());
        let own = self.index.head(section::APPLICATION_PROPERTIES);
        let end = if own.is_there() { own.end().min(self.head.len()) } else { start };
        let mut section = BytesMut::new();
        if !properties.is_empty() {
            write::descriptor(section::APPLICATION_PROPERTIES, &mut section);
            properties.encode(EncodeStyle::Compact, &mut section);
        }
        let mut parts = Vec::from([self.head.slice(..start), section.freeze(), self.head.slice(end..)]);
        if let Some(pieces) = self.pieces() {
            parts.extend(pieces.body.as_slice().iter().cloned());
            parts.push(pieces.tail.clone());
        }
        EncodedMessage::from_parts(parts)
    }
}
