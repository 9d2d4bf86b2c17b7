//! Errors between AMQP values and types of one's own.

use crate::DecodeError;
use ::serde::{de, ser};
use alloc::{format, string::String};
use core::fmt;

/// A value of one's own that has no form in AMQP, or an AMQP value that is not what the type wants.
///
/// The peer's text is not quoted: it may be large or secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The octets are malformed, or break a limit: the peer is at fault.
    Decode(DecodeError),
    /// A type that has no counterpart on the other side, by its name: integers of 128 bits when writing, decimals when
    /// reading. Use another type for the field.
    Unsupported(&'static str),
    /// The value to write is nested deeper than [`Limits::DEFAULT`](crate::Limits::DEFAULT) lets a peer read.
    DepthExceeded,
    /// The map to write holds the same key twice (§1.6.23).
    DuplicateKey,
    /// The body of the message is another than the one that is wanted, which this names.
    Body(&'static str),
    /// The body of the message is not the JSON that is wanted.
    #[cfg(feature = "json")]
    Json(super::JsonError),
    /// The value to write holds a [`Symbol`](crate::Symbol) that is not ASCII (§1.6.21).
    NotAscii,
    /// The error of the type itself: a field is missing, a number is out of its range, an AMQP type is another than the
    /// one that it wants.
    Custom(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "the body is malformed: {error}"),
            Self::Unsupported(name) => write!(f, "{name} has no counterpart here"),
            Self::DepthExceeded => f.write_str("the value to write is nested too deep"),
            Self::DuplicateKey => f.write_str("the map to write holds the same key twice"),
            Self::NotAscii => f.write_str("the symbol to write is not ASCII"),
            Self::Body(wanted) => write!(f, "the body of the message is not {wanted}"),
            #[cfg(feature = "json")]
            Self::Json(error) => fmt::Display::fmt(error, f),
            Self::Custom(text) => f.write_str(text),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Decode(error) => Some(error),
            #[cfg(feature = "json")]
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl ser::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Custom(format!("{text}"))
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Custom(format!("{text}"))
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Custom(format!("found {}, where {expected} is wanted", kind(&found)))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Custom(format!("found {} out of range, where {expected} is wanted", kind(&found)))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::Custom(format!("found none of the variants {expected:?}"))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::Custom(format!("found a field that is none of {expected:?}"))
    }
}

/// The kind of value that was found, without its contents.
fn kind(found: &de::Unexpected<'_>) -> &'static str {
    use de::Unexpected as U;
    match found {
        U::Bool(_) => "a boolean",
        U::Unsigned(_) | U::Signed(_) => "an integer",
        U::Float(_) => "a floating-point number",
        U::Char(_) => "a char",
        U::Str(_) => "a text",
        U::Bytes(_) => "octets",
        U::Unit | U::Option => "null",
        U::Seq => "a list",
        U::Map => "a map",
        U::NewtypeStruct | U::TupleVariant | U::StructVariant | U::NewtypeVariant | U::UnitVariant | U::Enum => {
            "a variant"
        }
        U::Other(_) => "something else",
    }
}
