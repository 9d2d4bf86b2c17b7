//! Maps (§1.6.23): ordered pairs without duplicate keys.

use super::{format_code as code, order};
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Reader, Value, write};
use alloc::vec::Vec;
use bytes::BytesMut;

/// A map: pairs in the order in which they were written or read, no key twice.
#[derive(Clone, Default, PartialEq)]
pub struct Map(Vec<(Value, Value)>);

impl Map {
    /// An empty map.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many pairs there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets the value for a key and returns what was there before.
    pub fn insert(&mut self, key: impl Into<Value>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, slot)) => Some(core::mem::replace(slot, value)),
            None => {
                self.0.push((key, value));
                None
            }
        }
    }

    /// The value for a key.
    pub fn get(&self, key: &Value) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// The value for a key that is this text, as a string or as a symbol.
    pub fn get_str(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known.as_text() == Some(key)).map(|(_, value)| value)
    }

    /// The pairs in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Value, &Value)> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl IntoIterator for Map {
    type Item = (Value, Value);
    type IntoIter = alloc::vec::IntoIter<(Value, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Into<Value>, V: Into<Value>> FromIterator<(K, V)> for Map {
    /// As [`insert`](Map::insert) one after another: a key keeps its first place and its last value.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs: Vec<(Value, Value)> = pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        if order::duplicate(pairs.iter().map(|(key, _)| key)).is_none() {
            return Self(pairs);
        }
        let first = order::first_places(pairs.iter().map(|(key, _)| key));
        let mut kept: Vec<Option<(Value, Value)>> = Vec::with_capacity(pairs.len());
        for (place, (pair, first)) in pairs.into_iter().zip(first).enumerate() {
            match kept.get_mut(first) {
                Some(Some((_, value))) if first != place => {
                    *value = pair.1;
                    kept.push(None);
                }
                _ => kept.push(Some(pair)),
            }
        }
        Self(kept.into_iter().flatten().collect())
    }
}

impl Encode for Map {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        let body = self.0.iter().map(|(key, value)| key.encoded_len(style).saturating_add(value.encoded_len(style)));
        write::compound_len(body.sum(), self.0.len().saturating_mul(2))
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        write::compound(code::MAP8, code::MAP32, out, |out| {
            for (key, value) in &self.0 {
                encode_item(key, style, out);
                encode_item(value, style, out);
            }
            self.0.len().saturating_mul(2)
        });
    }
}

/// Common values of maps are written in place.
#[inline]
fn encode_item(value: &Value, style: EncodeStyle, out: &mut BytesMut) {
    match value {
        Value::String(text) => text.encode(style, out),
        Value::Int(number) => number.encode(style, out),
        other => other.encode(style, out),
    }
}

impl Decode for Map {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let format = reader.u8()?;
        Self::decode_data(reader, format)
    }
}

impl Map {
    /// The same pairs, ASCII strings among their keys being symbols; unchanged if that made two keys one.
    pub(crate) fn with_symbol_keys(self) -> Self {
        let symbol = |key: &Value| match key {
            Value::String(text) => text.to_symbol().map_or_else(|| key.clone(), Value::Symbol),
            other => other.clone(),
        };
        let keys: Vec<Value> = self.0.iter().map(|(key, _)| symbol(key)).collect();
        if order::duplicate(keys.iter()).is_some() {
            return self;
        }
        Self(keys.into_iter().zip(self.0).map(|(key, (_, value))| (key, value)).collect())
    }

    /// The pairs, after the map's format code.
    pub(crate) fn decode_data(reader: &mut Reader<'_>, format: u8) -> Result<Self, DecodeError> {
        let (items, mut inner) = reader.map(format)?;
        let start = inner;
        let capacity = inner.capacity(items, |rest| rest.skip().map(drop))? / 2;
        let mut pairs: Vec<(Value, Value)> = Vec::with_capacity(capacity);
        for _ in 0..items / 2 {
            let key = Value::decode(&mut inner)?;
            let value = Value::decode(&mut inner)?;
            pairs.push((key, value));
        }
        inner.end_of_compound()?;
        match order::duplicate(pairs.iter().map(|(key, _)| key)) {
            // The key is found again only to say where it stands.
            Some(pair) => {
                let mut at = start;
                for _ in 0..pair.saturating_mul(2) {
                    at.skip()?;
                }
                Err(at.error(DecodeErrorKind::DuplicateKey))
            }
            None => Ok(Self(pairs)),
        }
    }
}
