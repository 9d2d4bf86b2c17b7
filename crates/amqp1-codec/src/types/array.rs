//! Arrays (§1.6.24): values that share one constructor. They stay encoded until they are walked, so that a few octets
//! cannot become megabytes.

use super::{format_code as code, value::Described};
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Limits, Reader, Value, write};
use alloc::{boxed::Box, vec::Vec};
use bytes::{BufMut, Bytes, BytesMut};
use core::fmt;

/// An array: a constructor, and the data of its elements.
#[derive(Clone)]
pub struct Array {
    constructor: Bytes,
    count: u32,
    octets: Bytes,
    /// Whether the constructor is the narrowest that fits, so that it can be written as it is.
    canonical: bool,
}

/// The elements of an array must be of one type, and described alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixedArray;

impl fmt::Display for MixedArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the elements of an array must be of one type")
    }
}

impl core::error::Error for MixedArray {}

impl Default for Array {
    /// An empty array of nulls.
    fn default() -> Self {
        Self { constructor: Bytes::from_static(&[code::NULL]), count: 0, octets: Bytes::new(), canonical: true }
    }
}

impl Array {
    /// An array of these values, with the narrowest constructor that fits all of them.
    ///
    /// Constructors without data (`true`, `uint0`, `list0` …) are not used, because several decoders refuse them in
    /// arrays.
    ///
    /// # Errors
    ///
    /// [`MixedArray`] if the values are not of one type.
    pub fn from_values(values: impl IntoIterator<Item = Value>) -> Result<Self, MixedArray> {
        let mut values: Vec<Value> = values.into_iter().collect();
        let count = write::saturating_u32(values.len());
        let mut constructor = BytesMut::new();
        while let Some(Value::Described(first)) = values.first() {
            let descriptor = first.descriptor.clone();
            constructor.put_u8(code::DESCRIBED);
            descriptor.encode(EncodeStyle::Compact, &mut constructor);
            values = values
                .into_iter()
                .map(|value| match value {
                    Value::Described(described) if described.descriptor == descriptor => Ok(described.value),
                    _ => Err(MixedArray),
                })
                .collect::<Result<_, _>>()?;
        }
        let format = shared_code(&values)?;
        constructor.put_u8(format);
        let mut octets = BytesMut::new();
        for value in &values {
            value.encode_data(format, &mut octets);
        }
        Ok(Self { constructor: constructor.freeze(), count, octets: octets.freeze(), canonical: true })
    }

    /// An empty array of the type that `sample` has.
    pub fn empty_like(sample: &Value) -> Self {
        let mut array = Self::from_values([sample.clone()]).unwrap_or_default();
        array.count = 0;
        array.octets = Bytes::new();
        array
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The octets of the constructor that all elements share, a descriptor included.
    pub fn constructor(&self) -> &[u8] {
        &self.constructor
    }

    /// The elements, decoded one by one.
    pub fn iter(&self) -> Elements<'_> {
        let mut constructor = Reader::new(&self.constructor);
        let mut descriptors = Vec::new();
        while constructor.peek() == Some(code::DESCRIBED) {
            let _ = constructor.u8();
            descriptors.extend(Value::decode(&mut constructor));
        }
        let format = constructor.u8().unwrap_or(code::NULL);
        // What was decoded or built here is valid, whatever the limits of the connection were.
        let limits = Limits { depth: u8::MAX, ..Limits::DEFAULT };
        Elements { reader: Reader::with_limits(&self.octets, limits), descriptors, format, left: self.count }
    }

    /// Decodes each element with its constructor put before it, as a value of its own.
    pub(crate) fn decode_each(
        &self,
        at: &Reader<'_>,
        mut each: impl FnMut(&mut Reader<'_>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut rest = Reader::new(&self.octets);
        let format = self.constructor.last().copied().unwrap_or(code::NULL);
        for _ in 0..self.count {
            let start = rest.rest_slice();
            let mut probe = rest;
            probe.skip_element(format).map_err(|_| at.error(DecodeErrorKind::Truncated))?;
            let width = start.len().saturating_sub(probe.remaining());
            let mut element = BytesMut::with_capacity(self.constructor.len().saturating_add(width));
            element.put_slice(&self.constructor);
            element.put_slice(start.get(..width).unwrap_or_default());
            let element = element.freeze();
            each(&mut Reader::new(&element)).map_err(|error| at.error(error.kind))?;
            rest = probe;
        }
        Ok(())
    }

    fn to_canonical(&self) -> Self {
        if self.canonical {
            return self.clone();
        }
        if self.count == 0 {
            return Self { canonical: true, ..self.clone() };
        }
        Self::from_values(self).unwrap_or_else(|_| self.clone())
    }

    /// The array after its format code, checked element by element.
    pub(crate) fn decode_data(reader: &mut Reader<'_>, format: u8) -> Result<Self, DecodeError> {
        let (count, mut inner) = match format {
            code::ARRAY8 => reader.compound(false)?,
            code::ARRAY32 => reader.compound(true)?,
            other => return Err(reader.wrong_code(other)),
        };
        let start = inner.rest_slice();
        let mut levels = 0u8;
        while inner.peek() == Some(code::DESCRIBED) {
            inner.u8()?;
            inner.descend()?;
            levels = levels.saturating_add(1);
            Value::decode(&mut inner)?;
        }
        let element = inner.u8()?;
        let Some(width) = code::width(element) else { return Err(inner.wrong_code(element)) };
        let constructor = start.get(..start.len().saturating_sub(inner.remaining())).unwrap_or_default();
        let octets = inner.rest_slice();
        if width == code::Width::Fixed(0) {
            if count > inner.limits().zero_width_elements {
                return Err(inner.error(DecodeErrorKind::ElementsExceeded));
            }
        } else {
            // Each element takes at least one octet.
            if usize::try_from(count).map_or(true, |count| count > octets.len()) {
                return Err(inner.error(DecodeErrorKind::ElementsExceeded));
            }
            for _ in 0..count {
                Value::decode_data(&mut inner, element)?;
            }
        }
        inner.end_of_compound()?;
        Ok(Self { constructor: reader.share(constructor), count, octets: reader.share(octets), canonical: false })
    }

    /// Appends the array after its format code, in the narrow or the wide form.
    pub(crate) fn encode_data(&self, format: u8, out: &mut BytesMut) {
        let array = self.to_canonical();
        let body = array.constructor.len().saturating_add(array.octets.len());
        if format == code::ARRAY8 {
            out.put_u8(u8::try_from(body.saturating_add(1)).unwrap_or(u8::MAX));
            out.put_u8(u8::try_from(array.count).unwrap_or(u8::MAX));
        } else {
            out.put_u32(write::saturating_u32(body.saturating_add(4)));
            out.put_u32(array.count);
        }
        out.put_slice(&array.constructor);
        out.put_slice(&array.octets);
    }

    /// The format code that this array needs.
    pub(crate) fn format_code(&self) -> u8 {
        let array = self.to_canonical();
        let body = array.constructor.len().saturating_add(array.octets.len());
        if body < 255 && array.count <= 255 { code::ARRAY8 } else { code::ARRAY32 }
    }
}

impl Reader<'_> {
    fn skip_element(&mut self, format: u8) -> Result<(), DecodeError> {
        match code::width(format) {
            Some(code::Width::Fixed(width)) => self.take(usize::from(width)).map(drop),
            Some(code::Width::Counted8) => self.variable8().map(drop),
            Some(code::Width::Counted32) => self.variable32().map(drop),
            None => Err(self.wrong_code(format)),
        }
    }
}

/// The format code that all of these values can share.
fn shared_code(values: &[Value]) -> Result<u8, MixedArray> {
    let Some(first) = values.first() else { return Ok(code::NULL) };
    let kind = core::mem::discriminant(first);
    if values.iter().any(|value| core::mem::discriminant(value) != kind) {
        return Err(MixedArray);
    }
    let codes = values.iter().map(Value::array_code);
    Ok(codes.max().unwrap_or(code::NULL))
}

impl Encode for Array {
    fn encoded_len(&self, _: EncodeStyle) -> usize {
        let array = self.to_canonical();
        let body = array.constructor.len().saturating_add(array.octets.len());
        write::compound_len(body, array.len())
    }

    fn encode(&self, _: EncodeStyle, out: &mut BytesMut) {
        let array = self.to_canonical();
        let format = array.format_code();
        out.put_u8(format);
        array.encode_data(format, out);
    }
}

impl Decode for Array {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let format = reader.u8()?;
        Self::decode_data(reader, format)
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count
            && ((self.constructor == other.constructor && self.octets == other.octets) || self.iter().eq(other.iter()))
    }
}

impl Eq for Array {}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().take(64)).finish()
    }
}

impl<'a> IntoIterator for &'a Array {
    type Item = Value;
    type IntoIter = Elements<'a>;

    fn into_iter(self) -> Elements<'a> {
        self.iter()
    }
}

/// The elements of an [`Array`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    reader: Reader<'a>,
    descriptors: Vec<Value>,
    format: u8,
    left: u32,
}

impl Iterator for Elements<'_> {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        self.left = self.left.checked_sub(1)?;
        let mut value = Value::decode_data(&mut self.reader, self.format).ok()?;
        for descriptor in self.descriptors.iter().rev() {
            value = Value::Described(Box::new(Described { descriptor: descriptor.clone(), value }));
        }
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, usize::try_from(self.left).ok())
    }
}
