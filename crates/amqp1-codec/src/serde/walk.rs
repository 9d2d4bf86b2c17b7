//! Walking compounds: the elements of lists and arrays, the pairs of maps, what a variant holds.

use super::{Deserializer, Error};
use crate::{Decode, DecodeErrorKind, Value, types::duplicate};
use ::serde::de::{self, DeserializeSeed, IgnoredAny, Visitor};
use alloc::vec::Vec;

/// The elements of a list or an array that are left.
pub(super) struct Elements<'a, 'de> {
    of: &'a mut Deserializer<'de>,
    left: u32,
}

impl<'a, 'de> Elements<'a, 'de> {
    /// Shows the elements to a visitor, which must take all of them.
    pub(super) fn visit<V: Visitor<'de>>(
        of: &'a mut Deserializer<'de>,
        count: u32,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut elements = Elements { of, left: count };
        let value = visitor.visit_seq(&mut elements)?;
        match elements.left {
            0 => Ok(value),
            left => {
                let taken = count.saturating_sub(left);
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                Err(de::Error::invalid_length(count, &&*alloc::format!("{taken} elements")))
            }
        }
    }
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.of).map(Some)
    }
}

/// The pairs of a map that are left.
pub(super) struct Entries<'a, 'de> {
    of: &'a mut Deserializer<'de>,
    left: u32,
    /// The keys so far, because none may come twice (§1.6.23).
    keys: Vec<Value>,
}

impl<'a, 'de> Entries<'a, 'de> {
    /// Shows the pairs to a visitor; those that it leaves are passed over.
    pub(super) fn visit<V: Visitor<'de>>(
        of: &'a mut Deserializer<'de>,
        count: u32,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut entries = Entries { of, left: count, keys: Vec::new() };
        let value = visitor.visit_map(&mut entries)?;
        while de::MapAccess::next_entry::<IgnoredAny, IgnoredAny>(&mut entries)?.is_some() {}
        entries.check_keys()?;
        Ok(value)
    }

    fn check_keys(&mut self) -> Result<(), Error> {
        let twice = duplicate(self.keys.iter()).is_some();
        if twice { Err(self.of.reader.error(DecodeErrorKind::DuplicateKey).into()) } else { Ok(()) }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let mut key = self.of.reader;
        self.keys.push(Value::decode(&mut key)?);
        seed.deserialize(&mut *self.of).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.of)
    }
}

/// The one pair of a map that is a variant.
pub(super) struct Variant<'a, 'de> {
    of: &'a mut Deserializer<'de>,
}

impl<'a, 'de> Variant<'a, 'de> {
    pub(super) fn new(of: &'a mut Deserializer<'de>) -> Self {
        Self { of }
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Error> {
        let name = seed.deserialize(&mut *self.of)?;
        Ok((name, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        de::Deserialize::deserialize(self.of)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.of)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_tuple(self.of, length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(self.of, visitor)
    }
}
