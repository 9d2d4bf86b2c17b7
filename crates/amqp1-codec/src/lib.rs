//! AMQP 1.0 on the wire: types, performatives, messages and frames, decoded without copying.
//!
//! The layers, from the bottom up:
//!
//! | module | part of the specification |
//! |---|---|
//! | [`types`] | part 1: the primitive types, described types, arrays |
//! | [`definitions`] | part 2, section 2.8: roles, settle modes, errors |
//! | [`performative`] | part 2, section 2.7: `open` … `close` |
//! | [`messaging`] | part 3: sections, delivery states, termini |
//! | [`message`] | part 3, section 3.2: whole messages, read lazily and built |
//! | [`transaction`] | part 4: the coordinator's types |
//! | [`sasl`] | part 5, section 5.3: the SASL frames |
//! | [`frame`] | part 2, sections 2.2 and 2.3: protocol headers and frames |
//! | [`printable`] | the peer's text for people: escaped, and cut |
//!
//! | feature | |
//! |---|---|
//! | `serde` (off) | types of one's own as the bodies of messages; see the module `serde` |
//! | `json` (off) | `serde`, and JSON as the body of a message |
//! | `std` (off) | `std::time::SystemTime` where a timestamp is wanted |
//!
//! Without `std`, `alloc` is all that the crate needs.
//!
//! Decoding never trusts a count or a size ([`Limits`]) and never copies a payload: byte strings are slices of the
//! buffer that was read. Encoding is canonical by default ([`EncodeStyle::Compact`]).
//!
//! ```
//! use amqp1_codec::{Decode, Encode, EncodeStyle, Reader, performative::Open};
//! use bytes::BytesMut;
//!
//! let open = Open { container_id: "client-1".into(), ..Open::default() };
//! let mut out = BytesMut::new();
//! open.encode(EncodeStyle::Compact, &mut out);
//!
//! let octets = out.freeze();
//! assert_eq!(Open::decode(&mut Reader::new(&octets))?, open);
//! # Ok::<(), amqp1_codec::DecodeError>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[macro_use]
mod composite;
pub mod definitions;
mod error;
mod fields;
pub mod frame;
mod limits;
pub mod message;
pub mod messaging;
mod parse;
pub mod performative;
pub mod printable;
mod reader;
pub mod sasl;
mod secrets;
#[cfg(feature = "serde")]
pub mod serde;
mod steps;
mod trace;
pub mod transaction;
pub mod types;
mod write;

pub use error::{DecodeError, DecodeErrorKind};
pub use fields::FieldReader;
pub use limits::Limits;
pub use message::{EncodedMessage, IntoMessage, Message, MessageBuilder};
pub use reader::Reader;
pub use types::{
    Array, DeliveryTag, Described, Descriptor, Map, Multiple, SequenceNo, Str, Symbol, Timestamp, Uuid, Value, ValueRef,
};
pub use write::{EncodeStyle, ListLen, ListWriter};

use bytes::BytesMut;

/// Something that can be written to the wire.
///
/// Encoding is exact: [`encode`](Self::encode) appends [`encoded_len`](Self::encoded_len) octets, and cannot fail.
pub trait Encode {
    /// The number of octets that [`encode`](Self::encode) appends in this style.
    fn encoded_len(&self, style: EncodeStyle) -> usize;

    /// Appends the value's constructor and data to `out`.
    fn encode(&self, style: EncodeStyle, out: &mut BytesMut);

    /// The encoding as a buffer of its own, in the compact style.
    fn to_octets(&self) -> bytes::Bytes {
        let mut out = BytesMut::with_capacity(self.encoded_len(EncodeStyle::Compact));
        self.encode(EncodeStyle::Compact, &mut out);
        out.freeze()
    }
}

/// Something that can be read from the wire.
pub trait Decode: Sized {
    /// Whether a field of this type may count as absent, or as [`stand_in`](Self::stand_in), where it cannot be read: see
    /// [`Limits::odd_advisory_data`].
    #[doc(hidden)]
    const ADVISORY: bool = false;

    /// Returns what stands in for a field of an [`ADVISORY`](Self::ADVISORY) type that cannot be read; `None` if the field
    /// counts as absent. `reader` stands at the value that cannot be read.
    #[doc(hidden)]
    fn stand_in(_reader: Reader<'_>) -> Option<Self> {
        None
    }

    /// Takes one value off the front of `reader`; what follows it stays there.
    ///
    /// # Errors
    ///
    /// A [`DecodeError`] that says what is wrong and at which octet. The reader's position is then unspecified.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Whether an array whose elements have this constructor can be one of such values, even if it is empty.
    #[doc(hidden)]
    fn takes_constructor(_constructor: &[u8]) -> bool {
        true
    }

    /// Takes one element of an array off the front of `reader`, which holds the elements' data; `constructor` is what
    /// they share. Types that arrays are made of often do this without a copy.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    #[doc(hidden)]
    fn decode_element(reader: &mut Reader<'_>, constructor: &[u8]) -> Result<Self, DecodeError> {
        reader.joined_element(constructor).and_then(|(element, at)| {
            Self::decode(&mut Reader::part(&element, &element, reader.packed()))
                .map_err(|error| DecodeError { offset: at, ..error })
        })
    }
}
