//! The deliveries that are unsettled at one end of a link (§2.7.3).

use crate::{Decode, DecodeError, DecodeErrorKind, DeliveryTag, Encode, EncodeStyle, Map, Reader, Value};
use bytes::{Bytes, BytesMut};

/// Unsettled deliveries by their tags (§2.7.3), with the state of each at the end that says so: a described value, or
/// null where there is none yet.
#[derive(Clone, Default, PartialEq)]
pub struct Unsettled(Map);

impl Unsettled {
    /// None.
    pub const fn new() -> Self {
        Self(Map::new())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The state of a delivery; `None` if it is not among these.
    pub fn get(&self, tag: &DeliveryTag) -> Option<&Value> {
        self.0.get(&Bytes::copy_from_slice(tag.as_slice()).into())
    }

    /// Adds a delivery, or changes its state; returns what was there before.
    pub fn insert(&mut self, tag: DeliveryTag, state: impl Into<Value>) -> Option<Value> {
        self.0.insert(Bytes::copy_from_slice(tag.as_slice()), state)
    }

    /// The tags and states in their order.
    pub fn iter(&self) -> impl Iterator<Item = (DeliveryTag, &Value)> {
        self.0.iter().filter_map(|(key, state)| Some((tag(key)?, state)))
    }

    /// The map.
    pub fn as_map(&self) -> &Map {
        &self.0
    }
}

/// The tag that a key is.
fn tag(key: &Value) -> Option<DeliveryTag> {
    match key {
        Value::Binary(octets) => DeliveryTag::new(octets).ok(),
        _ => None,
    }
}

impl<S: Into<Value>> FromIterator<(DeliveryTag, S)> for Unsettled {
    fn from_iter<I: IntoIterator<Item = (DeliveryTag, S)>>(deliveries: I) -> Self {
        let deliveries = deliveries.into_iter();
        Self(deliveries.map(|(tag, state)| (Bytes::copy_from_slice(tag.as_slice()), state)).collect())
    }
}

impl Encode for Unsettled {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        self.0.encoded_len(style)
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        self.0.encode(style, out);
    }
}

impl Decode for Unsettled {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = *reader;
        let map = Map::decode(reader)?;
        for (key, state) in map.iter() {
            if tag(key).is_none() {
                return Err(start.error(DecodeErrorKind::InvalidKeyType));
            }
            if !matches!(state, Value::Described(_) | Value::Null) {
                return Err(start.error(DecodeErrorKind::InvalidValueType));
            }
        }
        Ok(Self(map))
    }
}
