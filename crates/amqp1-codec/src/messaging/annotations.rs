//! Annotations (§3.2.10) and application properties (§3.2.5).

use crate::{Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Map, Reader, Str, Symbol, Value};
use bytes::BytesMut;

/// Declares a map whose keys (and values) are restricted.
macro_rules! restricted_map {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident($key:ty), |$k:ident, $v:ident, $limits:ident| $check:expr, symbols if $strings:expr;
    )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Default, PartialEq)]
        pub struct $name(Map);

        impl $name {
            /// None.
            pub const fn new() -> Self {
                Self(Map::new())
            }

            /// The value for a key.
            pub fn get(&self, key: &str) -> Option<&Value> {
                self.0.get_str(key)
            }

            /// Sets the value for a key and returns what was there before.
            pub fn insert(&mut self, key: impl Into<$key>, value: impl Into<Value>) -> Option<Value> {
                self.0.insert(key.into(), value)
            }

            /// How many there are.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            /// The keys and values in their order.
            pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Value, &Value)> {
                self.0.iter()
            }
        }

        impl<K: Into<$key>, V: Into<Value>> FromIterator<(K, V)> for $name {
            fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
                Self(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect())
            }
        }

        impl Encode for $name {
            fn encoded_len(&self, style: EncodeStyle) -> usize {
                self.0.encoded_len(style)
            }

            fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
                self.0.encode(style, out);
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let start = *reader;
                let map = Map::decode(reader)?;
                let $limits = reader.packed();
                for ($k, $v) in map.iter() {
                    if let Some(kind) = $check {
                        return Err(start.error(kind));
                    }
                }
                Ok(Self(if $strings && map.iter().any(|(key, _)| matches!(key, Value::String(_))) {
                    map.with_symbol_keys()
                } else {
                    map
                }))
            }
        }
    )+ };
}

restricted_map! {
    /// Annotations of a delivery or a message (§3.2.10): keys are symbols, or unsigned longs, which are reserved.
    pub struct Annotations(Symbol), |key, _value, limits| match key {
        Value::Symbol(_) | Value::Ulong(_) => None,
        Value::String(_) if limits.string_annotation_keys() => None,
        _ => Some(DecodeErrorKind::InvalidKeyType),
    }, symbols if limits.string_annotation_keys();

    /// Properties that belong to the application (§3.2.5): keys are strings, values no lists, maps or arrays.
    pub struct ApplicationProperties(Str), |key, value, limits| match (key, value) {
        (Value::String(_), Value::List(_) | Value::Map(_) | Value::Array(_))
            if !limits.compound_application_properties() =>
        {
            Some(DecodeErrorKind::InvalidValueType)
        }
        (Value::String(_), _) => None,
        _ => Some(DecodeErrorKind::InvalidKeyType),
    }, symbols if false;
}
