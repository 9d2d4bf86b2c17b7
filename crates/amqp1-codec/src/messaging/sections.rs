//! The sections that are lists: header (§3.2.1) and properties (§3.2.4).

use crate::{
    Decode, DecodeError, Encode, EncodeStyle, Reader, SequenceNo, Str, Symbol, Timestamp, Uuid, Value,
    performative::Milliseconds, types::format_code as code,
};
use bytes::{Bytes, BytesMut};
use core::fmt;

composite! {
    /// How the network is to treat a message (§3.2.1).
    pub struct Header = 0x70, "amqp:header:list" {
        /// Whether the message must survive.
        durable: def bool = false,
        /// Relative priority; greater is more urgent.
        priority: def u8 = 4,
        /// How long the message is worth delivering.
        ttl: opt Milliseconds,
        /// Whether the message was not acquired before.
        first_acquirer: def bool = false,
        /// How many attempts at delivery failed before.
        delivery_count: def u32 = 0,
    }

    /// The properties of a message that the specification defines (§3.2.4).
    pub struct Properties = 0x73, "amqp:properties:list" {
        /// Names the message.
        message_id: opt MessageId,
        /// The user who made the message.
        user_id: opt Bytes,
        /// The node that the message is for.
        to: opt Str,
        /// The subject.
        subject: opt Str,
        /// The node that answers are for.
        reply_to: opt Str,
        /// The message that this one belongs to.
        correlation_id: opt MessageId,
        /// The MIME type of the body.
        content_type: opt Symbol,
        /// How the body is encoded besides.
        content_encoding: opt Symbol,
        /// When the message is no longer of use.
        absolute_expiry_time: opt Timestamp,
        /// When the message was made.
        creation_time: opt Timestamp,
        /// The group that the message belongs to.
        group_id: opt Str,
        /// The message's place in its group.
        group_sequence: opt SequenceNo,
        /// The group that answers belong to.
        reply_to_group_id: opt Str,
    }
}

/// The name of a message (§3.2.11 to §3.2.14). Which of the four types it has is part of the name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum MessageId {
    /// A number (§3.2.11).
    Ulong(u64),
    /// A UUID (§3.2.12).
    Uuid(Uuid),
    /// Octets (§3.2.13).
    Binary(Bytes),
    /// A text (§3.2.14).
    String(Str),
}

impl fmt::Display for MessageId {
    /// The name as text; octets as hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ulong(number) => fmt::Display::fmt(number, f),
            Self::Uuid(uuid) => fmt::Display::fmt(uuid, f),
            Self::Binary(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
            Self::String(text) => fmt::Display::fmt(text, f),
        }
    }
}

impl From<MessageId> for Value {
    fn from(id: MessageId) -> Self {
        match id {
            MessageId::Ulong(number) => number.into(),
            MessageId::Uuid(uuid) => uuid.into(),
            MessageId::Binary(octets) => octets.into(),
            MessageId::String(text) => text.into(),
        }
    }
}

impl From<&str> for MessageId {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<alloc::string::String> for MessageId {
    fn from(text: alloc::string::String) -> Self {
        Self::String(text.into())
    }
}

impl From<Str> for MessageId {
    fn from(text: Str) -> Self {
        Self::String(text)
    }
}

/// Octets, not a text.
impl From<Bytes> for MessageId {
    fn from(octets: Bytes) -> Self {
        Self::Binary(octets)
    }
}

impl From<u64> for MessageId {
    fn from(number: u64) -> Self {
        Self::Ulong(number)
    }
}

impl From<Uuid> for MessageId {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

impl Encode for MessageId {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        match self {
            Self::Ulong(number) => number.encoded_len(style),
            Self::Uuid(uuid) => uuid.encoded_len(style),
            Self::Binary(octets) => octets.encoded_len(style),
            Self::String(text) => text.encoded_len(style),
        }
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        match self {
            Self::Ulong(number) => number.encode(style, out),
            Self::Uuid(uuid) => uuid.encode(style, out),
            Self::Binary(octets) => octets.encode(style, out),
            Self::String(text) => text.encode(style, out),
        }
    }
}

impl Decode for MessageId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.peek() {
            Some(code::ULONG | code::SMALL_ULONG | code::ULONG0) => u64::decode(reader).map(Self::Ulong),
            Some(code::UUID) => Uuid::decode(reader).map(Self::Uuid),
            Some(code::VBIN8 | code::VBIN32) => Bytes::decode(reader).map(Self::Binary),
            _ => Str::decode(reader).map(Self::String),
        }
    }
}
