//! The properties of a received message (§3.2.4), read in place.

use super::{MessageId, Properties};
use crate::{
    Decode, DecodeError, DecodeErrorKind, Reader, SequenceNo, Str, Symbol, Timestamp, Uuid, Value,
    types::format_code as code,
};
use bytes::Bytes;
use core::{fmt, num::NonZeroU8};

/// The properties of a received message, of which each is decoded when it is asked for, and borrowed from the message.
///
/// [`Properties`] is the same as a value of its own, which costs more. A field that is malformed or of another type
/// costs that field only: the others are read. Fields beyond the last that the specification has are passed over.
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
    /// Where each field begins in the list; [`ABSENT`] for those that are not there, [`LOST`] for those behind one that
    /// does not end.
    starts: [u32; Properties::FIELDS.len()],
    /// Whether there are more fields than the specification has.
    excess: bool,
}

const ABSENT: u32 = u32::MAX;
const LOST: u32 = u32::MAX - 1;

/// The name of a message property (§3.2.4), to say which of them an error is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PropertyName(NonZeroU8);

impl PropertyName {
    fn of(index: usize) -> Option<Self> {
        u8::try_from(index).ok().and_then(|index| NonZeroU8::new(index.saturating_add(1))).map(Self)
    }

    /// The name as the specification has it: `user-id`.
    pub const fn as_str(self) -> &'static str {
        const NAMES: [&str; Properties::FIELDS.len()] = [
            "message-id",
            "user-id",
            "to",
            "subject",
            "reply-to",
            "correlation-id",
            "content-type",
            "content-encoding",
            "absolute-expiry-time",
            "creation-time",
            "group-id",
            "group-sequence",
            "reply-to-group-id",
        ];
        let mut rest: &[&str] = &NAMES;
        let mut left = self.0.get();
        while let [name, others @ ..] = rest {
            left = left.saturating_sub(1);
            if left == 0 {
                return name;
            }
            rest = others;
        }
        ""
    }
}

impl fmt::Display for PropertyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PropertyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
        #[inline(always)]
        pub fn $name(&self) -> Result<Option<$ty>, DecodeError> {
            match self.at($index).map(Reader::$read) {
                None => Ok(None),
                Some(Ok(value)) => Ok(Some(value)),
                Some(Err(error)) => Err(self.wrong($index, error)),
            }
        }
    )+ };
}

impl<'a> PropertiesRef<'a> {
    /// The list that comes next in `reader`, whose fields are found and not looked into.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (count, fields) = reader.fields()?;
        let mut starts = [ABSENT; Properties::FIELDS.len()];
        let excess = usize::try_from(count).is_ok_and(|count| count > starts.len());
        let (octets, mut at) = (fields.rest_slice(), 0usize);
        let mut places = starts.iter_mut().zip(0..count);
        while let Some((start, _)) = places.next() {
            let rest = octets.get(at..).unwrap_or_default();
            if rest.first() == Some(&code::NULL) {
                at = at.wrapping_add(1);
                continue;
            }
            *start = at as u32;
            let length = match code::length(rest) {
                Some(length) if length <= rest.len() => length,
                // Nothing of the kind is a property: reading it says what is wrong with it.
                _ => match fields.skipped(at).unwrap_or(fields).skip() {
                    Ok(octets) => octets.len(),
                    Err(_) => {
                        // Where one does not end, none that follows begins.
                        places.for_each(|(start, _)| *start = LOST);
                        return Ok(Self { fields, starts, excess });
                    }
                },
            };
            at = at.wrapping_add(length);
        }
        if at != octets.len() && !excess {
            return Err(fields.error(DecodeErrorKind::LengthMismatch));
        }
        Ok(Self { fields, starts, excess })
    }

    /// Whether there are more fields than the specification has.
    pub(crate) fn has_excess(&self) -> bool {
        self.excess
    }

    /// The properties as values of their own.
    ///
    /// # Errors
    ///
    /// If a field is malformed or of another type: the first such, [`DecodeError::property`] being its name.
    pub fn to_properties(&self) -> Result<Properties, DecodeError> {
        let symbol = |text: Option<&str>| text.and_then(|text| Symbol::new(text).ok());
        Ok(Properties {
            message_id: self.message_id()?.map(|id| id.to_owned()),
            user_id: self.user_id()?.map(Bytes::copy_from_slice),
            to: self.to()?.map(Str::from),
            subject: self.subject()?.map(Str::from),
            reply_to: self.reply_to()?.map(Str::from),
            correlation_id: self.correlation_id()?.map(|id| id.to_owned()),
            content_type: symbol(self.content_type()?),
            content_encoding: symbol(self.content_encoding()?),
            absolute_expiry_time: self.absolute_expiry_time()?,
            creation_time: self.creation_time()?,
            group_id: self.group_id()?.map(Str::from),
            group_sequence: self.group_sequence()?,
            reply_to_group_id: self.reply_to_group_id()?.map(Str::from),
        })
    }

    /// The properties that can be read, as values of their own. Those that cannot are left out.
    pub fn readable(&self) -> Properties {
        fn read<T>(field: Result<Option<T>, DecodeError>) -> Option<T> {
            field.ok().flatten()
        }
        let symbol = |text: Option<&str>| text.and_then(|text| Symbol::new(text).ok());
        Properties {
            message_id: read(self.message_id()).map(|id| id.to_owned()),
            user_id: read(self.user_id()).map(Bytes::copy_from_slice),
            to: read(self.to()).map(Str::from),
            subject: read(self.subject()).map(Str::from),
            reply_to: read(self.reply_to()).map(Str::from),
            correlation_id: read(self.correlation_id()).map(|id| id.to_owned()),
            content_type: symbol(read(self.content_type())),
            content_encoding: symbol(read(self.content_encoding())),
            absolute_expiry_time: read(self.absolute_expiry_time()),
            creation_time: read(self.creation_time()),
            group_id: read(self.group_id()).map(Str::from),
            group_sequence: read(self.group_sequence()),
            reply_to_group_id: read(self.reply_to_group_id()).map(Str::from),
        }
    }

    /// The error of a field: its own, or that of the one before it that does not end.
    #[cold]
    fn wrong(&self, index: usize, error: DecodeError) -> DecodeError {
        let lost = |at: usize| self.starts.get(at) == Some(&LOST);
        let end = (0..index).rev().find(|at| !lost(*at)).filter(|_| lost(index));
        let broken = end.and_then(|at| self.at(at)).and_then(|mut reader| reader.skip().err());
        DecodeError { property: PropertyName::of(index), ..broken.unwrap_or(error) }
    }

    /// A reader of a field, if it is there.
    #[inline]
    fn at(&self, index: usize) -> Option<Reader<'a>> {
        let start = self.starts.get(index).copied().filter(|start| *start != ABSENT)?;
        // One that is lost is read at the end, where there is nothing.
        let end = || self.fields.skipped(self.fields.remaining());
        self.fields.skipped(usize::try_from(start).ok()?).or_else(end)
    }

    fields! {
        /// Names the message.
        message_id: MessageIdRef<'a>, into_message_id, 0;
        /// The user who made the message.
        user_id: &'a [u8], into_binary, 1;
        /// The node that the message is for.
        to: &'a str, into_string, 2;
        /// The subject.
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
            other => self.other_text(other),
        }
    }

    /// A string or a symbol where another type is required, if the limits allow it.
    #[cold]
    fn other_text(&mut self, format: u8) -> Result<&'a [u8], DecodeError> {
        match format {
            code::STR8 | code::SYM8 if self.packed().loose_properties() => self.variable8(),
            code::STR32 | code::SYM32 if self.packed().loose_properties() => self.variable32(),
            other => Err(self.wrong_code(other)),
        }
    }

    #[inline]
    fn into_string(mut self) -> Result<&'a str, DecodeError> {
        let octets = match self.counted8(code::STR8) {
            Some(octets) => octets,
            None => self.other_string()?,
        };
        core::str::from_utf8(octets).map_err(|_| self.error(DecodeErrorKind::InvalidUtf8))
    }

    #[cold]
    fn other_string(&mut self) -> Result<&'a [u8], DecodeError> {
        match self.u8()? {
            code::STR8 => self.variable8(),
            code::STR32 => self.variable32(),
            other => self.other_text(other),
        }
    }

    #[inline]
    fn into_symbol(mut self) -> Result<&'a str, DecodeError> {
        let octets = match self.counted8(code::SYM8) {
            Some(octets) => octets,
            None => self.other_symbol()?,
        };
        match core::str::from_utf8(octets) {
            Ok(text) if text.is_ascii() => Ok(text),
            _ => Err(self.error(DecodeErrorKind::InvalidSymbol)),
        }
    }

    #[cold]
    fn other_symbol(&mut self) -> Result<&'a [u8], DecodeError> {
        match self.u8()? {
            code::SYM8 => self.variable8(),
            code::SYM32 => self.variable32(),
            other => self.other_text(other),
        }
    }

    fn into_message_id(self) -> Result<MessageIdRef<'a>, DecodeError> {
        match self.peek() {
            Some(code::ULONG | code::SMALL_ULONG | code::ULONG0) => self.into_decoded().map(MessageIdRef::Ulong),
            Some(code::UUID) => self.into_decoded().map(MessageIdRef::Uuid),
            Some(code::VBIN8 | code::VBIN32) => self.into_binary().map(MessageIdRef::Binary),
            Some(code::STR8 | code::STR32) => self.into_string().map(MessageIdRef::String),
            _ => self.into_other_message_id(),
        }
    }

    /// A message-id of none of its four types: any other integer that is not negative, if the limits allow it.
    #[cold]
    fn into_other_message_id(self) -> Result<MessageIdRef<'a>, DecodeError> {
        if self.packed().loose_properties() && self.peek().is_some_and(code::is_integer) {
            let number = self.into_decoded::<Value>()?.as_integer().and_then(|number| u64::try_from(number).ok());
            return number.map(MessageIdRef::Ulong).ok_or_else(|| self.error(DecodeErrorKind::InvalidValue));
        }
        self.into_string().map(MessageIdRef::String)
    }
}

impl fmt::Debug for PropertiesRef<'_> {
    /// Which fields there are; what they hold may be large or secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = Properties::FIELDS.iter().zip(self.starts).filter(|(_, start)| *start != ABSENT);
        f.write_str("PropertiesRef ")?;
        f.debug_set().entries(there.map(|(name, _)| name)).finish()
    }
}
