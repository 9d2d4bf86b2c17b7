//! What each target of the codec's bodies through serde does with its octets.

use amqp1_codec::{
    Encode, Limits, Reader,
    serde::{Deserializer, to_value},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use std::collections::BTreeMap;

/// A bit of everything that serde knows.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    number: Option<i64>,
    text: Option<String>,
    list: Option<Vec<Self>>,
    map: Option<BTreeMap<String, u32>>,
    choice: Option<Choice>,
    octets: Option<(u8, i16, bool, char)>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Unit,
    Newtype(u64),
    Tuple(i32, String),
    Struct { inner: Box<Everything> },
}

/// Octets to types of one's own: no panic, and what was read is written and read as the same.
pub fn serde_body(octets: &[u8]) {
    let octets = Bytes::copy_from_slice(octets);
    let _ = IgnoredAny::deserialize(&mut Deserializer::new(Reader::new(&octets)));
    let _ = Vec::<IgnoredAny>::deserialize(&mut Deserializer::new(Reader::new(&octets)));
    let Ok(everything) = Everything::deserialize(&mut Deserializer::new(Reader::new(&octets))) else { return };
    // Written, it may be nested deeper than is allowed, but nothing else can be wrong with it.
    let Ok(value) = to_value(&everything) else { return };
    let again = value.to_octets();
    let limits = Limits::DEFAULT;
    let again = Everything::deserialize(&mut Deserializer::new(Reader::with_limits(&again, limits)));
    assert_eq!(again.as_ref().ok(), Some(&everything), "{again:?}");
}
