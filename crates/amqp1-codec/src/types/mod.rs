//! Part 1 of the specification: the primitive types and what is made of them.

mod array;
pub(crate) mod debug;
mod delivery_tag;
mod descriptor;
mod element;
pub(crate) mod format_code;
mod map;
mod multiple;
mod order;
mod primitive;
mod serial;
mod text;
mod value;
mod value_ref;

pub use array::{Array, Elements, MixedArray};
pub use delivery_tag::{DeliveryTag, TagTooLong};
pub use descriptor::Descriptor;
pub use map::Map;
pub use multiple::Multiple;
pub use primitive::{Decimal32, Decimal64, Decimal128, Timestamp, Uuid};
pub use serial::SequenceNo;
pub use text::{NotAscii, Str, Symbol};
pub use value::{Described, Value};
pub(crate) use value::{decode_list, encode_list};
pub use value_ref::{ArrayRef, DescribedRef, ListRef, MapRef, ValueRef};
