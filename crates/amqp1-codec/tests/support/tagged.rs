//! Values as JSON: `{"t": type, "v": …}`. Numbers of 64 bits are texts, floating-point numbers and decimals their bits,
//! binaries hexadecimal, maps lists of pairs.

use amqp1_codec::{
    Array, Map, Str, Symbol, Timestamp, Uuid, Value,
    types::{Decimal32, Decimal64, Decimal128},
};
use bytes::Bytes;
use serde_json::{Value as Json, json};

/// Octets from hexadecimal digits, in pieces; the piece `7a*300` stands for 300 times that.
pub fn octets(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in text.split_whitespace() {
        let (digits, times) = piece.split_once('*').unwrap_or((piece, "1"));
        let unit = digits_to_octets(digits).expect("hexadecimal digits");
        out.extend(unit.repeat(times.parse().expect("a number")));
    }
    out
}

/// Octets from plain hexadecimal digits; `None` if they are none.
pub fn digits_to_octets(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || digits.len() % 2 != 0 {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

/// Hexadecimal digits.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn text(json: &Json) -> String {
    match json {
        Json::String(text) => text.clone(),
        run => run["of"].as_str().expect("text").repeat(run["times"].as_u64().expect("times") as usize),
    }
}

fn number<T: TryFrom<i128>>(json: &Json) -> T {
    let number: i128 = match json {
        Json::String(digits) => digits.parse().expect("digits"),
        number => number.as_i64().expect("a number").into(),
    };
    T::try_from(number).ok().expect("a number in range")
}

fn bits<const N: usize>(json: &Json) -> [u8; N] {
    octets(json["bits"].as_str().expect("bits")).try_into().expect("the type's width")
}

/// The value that a tagged value says.
pub fn from_json(json: &Json) -> Value {
    let v = &json["v"];
    match json["t"].as_str().expect("a type") {
        "null" => Value::Null,
        "boolean" => v.as_bool().expect("a boolean").into(),
        "ubyte" => number::<u8>(v).into(),
        "ushort" => number::<u16>(v).into(),
        "uint" => number::<u32>(v).into(),
        "ulong" => number::<u64>(v).into(),
        "byte" => number::<i8>(v).into(),
        "short" => number::<i16>(v).into(),
        "int" => number::<i32>(v).into(),
        "long" => number::<i64>(v).into(),
        "float" => f32::from_be_bytes(bits(json)).into(),
        "double" => f64::from_be_bytes(bits(json)).into(),
        "decimal32" => Decimal32(bits(json)).into(),
        "decimal64" => Decimal64(bits(json)).into(),
        "decimal128" => Decimal128(bits(json)).into(),
        "char" => char::from_u32(number(v)).expect("a code point").into(),
        "timestamp" => Timestamp(number(v)).into(),
        "uuid" => {
            let digits = v.as_str().expect("digits").replace('-', "");
            Uuid(octets(&digits).try_into().expect("sixteen octets")).into()
        }
        "binary" => Bytes::from(octets(json["hex"].as_str().expect("digits"))).into(),
        "string" => Str::from(text(v)).into(),
        "symbol" => Symbol::new(text(v)).expect("ASCII").into(),
        "list" => Value::List(v.as_array().expect("items").iter().map(from_json).collect()),
        "map" => {
            let pairs = v.as_array().expect("pairs").iter();
            Value::Map(pairs.map(|pair| (from_json(&pair[0]), from_json(&pair[1]))).collect::<Map>())
        }
        "array" => {
            let described = |value| match json.get("descriptor") {
                Some(descriptor) => Value::described(from_json(descriptor), value),
                None => value,
            };
            let values: Vec<Value> = v.as_array().expect("elements").iter().map(|v| described(from_json(v))).collect();
            if values.is_empty() {
                let sample = sample(json["element_type"].as_str().expect("a type"));
                return Array::empty_like(&described(sample)).into();
            }
            Array::from_values(values).expect("elements of one type").into()
        }
        "described" => Value::described(from_json(&json["descriptor"]), from_json(&json["value"])),
        other => panic!("no type {other}"),
    }
}

/// Some value of a type.
fn sample(name: &str) -> Value {
    match name {
        "null" => Value::Null,
        "boolean" => true.into(),
        "ubyte" => 0u8.into(),
        "ushort" => 0u16.into(),
        "uint" => 0u32.into(),
        "ulong" => 0u64.into(),
        "byte" => 0i8.into(),
        "short" => 0i16.into(),
        "int" => 0i32.into(),
        "long" => 0i64.into(),
        "float" => 0f32.into(),
        "double" => 0f64.into(),
        "decimal32" => Decimal32::default().into(),
        "decimal64" => Decimal64::default().into(),
        "decimal128" => Decimal128::default().into(),
        "char" => 'a'.into(),
        "timestamp" => Timestamp(0).into(),
        "uuid" => Uuid::default().into(),
        "binary" => Bytes::new().into(),
        "string" => "".into(),
        "symbol" => Symbol::from_static("").into(),
        "list" => Value::List(Vec::new()),
        "map" => Map::new().into(),
        "array" => Array::default().into(),
        other => panic!("no type {other}"),
    }
}

/// The type that a format code belongs to.
fn type_name(code: u8) -> &'static str {
    match code {
        0x40 => "null",
        0x41 | 0x42 | 0x56 => "boolean",
        0x50 => "ubyte",
        0x60 => "ushort",
        0x43 | 0x52 | 0x70 => "uint",
        0x44 | 0x53 | 0x80 => "ulong",
        0x51 => "byte",
        0x61 => "short",
        0x54 | 0x71 => "int",
        0x55 | 0x81 => "long",
        0x72 => "float",
        0x82 => "double",
        0x74 => "decimal32",
        0x84 => "decimal64",
        0x94 => "decimal128",
        0x73 => "char",
        0x83 => "timestamp",
        0x98 => "uuid",
        0xa0 | 0xb0 => "binary",
        0xa1 | 0xb1 => "string",
        0xa3 | 0xb3 => "symbol",
        0x45 | 0xc0 | 0xd0 => "list",
        0xc1 | 0xd1 => "map",
        _ => "array",
    }
}

/// The tagged form of a value.
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => json!({"t": "null"}),
        Value::Boolean(v) => json!({"t": "boolean", "v": v}),
        Value::Ubyte(v) => json!({"t": "ubyte", "v": v}),
        Value::Ushort(v) => json!({"t": "ushort", "v": v}),
        Value::Uint(v) => json!({"t": "uint", "v": v}),
        Value::Ulong(v) => json!({"t": "ulong", "v": v.to_string()}),
        Value::Byte(v) => json!({"t": "byte", "v": v}),
        Value::Short(v) => json!({"t": "short", "v": v}),
        Value::Int(v) => json!({"t": "int", "v": v}),
        Value::Long(v) => json!({"t": "long", "v": v.to_string()}),
        Value::Float(v) => json!({"t": "float", "bits": hex(&v.to_be_bytes()), "v": v.to_string()}),
        Value::Double(v) => json!({"t": "double", "bits": hex(&v.to_be_bytes()), "v": v.to_string()}),
        Value::Decimal32(v) => json!({"t": "decimal32", "bits": hex(&v.0)}),
        Value::Decimal64(v) => json!({"t": "decimal64", "bits": hex(&v.0)}),
        Value::Decimal128(v) => json!({"t": "decimal128", "bits": hex(&v.0)}),
        Value::Char(v) => json!({"t": "char", "v": u32::from(*v)}),
        Value::Timestamp(v) => json!({"t": "timestamp", "v": v.0.to_string()}),
        Value::Uuid(v) => json!({"t": "uuid", "v": v.to_string()}),
        Value::Binary(v) => json!({"t": "binary", "hex": hex(v)}),
        Value::String(v) => json!({"t": "string", "v": v.as_str()}),
        Value::Symbol(v) => json!({"t": "symbol", "v": v.as_str()}),
        Value::List(items) => json!({"t": "list", "v": items.iter().map(to_json).collect::<Vec<_>>()}),
        Value::Map(map) => {
            let pairs: Vec<Json> = map.iter().map(|(key, value)| json!([to_json(key), to_json(value)])).collect();
            json!({"t": "map", "v": pairs})
        }
        Value::Array(array) => array_to_json(array),
        Value::Described(described) => {
            json!({
                "t": "described",
                "descriptor": to_json(&described.descriptor),
                "value": to_json(&described.value),
            })
        }
    }
}

/// One descriptor is taken out of the elements; more stay with them.
fn array_to_json(array: &Array) -> Json {
    let code = *array.constructor().last().unwrap_or(&0x40);
    let Some(descriptor) = array.descriptors().next() else {
        return json!({
            "t": "array",
            "element_type": type_name(code),
            "v": array.iter().map(|element| to_json(&element)).collect::<Vec<_>>(),
        });
    };
    let nested = array.descriptors().count() > 1;
    let elements = array.iter().map(|element| match element {
        Value::Described(described) => to_json(&described.value),
        other => to_json(&other),
    });
    json!({
        "t": "array",
        "element_type": if nested { "described" } else { type_name(code) },
        "v": elements.collect::<Vec<_>>(),
        "descriptor": to_json(&descriptor),
    })
}
