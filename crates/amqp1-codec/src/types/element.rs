//! The elements of arrays as octets: which constructors belong to a type, and the narrowest that fits all elements.

use super::format_code as code;
use crate::{Value, parse, write};
use bytes::{BufMut, BytesMut};

/// The widest constructor of the type that a constructor belongs to: what all elements can be written with, and what
/// tells types apart.
pub(crate) const fn widest(format: u8) -> u8 {
    match format {
        code::TRUE | code::FALSE => code::BOOLEAN,
        code::UINT0 | code::SMALL_UINT => code::UINT,
        code::ULONG0 | code::SMALL_ULONG => code::ULONG,
        code::SMALL_INT => code::INT,
        code::SMALL_LONG => code::LONG,
        code::VBIN8 => code::VBIN32,
        code::STR8 => code::STR32,
        code::SYM8 => code::SYM32,
        code::LIST0 | code::LIST8 => code::LIST32,
        code::MAP8 => code::MAP32,
        code::ARRAY8 => code::ARRAY32,
        other => other,
    }
}

/// The widest constructor for this value. Described values have none of their own.
pub(crate) const fn widest_for(value: &Value) -> u8 {
    match value {
        Value::Null => code::NULL,
        Value::Boolean(_) => code::BOOLEAN,
        Value::Ubyte(_) => code::UBYTE,
        Value::Ushort(_) => code::USHORT,
        Value::Uint(_) => code::UINT,
        Value::Ulong(_) => code::ULONG,
        Value::Byte(_) => code::BYTE,
        Value::Short(_) => code::SHORT,
        Value::Int(_) => code::INT,
        Value::Long(_) => code::LONG,
        Value::Float(_) => code::FLOAT,
        Value::Double(_) => code::DOUBLE,
        Value::Decimal32(_) => code::DECIMAL32,
        Value::Decimal64(_) => code::DECIMAL64,
        Value::Decimal128(_) => code::DECIMAL128,
        Value::Char(_) => code::CHAR,
        Value::Timestamp(_) => code::TIMESTAMP,
        Value::Uuid(_) => code::UUID,
        Value::Binary(_) => code::VBIN32,
        Value::String(_) => code::STR32,
        Value::Symbol(_) => code::SYM32,
        Value::List(_) => code::LIST32,
        Value::Map(_) => code::MAP32,
        Value::Array(_) => code::ARRAY32,
        Value::Described(_) => code::DESCRIBED,
    }
}

/// Appends the data of one element with its widest constructor.
pub(crate) fn write_wide(value: &Value, out: &mut BytesMut) {
    match value {
        // The descriptors of an array's elements stand in its constructor.
        Value::Null | Value::Described(_) => {}
        Value::Boolean(v) => out.put_u8(u8::from(*v)),
        Value::Ubyte(v) => out.put_u8(*v),
        Value::Ushort(v) => out.put_u16(*v),
        Value::Uint(v) => out.put_u32(*v),
        Value::Ulong(v) => out.put_u64(*v),
        Value::Byte(v) => out.put_i8(*v),
        Value::Short(v) => out.put_i16(*v),
        Value::Int(v) => out.put_i32(*v),
        Value::Long(v) => out.put_i64(*v),
        Value::Float(v) => out.put_f32(*v),
        Value::Double(v) => out.put_f64(*v),
        Value::Decimal32(v) => out.put_slice(&v.0),
        Value::Decimal64(v) => out.put_slice(&v.0),
        Value::Decimal128(v) => out.put_slice(&v.0),
        Value::Char(v) => out.put_u32(u32::from(*v)),
        Value::Timestamp(v) => out.put_i64(v.0),
        Value::Uuid(v) => out.put_slice(&v.0),
        Value::Binary(v) => write_variable(v, out),
        Value::String(v) => write_variable(v.as_bytes(), out),
        Value::Symbol(v) => write_variable(v.as_bytes(), out),
        Value::List(items) => write::wide_compound(out, |out| write::items(items.iter(), out)),
        Value::Map(map) => {
            write::wide_compound(out, |out| write::items(map.iter().flat_map(|(key, value)| [key, value]), out));
        }
        Value::Array(array) => array.write_wide(out),
    }
}

fn write_variable(octets: &[u8], out: &mut BytesMut) {
    out.put_u32(write::saturating_u32(octets.len()));
    out.put_slice(octets);
}

/// Appends the narrow form of the first element, if it has one, and says how many octets the wide form had.
type Narrow = fn(&[u8], &mut BytesMut) -> Option<usize>;

/// The narrower constructor and data, if all of these elements fit it. `octets` are valid data of `format`.
pub(crate) fn narrow(format: u8, octets: &[u8]) -> Option<(u8, BytesMut)> {
    let (narrow, each): (u8, Narrow) = match format {
        code::UINT => (code::SMALL_UINT, |octets, out| {
            let (octets, _) = octets.split_first_chunk()?;
            out.put_u8(u8::try_from(u32::from_be_bytes(*octets)).ok()?);
            Some(octets.len())
        }),
        code::ULONG => (code::SMALL_ULONG, |octets, out| {
            let (octets, _) = octets.split_first_chunk()?;
            out.put_u8(u8::try_from(u64::from_be_bytes(*octets)).ok()?);
            Some(octets.len())
        }),
        code::INT => (code::SMALL_INT, |octets, out| {
            let (octets, _) = octets.split_first_chunk()?;
            out.put_i8(i8::try_from(i32::from_be_bytes(*octets)).ok()?);
            Some(octets.len())
        }),
        code::LONG => (code::SMALL_LONG, |octets, out| {
            let (octets, _) = octets.split_first_chunk()?;
            out.put_i8(i8::try_from(i64::from_be_bytes(*octets)).ok()?);
            Some(octets.len())
        }),
        code::VBIN32 => (code::VBIN8, narrow_variable),
        code::STR32 => (code::STR8, narrow_variable),
        code::SYM32 => (code::SYM8, narrow_variable),
        code::LIST32 => (code::LIST8, narrow_compound),
        code::MAP32 => (code::MAP8, narrow_compound),
        code::ARRAY32 => (code::ARRAY8, narrow_compound),
        _ => return None,
    };
    let mut out = BytesMut::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let width = each(rest, &mut out)?;
        rest = rest.get(width..)?;
    }
    Some((narrow, out))
}

fn narrow_variable(octets: &[u8], out: &mut BytesMut) -> Option<usize> {
    let (rest, size) = parse::be_u32(octets).ok()?;
    let data = rest.get(..usize::try_from(size).ok()?)?;
    out.put_u8(u8::try_from(size).ok()?);
    out.put_slice(data);
    data.len().checked_add(4)
}

fn narrow_compound(octets: &[u8], out: &mut BytesMut) -> Option<usize> {
    let (rest, size) = parse::be_u32(octets).ok()?;
    let (rest, count) = parse::be_u32(rest).ok()?;
    // The size covers the count, which becomes one octet.
    let data = rest.get(..usize::try_from(size).ok()?.checked_sub(4)?)?;
    out.put_u8(u8::try_from(data.len().checked_add(1)?).ok()?);
    out.put_u8(u8::try_from(count).ok()?);
    out.put_slice(data);
    data.len().checked_add(8)
}
