//! AMQP values in the suite's JSON notation, both ways.
//!
//! Floats are the hexadecimal digits of their bits, binaries those of their octets, and each element of a compound value
//! stands with the name of its type.

use crate::failure::Failure;
use amqp1::{
    Symbol, Value,
    codec::types::{Array, Decimal32, Decimal64, Decimal128, Described, Map},
    message::{Timestamp, Uuid},
};
use bytes::Bytes;
use serde_json::{Value as Json, json};

/// The value of that type that `json` stands for.
pub(crate) fn encode(kind: &str, json: &Json) -> Result<Value, Failure> {
    let wrong = || Failure::new(format!("{json} is not of the type {kind}"));
    Ok(match kind {
        "null" => Value::Null,
        "boolean" => json.as_bool().ok_or_else(wrong)?.into(),
        "ubyte" => integer::<u8>(json).ok_or_else(wrong)?.into(),
        "ushort" => integer::<u16>(json).ok_or_else(wrong)?.into(),
        "uint" => integer::<u32>(json).ok_or_else(wrong)?.into(),
        "ulong" => integer::<u64>(json).ok_or_else(wrong)?.into(),
        "byte" => integer::<i8>(json).ok_or_else(wrong)?.into(),
        "short" => integer::<i16>(json).ok_or_else(wrong)?.into(),
        "int" => integer::<i32>(json).ok_or_else(wrong)?.into(),
        "long" => integer::<i64>(json).ok_or_else(wrong)?.into(),
        "float" => f32::from_bits(integer(json).ok_or_else(wrong)?).into(),
        "double" => f64::from_bits(integer(json).ok_or_else(wrong)?).into(),
        "char" => character(json).ok_or_else(wrong)?.into(),
        "timestamp" => Timestamp(integer(json).ok_or_else(wrong)?).into(),
        "uuid" => json.as_str().and_then(uuid).ok_or_else(wrong)?.into(),
        "binary" => json.as_str().and_then(octets).map(Bytes::from).ok_or_else(wrong)?.into(),
        "string" => json.as_str().ok_or_else(wrong)?.into(),
        "symbol" => json.as_str().and_then(|text| Symbol::new(text).ok()).ok_or_else(wrong)?.into(),
        "list" => json.as_array().ok_or_else(wrong)?.iter().map(typed).collect::<Result<Vec<_>, _>>()?.into(),
        "map" => {
            let pairs = json.as_array().ok_or_else(wrong)?.iter();
            pairs.map(|pair| Ok((typed(&pair[0])?, typed(&pair[1])?))).collect::<Result<Map, Failure>>()?.into()
        }
        "array" => {
            let kind = json["element_type"].as_str().ok_or_else(wrong)?;
            let elements = json["elements"].as_array().ok_or_else(wrong)?.iter();
            array(kind, elements.map(|element| encode(kind, element)).collect::<Result<_, _>>()?)?.into()
        }
        "described" => Value::described(typed(&json["descriptor"])?, typed(&json["value"])?),
        _ => return Err(Failure::new(format!("the type {kind:?} is not known"))),
    })
}

/// A type and a value of it.
fn typed(pair: &Json) -> Result<Value, Failure> {
    match pair.as_array().map(Vec::as_slice) {
        Some([Json::String(kind), value]) => encode(kind, value),
        _ => Err(Failure::new(format!("{pair} is not a type and a value"))),
    }
}

/// The number itself, or its digits: decimal ones, or hexadecimal ones of its bits.
pub(crate) fn integer<T: TryFrom<i128>>(json: &Json) -> Option<T> {
    let number = match json {
        Json::Number(number) => number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))?,
        Json::String(digits) => match digits.strip_prefix("0x") {
            Some(digits) => i128::from_str_radix(digits, 16).ok()?,
            None => digits.parse().ok()?,
        },
        _ => return None,
    };
    T::try_from(number).ok()
}

fn character(json: &Json) -> Option<char> {
    let mut text = json.as_str().unwrap_or_default().chars();
    match (text.next(), text.next()) {
        (Some(character), None) => Some(character),
        _ => char::from_u32(integer(json)?),
    }
}

fn uuid(text: &str) -> Option<Uuid> {
    octets(&text.replace('-', ""))?.try_into().ok().map(Uuid)
}

/// The octets that hexadecimal digits stand for.
pub(crate) fn octets(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?, 16).ok()).collect()
}

pub(crate) fn digits(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn array(kind: &str, elements: Vec<Value>) -> Result<Array, Failure> {
    if elements.is_empty() {
        return Ok(Array::empty_like(&sample(kind)?));
    }
    Array::from_values(elements).map_err(|error| Failure::new(error.to_string()))
}

/// Some value of a type.
fn sample(kind: &str) -> Result<Value, Failure> {
    let json = match kind {
        "boolean" => json!(false),
        "uuid" => json!("00000000-0000-0000-0000-000000000000"),
        "binary" | "string" | "symbol" => json!(""),
        "list" | "map" => json!([]),
        "array" => json!({ "element_type": "null", "elements": [] }),
        _ => json!(0),
    };
    encode(kind, &json)
}

/// The name of a value's type, and the value.
pub(crate) fn decode(value: &Value) -> (&'static str, Json) {
    match value {
        Value::Null => ("null", Json::Null),
        Value::Boolean(value) => ("boolean", json!(value)),
        Value::Ubyte(number) => ("ubyte", json!(number)),
        Value::Ushort(number) => ("ushort", json!(number)),
        Value::Uint(number) => ("uint", json!(number)),
        Value::Ulong(number) => ("ulong", json!(number)),
        Value::Byte(number) => ("byte", json!(number)),
        Value::Short(number) => ("short", json!(number)),
        Value::Int(number) => ("int", json!(number)),
        Value::Long(number) => ("long", json!(number)),
        Value::Float(number) => ("float", bits(&number.to_be_bytes())),
        Value::Double(number) => ("double", bits(&number.to_be_bytes())),
        Value::Decimal32(Decimal32(octets)) => ("decimal32", bits(octets)),
        Value::Decimal64(Decimal64(octets)) => ("decimal64", bits(octets)),
        Value::Decimal128(Decimal128(octets)) => ("decimal128", bits(octets)),
        Value::Char(character) => ("char", json!(u32::from(*character))),
        Value::Timestamp(Timestamp(milliseconds)) => ("timestamp", json!(milliseconds)),
        Value::Uuid(uuid) => ("uuid", json!(uuid.to_string())),
        Value::Binary(octets) => ("binary", json!(digits(octets))),
        Value::String(text) => ("string", json!(text.as_str())),
        Value::Symbol(text) => ("symbol", json!(text.as_str())),
        Value::List(items) => ("list", items.iter().map(pair).collect()),
        Value::Map(map) => ("map", map.iter().map(|(key, value)| json!([pair(key), pair(value)])).collect()),
        Value::Array(array) => {
            let elements: Vec<Json> = array.iter().map(|element| decode(&element).1).collect();
            ("array", json!({ "element_type": element_type(array), "elements": elements }))
        }
        Value::Described(described) => {
            let Described { descriptor, value } = &**described;
            ("described", json!({ "descriptor": pair(descriptor), "value": pair(value) }))
        }
    }
}

fn pair(value: &Value) -> Json {
    let (kind, value) = decode(value);
    json!([kind, value])
}

pub(crate) fn bits(octets: &[u8]) -> Json {
    json!(format!("0x{}", digits(octets)))
}

/// The type of an array's elements, of an empty one by its constructor.
fn element_type(array: &Array) -> &'static str {
    if let Some(element) = array.iter().next() {
        return decode(&element).0;
    }
    if array.descriptors().next().is_some() {
        return "described";
    }
    match array.constructor() {
        [.., 0x41 | 0x42 | 0x56] => "boolean",
        [.., 0x50] => "ubyte",
        [.., 0x60] => "ushort",
        [.., 0x43 | 0x52 | 0x70] => "uint",
        [.., 0x44 | 0x53 | 0x80] => "ulong",
        [.., 0x51] => "byte",
        [.., 0x61] => "short",
        [.., 0x54 | 0x71] => "int",
        [.., 0x55 | 0x81] => "long",
        [.., 0x72] => "float",
        [.., 0x82] => "double",
        [.., 0x74] => "decimal32",
        [.., 0x84] => "decimal64",
        [.., 0x94] => "decimal128",
        [.., 0x73] => "char",
        [.., 0x83] => "timestamp",
        [.., 0x98] => "uuid",
        [.., 0xa0 | 0xb0] => "binary",
        [.., 0xa1 | 0xb1] => "string",
        [.., 0xa3 | 0xb3] => "symbol",
        [.., 0x45 | 0xc0 | 0xd0] => "list",
        [.., 0xc1 | 0xd1] => "map",
        [.., 0xe0 | 0xf0] => "array",
        _ => "null",
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use amqp1::{
        Value,
        codec::{Decode, Encode, Reader},
    };
    use serde_json::json;

    /// One value, or more, of each type of the suite.
    #[test]
    fn each_value_is_the_same_after_it_was_on_the_wire() {
        for (kind, json) in [
            ("null", json!(null)),
            ("boolean", json!(true)),
            ("ubyte", json!(255)),
            ("ushort", json!(65_535)),
            ("uint", json!(u32::MAX)),
            ("ulong", json!(u64::MAX)),
            ("byte", json!(-128)),
            ("short", json!(-32_768)),
            ("int", json!(i32::MIN)),
            ("long", json!(i64::MIN)),
            ("float", json!("0x7fc00000")),
            ("float", json!("0x80000000")),
            ("double", json!("0xfff0000000000000")),
            ("char", json!(0x1f4a9)),
            ("char", json!(0)),
            ("timestamp", json!(9_999_999_999_999_u64)),
            ("uuid", json!("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")),
            ("binary", json!("")),
            ("binary", json!("00ff".repeat(300))),
            ("string", json!("Здравствуй 🚀\n")),
            ("symbol", json!("s".repeat(256))),
            ("array", json!({ "element_type": "uint", "elements": [] })),
            ("array", json!({ "element_type": "string", "elements": [] })),
            ("array", json!({ "element_type": "boolean", "elements": [true, false] })),
            ("array", json!({ "element_type": "float", "elements": ["0x00000000", "0x7f800000"] })),
            (
                "array",
                json!({ "element_type": "array", "elements": [
                    { "element_type": "ubyte", "elements": [1, 2, 3] }, { "element_type": "ubyte", "elements": [4, 5, 6] },
                ] }),
            ),
            ("array", json!({ "element_type": "list", "elements": [[["string", "a"], ["int", 1]]] })),
            ("list", json!([])),
            ("list", json!([["string", "before"], ["null", null], ["list", [["binary", "deadbeef"]]]])),
            ("map", json!([[["uint", 1], ["string", "one"]], [["boolean", true], ["map", []]]])),
            ("described", json!({ "descriptor": ["symbol", "my.list"], "value": ["list", [["int", 1]]] })),
            ("described", json!({ "descriptor": ["ulong", 42], "value": ["string", "world"] })),
        ] {
            let octets = encode(kind, &json).expect("a value").to_octets();
            let value = Value::decode(&mut Reader::new(&octets)).expect("the same value");
            assert_eq!(decode(&value), (kind, json));
        }
    }

    #[test]
    fn what_is_not_of_the_type_is_refused() {
        for (kind, json) in [
            ("ubyte", json!(256)),
            ("ulong", json!(-1)),
            ("symbol", json!("ñ")),
            ("binary", json!("0")),
            ("uuid", json!("00")),
            ("list", json!([1])),
            ("array", json!({ "element_type": "list" })),
            ("decimal32", json!(0)),
        ] {
            encode(kind, &json).expect_err(kind);
        }
    }
}
