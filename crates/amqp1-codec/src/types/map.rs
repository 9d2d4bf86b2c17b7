//! Maps (§1.6.23): ordered pairs without duplicate keys.

use super::format_code as code;
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Reader, Value, write};
use alloc::{collections::BTreeSet, vec::Vec};
use bytes::{Bytes, BytesMut};

/// A map: pairs in the order in which they were written or read, no key twice.
#[derive(Clone, Debug, Default, PartialEq)]
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
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut map = Self::new();
        for (key, value) in pairs {
            map.insert(key, value);
        }
        map
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
                key.encode(style, out);
                value.encode(style, out);
            }
            self.0.len().saturating_mul(2)
        });
    }
}

impl Decode for Map {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let format = reader.u8()?;
        Self::decode_data(reader, format)
    }
}

impl Map {
    /// The pairs, after the map's format code.
    pub(crate) fn decode_data(reader: &mut Reader<'_>, format: u8) -> Result<Self, DecodeError> {
        let (items, mut inner) = reader.map(format)?;
        let mut pairs: Vec<(Value, Value)> = Vec::new();
        let mut seen = KeySet::default();
        for _ in 0..items / 2 {
            let at = inner;
            let key = Value::decode(&mut inner)?;
            if !seen.insert(&pairs, &key) {
                return Err(at.error(DecodeErrorKind::DuplicateKey));
            }
            let value = Value::decode(&mut inner)?;
            pairs.push((key, value));
        }
        inner.end_of_compound()?;
        Ok(Self(pairs))
    }
}

/// Finds duplicate keys: by comparison while there are few, by their canonical octets when there are many, so that a
/// large map costs no square of its size.
#[derive(Default)]
struct KeySet(BTreeSet<Bytes>);

impl KeySet {
    const FEW: usize = 16;

    fn insert(&mut self, pairs: &[(Value, Value)], key: &Value) -> bool {
        if pairs.len() < Self::FEW {
            return pairs.iter().all(|(known, _)| known != key);
        }
        if self.0.is_empty() {
            self.0.extend(pairs.iter().map(|(known, _)| known.to_octets()));
        }
        self.0.insert(key.to_octets())
    }
}
