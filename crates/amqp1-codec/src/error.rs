//! Errors in received octets.

use crate::messaging::PropertyName;
use core::fmt;

/// Received octets that are not what the specification allows, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The kind of the error.
    pub kind: DecodeErrorKind,
    /// How many octets into the buffer that was being read.
    pub offset: u32,
    /// The message property that it is about (§3.2.4), where it is about one.
    pub property: Option<PropertyName>,
}

impl DecodeError {
    /// An error of this kind, this many octets into the buffer.
    pub const fn new(kind: DecodeErrorKind, offset: u32) -> Self {
        Self { kind, offset, property: None }
    }

    /// An error of this kind at a place in a message.
    pub(crate) fn at(kind: DecodeErrorKind, offset: usize) -> Self {
        Self::new(kind, u32::try_from(offset).unwrap_or(u32::MAX))
    }
}

/// The rule that received octets break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// Values are nested deeper than [`Limits::depth`](crate::Limits::depth).
    DepthExceeded,
    /// A map holds the same key twice (§1.6.23).
    DuplicateKey,
    /// A count promises more elements than there are octets, or than the limit for zero-width elements.
    ElementsExceeded,
    /// A boolean of one octet that is neither 0x00 nor 0x01 (§1.6.2).
    InvalidBoolean,
    /// A character that is not a Unicode scalar value (§1.6.16).
    InvalidChar,
    /// A symbol that holds something other than ASCII (§1.6.21).
    InvalidSymbol,
    /// A map whose keys are restricted has a key of another type.
    InvalidKeyType,
    /// A map whose values are restricted has a value of another type.
    InvalidValueType,
    /// A string that is not UTF-8 (§1.6.20).
    InvalidUtf8,
    /// A value outside the choices of its restricted or enumerated type, in this field (counted from 0).
    InvalidValue,
    /// A compound's size and its elements do not agree.
    LengthMismatch,
    /// A mandatory field, counted from 0, is null or absent.
    MissingField(u8),
    /// A message without a body section (refused only when strict).
    MissingBody,
    /// A composite or a section without the descriptor that it must begin with.
    NotDescribed,
    /// A map with a key and no value.
    OddMap,
    /// A message of a format whose octets are not looked into (§2.8.11).
    OpaqueMessage,
    /// A message section that is repeated, or stands where it may not (§3.2).
    SectionOrder,
    /// A composite with more fields than its type has.
    TooManyFields,
    /// Octets follow where the value should have ended.
    TrailingOctets,
    /// The octets end before the value does.
    Truncated,
    /// A descriptor that has no meaning here.
    UnexpectedDescriptor,
    /// A format code of another type than the one required here.
    UnexpectedFormatCode(u8),
    /// An octet that is no format code at all.
    UnknownFormatCode(u8),
    /// A delivery-tag of more than 32 octets (§2.8.7).
    TagTooLong,
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::DepthExceeded => "values are nested too deep",
            Self::DuplicateKey => "a map holds the same key twice",
            Self::ElementsExceeded => "a count promises more elements than allowed",
            Self::InvalidBoolean => "a boolean is neither 0 nor 1",
            Self::InvalidChar => "a char is not a Unicode scalar value",
            Self::InvalidSymbol => "a symbol is not ASCII",
            Self::InvalidKeyType => "a map has a key of a type that is not allowed in it",
            Self::InvalidValueType => "a map has a value of a type that is not allowed in it",
            Self::InvalidUtf8 => "a string is not UTF-8",
            Self::InvalidValue => "a value is outside the choices of its type",
            Self::LengthMismatch => "a compound's size and its elements do not agree",
            Self::MissingField(field) => return write!(f, "mandatory field {field} (counted from 0) is missing"),
            Self::MissingBody => "a message has no body section",
            Self::NotDescribed => "a descriptor is missing",
            Self::OddMap => "a map has a key without a value",
            Self::OpaqueMessage => "the message is of a format that is not read as sections",
            Self::SectionOrder => "message sections are repeated or out of order",
            Self::TooManyFields => "a composite has more fields than its type",
            Self::TrailingOctets => "octets follow the value",
            Self::Truncated => "the octets end before the value does",
            Self::UnexpectedDescriptor => "a descriptor has no meaning here",
            Self::UnexpectedFormatCode(code) => return write!(f, "format code {code:#04x} is of another type"),
            Self::UnknownFormatCode(code) => return write!(f, "{code:#04x} is not a format code"),
            Self::TagTooLong => "a delivery-tag is longer than 32 octets",
        };
        f.write_str(text)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(property) = self.property {
            write!(f, "{property}: ")?;
        }
        write!(f, "{} (at octet {})", self.kind, self.offset)
    }
}

impl core::error::Error for DecodeError {}
