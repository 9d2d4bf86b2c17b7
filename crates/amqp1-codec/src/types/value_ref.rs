//! A value that is looked at where it lies, without being taken out of its buffer.

use super::{
    Decimal32, Decimal64, Decimal128, Str, Symbol, Timestamp, Uuid, Value,
    debug::{Octets, Text},
    format_code as code, primitive,
    scalar::scalars,
    text,
};
use crate::{Decode, DecodeError, Reader, parse, reader::TextKind};
use core::fmt;

/// A value read in place. Scalars are decoded, texts and binaries borrowed, compounds walked on demand.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum ValueRef<'a> {
    /// null (§1.6.1).
    Null,
    /// boolean (§1.6.2).
    Boolean(bool),
    /// ubyte (§1.6.3).
    Ubyte(u8),
    /// ushort (§1.6.4).
    Ushort(u16),
    /// uint (§1.6.5).
    Uint(u32),
    /// ulong (§1.6.6).
    Ulong(u64),
    /// byte (§1.6.7).
    Byte(i8),
    /// short (§1.6.8).
    Short(i16),
    /// int (§1.6.9).
    Int(i32),
    /// long (§1.6.10).
    Long(i64),
    /// float (§1.6.11).
    Float(f32),
    /// double (§1.6.12).
    Double(f64),
    /// decimal32 (§1.6.13).
    Decimal32(Decimal32),
    /// decimal64 (§1.6.14).
    Decimal64(Decimal64),
    /// decimal128 (§1.6.15).
    Decimal128(Decimal128),
    /// char (§1.6.16).
    Char(char),
    /// timestamp (§1.6.17).
    Timestamp(Timestamp),
    /// uuid (§1.6.18).
    Uuid(Uuid),
    /// binary (§1.6.19).
    Binary(&'a [u8]),
    /// string (§1.6.20).
    String(&'a str),
    /// symbol (§1.6.21).
    Symbol(&'a str),
    /// list (§1.6.22).
    List(ListRef<'a>),
    /// map (§1.6.23).
    Map(MapRef<'a>),
    /// array (§1.6.24).
    Array(ArrayRef<'a>),
    /// A value with a descriptor (§1.2).
    Described(DescribedRef<'a>),
}

/// The items of a list, read as they are asked for. Octets that follow the last one are an error that comes after it.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a> {
    whole: Reader<'a>,
    items: Reader<'a>,
    left: u32,
}

/// The pairs of a map, read as they are asked for. Octets that follow the last one are an error that comes after it; that
/// a key stands twice is found only by decoding ([`ValueRef::to_value`]).
#[derive(Clone, Copy, Debug)]
pub struct MapRef<'a> {
    whole: Reader<'a>,
    items: Reader<'a>,
    left: u32,
}

/// An array that has not been looked into.
#[derive(Clone, Copy, Debug)]
pub struct ArrayRef<'a> {
    whole: Reader<'a>,
}

/// A described value that has not been looked into.
#[derive(Clone, Copy, Debug)]
pub struct DescribedRef<'a> {
    whole: Reader<'a>,
    inner: Reader<'a>,
}

impl<'a> ValueRef<'a> {
    /// Takes one value off the front of `reader` without decoding what stands inside compounds.
    ///
    /// # Errors
    ///
    /// As [`Decode`]; errors inside compounds appear when they are walked.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if let Some(octets) = reader.counted8(code::STR8) {
            return text::utf8(reader, octets).map(Self::String);
        }
        let whole = *reader;
        match whole.peek() {
            Some(code::VBIN8 | code::STR8 | code::SYM8 | code::VBIN32 | code::STR32 | code::SYM32) => {
                Self::read_variable(reader)
            }
            Some(code::LIST0 | code::LIST8 | code::LIST32) => {
                let format = reader.u8()?;
                let (left, items) = reader.list(format)?;
                Ok(Self::List(ListRef { whole, items, left }))
            }
            Some(code::MAP8 | code::MAP32) => MapRef::read(reader).map(Self::Map),
            Some(code::ARRAY8 | code::ARRAY32) => {
                reader.skip()?;
                Ok(Self::Array(ArrayRef { whole }))
            }
            Some(code::DESCRIBED) => {
                let mut inner = *reader;
                inner.u8()?;
                inner.descend()?;
                reader.skip()?;
                Ok(Self::Described(DescribedRef { whole, inner }))
            }
            _ => Self::read_scalar(reader),
        }
    }

    fn read_scalar(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let format = reader.u8()?;
        Ok(scalars!(reader, format, {
            other => return Err(reader.wrong_code(other)),
        }))
    }

    fn read_variable(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let format = reader.u8()?;
        let narrow = matches!(format, code::VBIN8 | code::STR8 | code::SYM8);
        let octets = if narrow { reader.variable8()? } else { reader.variable32()? };
        Ok(match format {
            code::VBIN8 | code::VBIN32 => Self::Binary(octets),
            code::STR8 | code::STR32 => Self::String(text::utf8(reader, octets)?),
            _ => Self::Symbol(text::ascii(reader, octets)?),
        })
    }

    /// The value, owned. A text or a binary is copied; those within compounds share the buffer.
    ///
    /// # Errors
    ///
    /// If what stands inside a compound is malformed.
    pub fn to_value(&self) -> Result<Value, DecodeError> {
        Ok(match *self {
            Self::Null => Value::Null,
            Self::Boolean(v) => v.into(),
            Self::Ubyte(v) => v.into(),
            Self::Ushort(v) => v.into(),
            Self::Uint(v) => v.into(),
            Self::Ulong(v) => v.into(),
            Self::Byte(v) => v.into(),
            Self::Short(v) => v.into(),
            Self::Int(v) => v.into(),
            Self::Long(v) => v.into(),
            Self::Float(v) => v.into(),
            Self::Double(v) => v.into(),
            Self::Decimal32(v) => v.into(),
            Self::Decimal64(v) => v.into(),
            Self::Decimal128(v) => v.into(),
            Self::Char(v) => v.into(),
            Self::Timestamp(v) => v.into(),
            Self::Uuid(v) => v.into(),
            Self::Binary(v) => Value::Binary(bytes::Bytes::copy_from_slice(v)),
            Self::String(v) => Value::String(Str::from(v)),
            Self::Symbol(v) => Symbol::new(v).map_or(Value::Null, Value::Symbol),
            Self::List(list) => Value::decode(&mut { list.whole })?,
            Self::Map(map) => Value::decode(&mut { map.whole })?,
            Self::Array(array) => Value::decode(&mut { array.whole })?,
            Self::Described(described) => Value::decode(&mut { described.whole })?,
        })
    }

    /// The text of a string or a symbol.
    pub fn as_text(&self) -> Option<&'a str> {
        match *self {
            Self::String(text) | Self::Symbol(text) => Some(text),
            _ => None,
        }
    }

    /// The number of any integer type.
    pub fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Self::Ubyte(number) => i128::from(number),
            Self::Ushort(number) => i128::from(number),
            Self::Uint(number) => i128::from(number),
            Self::Ulong(number) => i128::from(number),
            Self::Byte(number) => i128::from(number),
            Self::Short(number) => i128::from(number),
            Self::Int(number) => i128::from(number),
            Self::Long(number) => i128::from(number),
            _ => return None,
        })
    }
}

impl<'a> Iterator for ListRef<'a> {
    type Item = Result<ValueRef<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(left) = self.left.checked_sub(1) else { return self.items.take_excess().map(Err) };
        self.left = left;
        let item = ValueRef::read(&mut self.items);
        if item.is_err() {
            self.items.take_rest();
            self.left = 0;
        }
        Some(item)
    }
}

impl<'a> Iterator for MapRef<'a> {
    type Item = Result<(ValueRef<'a>, ValueRef<'a>), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(left) = self.left.checked_sub(1) else { return self.items.take_excess().map(Err) };
        self.left = left;
        let items = &mut self.items;
        let pair = ValueRef::read(items).and_then(|key| Ok((key, ValueRef::read(items)?)));
        if pair.is_err() {
            self.items.take_rest();
            self.left = 0;
        }
        Some(pair)
    }
}

impl<'a> MapRef<'a> {
    /// Takes a map off the front of `reader` without looking into it.
    #[inline]
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let whole = *reader;
        let (count, items) = reader.pairs()?;
        Ok(Self { whole, items, left: count / 2 })
    }

    /// How many octets the pairs have that were not walked yet.
    pub fn encoded_len(&self) -> usize {
        self.items.remaining()
    }

    /// The value for a key that is this text, as a string or as a symbol. Other keys and their values are skipped: what
    /// stands inside them is not looked at, nor what follows the key, and of a key that stands twice, which only decoding
    /// finds, it is the first.
    ///
    /// # Errors
    ///
    /// If a key or a value before it does not end within the map; if the value is malformed; if the key is not there and
    /// the map's size and its pairs do not agree.
    pub fn get(self, key: &str) -> Result<Option<ValueRef<'a>>, DecodeError> {
        self.find(key, TextKind { string: true, symbol: true })
    }

    /// As [`get`](Self::get), of keys of these types.
    #[inline(always)]
    pub(crate) fn find(mut self, key: &str, kind: TextKind) -> Result<Option<ValueRef<'a>>, DecodeError> {
        for _ in 0..self.left {
            if self.items.skip_if_text(key.as_bytes(), kind)? {
                return ValueRef::read(&mut self.items).map(Some);
            }
            self.items.skip()?;
        }
        self.items.end_of_compound().map(|()| None)
    }
}

impl<'a> DescribedRef<'a> {
    /// The descriptor and the value.
    ///
    /// # Errors
    ///
    /// If either is malformed.
    pub fn parts(&self) -> Result<(ValueRef<'a>, ValueRef<'a>), DecodeError> {
        let mut inner = self.inner;
        Ok((ValueRef::read(&mut inner)?, ValueRef::read(&mut inner)?))
    }
}

impl fmt::Debug for ValueRef<'_> {
    /// As the owned value, cut short where it is long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary(octets) => f.debug_tuple("Binary").field(&Octets(octets)).finish(),
            Self::String(text) => f.debug_tuple("String").field(&Text(text)).finish(),
            Self::Symbol(text) => f.debug_tuple("Symbol").field(&Text(text)).finish(),
            other => match other.to_value() {
                Ok(value) => fmt::Debug::fmt(&value, f),
                Err(error) => write!(f, "<{error}>"),
            },
        }
    }
}
