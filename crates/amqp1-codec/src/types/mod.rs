//! Part 1 of the specification: the primitive types and what is made of them.
//!
//! [`Value`] is any value, owned; [`ValueRef`] is one that is read where it lies. Types of Rust's own that have a
//! counterpart (`bool`, integers, floats, `char`, [`Bytes`](bytes::Bytes)) are encoded and decoded as they are.
//!
//! ```
//! use amqp1_codec::{Array, Decode, Encode, Map, Reader, Value, ValueRef};
//!
//! let mut map = Map::new();
//! map.insert("primes", Array::from_values([2_u8, 3, 5].map(Value::from))?);
//! map.insert("unit", "none");
//! let octets = Value::from(map).to_octets();
//!
//! // Owned …
//! let value = Value::decode(&mut Reader::new(&octets))?;
//! let Value::Map(map) = &value else { panic!("another type") };
//! assert_eq!(map.get_str("unit").and_then(Value::as_text), Some("none"));
//!
//! // … or where it lies.
//! let ValueRef::Map(map) = ValueRef::read(&mut Reader::new(&octets))? else { panic!("another type") };
//! assert_eq!(map.get("unit")?.and_then(|unit| unit.as_text()), Some("none"));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod array;
pub(crate) mod debug;
mod delivery_tag;
mod descriptor;
mod element;
pub(crate) mod format_code;
mod map;
mod multiple;
mod order;
pub(crate) mod primitive;
mod scalar;
mod serial;
mod size;
#[cfg(feature = "std")]
mod system_time;
pub(crate) mod text;
mod value;
mod value_ref;

pub use array::{Array, Elements, MixedArray};
pub use delivery_tag::{DeliveryTag, TagTooLong};
pub use descriptor::Descriptor;
pub(crate) use descriptor::KNOWN;
pub use map::Map;
pub use multiple::Multiple;
#[cfg(feature = "serde")]
pub(crate) use order::duplicate;
pub use primitive::{Decimal32, Decimal64, Decimal128, Timestamp, Uuid};
pub use serial::SequenceNo;
pub use text::{NotAscii, Str, Symbol};
pub use value::{Described, Value};
pub(crate) use value::{decode_list, encode_list};
pub use value_ref::{ArrayRef, DescribedRef, ListRef, MapRef, ValueRef};
