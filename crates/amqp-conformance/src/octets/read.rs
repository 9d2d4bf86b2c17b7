//! Reads values to the letter of §1.2 and §1.6.

use super::{flaw::Flaw, value::Value};

/// The depth to which values may be nested.
const MAX_DEPTH: usize = 64;
/// The number of elements without octets that an array may have.
const MAX_EMPTY: usize = 65_536;

/// Reads the value that the octets begin with, and returns what follows it.
///
/// # Errors
///
/// If the octets are no encoding of a value.
pub fn read(octets: &[u8]) -> Result<(Value, &[u8]), Flaw> {
    value(octets, MAX_DEPTH)
}

/// Reads the value that the octets are.
///
/// # Errors
///
/// As said for [`read`], and if octets follow the value.
pub fn read_one(octets: &[u8]) -> Result<Value, Flaw> {
    match read(octets)? {
        (value, []) => Ok(value),
        (_, rest) => Err(Flaw::encoding(format!("{} octets follow the value", rest.len()))),
    }
}

fn value(octets: &[u8], depth: usize) -> Result<(Value, &[u8]), Flaw> {
    let depth = depth.checked_sub(1).ok_or_else(|| Flaw::encoding("values are nested too deep"))?;
    let (code, rest) = octets.split_first().ok_or_else(|| Flaw::encoding("a value is missing"))?;
    if *code == 0 {
        let (descriptor, rest) = value(rest, depth)?;
        let (inner, rest) = value(rest, depth)?;
        return Ok((Value::Described(Box::new(descriptor), Box::new(inner)), rest));
    }
    body(*code, rest, depth)
}

/// Reads what follows a format code.
fn body(code: u8, octets: &[u8], depth: usize) -> Result<(Value, &[u8]), Flaw> {
    let simple = |name, width, full: usize, is_signed| {
        let (body, rest) = split(octets, width)?;
        let is_negative = is_signed && body.first().is_some_and(|octet| *octet >= 0x80);
        let mut number = vec![if is_negative { 0xff } else { 0 }; full.saturating_sub(width)];
        number.extend_from_slice(body);
        Ok((Value::Simple(name, number), rest))
    };
    match code {
        0x40 => Ok((Value::Simple("null", Vec::new()), octets)),
        0x41 => Ok((Value::Simple("boolean", vec![1]), octets)),
        0x42 => Ok((Value::Simple("boolean", vec![0]), octets)),
        0x43 => simple("uint", 0, 4, false),
        0x44 => simple("ulong", 0, 8, false),
        0x45 => Ok((Value::List(Vec::new()), octets)),
        0x50 => simple("ubyte", 1, 1, false),
        0x51 => simple("byte", 1, 1, true),
        0x52 => simple("uint", 1, 4, false),
        0x53 => simple("ulong", 1, 8, false),
        0x54 => simple("int", 1, 4, true),
        0x55 => simple("long", 1, 8, true),
        0x56 => match simple("boolean", 1, 1, false)? {
            (Value::Simple(_, body), _) if body.first().is_some_and(|octet| *octet > 1) => {
                Err(Flaw::encoding("a boolean is neither 00 nor 01"))
            }
            read => Ok(read),
        },
        0x60 => simple("ushort", 2, 2, false),
        0x61 => simple("short", 2, 2, true),
        0x70 => simple("uint", 4, 4, false),
        0x71 => simple("int", 4, 4, true),
        0x72 => simple("float", 4, 4, false),
        0x73 => match simple("char", 4, 4, false)? {
            (Value::Simple(_, body), _) if !is_scalar(&body) => {
                Err(Flaw::encoding("a char is no Unicode scalar value"))
            }
            read => Ok(read),
        },
        0x74 => simple("decimal32", 4, 4, false),
        0x80 => simple("ulong", 8, 8, false),
        0x81 => simple("long", 8, 8, true),
        0x82 => simple("double", 8, 8, false),
        0x83 => simple("timestamp", 8, 8, true),
        0x84 => simple("decimal64", 8, 8, false),
        0x94 => simple("decimal128", 16, 16, false),
        0x98 => simple("uuid", 16, 16, false),
        0xa0 | 0xa1 | 0xa3 | 0xb0 | 0xb1 | 0xb3 => variable(code, octets),
        0xc0 | 0xd0 => {
            let (count, items, rest) = compound(code, octets)?;
            Ok((Value::List(every(count, items, depth)?), rest))
        }
        0xc1 | 0xd1 => {
            let (count, items, rest) = compound(code, octets)?;
            Ok((Value::Map(pairs(every(count, items, depth)?)?), rest))
        }
        0xe0 | 0xf0 => {
            let (count, items, rest) = compound(code, octets)?;
            Ok((array(count, items, depth)?, rest))
        }
        _ => Err(Flaw::encoding(format!("the format code {code:#04x} is not defined"))),
    }
}

fn is_scalar(octets: &[u8]) -> bool {
    let number = octets.iter().fold(0u32, |number, octet| number << 8 | u32::from(*octet));
    char::from_u32(number).is_some()
}

fn split(octets: &[u8], at: usize) -> Result<(&[u8], &[u8]), Flaw> {
    octets.split_at_checked(at).ok_or_else(|| Flaw::encoding(format!("{at} octets are wanted, {} left", octets.len())))
}

/// A length of one octet or of four, which the first digit of the format code says.
fn length(code: u8, octets: &[u8]) -> Result<(usize, &[u8]), Flaw> {
    let is_short = matches!(code >> 4, 0xa | 0xc | 0xe);
    let (body, rest) = split(octets, if is_short { 1 } else { 4 })?;
    Ok((body.iter().fold(0, |number, octet| number << 8 | usize::from(*octet)), rest))
}

fn variable(code: u8, octets: &[u8]) -> Result<(Value, &[u8]), Flaw> {
    let (length, rest) = length(code, octets)?;
    let (body, rest) = split(rest, length)?;
    let name = match code & 0x0f {
        0 => "binary",
        1 if std::str::from_utf8(body).is_err() => return Err(Flaw::encoding("a string is not UTF-8")),
        1 => "string",
        _ if !body.is_ascii() => return Err(Flaw::encoding("a symbol is not ASCII")),
        _ => "symbol",
    };
    Ok((Value::Simple(name, body.to_vec()), rest))
}

/// The count of a compound value or array, the octets after the count, and what follows the value.
fn compound(code: u8, octets: &[u8]) -> Result<(usize, &[u8], &[u8]), Flaw> {
    let (size, rest) = length(code, octets)?;
    let (inside, rest) = split(rest, size)?;
    let (count, items) = length(code, inside)?;
    Ok((count, items, rest))
}

fn every(count: usize, mut items: &[u8], depth: usize) -> Result<Vec<Value>, Flaw> {
    // Each takes an octet at least, so that no larger count is believed.
    let mut all = Vec::with_capacity(count.min(items.len()));
    for _ in 0..count {
        let (item, rest) = value(items, depth)?;
        all.push(item);
        items = rest;
    }
    if items.is_empty() { Ok(all) } else { Err(Flaw::encoding("a size is larger than its items")) }
}

fn pairs(items: Vec<Value>) -> Result<Vec<(Value, Value)>, Flaw> {
    let mut pairs: Vec<(Value, Value)> = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let Some(key) = items.next() {
        let value = items.next().ok_or_else(|| Flaw::encoding("a map has an odd number of items"))?;
        if pairs.iter().any(|(other, _)| *other == key) {
            return Err(Flaw::encoding("a map has a key twice"));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

fn array(count: usize, octets: &[u8], depth: usize) -> Result<Value, Flaw> {
    let depth = depth.checked_sub(1).ok_or_else(|| Flaw::encoding("values are nested too deep"))?;
    let mut descriptors = Vec::new();
    let mut octets = octets;
    let code = loop {
        let (code, rest) = octets.split_first().ok_or_else(|| Flaw::encoding("an array has no constructor"))?;
        octets = rest;
        if *code != 0 {
            break *code;
        }
        let (descriptor, rest) = value(octets, depth)?;
        descriptors.push(descriptor);
        octets = rest;
    };
    let name =
        element_name(code).ok_or_else(|| Flaw::encoding(format!("the format code {code:#04x} is not defined")))?;
    if count > octets.len().max(MAX_EMPTY) {
        return Err(Flaw::encoding(format!("an array claims {count} elements")));
    }
    let mut elements = Vec::new();
    for _ in 0..count {
        let (element, rest) = body(code, octets, depth)?;
        elements.push(element);
        octets = rest;
    }
    if !octets.is_empty() {
        return Err(Flaw::encoding("an array is longer than its elements"));
    }
    Ok(Value::Array(descriptors, name, elements))
}

fn element_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0x40 => "null",
        0x41 | 0x42 | 0x56 => "boolean",
        0x43 | 0x52 | 0x70 => "uint",
        0x44 | 0x53 | 0x80 => "ulong",
        0x45 | 0xc0 | 0xd0 => "list",
        0x50 => "ubyte",
        0x51 => "byte",
        0x54 | 0x71 => "int",
        0x55 | 0x81 => "long",
        0x60 => "ushort",
        0x61 => "short",
        0x72 => "float",
        0x73 => "char",
        0x74 => "decimal32",
        0x82 => "double",
        0x83 => "timestamp",
        0x84 => "decimal64",
        0x94 => "decimal128",
        0x98 => "uuid",
        0xa0 | 0xb0 => "binary",
        0xa1 | 0xb1 => "string",
        0xa3 | 0xb3 => "symbol",
        0xc1 | 0xd1 => "map",
        0xe0 | 0xf0 => "array",
        _ => return None,
    })
}
