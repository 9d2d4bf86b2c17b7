//! AMQP types that serde has no word for: a timestamp, a UUID and a symbol keep their type in a body. For other formats
//! they are an integer, octets and a text.

use super::Error;
use crate::{Str, Symbol, Timestamp, Uuid, Value};
use ::serde::{
    de::{self, Deserialize, Deserializer},
    ser::{Serialize, Serializer},
};
use alloc::string::String;
use core::fmt;

/// Names that the serializer knows the types by.
const TIMESTAMP: &str = "amqp:timestamp";
const UUID: &str = "amqp:uuid";
const SYMBOL: &str = "amqp:symbol";

/// The value of a newtype of this name.
pub(super) fn named(name: &'static str, value: Value) -> Result<Value, Error> {
    Ok(match (name, value) {
        (TIMESTAMP, Value::Long(milliseconds)) => Value::Timestamp(Timestamp(milliseconds)),
        (UUID, Value::Binary(octets)) => match <[u8; 16]>::try_from(&octets[..]) {
            Ok(uuid) => Value::Uuid(Uuid(uuid)),
            Err(_) => Value::Binary(octets),
        },
        (SYMBOL, Value::String(text)) => Value::Symbol(Symbol::new(text.as_str()).map_err(|_| Error::NotAscii)?),
        (_, value) => value,
    })
}

/// A value that serde sees as octets.
struct Octets<'a>(&'a [u8]);

impl Serialize for Octets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(TIMESTAMP, &self.0)
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(UUID, &Octets(&self.0))
    }
}

impl Serialize for Symbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(SYMBOL, self.as_str())
    }
}

impl Serialize for Str {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A newtype that a format may or may not wrap.
macro_rules! newtype {
    ($ty:ty, $name:expr, $inner:ty, $expecting:literal, |$value:ident| $make:expr, { $($visits:tt)* }) => {
        impl<'de> Deserialize<'de> for $ty {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl<'de> de::Visitor<'de> for Visitor {
                    type Value = $ty;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<$ty, D::Error> {
                        let $value = <$inner>::deserialize(deserializer)?;
                        $make
                    }

                    $($visits)*
                }

                deserializer.deserialize_newtype_struct($name, Visitor)
            }
        }
    };
}

newtype!(Timestamp, TIMESTAMP, i64, "a timestamp in milliseconds", |value| Ok(Timestamp(value)), {
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Timestamp, E> {
        Ok(Timestamp(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Timestamp, E> {
        let value = i64::try_from(value);
        value.map(Timestamp).map_err(|_| E::custom("a timestamp is out of range"))
    }
});

newtype!(Symbol, SYMBOL, String, "a symbol", |value| Symbol::new(value).map_err(de::Error::custom), {
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Symbol, E> {
        Symbol::new(text).map_err(E::custom)
    }
});

/// The octets of a UUID, however a format writes octets.
struct UuidOctets([u8; 16]);

impl<'de> Deserialize<'de> for UuidOctets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = UuidOctets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the 16 octets of a UUID")
            }

            fn visit_bytes<E: de::Error>(self, octets: &[u8]) -> Result<UuidOctets, E> {
                let length = octets.len();
                octets.try_into().map(UuidOctets).map_err(|_| E::invalid_length(length, &self))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<UuidOctets, A::Error> {
                let mut uuid = [0; 16];
                for (index, octet) in uuid.iter_mut().enumerate() {
                    *octet = items.next_element()?.ok_or_else(|| de::Error::invalid_length(index, &self))?;
                }
                Ok(UuidOctets(uuid))
            }
        }

        deserializer.deserialize_bytes(Visitor)
    }
}

newtype!(Uuid, UUID, UuidOctets, "a UUID", |value| Ok(Uuid(value.0)), {});

impl<'de> Deserialize<'de> for Str {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}
