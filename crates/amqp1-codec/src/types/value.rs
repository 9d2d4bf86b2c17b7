//! Any AMQP value (part 1), owned.

use super::{
    Array, Decimal32, Decimal64, Decimal128, Map, Str, Symbol, Timestamp, Uuid, format_code as code, primitive,
};
use crate::{Decode, DecodeError, Encode, EncodeStyle, Reader, parse, write};
use alloc::{boxed::Box, string::String, vec::Vec};
use bytes::{BufMut, Bytes, BytesMut};

/// A value of any type. Strings and binaries share the buffer that they were read from.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub enum Value {
    #[default]
    Null,
    Boolean(bool),
    Ubyte(u8),
    Ushort(u16),
    Uint(u32),
    Ulong(u64),
    Byte(i8),
    Short(i16),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Decimal32(Decimal32),
    Decimal64(Decimal64),
    Decimal128(Decimal128),
    Char(char),
    Timestamp(Timestamp),
    Uuid(Uuid),
    Binary(Bytes),
    String(Str),
    Symbol(Symbol),
    List(Vec<Value>),
    Map(Map),
    Array(Array),
    Described(Box<Described>),
}

/// A value with a descriptor (§1.2) that says what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// What the value is: a symbol or an unsigned long in everything that is defined so far.
    pub descriptor: Value,
    /// The value.
    pub value: Value,
}

impl Value {
    /// A described value.
    pub fn described(descriptor: impl Into<Self>, value: impl Into<Self>) -> Self {
        Self::Described(Box::new(Described { descriptor: descriptor.into(), value: value.into() }))
    }

    /// The text of a string or a symbol.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text.as_str()),
            Self::Symbol(text) => Some(text.as_str()),
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

    /// Whether this is the null value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value after its format code.
    pub(crate) fn decode_data(reader: &mut Reader<'_>, format: u8) -> Result<Self, DecodeError> {
        Ok(match format {
            code::NULL => Self::Null,
            code::TRUE => Self::Boolean(true),
            code::FALSE => Self::Boolean(false),
            code::BOOLEAN => Self::Boolean(primitive::boolean(reader)?),
            code::UBYTE => Self::Ubyte(reader.u8()?),
            code::USHORT => Self::Ushort(reader.run(parse::be_u16)?),
            code::UINT => Self::Uint(reader.be_u32()?),
            code::SMALL_UINT => Self::Uint(u32::from(reader.u8()?)),
            code::UINT0 => Self::Uint(0),
            code::ULONG => Self::Ulong(reader.run(parse::be_u64)?),
            code::SMALL_ULONG => Self::Ulong(u64::from(reader.u8()?)),
            code::ULONG0 => Self::Ulong(0),
            code::BYTE => Self::Byte(i8::from_be_bytes(reader.run(parse::octets)?)),
            code::SHORT => Self::Short(i16::from_be_bytes(reader.run(parse::octets)?)),
            code::INT => Self::Int(i32::from_be_bytes(reader.run(parse::octets)?)),
            code::SMALL_INT => Self::Int(i32::from(i8::from_be_bytes(reader.run(parse::octets)?))),
            code::LONG => Self::Long(i64::from_be_bytes(reader.run(parse::octets)?)),
            code::SMALL_LONG => Self::Long(i64::from(i8::from_be_bytes(reader.run(parse::octets)?))),
            code::FLOAT => Self::Float(f32::from_be_bytes(reader.run(parse::octets)?)),
            code::DOUBLE => Self::Double(f64::from_be_bytes(reader.run(parse::octets)?)),
            code::DECIMAL32 => Self::Decimal32(Decimal32(reader.run(parse::octets)?)),
            code::DECIMAL64 => Self::Decimal64(Decimal64(reader.run(parse::octets)?)),
            code::DECIMAL128 => Self::Decimal128(Decimal128(reader.run(parse::octets)?)),
            code::CHAR => Self::Char(primitive::character(reader)?),
            code::TIMESTAMP => Self::Timestamp(Timestamp(i64::from_be_bytes(reader.run(parse::octets)?))),
            code::UUID => Self::Uuid(Uuid(reader.run(parse::octets)?)),
            code::VBIN8 | code::VBIN32 => {
                let octets = if format == code::VBIN8 { reader.variable8()? } else { reader.variable32()? };
                Self::Binary(reader.share(octets))
            }
            code::STR8 | code::STR32 => {
                let octets = if format == code::STR8 { reader.variable8()? } else { reader.variable32()? };
                Self::String(Str::from_octets(reader, reader.share(octets))?)
            }
            code::SYM8 | code::SYM32 => {
                let octets = if format == code::SYM8 { reader.variable8()? } else { reader.variable32()? };
                Self::Symbol(Symbol::from_octets(reader, reader.share(octets))?)
            }
            code::LIST0 | code::LIST8 | code::LIST32 => Self::List(decode_list(reader, format)?),
            code::MAP8 | code::MAP32 => Self::Map(Map::decode_data(reader, format)?),
            code::ARRAY8 | code::ARRAY32 => Self::Array(Array::decode_data(reader, format)?),
            other => return Err(reader.wrong_code(other)),
        })
    }

    /// The narrowest format code for this value as an element of an array, where no code without data is used. Of the
    /// codes of one type, the greater is the wider.
    pub(crate) fn array_code(&self) -> u8 {
        let narrow = |fits: bool, narrow: u8, wide: u8| if fits { narrow } else { wide };
        match self {
            Self::Null => code::NULL,
            Self::Boolean(_) => code::BOOLEAN,
            Self::Uint(number) => narrow(*number <= 255, code::SMALL_UINT, code::UINT),
            Self::Ulong(number) => narrow(*number <= 255, code::SMALL_ULONG, code::ULONG),
            Self::List(items) => {
                let body = items.iter().map(|item| item.encoded_len(EncodeStyle::Compact)).sum();
                narrow(write::compound_len(body, items.len()) == body.saturating_add(3), code::LIST8, code::LIST32)
            }
            _ => self.format_code(),
        }
    }

    /// The narrowest format code for this value.
    fn format_code(&self) -> u8 {
        let variable = |length: usize, narrow: u8, wide: u8| if length <= 255 { narrow } else { wide };
        match self {
            Self::Null => code::NULL,
            Self::Boolean(true) => code::TRUE,
            Self::Boolean(false) => code::FALSE,
            Self::Ubyte(_) => code::UBYTE,
            Self::Ushort(_) => code::USHORT,
            Self::Uint(0) => code::UINT0,
            Self::Uint(1..=255) => code::SMALL_UINT,
            Self::Uint(_) => code::UINT,
            Self::Ulong(0) => code::ULONG0,
            Self::Ulong(1..=255) => code::SMALL_ULONG,
            Self::Ulong(_) => code::ULONG,
            Self::Byte(_) => code::BYTE,
            Self::Short(_) => code::SHORT,
            Self::Int(-128..=127) => code::SMALL_INT,
            Self::Int(_) => code::INT,
            Self::Long(-128..=127) => code::SMALL_LONG,
            Self::Long(_) => code::LONG,
            Self::Float(_) => code::FLOAT,
            Self::Double(_) => code::DOUBLE,
            Self::Decimal32(_) => code::DECIMAL32,
            Self::Decimal64(_) => code::DECIMAL64,
            Self::Decimal128(_) => code::DECIMAL128,
            Self::Char(_) => code::CHAR,
            Self::Timestamp(_) => code::TIMESTAMP,
            Self::Uuid(_) => code::UUID,
            Self::Binary(octets) => variable(octets.len(), code::VBIN8, code::VBIN32),
            Self::String(text) => variable(text.len(), code::STR8, code::STR32),
            Self::Symbol(text) => variable(text.len(), code::SYM8, code::SYM32),
            Self::List(items) if items.is_empty() => code::LIST0,
            Self::List(_) => self.array_code(),
            Self::Map(map) => {
                let length = map.encoded_len(EncodeStyle::Compact);
                if length <= 257 && map.len() <= 127 { code::MAP8 } else { code::MAP32 }
            }
            Self::Array(array) => array.format_code(),
            Self::Described(_) => code::DESCRIBED,
        }
    }

    /// Appends the data after `format`, which must be a code of this value's type that is wide enough.
    pub(crate) fn encode_data(&self, format: u8, out: &mut BytesMut) {
        match self {
            Self::Null => {}
            Self::Boolean(value) if format == code::BOOLEAN => out.put_u8(u8::from(*value)),
            Self::Boolean(_) => {}
            Self::Ubyte(value) => out.put_u8(*value),
            Self::Ushort(value) => out.put_u16(*value),
            Self::Uint(value) => put_unsigned(u64::from(*value), format, 4, out),
            Self::Ulong(value) => put_unsigned(*value, format, 8, out),
            Self::Byte(value) => out.put_i8(*value),
            Self::Short(value) => out.put_i16(*value),
            Self::Int(value) if format == code::INT => out.put_i32(*value),
            Self::Int(value) => out.put_i8(*value as i8),
            Self::Long(value) if format == code::LONG => out.put_i64(*value),
            Self::Long(value) => out.put_i8(*value as i8),
            Self::Float(value) => out.put_f32(*value),
            Self::Double(value) => out.put_f64(*value),
            Self::Decimal32(value) => out.put_slice(&value.0),
            Self::Decimal64(value) => out.put_slice(&value.0),
            Self::Decimal128(value) => out.put_slice(&value.0),
            Self::Char(value) => out.put_u32(u32::from(*value)),
            Self::Timestamp(value) => out.put_i64(value.0),
            Self::Uuid(value) => out.put_slice(&value.0),
            Self::Binary(octets) => put_variable(octets, format == code::VBIN8, out),
            Self::String(text) => put_variable(text.as_bytes(), format == code::STR8, out),
            Self::Symbol(text) => put_variable(text.as_bytes(), format == code::SYM8, out),
            Self::List(items) => {
                let mut body = BytesMut::new();
                items.iter().for_each(|item| item.encode(EncodeStyle::Compact, &mut body));
                put_compound(&body, items.len(), format == code::LIST8, out);
            }
            Self::Map(map) => {
                let mut body = BytesMut::new();
                for (key, value) in map.iter() {
                    key.encode(EncodeStyle::Compact, &mut body);
                    value.encode(EncodeStyle::Compact, &mut body);
                }
                put_compound(&body, map.len().saturating_mul(2), format == code::MAP8, out);
            }
            Self::Array(array) => array.encode_data(format, out),
            // The descriptors of an array's elements stand in its constructor.
            Self::Described(_) => {}
        }
    }
}

fn put_unsigned(value: u64, format: u8, width: usize, out: &mut BytesMut) {
    match code::width(format) {
        Some(code::Width::Fixed(0)) => {}
        Some(code::Width::Fixed(1)) => out.put_u8(value as u8),
        _ => out.put_uint(value, width),
    }
}

fn put_variable(octets: &[u8], narrow: bool, out: &mut BytesMut) {
    if narrow {
        out.put_u8(u8::try_from(octets.len()).unwrap_or(u8::MAX));
    } else {
        out.put_u32(write::saturating_u32(octets.len()));
    }
    out.put_slice(octets);
}

fn put_compound(body: &[u8], count: usize, narrow: bool, out: &mut BytesMut) {
    if narrow {
        out.put_u8(u8::try_from(body.len().saturating_add(1)).unwrap_or(u8::MAX));
        out.put_u8(u8::try_from(count).unwrap_or(u8::MAX));
    } else {
        out.put_u32(write::saturating_u32(body.len().saturating_add(4)));
        out.put_u32(write::saturating_u32(count));
    }
    out.put_slice(body);
}

/// The items of a list, after its format code.
pub(crate) fn decode_list(reader: &mut Reader<'_>, format: u8) -> Result<Vec<Value>, DecodeError> {
    let (count, mut inner) = reader.list(format)?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(Value::decode(&mut inner)?);
    }
    inner.end_of_compound()?;
    Ok(items)
}

/// Appends a list of values.
pub(crate) fn encode_list(items: &[Value], style: EncodeStyle, out: &mut BytesMut) {
    if items.is_empty() && style == EncodeStyle::Compact {
        return out.put_u8(code::LIST0);
    }
    write::compound(code::LIST8, code::LIST32, out, |out| {
        items.iter().for_each(|item| item.encode(style, out));
        items.len()
    });
}

pub(crate) fn list_len(items: &[Value], style: EncodeStyle) -> usize {
    if items.is_empty() && style == EncodeStyle::Compact {
        return 1;
    }
    write::compound_len(items.iter().map(|item| item.encoded_len(style)).sum(), items.len())
}

impl Encode for Value {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        match self {
            Self::List(items) => list_len(items, style),
            Self::Map(map) => map.encoded_len(style),
            Self::Array(array) => array.encoded_len(style),
            Self::Binary(octets) => octets.encoded_len(style),
            Self::String(text) => text.encoded_len(style),
            Self::Symbol(text) => text.encoded_len(style),
            Self::Described(described) => described
                .descriptor
                .encoded_len(style)
                .saturating_add(described.value.encoded_len(style))
                .saturating_add(1),
            fixed => match code::width(fixed.format_code()) {
                Some(code::Width::Fixed(width)) => usize::from(width).saturating_add(1),
                _ => 1,
            },
        }
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        match self {
            Self::List(items) => encode_list(items, style, out),
            Self::Map(map) => map.encode(style, out),
            Self::Array(array) => array.encode(style, out),
            Self::Described(described) => {
                out.put_u8(code::DESCRIBED);
                described.descriptor.encode(style, out);
                described.value.encode(style, out);
            }
            other => {
                let format = other.format_code();
                out.put_u8(format);
                other.encode_data(format, out);
            }
        }
    }
}

impl Decode for Value {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let format = reader.u8()?;
        if format != code::DESCRIBED {
            return Self::decode_data(reader, format);
        }
        reader.descend()?;
        let descriptor = Self::decode(reader)?;
        let value = Self::decode(reader)?;
        reader.ascend();
        Ok(Self::described(descriptor, value))
    }
}

/// Floating-point numbers are compared by their bits, so that every value equals itself.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Ubyte(a), Self::Ubyte(b)) => a == b,
            (Self::Ushort(a), Self::Ushort(b)) => a == b,
            (Self::Uint(a), Self::Uint(b)) => a == b,
            (Self::Ulong(a), Self::Ulong(b)) => a == b,
            (Self::Byte(a), Self::Byte(b)) => a == b,
            (Self::Short(a), Self::Short(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Long(a), Self::Long(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Double(a), Self::Double(b)) => a.to_bits() == b.to_bits(),
            (Self::Decimal32(a), Self::Decimal32(b)) => a == b,
            (Self::Decimal64(a), Self::Decimal64(b)) => a == b,
            (Self::Decimal128(a), Self::Decimal128(b)) => a == b,
            (Self::Char(a), Self::Char(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Uuid(a), Self::Uuid(b)) => a == b,
            (Self::Binary(a), Self::Binary(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Symbol(a), Self::Symbol(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Described(a), Self::Described(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

macro_rules! from {
    ($($ty:ty => $variant:ident),+ $(,)?) => { $(
        impl From<$ty> for Value {
            fn from(value: $ty) -> Self {
                Self::$variant(value.into())
            }
        }
    )+ };
}
from! {
    bool => Boolean, u8 => Ubyte, u16 => Ushort, u32 => Uint, u64 => Ulong, i8 => Byte, i16 => Short, i32 => Int,
    i64 => Long, f32 => Float, f64 => Double, Decimal32 => Decimal32, Decimal64 => Decimal64,
    Decimal128 => Decimal128, char => Char, Timestamp => Timestamp, Uuid => Uuid, Bytes => Binary, Str => String,
    &str => String, String => String, Symbol => Symbol, Vec<Value> => List, Map => Map, Array => Array,
    Described => Described,
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
