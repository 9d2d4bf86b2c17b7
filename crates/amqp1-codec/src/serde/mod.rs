//! Types of one's own as amqp-value bodies (§3.2.8), by way of `serde`; with the feature `serde`, and without `std`.
//! With the feature `json`, messages have `json`, and their builder has it too.
//!
//! Only bodies: performatives and sections have their own types, which say more than serde can.
//!
//! | in Rust | in AMQP |
//! |---|---|
//! | `bool`, `f32`, `f64`, `char` | boolean, float, double, char |
//! | `u8` … `u64`, `i8` … `i64` | ubyte … ulong, byte … long; 128 bits are refused |
//! | `str`, `String` | string |
//! | what serde calls bytes (`serde_bytes`, `&[u8]` when reading) | binary |
//! | `None`, `()`, a unit struct | null |
//! | `Some`, a newtype | what is inside |
//! | sequences, tuples, tuple structs; `Vec<u8>` too | list |
//! | maps | map; the same key twice is refused |
//! | structs | map with the names of the fields as strings |
//! | enums | a unit variant is its name; another is a map of one pair, from its name to what it holds |
//! | [`Timestamp`](crate::Timestamp), [`Uuid`](crate::Uuid), [`Symbol`](crate::Symbol) | timestamp, uuid, symbol |
//!
//! Names are strings rather than symbols, because that is what clients in other languages take for the keys of a map
//! that an application reads; symbols are for names that a specification fixes.
//!
//! Reading takes more than writing makes: names may be symbols, integers of any width that fit, lists may be arrays, a
//! sequence of `u8` may be a binary, and descriptors are passed over. A timestamp reads as an integer too, a uuid as
//! octets. Texts and octets can be borrowed from the message. What a type does not ask for is skipped without a look
//! inside it.
//!
//! The limits of the message hold, and more: a body's arrays together may have as many elements without width as one
//! array ([`Limits::zero_width_elements`](crate::Limits::zero_width_elements)), and no memory is set aside for a count
//! before its elements are there.
//!
//! ```
//! use amqp1_codec::Message;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, PartialEq, Debug)]
//! struct Reading<'a> {
//!     sensor: &'a str,
//!     celsius: f64,
//! }
//!
//! let sent = Message::builder().serialized(&Reading { sensor: "boiler", celsius: 61.5 })?.build();
//!
//! let received = Message::from_chunks(sent.into_parts())?;
//! let reading: Reading = received.value_as()?;
//! assert_eq!(reading, Reading { sensor: "boiler", celsius: 61.5 });
//! # Ok::<(), amqp1_codec::serde::Error>(())
//! ```

mod de;
mod error;
#[cfg(feature = "json")]
mod json;
mod ser;
mod special;
mod walk;

pub use de::Deserializer;
pub use error::Error;
#[cfg(feature = "json")]
pub use json::JsonError;
pub use ser::{Items, Pairs, Serializer};

use crate::{Encode, Limits, Reader, Value};
use ::serde::{Serialize, de::DeserializeOwned};

/// A value of one's own as an AMQP value.
///
/// # Errors
///
/// [`Error::Unsupported`], [`Error::DepthExceeded`], [`Error::DuplicateKey`], [`Error::NotAscii`], or what the type
/// itself says.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, Error> {
    value.serialize(Serializer::new())
}

/// An AMQP value as a type of one's own. To read the body of a message, use
/// [`Message::value_as`](crate::Message::value_as), which copies nothing on the way.
///
/// # Errors
///
/// If the type wants something else, or the value is nested deeper than [`Limits::DEFAULT`] allows.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    let octets = value.to_octets();
    Deserializer::new(Reader::with_limits(&octets, Limits::DEFAULT)).read_all()
}
