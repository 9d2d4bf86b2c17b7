//! Any AMQP value (part 1), owned.

use super::{
    Array, Decimal32, Decimal64, Decimal128, Map, Str, Symbol, Timestamp, Uuid, format_code as code, primitive,
    scalar::scalars,
};
use crate::{Decode, DecodeError, Encode, EncodeStyle, Reader, parse, steps::step, write};
use alloc::{boxed::Box, string::String, vec::Vec};
use bytes::{BufMut, Bytes, BytesMut};

/// A value of any type. Strings and binaries share the buffer that they were read from.
#[derive(Clone, Default)]
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
    List(Vec<Self>),
    Map(Map),
    Array(Array),
    Described(Box<Described>),
}

/// A value with a descriptor (§1.2) that says what it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Described {
    /// The descriptor: a symbol or an unsigned long in everything that is defined so far.
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
        Ok(scalars!(reader, format, {
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
        }))
    }
}

/// The items of a list, after its format code.
pub(crate) fn decode_list(reader: &mut Reader<'_>, format: u8) -> Result<Vec<Value>, DecodeError> {
    let (count, mut inner) = reader.list(format)?;
    let mut items = Vec::with_capacity(inner.capacity(count, |rest| rest.skip().map(drop))?);
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

/// Applies `$do` to whatever the value holds, lists, null and described values apart.
macro_rules! each {
    ($this:expr, $v:ident => $do:expr, { $($own:tt)* }) => {
        match $this {
            $($own)*
            Value::Boolean($v) => $do,
            Value::Ubyte($v) => $do,
            Value::Ushort($v) => $do,
            Value::Uint($v) => $do,
            Value::Ulong($v) => $do,
            Value::Byte($v) => $do,
            Value::Short($v) => $do,
            Value::Int($v) => $do,
            Value::Long($v) => $do,
            Value::Float($v) => $do,
            Value::Double($v) => $do,
            Value::Decimal32($v) => $do,
            Value::Decimal64($v) => $do,
            Value::Decimal128($v) => $do,
            Value::Char($v) => $do,
            Value::Timestamp($v) => $do,
            Value::Uuid($v) => $do,
            Value::Binary($v) => $do,
            Value::String($v) => $do,
            Value::Symbol($v) => $do,
            Value::Map($v) => $do,
            Value::Array($v) => $do,
        }
    };
}

impl Encode for Value {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        each!(self, value => value.encoded_len(style), {
            Self::Null => 1,
            Self::List(items) => list_len(items, style),
            Self::Described(described) => described
                .descriptor
                .encoded_len(style)
                .saturating_add(described.value.encoded_len(style))
                .saturating_add(1),
        })
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        each!(self, value => value.encode(style, out), {
            Self::Null => out.put_u8(code::NULL),
            Self::List(items) => encode_list(items, style, out),
            Self::Described(described) => {
                out.put_u8(code::DESCRIBED);
                described.descriptor.encode(style, out);
                described.value.encode(style, out);
            }
        });
    }
}

impl Decode for Value {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if let Some(octets) = reader.counted8(code::STR8) {
            return Str::from_octets(reader, reader.share(octets)).map(Self::String);
        }
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
        step();
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
