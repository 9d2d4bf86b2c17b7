//! The values that can be sent as messages.

use super::{EncodedMessage, Message, MessageBuilder, build};
use crate::{Map, Str, Value};
use alloc::{string::String, vec::Vec};
use bytes::{Bytes, BytesMut};

/// A value that can be sent as a message.
///
/// Texts and octets become one data section, a [`Value`] or [`Map`] an amqp-value section. A [`Message`] that was received
/// goes on octet for octet. For properties and everything else there is [`Message::builder`].
///
/// ```
/// use amqp1_codec::{IntoMessage, Message, Value};
///
/// fn body(message: impl IntoMessage) -> Option<bytes::Bytes> {
///     Message::from_chunks(message.into_message(None).into_parts()).ok()?.data()
/// }
///
/// let number = 7;
/// assert_eq!(body("hello").as_deref(), Some(&b"hello"[..]));
/// assert_eq!(body(b"hello").as_deref(), Some(&b"hello"[..]));
/// assert_eq!(body(&format!("reading {number}")).as_deref(), Some(&b"reading 7"[..]));
/// assert_eq!(body(vec![1, 2, 3]).as_deref(), Some(&[1, 2, 3][..]));
/// assert_eq!(body(Value::from("no data")), None);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a message",
    label = "not a message",
    note = "texts, octets and `Value`s can be sent; `Message::builder()` builds messages of everything else"
)]
pub trait IntoMessage {
    /// Encodes it, or hands on what is encoded already. `buffer` is one that many messages share, for those that need one:
    /// see [`MessageBuilder::build_in`]. Without it the message has a buffer of its own.
    fn into_message(self, buffer: Option<&mut BytesMut>) -> EncodedMessage;
}

impl IntoMessage for EncodedMessage {
    #[inline]
    fn into_message(self, _: Option<&mut BytesMut>) -> EncodedMessage {
        self
    }
}

/// Declares how a type is sent, with the conversion into an [`EncodedMessage`] that goes with it.
macro_rules! into_message {
    ($($(#[$meta:meta])* [$($generics:tt)*] $type:ty, |$it:ident, $buffer:ident| $encode:expr;)+) => { $(
        $(#[$meta])*
        impl<$($generics)*> IntoMessage for $type {
            #[inline]
            fn into_message(self, $buffer: Option<&mut BytesMut>) -> EncodedMessage {
                let $it = self;
                $encode
            }
        }

        $(#[$meta])*
        impl<$($generics)*> From<$type> for EncodedMessage {
            fn from(value: $type) -> Self {
                value.into_message(None)
            }
        }
    )+ };
}
into_message! {
    /// The message that was built.
    [] MessageBuilder, |builder, buffer| match buffer {
        Some(buffer) => builder.build_in(buffer),
        None => builder.build(),
    };
    /// A message of one data section. More than 1 KiB is shared, not copied.
    [] Bytes, |octets, buffer| build::data(octets, buffer);
    /// A message of one data section. More than 1 KiB is shared, not copied.
    [] Vec<u8>, |octets, buffer| build::data(octets, buffer);
    /// A message of one data section. More than 1 KiB is shared, not copied.
    [] String, |text, buffer| build::data(text, buffer);
    /// A message of one data section. More than 1 KiB is shared, not copied.
    [] Str, |text, buffer| build::data(text.to_bytes(), buffer);
    /// A message of one data section: a copy of the octets.
    [] &[u8], |octets, buffer| build::copied_data(octets, buffer);
    /// A message of one data section: a copy of the octets.
    [const N: usize] &[u8; N], |octets, buffer| build::copied_data(octets, buffer);
    /// A message of one data section: a copy of the text in UTF-8.
    [] &str, |text, buffer| build::copied_data(text.as_bytes(), buffer);
    /// A message of one data section: a copy of the text in UTF-8.
    [] &String, |text, buffer| build::copied_data(text.as_bytes(), buffer);
    /// A message of one amqp-value section.
    [] Value, |value, buffer| MessageBuilder::default().value(value).into_message(buffer);
    /// A message of one amqp-value section.
    [] Map, |map, buffer| MessageBuilder::default().value(map).into_message(buffer);
    /// The message as it was received, octet for octet: see [`Message::to_encoded`].
    [] Message, |message, _buffer| message.to_encoded();
    /// The message as it was received, octet for octet: see [`Message::to_encoded`].
    [] &Message, |message, _buffer| message.to_encoded();
}
