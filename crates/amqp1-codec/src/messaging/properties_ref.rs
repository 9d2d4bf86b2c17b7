//! The properties of a received message (§3.2.4), read in place.

use super::{MessageId, Properties};
use crate::{Decode, DecodeError, DecodeErrorKind, Reader, SequenceNo, Timestamp, Uuid, types::format_code as code};
use bytes::Bytes;

/// The properties of a received message, of which each is decoded when it is asked for, and borrowed from the message.
///
/// [`Properties`] is the same as a value of its own, which costs more.
///
/// ```
/// use amqp1_codec::{Message, messaging::Properties};
///
/// let sent = Properties { to: Some("queue".into()), subject: Some("greeting".into()), ..Properties::default() };
/// let message = Message::from_chunks(Message::builder().properties(sent).data("hello").build().into_parts())?;
/// let properties = message.properties_ref()?.expect("there are some");
/// assert_eq!(properties.to()?, Some("queue"));
/// assert_eq!(properties.reply_to()?, None);
/// # Ok::<(), amqp1_codec::DecodeError>(())
/// ```
#[derive(Clone, Copy)]
pub struct PropertiesRef<'a> {
    fields: Reader<'a>,
    /// Where each field begins in the list; [`ABSENT`] for those that are not there.
    starts: [u32; Properties::FIELDS.len()],
}

const ABSENT: u32 = u32::MAX;

/// The name of a message (§3.2.11 to §3.2.14), borrowed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageIdRef<'a> {
    /// A number.
    Ulong(u64),
    /// A UUID.
    Uuid(Uuid),
    /// Octets.
    Binary(&'a [u8]),
    /// A text.
    String(&'a str),
}

impl MessageIdRef<'_> {
    /// The name as a value of its own.
    pub fn to_owned(&self) -> MessageId {
        match *self {
            Self::Ulong(number) => MessageId::Ulong(number),
            Self::Uuid(uuid) => MessageId::Uuid(uuid),
            Self::Binary(octets) => MessageId::Binary(Bytes::copy_from_slice(octets)),
            Self::String(text) => MessageId::String(text.into()),
        }
    }
}

/// Declares the access to each field, in the order of the specification.
macro_rules! fields {
    ($($(#[$meta:meta])* $name:ident: $ty:ty, $read:ident, $index:literal;)+) => { $(
        $(#[$meta])*
        ///
        /// # Errors
        ///
        /// If the field is malformed or of another type.
        #[inline]
        pub fn $name(&self) -> Result<Option<$ty>, DecodeError> {
            self.at($index).map(Reader::$read).transpose()
        }
    )+ };
}

impl<'a> PropertiesRef<'a> {
    /// The list that comes next in `reader`, whose fields are found and not looked into.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (count, fields) = reader.fields()?;
        let mut starts = [ABSENT; Properties::FIELDS.len()];
        if usize::try_from(count).is_ok_and(|count| count > starts.len()) {
            return Err(fields.error(DecodeErrorKind::TooManyFields));
        }
        let (octets, mut at) = (fields.rest_slice(), 0usize);
        for (start, _) in starts.iter_mut().zip(0..count) {
            let rest = octets.get(at..).unwrap_or_default();
            if rest.first() == Some(&code::NULL) {
                at = at.wrapping_add(1);
                continue;
            }
            *start = at as u32;
            let length = match code::length(rest) {
                Some(length) if length <= rest.len() => length,
                // Nothing of the kind is a property: the reader says what is wrong with it.
                _ => fields.skipped(at).unwrap_or(fields).skip()?.len(),
            };
            at = at.wrapping_add(length);
        }
        if at != octets.len() {
            return Err(fields.error(DecodeErrorKind::LengthMismatch));
        }
        Ok(Self { fields, starts })
    }

    /// A reader of a field, if it is there.
    #[inline]
    fn at(&self, index: usize) -> Option<Reader<'a>> {
        let start = self.starts.get(index).copied().filter(|start| *start != ABSENT)?;
        self.fields.skipped(usize::try_from(start).ok()?)
    }

    fields! {
        /// Names the message.
        message_id: MessageIdRef<'a>, into_message_id, 0;
        /// The user who made the message.
        user_id: &'a [u8], into_binary, 1;
        /// The node that the message is for.
        to: &'a str, into_string, 2;
        /// What it is about.
        subject: &'a str, into_string, 3;
        /// The node that answers are for.
        reply_to: &'a str, into_string, 4;
        /// The message that this one belongs to.
        correlation_id: MessageIdRef<'a>, into_message_id, 5;
        /// The MIME type of the body.
        content_type: &'a str, into_symbol, 6;
        /// How the body is encoded besides.
        content_encoding: &'a str, into_symbol, 7;
        /// When the message is no longer of use.
        absolute_expiry_time: Timestamp, into_decoded, 8;
        /// When the message was made.
        creation_time: Timestamp, into_decoded, 9;
        /// The group that the message belongs to.
        group_id: &'a str, into_string, 10;
        /// The message's place in its group.
        group_sequence: SequenceNo, into_decoded, 11;
        /// The group that answers belong to.
        reply_to_group_id: &'a str, into_string, 12;
    }
}

impl<'a> Reader<'a> {
    fn into_decoded<T: Decode>(mut self) -> Result<T, DecodeError> {
        T::decode(&mut self)
    }

    #[inline]
    fn into_binary(mut self) -> Result<&'a [u8], DecodeError> {
        match self.u8()? {
            code::VBIN8 => self.variable8(),
            code::VBIN32 => self.variable32(),
            other => Err(self.wrong_code(other)),
        }
    }

    #[inline]
    fn into_string(mut self) -> Result<&'a str, DecodeError> {
        let octets = match self.u8()? {
            code::STR8 => self.variable8()?,
            code::STR32 => self.variable32()?,
            other => return Err(self.wrong_code(other)),
        };
        core::str::from_utf8(octets).map_err(|_| self.error(DecodeErrorKind::InvalidUtf8))
    }

    #[inline]
    fn into_symbol(mut self) -> Result<&'a str, DecodeError> {
        let octets = match self.u8()? {
            code::SYM8 => self.variable8()?,
            code::SYM32 => self.variable32()?,
            other => return Err(self.wrong_code(other)),
        };
        match core::str::from_utf8(octets) {
            Ok(text) if text.is_ascii() => Ok(text),
            _ => Err(self.error(DecodeErrorKind::InvalidSymbol)),
        }
    }

    fn into_message_id(self) -> Result<MessageIdRef<'a>, DecodeError> {
        match self.peek() {
            Some(code::ULONG | code::SMALL_ULONG | code::ULONG0) => self.into_decoded().map(MessageIdRef::Ulong),
            Some(code::UUID) => self.into_decoded().map(MessageIdRef::Uuid),
            Some(code::VBIN8 | code::VBIN32) => self.into_binary().map(MessageIdRef::Binary),
            _ => self.into_string().map(MessageIdRef::String),
        }
    }
}

impl core::fmt::Debug for PropertiesRef<'_> {
    /// Which fields there are; what they hold may be large or secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let there = Properties::FIELDS.iter().zip(self.starts).filter(|(_, start)| *start != ABSENT);
        f.write_str("PropertiesRef ")?;
        f.debug_set().entries(there.map(|(name, _)| name)).finish()
    }
}
