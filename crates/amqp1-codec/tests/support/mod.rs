//! What the tests share.
#![allow(dead_code, unreachable_pub)]

pub mod tagged;

use amqp1_codec::Value;
use bytes::Bytes;
use serde_json::Value as Json;
use tagged::octets;

/// A value and its encodings, the canonical one first.
pub struct ValueVector {
    pub id: String,
    pub group: String,
    pub value: Value,
    pub wire: Vec<Bytes>,
}

/// A frame, and what it holds.
pub struct FrameVector {
    pub id: String,
    pub wire: Bytes,
    pub sasl: bool,
    pub channel: u16,
    pub body: Option<Value>,
    pub payload: usize,
}

/// A message, and its sections.
pub struct MessageVector {
    pub id: String,
    pub wire: Bytes,
    pub sections: Vec<Value>,
}

/// A protocol header.
pub struct HeaderVector {
    pub id: String,
    pub wire: Bytes,
    pub protocol: u8,
    pub version: [u8; 3],
}

/// Everything that decodes.
#[derive(Default)]
pub struct Vectors {
    pub values: Vec<ValueVector>,
    pub frames: Vec<FrameVector>,
    pub messages: Vec<MessageVector>,
    pub headers: Vec<HeaderVector>,
}

/// Octets that must be refused.
pub struct Malformed {
    pub id: String,
    pub level: String,
    pub layer: String,
    pub strict: bool,
    pub wire: Bytes,
    pub reason: String,
}

fn string(json: &Json) -> String {
    json.as_str().expect("a text").to_owned()
}

fn wire(json: &Json) -> Bytes {
    octets(json.as_str().expect("hexadecimal digits")).into()
}

fn lines(text: &str) -> impl Iterator<Item = Json> + '_ {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON"))
}

/// Reads `data/vectors.jsonl`.
pub fn vectors() -> Vectors {
    let mut all = Vectors::default();
    for json in lines(include_str!("../data/vectors.jsonl")) {
        let (id, group) = (string(&json["id"]), string(&json["group"]));
        match json["kind"].as_str() {
            Some("value") => all.values.push(ValueVector {
                id,
                group,
                value: tagged::from_json(&json["value"]),
                wire: json["wire"].as_array().expect("encodings").iter().map(wire).collect(),
            }),
            Some("frame") => all.frames.push(FrameVector {
                id,
                wire: wire(&json["wire"]),
                sasl: json["sasl"].as_bool().expect("a boolean"),
                channel: json["channel"].as_u64().expect("a number") as u16,
                body: (!json["body"].is_null()).then(|| tagged::from_json(&json["body"])),
                payload: json["payload"].as_u64().expect("a number") as usize,
            }),
            Some("message") => all.messages.push(MessageVector {
                id,
                wire: wire(&json["wire"]),
                sections: json["sections"].as_array().expect("sections").iter().map(tagged::from_json).collect(),
            }),
            Some("header") => all.headers.push(HeaderVector {
                id,
                wire: wire(&json["wire"]),
                protocol: json["protocol"].as_u64().expect("a number") as u8,
                version: serde_json::from_value(json["version"].clone()).expect("three numbers"),
            }),
            other => panic!("no kind {other:?}"),
        }
    }
    all
}

/// Reads `data/malformed.jsonl`.
pub fn malformed() -> Vec<Malformed> {
    lines(include_str!("../data/malformed.jsonl"))
        .map(|json| Malformed {
            id: string(&json["id"]),
            level: string(&json["level"]),
            layer: string(&json["layer"]),
            strict: json["strict"].as_bool().expect("a boolean"),
            wire: match json["hex"].as_str() {
                Some(text) => octets(text).into(),
                None => nested_lists(20_000).into(),
            },
            reason: string(&json["reason"]),
        })
        .collect()
}

/// A list in a list in a list …
pub fn nested_lists(levels: usize) -> Vec<u8> {
    nested(levels, 0xd0, |_| {})
}

/// Compounds in compounds, each with the wide constructor `code` and one element; what `before` writes stands before
/// each inner one, and counts as an element if it is one.
pub fn nested(levels: usize, code: u8, before: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut prefix = Vec::new();
    before(&mut prefix);
    let header = 9 + prefix.len();
    let mut out = Vec::with_capacity(levels * header + 1);
    for level in 0..levels {
        let below = levels - level - 1;
        // What follows the size: the count, the prefix, and all that is deeper.
        let size = 4 + prefix.len() + below * header + 1;
        out.push(code);
        out.extend((size as u32).to_be_bytes());
        out.extend((if prefix.is_empty() { 1u32 } else { 2 }).to_be_bytes());
        out.extend(&prefix);
    }
    out.push(0x40);
    out
}
