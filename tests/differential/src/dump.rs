//! The canonical dump: what a value is, however it was encoded, as octets that two programs can compare.
//!
//! | type | after the tag |
//! |---|---|
//! | fixed width | the value, big-endian, in the width of its type; boolean as one octet, floats by their bits |
//! | binary, string, symbol | u32 length, the octets |
//! | list, map | u32 number of items, the items, [`END`] |
//! | described | the descriptor, the value, [`END`] |
//! | array | u8 number of descriptors, tag of the elements, u32 number, the descriptors, the elements, [`END`] |
//!
//! The tags are the numbers of Proton's `pn_type_t`.

use amqp1_codec::{Array, Value};
use std::fmt::Write as _;

/// What ends the items of a compound.
pub(crate) const END: u8 = 0xff;

/// The tags of the types.
#[allow(missing_docs)]
pub(crate) mod tag {
    pub(crate) const NULL: u8 = 1;
    pub(crate) const BOOLEAN: u8 = 2;
    pub(crate) const UBYTE: u8 = 3;
    pub(crate) const BYTE: u8 = 4;
    pub(crate) const USHORT: u8 = 5;
    pub(crate) const SHORT: u8 = 6;
    pub(crate) const UINT: u8 = 7;
    pub(crate) const INT: u8 = 8;
    pub(crate) const CHAR: u8 = 9;
    pub(crate) const ULONG: u8 = 10;
    pub(crate) const LONG: u8 = 11;
    pub(crate) const TIMESTAMP: u8 = 12;
    pub(crate) const FLOAT: u8 = 13;
    pub(crate) const DOUBLE: u8 = 14;
    pub(crate) const DECIMAL32: u8 = 15;
    pub(crate) const DECIMAL64: u8 = 16;
    pub(crate) const DECIMAL128: u8 = 17;
    pub(crate) const UUID: u8 = 18;
    pub(crate) const BINARY: u8 = 19;
    pub(crate) const STRING: u8 = 20;
    pub(crate) const SYMBOL: u8 = 21;
    pub(crate) const DESCRIBED: u8 = 22;
    pub(crate) const ARRAY: u8 = 23;
    pub(crate) const LIST: u8 = 24;
    pub(crate) const MAP: u8 = 25;
}

/// The tag of the type that a format code belongs to (§1.6); `None` if it is none, or that of described values.
pub(crate) const fn tag_of(format: u8) -> Option<u8> {
    Some(match format {
        0x40 => tag::NULL,
        0x41 | 0x42 | 0x56 => tag::BOOLEAN,
        0x50 => tag::UBYTE,
        0x51 => tag::BYTE,
        0x60 => tag::USHORT,
        0x61 => tag::SHORT,
        0x43 | 0x52 | 0x70 => tag::UINT,
        0x54 | 0x71 => tag::INT,
        0x44 | 0x53 | 0x80 => tag::ULONG,
        0x55 | 0x81 => tag::LONG,
        0x72 => tag::FLOAT,
        0x73 => tag::CHAR,
        0x74 => tag::DECIMAL32,
        0x82 => tag::DOUBLE,
        0x83 => tag::TIMESTAMP,
        0x84 => tag::DECIMAL64,
        0x94 => tag::DECIMAL128,
        0x98 => tag::UUID,
        0xa0 | 0xb0 => tag::BINARY,
        0xa1 | 0xb1 => tag::STRING,
        0xa3 | 0xb3 => tag::SYMBOL,
        0x45 | 0xc0 | 0xd0 => tag::LIST,
        0xc1 | 0xd1 => tag::MAP,
        0xe0 | 0xf0 => tag::ARRAY,
        _ => return None,
    })
}

/// Appends the dump of a value that the codec read.
pub(crate) fn dump(value: &Value, out: &mut Vec<u8>) {
    let mut fixed = |tag: u8, octets: &[u8]| {
        out.push(tag);
        out.extend_from_slice(octets);
    };
    match value {
        Value::Null => fixed(tag::NULL, &[]),
        Value::Boolean(v) => fixed(tag::BOOLEAN, &[u8::from(*v)]),
        Value::Ubyte(v) => fixed(tag::UBYTE, &[*v]),
        Value::Ushort(v) => fixed(tag::USHORT, &v.to_be_bytes()),
        Value::Uint(v) => fixed(tag::UINT, &v.to_be_bytes()),
        Value::Ulong(v) => fixed(tag::ULONG, &v.to_be_bytes()),
        Value::Byte(v) => fixed(tag::BYTE, &v.to_be_bytes()),
        Value::Short(v) => fixed(tag::SHORT, &v.to_be_bytes()),
        Value::Int(v) => fixed(tag::INT, &v.to_be_bytes()),
        Value::Long(v) => fixed(tag::LONG, &v.to_be_bytes()),
        Value::Float(v) => fixed(tag::FLOAT, &v.to_bits().to_be_bytes()),
        Value::Double(v) => fixed(tag::DOUBLE, &v.to_bits().to_be_bytes()),
        Value::Decimal32(v) => fixed(tag::DECIMAL32, &v.0),
        Value::Decimal64(v) => fixed(tag::DECIMAL64, &v.0),
        Value::Decimal128(v) => fixed(tag::DECIMAL128, &v.0),
        Value::Char(v) => fixed(tag::CHAR, &u32::from(*v).to_be_bytes()),
        Value::Timestamp(v) => fixed(tag::TIMESTAMP, &v.0.to_be_bytes()),
        Value::Uuid(v) => fixed(tag::UUID, &v.0),
        Value::Binary(v) => variable(tag::BINARY, v, out),
        Value::String(v) => variable(tag::STRING, v.as_bytes(), out),
        Value::Symbol(v) => variable(tag::SYMBOL, v.as_bytes(), out),
        Value::List(items) => {
            counted(tag::LIST, items.len(), out);
            items.iter().for_each(|item| dump(item, out));
            out.push(END);
        }
        Value::Map(map) => {
            counted(tag::MAP, map.len() * 2, out);
            for (key, value) in map.iter() {
                dump(key, out);
                dump(value, out);
            }
            out.push(END);
        }
        Value::Described(described) => {
            out.push(tag::DESCRIBED);
            dump(&described.descriptor, out);
            dump(&described.value, out);
            out.push(END);
        }
        Value::Array(array) => dump_array(array, out),
    }
}

fn dump_array(array: &Array, out: &mut Vec<u8>) {
    let descriptors: Vec<Value> = array.descriptors().collect();
    out.push(tag::ARRAY);
    out.push(u8::try_from(descriptors.len()).unwrap_or(u8::MAX));
    out.push(array.constructor().last().and_then(|format| tag_of(*format)).unwrap_or_default());
    out.extend(u32::try_from(array.len()).unwrap_or(u32::MAX).to_be_bytes());
    descriptors.iter().for_each(|descriptor| dump(descriptor, out));
    for element in array {
        // The descriptors were written; only what they share it with differs.
        let mut element = &element;
        for _ in &descriptors {
            if let Value::Described(described) = element {
                element = &described.value;
            }
        }
        dump(element, out);
    }
    out.push(END);
}

/// Appends a tag and an item count.
pub(crate) fn counted(tag: u8, count: usize, out: &mut Vec<u8>) {
    out.push(tag);
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

/// Appends a value of variable width.
pub(crate) fn variable(tag: u8, octets: &[u8], out: &mut Vec<u8>) {
    counted(tag, octets.len(), out);
    out.extend_from_slice(octets);
}

/// Octets as hexadecimal digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// Hexadecimal digits as octets, in pieces; the piece `7a*300` stands for 300 times that.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for piece in text.split_whitespace() {
        let (digits, times) = piece.split_once('*').unwrap_or((piece, "1"));
        let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|number| u8::try_from(number).ok());
        let unit: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
        if !odd.is_empty() {
            return None;
        }
        out.extend(unit?.repeat(times.parse().ok()?));
    }
    Some(out)
}

/// A dump for people.
pub(crate) fn render(dump: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = dump;
    while !rest.is_empty() {
        if !text.is_empty() {
            text.push(' ');
        }
        if render_one(&mut rest, &mut text).is_none() {
            text.push_str(" <broken dump>");
            break;
        }
    }
    text
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    take(rest, 4)?.try_into().ok().map(u32::from_be_bytes).and_then(|number| usize::try_from(number).ok())
}

const NAMES: [&str; 26] = [
    "none",
    "null",
    "boolean",
    "ubyte",
    "byte",
    "ushort",
    "short",
    "uint",
    "int",
    "char",
    "ulong",
    "long",
    "timestamp",
    "float",
    "double",
    "decimal32",
    "decimal64",
    "decimal128",
    "uuid",
    "binary",
    "string",
    "symbol",
    "described",
    "array",
    "list",
    "map",
];

fn render_one(rest: &mut &[u8], text: &mut String) -> Option<()> {
    let tag = *take(rest, 1)?.first()?;
    let name = NAMES.get(usize::from(tag)).copied().unwrap_or("unknown");
    let width = match tag {
        tag::NULL => 0,
        tag::BOOLEAN | tag::UBYTE | tag::BYTE => 1,
        tag::USHORT | tag::SHORT => 2,
        tag::UINT | tag::INT | tag::CHAR | tag::FLOAT | tag::DECIMAL32 => 4,
        tag::ULONG | tag::LONG | tag::TIMESTAMP | tag::DOUBLE | tag::DECIMAL64 => 8,
        tag::DECIMAL128 | tag::UUID => 16,
        tag::BINARY | tag::STRING | tag::SYMBOL => {
            let length = number(rest)?;
            write!(text, "{name}:").ok()?;
            text.push_str(&hex(take(rest, length)?));
            return Some(());
        }
        _ => {
            text.push_str(name);
            if tag == tag::ARRAY {
                let head = take(rest, 2)?;
                let element = NAMES.get(usize::from(*head.get(1)?)).copied().unwrap_or("unknown");
                write!(text, "<{element}, {} descriptors>", head.first()?).ok()?;
            }
            if tag != tag::DESCRIBED {
                write!(text, "#{}", number(rest)?).ok()?;
            }
            text.push('(');
            let mut separator = "";
            while *rest.first()? != END {
                text.push_str(separator);
                separator = ", ";
                render_one(rest, text)?;
            }
            take(rest, 1)?;
            text.push(')');
            return Some(());
        }
    };
    text.push_str(name);
    if width > 0 {
        text.push(':');
        text.push_str(&hex(take(rest, width)?));
    }
    Some(())
}
