//! The common definitions of part 2 (§2.8): roles, settle modes, errors.
//!
//! ```
//! use amqp1_codec::definitions::{AmqpError, ErrorCondition, Role};
//!
//! assert_eq!(Role::Sender.opposite(), Role::Receiver);
//!
//! let error = AmqpError::new(ErrorCondition::NOT_FOUND, "no such queue");
//! assert_eq!(error.condition.as_str(), "amqp:not-found");
//! // A condition of another specification.
//! const BUSY: ErrorCondition = ErrorCondition::from_static("com.microsoft:server-busy");
//! assert_ne!(error.condition, BUSY);
//! ```

use crate::{
    Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, FieldReader, Map, Reader, Str, Symbol, Value,
    printable::printable, types::format_code as code,
};
use alloc::{string::String, sync::Arc};
use bytes::BytesMut;
use core::fmt;

/// The most octets of a condition that are shown.
const MAX_CONDITION: usize = 160;

/// Which end of a link this is (§2.8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that sends messages.
    #[default]
    Sender,
    /// The end that receives messages.
    Receiver,
}

impl Role {
    /// The other end.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }
}

impl Encode for Role {
    fn encoded_len(&self, _: EncodeStyle) -> usize {
        1
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        (*self == Self::Receiver).encode(style, out);
    }
}

impl Decode for Role {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bool::decode(reader).map(|receiver| if receiver { Self::Receiver } else { Self::Sender })
    }
}

/// Declares the enumerated types of the specification that are numbers. After the number's type, `advisory` says that a
/// field of the type counts as absent where it cannot be read, if the limits let advisory data be odd; a choice that is
/// written as an integer of another width is still that choice.
macro_rules! choices {
    ($($(#[$meta:meta])* pub enum $name:ident: $ty:ty $(, $advisory:ident)? {
        $($(#[$choice_meta:meta])* $choice:ident = $number:literal),+ $(,)?
    })+) => { $(
        $(#[$meta])*
        pub enum $name { $($(#[$choice_meta])* $choice),+ }

        impl $name {
            /// The number on the wire.
            pub const fn number(self) -> $ty {
                match self { $(Self::$choice => $number),+ }
            }
        }

        impl crate::trace::Trace for $name {
            fn trace(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                crate::trace::kebab(match self { $(Self::$choice => stringify!($choice)),+ }, f)
            }
        }

        impl Encode for $name {
            fn encoded_len(&self, style: EncodeStyle) -> usize {
                self.number().encoded_len(style)
            }

            fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
                self.number().encode(style, out);
            }
        }

        impl Decode for $name {
            const ADVISORY: bool = crate::definitions::choices!(@is $($advisory)?);

            fn stand_in(reader: Reader<'_>) -> Option<Self> {
                match crate::definitions::integer(reader)? {
                    $($number => Some(Self::$choice),)+
                    _ => None,
                }
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let start = *reader;
                match <$ty>::decode(reader)? {
                    $($number => Ok(Self::$choice),)+
                    _ => Err(start.error(DecodeErrorKind::InvalidValue)),
                }
            }
        }
    )+ };
    (@is advisory) => { true };
    (@is) => { false };
}
pub(crate) use choices;

/// The integer that comes next, whatever its width, if it is not negative.
pub(crate) fn integer(mut reader: Reader<'_>) -> Option<u64> {
    if !reader.peek().is_some_and(code::is_integer) {
        return None;
    }
    match Value::decode(&mut reader).ok()? {
        Value::Ubyte(number) => Some(number.into()),
        Value::Ushort(number) => Some(number.into()),
        Value::Uint(number) => Some(number.into()),
        Value::Ulong(number) => Some(number),
        Value::Byte(number) => number.try_into().ok(),
        Value::Short(number) => number.try_into().ok(),
        Value::Int(number) => number.try_into().ok(),
        Value::Long(number) => number.try_into().ok(),
        _ => None,
    }
}

/// A text that explains or that names one of an open set: where it cannot be read, and the limits let advisory data be
/// odd, it is what is left of it as text, or absent.
pub(crate) struct Loose<T>(pub(crate) T);

impl Decode for Loose<Str> {
    const ADVISORY: bool = true;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Str::decode(reader).map(Self)
    }

    /// Octets that are not UTF-8 are replaced.
    fn stand_in(reader: Reader<'_>) -> Option<Self> {
        reader.text_octets().map(|octets| Self(Str::from(String::from_utf8_lossy(octets).into_owned())))
    }
}

impl Decode for Loose<Symbol> {
    const ADVISORY: bool = true;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Symbol::decode(reader).map(Self)
    }

    fn stand_in(reader: Reader<'_>) -> Option<Self> {
        ascii(reader).map(Self)
    }
}

/// The string or symbol that comes next, as a symbol, if it is ASCII.
pub(crate) fn ascii(reader: Reader<'_>) -> Option<Symbol> {
    let text = core::str::from_utf8(reader.text_octets()?).ok()?;
    Symbol::new(text).ok()
}

choices! {
    /// The settlement policy of a sender (§2.8.2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum SenderSettleMode: u8, advisory {
        /// All deliveries are sent unsettled.
        Unsettled = 0,
        /// All deliveries are sent settled.
        Settled = 1,
        /// Each delivery is sent either way.
        #[default]
        Mixed = 2,
    }

    /// When a receiver settles (§2.8.3).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum ReceiverSettleMode: u8, advisory {
        /// At once, of its own accord.
        #[default]
        First = 0,
        /// Only after the sender has settled.
        Second = 1,
    }
}

/// Properties of a connection, session or link (§2.8.13): a map whose keys are symbols. Clones share it.
#[derive(Clone, Default)]
pub struct Fields(Option<Arc<Map>>);

static EMPTY: Map = Map::new();

impl Fields {
    /// No properties.
    pub const fn new() -> Self {
        Self(None)
    }

    fn of(map: Map) -> Self {
        Self((!map.is_empty()).then(|| Arc::new(map)))
    }

    /// The value for a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map().get_str(key)
    }

    /// Sets the value for a key and returns what was there before.
    pub fn insert(&mut self, key: impl Into<Symbol>, value: impl Into<Value>) -> Option<Value> {
        Arc::make_mut(self.0.get_or_insert_with(Arc::default)).insert(key.into(), value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.as_map().is_empty()
    }

    /// The keys and values in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Value, &Value)> {
        self.as_map().iter()
    }

    /// The map.
    pub fn as_map(&self) -> &Map {
        self.0.as_deref().unwrap_or(&EMPTY)
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.as_map(), other.as_map()) || self.as_map() == other.as_map()
    }
}

impl<V: Into<Value>> FromIterator<(Symbol, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (Symbol, V)>>(pairs: I) -> Self {
        Self::of(pairs.into_iter().collect())
    }
}

impl Encode for Fields {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        self.as_map().encoded_len(style)
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        self.as_map().encode(style, out);
    }
}

impl Decode for Fields {
    const ADVISORY: bool = true;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = *reader;
        let map = Map::decode(reader)?;
        if map.iter().all(|(key, _)| matches!(key, Value::Symbol(_))) {
            return Ok(Self::of(map));
        }
        let texts = map.iter().all(|(key, _)| matches!(key, Value::Symbol(_) | Value::String(_)));
        if texts && reader.packed().string_field_keys() {
            return Ok(Self::of(map.with_symbol_keys()));
        }
        Err(start.error(DecodeErrorKind::InvalidKeyType))
    }
}

/// The condition of an error (§2.8.15 to §2.8.18). The set is open: conditions of other specifications are kept.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ErrorCondition(Symbol);

impl ErrorCondition {
    /// A condition of this name.
    pub const fn new(name: Symbol) -> Self {
        Self(name)
    }

    /// A condition with a static name.
    ///
    /// # Panics
    ///
    /// If the name is not ASCII; in a constant this is a compile error.
    pub const fn from_static(name: &'static str) -> Self {
        Self(Symbol::from_static(name))
    }

    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name on the wire, as a symbol.
    pub fn as_symbol(&self) -> &Symbol {
        &self.0
    }
}

/// Declares the conditions that the specification names.
macro_rules! conditions {
    ($($(#[$meta:meta])* $name:ident = $text:literal;)+) => {
        impl ErrorCondition {
            $($(#[$meta])* pub const $name: Self = Self::from_static($text);)+
        }
    };
}
conditions! {
    /// An internal error occurred; operator intervention may be needed.
    INTERNAL_ERROR = "amqp:internal-error";
    /// The peer tried to work with something that does not exist.
    NOT_FOUND = "amqp:not-found";
    /// The peer is not authorised to do this.
    UNAUTHORIZED_ACCESS = "amqp:unauthorized-access";
    /// Data could not be decoded.
    DECODE_ERROR = "amqp:decode-error";
    /// The peer exceeded its allocation.
    RESOURCE_LIMIT_EXCEEDED = "amqp:resource-limit-exceeded";
    /// The peer used a frame in a manner that is inconsistent with its semantics.
    NOT_ALLOWED = "amqp:not-allowed";
    /// A field is missing, has a wrong type, or an invalid value.
    INVALID_FIELD = "amqp:invalid-field";
    /// The peer asked for what is not implemented.
    NOT_IMPLEMENTED = "amqp:not-implemented";
    /// Another holds what the peer wants exclusively.
    RESOURCE_LOCKED = "amqp:resource-locked";
    /// A precondition was not met.
    PRECONDITION_FAILED = "amqp:precondition-failed";
    /// The entity that the peer used was deleted.
    RESOURCE_DELETED = "amqp:resource-deleted";
    /// The peer sent a frame that the state does not permit.
    ILLEGAL_STATE = "amqp:illegal-state";
    /// A frame does not fit into the peer's max-frame-size.
    FRAME_SIZE_TOO_SMALL = "amqp:frame-size-too-small";
    /// An operator intervened to close the connection.
    CONNECTION_FORCED = "amqp:connection:forced";
    /// A valid frame header cannot be formed from the incoming octets.
    FRAMING_ERROR = "amqp:connection:framing-error";
    /// The container is elsewhere.
    CONNECTION_REDIRECT = "amqp:connection:redirect";
    /// The peer violated the incoming window of the session.
    WINDOW_VIOLATION = "amqp:session:window-violation";
    /// Input was received for a link that was detached with an error.
    ERRANT_LINK = "amqp:session:errant-link";
    /// An attach used a handle that is in use.
    HANDLE_IN_USE = "amqp:session:handle-in-use";
    /// A frame used a handle to which no link is attached.
    UNATTACHED_HANDLE = "amqp:session:unattached-handle";
    /// An operator intervened to detach the link.
    DETACH_FORCED = "amqp:link:detach-forced";
    /// The peer sent more deliveries than the link credit allows.
    TRANSFER_LIMIT_EXCEEDED = "amqp:link:transfer-limit-exceeded";
    /// The peer sent a larger message than the link allows.
    MESSAGE_SIZE_EXCEEDED = "amqp:link:message-size-exceeded";
    /// The address is elsewhere.
    LINK_REDIRECT = "amqp:link:redirect";
    /// The link was attached elsewhere.
    STOLEN = "amqp:link:stolen";
    /// The transaction-id is not known.
    TRANSACTION_UNKNOWN_ID = "amqp:transaction:unknown-id";
    /// The transaction was rolled back.
    TRANSACTION_ROLLBACK = "amqp:transaction:rollback";
    /// The work took too long.
    TRANSACTION_TIMEOUT = "amqp:transaction:timeout";
    /// Not a condition of the specification: it stands in for one of the peer's that could not be read, where
    /// [`Limits::odd_advisory_data`](crate::Limits::odd_advisory_data) accepts that.
    UNREADABLE = "amqp1:unreadable-condition";
}

impl Default for ErrorCondition {
    fn default() -> Self {
        Self::INTERNAL_ERROR
    }
}

impl fmt::Debug for ErrorCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The condition, escaped and cut where it is none that an application would define; [`as_str`](ErrorCondition::as_str)
/// has it as it came.
impl fmt::Display for ErrorCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(self.as_str()).limit(MAX_CONDITION))
    }
}

impl Encode for ErrorCondition {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        self.0.encoded_len(style)
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        self.0.encode(style, out);
    }
}

impl Decode for ErrorCondition {
    const ADVISORY: bool = true;

    fn stand_in(reader: Reader<'_>) -> Option<Self> {
        Some(ascii(reader).map_or(Self::UNREADABLE, Self))
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Symbol::decode(reader).map(Self)
    }
}

composite! {
    /// Details of an error (§2.8.14), as they stand in `detach`, `end`, `close` and `rejected`.
    pub struct AmqpError = 0x1d, "amqp:error:list", partial {
        /// The error condition.
        condition: or ErrorCondition = ErrorCondition::UNREADABLE,
        /// The description, for a person to read.
        description: odd Str,
        /// More, for a program to read.
        info: opt Fields,
    }
}

impl AmqpError {
    /// Reads what is readable of a malformed error: its fields up to the first without an end, or a text in its place.
    fn readable_part(mut reader: Reader<'_>) -> Self {
        let description = Loose::stand_in(reader).map(|text| text.0);
        let mut part = Self { description, ..ErrorCondition::UNREADABLE.into() };
        let mut read = || {
            if reader.descriptor_number().ok()? != Some(Self::CODE) {
                return None;
            }
            let mut fields = FieldReader::new(&mut reader).ok()?;
            part.condition = fields.required_or(ErrorCondition::UNREADABLE).ok()?;
            part.description = fields.optional::<Loose<Str>>().ok()?.map(|text| text.0);
            Some(())
        };
        // The rest stays as it is.
        read();
        part
    }

    /// An error with a description.
    pub fn new(condition: ErrorCondition, description: impl Into<Str>) -> Self {
        Self { condition, description: Some(description.into()), info: None }
    }
}

impl From<ErrorCondition> for AmqpError {
    fn from(condition: ErrorCondition) -> Self {
        Self { condition, description: None, info: None }
    }
}

/// Where an error may be left out.
impl From<ErrorCondition> for Option<AmqpError> {
    fn from(condition: ErrorCondition) -> Self {
        Some(condition.into())
    }
}

/// The condition and the description, escaped and cut as [`printable`] does. The fields have them as they came.
impl fmt::Display for AmqpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            Some(description) => write!(f, "{}: {}", self.condition, printable(description)),
            None => fmt::Display::fmt(&self.condition, f),
        }
    }
}

impl core::error::Error for AmqpError {}
