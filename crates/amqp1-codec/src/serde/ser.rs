//! From types of one's own to AMQP values.

use super::{Error, special};
use crate::{Limits, Map, Str, Value};
use ::serde::ser::{self, Serialize};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// Makes a [`Value`] of whatever is given to it; the [module](super) says what becomes what.
///
/// ```
/// use amqp1_codec::{Value, serde::Serializer};
/// use serde::Serialize;
///
/// let value = ("on", 21_u8).serialize(Serializer::new())?;
/// assert_eq!(value, Value::List(vec!["on".into(), 21_u8.into()]));
/// # Ok::<(), amqp1_codec::serde::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Serializer {
    /// Levels that may still be gone down.
    depth: u8,
}

impl Serializer {
    /// A serializer whose values may nest as deep as [`Limits::DEFAULT`] lets a peer read them.
    pub const fn new() -> Self {
        Self { depth: Limits::DEFAULT.depth }
    }

    /// One level down.
    fn inner(self) -> Result<Self, Error> {
        self.depth.checked_sub(1).map(|depth| Self { depth }).ok_or(Error::DepthExceeded)
    }
}

impl Default for Serializer {
    fn default() -> Self {
        Self::new()
    }
}

/// A name of the program's own: a field's or a variant's.
fn name(name: &'static str) -> Value {
    Value::String(Str::from_static(name))
}

/// Scalars become values of the same width.
macro_rules! scalars {
    ($($method:ident: $ty:ty,)+) => { $(
        fn $method(self, value: $ty) -> Result<Value, Error> {
            Ok(value.into())
        }
    )+ };
}

impl ser::Serializer for Serializer {
    type Ok = Value;
    type Error = Error;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Pairs;
    type SerializeStruct = Pairs;
    type SerializeStructVariant = Pairs;

    scalars! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
    }

    fn serialize_i128(self, _: i128) -> Result<Value, Error> {
        Err(Error::Unsupported("i128"))
    }

    fn serialize_u128(self, _: u128) -> Result<Value, Error> {
        Err(Error::Unsupported("u128"))
    }

    fn serialize_str(self, text: &str) -> Result<Value, Error> {
        Ok(Value::String(Str::from(text)))
    }

    fn serialize_bytes(self, octets: &[u8]) -> Result<Value, Error> {
        Ok(Value::Binary(Bytes::copy_from_slice(octets)))
    }

    fn serialize_none(self) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, Error> {
        Ok(name(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        type_name: &'static str,
        value: &T,
    ) -> Result<Value, Error> {
        special::named(type_name, value.serialize(self)?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Error> {
        Ok(variant_of(Some(variant), value.serialize(self.inner()?)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, Error> {
        Ok(Items { variant: None, items: Vec::new(), inner: self.inner()? })
    }

    fn serialize_tuple(self, length: usize) -> Result<Items, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Items, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Items, Error> {
        Ok(Items { variant: Some(variant), ..self.inner()?.serialize_seq(Some(length))? })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Pairs, Error> {
        Ok(Pairs { variant: None, pairs: Vec::new(), key: None, inner: self.inner()? })
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Pairs, Error> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Pairs, Error> {
        Ok(Pairs { variant: Some(variant), ..self.inner()?.serialize_map(Some(length))? })
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The value itself, or where it belongs to a variant, a map of one pair.
fn variant_of(variant: Option<&'static str>, value: Value) -> Value {
    match variant {
        Some(variant) => Value::Map(core::iter::once((name(variant), value)).collect()),
        None => value,
    }
}

/// The items of a list that is being made.
pub struct Items {
    variant: Option<&'static str>,
    items: Vec<Value>,
    inner: Serializer,
}

impl fmt::Debug for Items {
    /// How many there are; what they hold may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Items({})", self.items.len())
    }
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        self.items.push(item.serialize(self.inner)?);
        Ok(())
    }

    fn finish(self) -> Value {
        variant_of(self.variant, Value::List(self.items))
    }
}

/// A list is made alike whatever it stands for.
macro_rules! items {
    ($($trait:ident, $method:ident;)+) => { $(
        impl ser::$trait for Items {
            type Ok = Value;
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
                self.push(item)
            }

            fn end(self) -> Result<Value, Error> {
                Ok(self.finish())
            }
        }
    )+ };
}
items! {
    SerializeSeq, serialize_element;
    SerializeTuple, serialize_element;
    SerializeTupleStruct, serialize_field;
    SerializeTupleVariant, serialize_field;
}

/// The pairs of a map that is being made.
pub struct Pairs {
    variant: Option<&'static str>,
    pairs: Vec<(Value, Value)>,
    /// A key that waits for its value.
    key: Option<Value>,
    inner: Serializer,
}

impl fmt::Debug for Pairs {
    /// How many there are; what they hold may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pairs({})", self.pairs.len())
    }
}

impl Pairs {
    fn push<T: Serialize + ?Sized>(&mut self, key: Value, value: &T) -> Result<(), Error> {
        self.pairs.push((key, value.serialize(self.inner)?));
        Ok(())
    }

    fn finish(self) -> Result<Value, Error> {
        let count = self.pairs.len();
        let map: Map = self.pairs.into_iter().collect();
        if map.len() == count { Ok(variant_of(self.variant, Value::Map(map))) } else { Err(Error::DuplicateKey) }
    }
}

impl ser::SerializeMap for Pairs {
    type Ok = Value;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key = Some(key.serialize(self.inner)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = self.key.take().ok_or_else(|| <Error as ser::Error>::custom("a map's value without its key"))?;
        self.push(key, value)
    }

    fn end(self) -> Result<Value, Error> {
        self.finish()
    }
}

/// A struct is made alike whether it stands alone or is a variant's.
macro_rules! fields {
    ($($trait:ident)+) => { $(
        impl ser::$trait for Pairs {
            type Ok = Value;
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
                self.push(name(key), value)
            }

            fn end(self) -> Result<Value, Error> {
                self.finish()
            }
        }
    )+ };
}
fields! { SerializeStruct SerializeStructVariant }
