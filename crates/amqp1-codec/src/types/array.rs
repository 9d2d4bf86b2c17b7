//! Arrays (§1.6.24): many values of one type. They stay encoded until they are walked, so that a few octets cannot
//! become many values.

use super::{Described, element, format_code as code};
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Limits, Reader, Value, steps::step, write};
use alloc::{boxed::Box, vec::Vec};
use bytes::{BufMut, Bytes, BytesMut};
use core::fmt;

/// An array: a constructor, and the data of its elements.
#[derive(Clone)]
pub struct Array(Box<Parts>);

#[derive(Clone)]
struct Parts {
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
        Self::of(Bytes::from_static(&[code::NULL]), 0, Bytes::new(), true)
    }
}

/// An array that claims more elements of no width than this is written as it came: with an octet for each, a few
/// octets would become many.
const WIDENED: u32 = 32;

impl Array {
    /// How many octets of memory it takes beside itself.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Parts>().saturating_add(self.0.constructor.len()).saturating_add(self.0.octets.len())
    }

    fn of(constructor: Bytes, count: u32, octets: Bytes, canonical: bool) -> Self {
        Self(Box::new(Parts { constructor, count, octets, canonical }))
    }

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
        let format = values.first().map_or(code::NULL, element::widest_for);
        let mut octets = BytesMut::new();
        for value in &values {
            if element::widest_for(value) != format {
                return Err(MixedArray);
            }
            element::write_wide(value, &mut octets);
        }
        Ok(Self::narrowed(constructor, write::saturating_u32(values.len()), format, octets.freeze()))
    }

    /// `format` is not yet in `constructor`; the octets are in it.
    fn narrowed(mut constructor: BytesMut, count: u32, format: u8, octets: Bytes) -> Self {
        let (format, octets) = match element::narrow(format, &octets) {
            Some((narrow, octets)) => (narrow, octets.freeze()),
            None => (format, octets),
        };
        constructor.put_u8(format);
        Self::of(constructor.freeze(), count, octets, true)
    }

    /// An empty array of the type that `sample` has.
    pub fn empty_like(sample: &Value) -> Self {
        let mut array = Self::from_values([sample.clone()]).unwrap_or_default();
        array.0.count = 0;
        array.0.octets = Bytes::new();
        // A form that was too wide for the sample may be narrower for no elements.
        array.0.canonical = false;
        array.to_canonical()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        usize::try_from(self.0.count).unwrap_or(usize::MAX)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.count == 0
    }

    /// The octets of the constructor that all elements share, a descriptor included.
    pub fn constructor(&self) -> &[u8] {
        &self.0.constructor
    }

    /// The format code of the elements, which ends the constructor.
    fn format(&self) -> u8 {
        self.0.constructor.last().copied().unwrap_or(code::NULL)
    }

    /// The descriptors that the elements share, the outermost first; mostly none.
    pub fn descriptors(&self) -> impl Iterator<Item = Value> + '_ {
        let mut constructor = Reader::with_limits(&self.0.constructor, VALID);
        core::iter::from_fn(move || {
            if constructor.peek() != Some(code::DESCRIBED) {
                return None;
            }
            constructor.u8().ok()?;
            Value::decode(&mut constructor).ok()
        })
    }

    /// The elements, decoded one by one.
    pub fn iter(&self) -> Elements<'_> {
        Elements { descriptors: self.descriptors().collect(), ..self.undescribed() }
    }

    /// The elements without the descriptors that they share.
    pub(crate) fn undescribed(&self) -> Elements<'_> {
        let reader = Reader::with_limits(&self.0.octets, VALID);
        Elements { reader, descriptors: Vec::new(), format: self.format(), left: self.0.count }
    }

    /// As [`undescribed`](Self::undescribed), but where elements have no width, and so are all the same, only one.
    pub(crate) fn distinct(&self) -> Elements<'_> {
        let mut elements = self.undescribed();
        if code::width(elements.format) == Some(code::Width::Fixed(0)) {
            elements.left = elements.left.min(1);
        }
        elements
    }

    /// The difference between arrays whose elements are the same or missing: how many elements, and the widest form of
    /// their constructor.
    pub(crate) fn kind(&self) -> (u32, u8) {
        (self.0.count, element::widest(self.format()))
    }

    /// Whether the octets are the same, which is more than that the elements are.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.count == other.0.count && self.0.constructor == other.0.constructor && self.0.octets == other.0.octets
    }

    fn to_canonical(&self) -> Self {
        if self.0.canonical {
            return self.clone();
        }
        let Parts { count, octets, .. } = &*self.0;
        let mut constructor = BytesMut::new();
        for descriptor in self.descriptors() {
            constructor.put_u8(code::DESCRIBED);
            descriptor.encode(EncodeStyle::Compact, &mut constructor);
        }
        let repeat = |unit: &[u8]| Bytes::from(unit.repeat(self.len()));
        let few = *count <= WIDENED;
        let (format, octets) = match self.format() {
            code::TRUE if few => (code::BOOLEAN, repeat(&[1])),
            code::FALSE if few => (code::BOOLEAN, repeat(&[0])),
            code::UINT0 if few => (code::SMALL_UINT, repeat(&[0])),
            code::ULONG0 if few => (code::SMALL_ULONG, repeat(&[0])),
            code::LIST0 if few => (code::LIST8, repeat(&[1, 0])),
            format @ (code::LIST8 | code::LIST32 | code::MAP8 | code::MAP32 | code::ARRAY8 | code::ARRAY32) => {
                let mut wide = BytesMut::with_capacity(octets.len());
                self.undescribed().for_each(|value| element::write_wide(&value, &mut wide));
                (element::widest(format), wide.freeze())
            }
            format => (format, octets.clone()),
        };
        Self::narrowed(constructor, *count, format, octets)
    }

    /// The array after its format code, checked element by element.
    pub(crate) fn decode_data(reader: &mut Reader<'_>, format: u8) -> Result<Self, DecodeError> {
        let (count, mut inner) = reader.array(format)?;
        let start = inner.rest_slice();
        let element = inner.array_constructor()?;
        let constructor = start.get(..start.len().saturating_sub(inner.remaining())).unwrap_or_default();
        let octets = inner.rest_slice();
        if inner.check_elements(count, element)? {
            for _ in 0..count {
                step();
                Value::decode_data(&mut inner, element)?;
            }
        }
        inner.end_of_compound()?;
        Ok(Self::of(reader.share(constructor), count, reader.share(octets), false))
    }

    /// Appends the array's data in the form for array32.
    pub(crate) fn write_wide(&self, out: &mut BytesMut) {
        let array = self.to_canonical();
        out.put_u32(write::saturating_u32(array.body().saturating_add(4)));
        out.put_u32(array.0.count);
        out.put_slice(&array.0.constructor);
        out.put_slice(&array.0.octets);
    }

    /// Octets of the constructor and of the elements.
    fn body(&self) -> usize {
        self.0.constructor.len().saturating_add(self.0.octets.len())
    }
}

/// An array that was decoded or built is valid, whatever the limits of the connection were.
const VALID: Limits = Limits { depth: u8::MAX, zero_width_elements: u32::MAX, ..Limits::DEFAULT };

impl<'a> Reader<'a> {
    /// The count, and the constructor with the elements, of an array, after its format code.
    pub(crate) fn array(&mut self, format: u8) -> Result<(u32, Self), DecodeError> {
        match format {
            code::ARRAY8 => self.compound(false),
            code::ARRAY32 => self.compound(true),
            other => Err(self.wrong_code(other)),
        }
    }

    /// The constructor of an array's elements, down to its format code. Each descriptor is a level.
    pub(crate) fn array_constructor(&mut self) -> Result<u8, DecodeError> {
        while self.peek() == Some(code::DESCRIBED) {
            self.u8()?;
            self.descend()?;
            Value::decode(self)?;
        }
        let format = self.u8()?;
        if code::width(format).is_some() { Ok(format) } else { Err(self.wrong_code(format)) }
    }

    /// Checks that there can be `count` elements of this constructor, and says whether they have any width.
    pub(crate) fn check_elements(&self, count: u32, format: u8) -> Result<bool, DecodeError> {
        let wide = code::width(format) != Some(code::Width::Fixed(0));
        let most = if wide { write::saturating_u32(self.remaining()) } else { self.packed().zero_width_elements };
        if count > most { Err(self.error(DecodeErrorKind::ElementsExceeded)) } else { Ok(wide) }
    }
}

impl Encode for Array {
    fn encoded_len(&self, _: EncodeStyle) -> usize {
        let array = self.to_canonical();
        write::compound_len(array.body(), array.len())
    }

    fn encode(&self, _: EncodeStyle, out: &mut BytesMut) {
        let array = self.to_canonical();
        match (u8::try_from(array.body().saturating_add(1)), u8::try_from(array.0.count)) {
            (Ok(size), Ok(count)) => out.put_slice(&[code::ARRAY8, size, count]),
            _ => {
                out.put_u8(code::ARRAY32);
                out.put_u32(write::saturating_u32(array.body().saturating_add(4)));
                out.put_u32(array.0.count);
            }
        }
        out.put_slice(&array.0.constructor);
        out.put_slice(&array.0.octets);
    }
}

impl Decode for Array {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let format = reader.u8()?;
        Self::decode_data(reader, format)
    }
}

impl PartialEq for Array {
    /// Whether the elements are equal, however they are encoded. Empty arrays of different types differ.
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
            || (self.kind() == other.kind()
                && self.descriptors().eq(other.descriptors())
                && if self.is_uniform() && other.is_uniform() {
                    self.distinct().eq(other.distinct())
                } else {
                    self.undescribed().eq(other.undescribed())
                })
    }
}

impl Array {
    /// Whether the elements are symbols, not described.
    pub(crate) fn is_of_symbols(&self) -> bool {
        matches!(self.constructor(), [code::SYM8 | code::SYM32])
    }

    /// Whether the elements have no width, and so are all the same.
    pub(crate) fn is_uniform(&self) -> bool {
        code::width(self.format()) == Some(code::Width::Fixed(0))
    }
}

impl Eq for Array {}

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
