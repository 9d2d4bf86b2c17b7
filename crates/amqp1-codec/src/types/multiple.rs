//! Fields with `multiple="true"` (§1.4): one value, or an array of them.

use super::{array::Array, format_code as code};
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Reader, Value};
use alloc::{vec, vec::Vec};
use bytes::BytesMut;
use core::ops::Deref;

/// None, one, or several values of a type. One value and an array of one value mean the same.
#[derive(Clone, PartialEq)]
pub struct Multiple<T>(pub Vec<T>);

impl<T> Default for Multiple<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Multiple<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> From<Vec<T>> for Multiple<T> {
    fn from(values: Vec<T>) -> Self {
        Self(values)
    }
}

impl<T> From<T> for Multiple<T> {
    fn from(value: T) -> Self {
        Self(vec![value])
    }
}

impl<T> FromIterator<T> for Multiple<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl<T: Clone + Into<Value>> Multiple<T> {
    fn to_array(&self) -> Array {
        // Values of one Rust type have one AMQP type, so the array cannot be mixed.
        Array::from_values(self.0.iter().cloned().map(Into::into)).unwrap_or_default()
    }
}

impl<T: Encode + Clone + Into<Value>> Encode for Multiple<T> {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        match self.0.as_slice() {
            [] => 1,
            [one] => one.encoded_len(style),
            _ => self.to_array().encoded_len(style),
        }
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        match self.0.as_slice() {
            [] => out.extend_from_slice(&[code::NULL]),
            [one] => one.encode(style, out),
            _ => self.to_array().encode(style, out),
        }
    }
}

impl<T: Decode> Decode for Multiple<T> {
    const ADVISORY: bool = true;

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.null() {
            return Ok(Self::default());
        }
        if !matches!(reader.peek(), Some(code::ARRAY8 | code::ARRAY32)) {
            return T::decode(reader).map(|value| Self(vec![value]));
        }
        let format = reader.u8()?;
        let (count, mut elements) = reader.array(format)?;
        let start = elements.rest_slice();
        let format = elements.array_constructor()?;
        let constructor = start.get(..start.len().saturating_sub(elements.remaining())).unwrap_or_default();
        // An array that is refused with elements is refused without them; the elements say where.
        if count == 0 && !T::takes_constructor(constructor) {
            return Err(match constructor {
                [format] => elements.wrong_code(*format),
                _ => elements.error(DecodeErrorKind::UnexpectedDescriptor),
            });
        }
        elements.check_elements(count, format)?;
        let mut values = Vec::with_capacity(elements.capacity(count, |rest| rest.skip_data(format))?);
        for _ in 0..count {
            values.push(T::decode_element(&mut elements, constructor)?);
        }
        elements.end_of_compound()?;
        Ok(Self(values))
    }
}
