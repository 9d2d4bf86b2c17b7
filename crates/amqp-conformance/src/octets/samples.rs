//! Messages and bodies that cases send in both roles.

use super::{
    body::{Body, Item},
    build::{described, hex, list, list32, map, string, symbol},
    vectors::{encodings, vector},
};

/// The simple types' format codes end below this one.
const COMPOUND: u8 = 0xc0;

/// A message with every encoding of these vectors in the list of its amqp-value section, and the simple ones as
/// application-properties as well.
pub fn message_of(names: &[&str]) -> Vec<u8> {
    let values: Vec<Vec<u8>> = names.iter().flat_map(|name| encodings(name)).collect();
    let is_simple =
        |value: &&Vec<u8>| value.first().is_some_and(|code| (0x40..COMPOUND).contains(code) && *code != 0x45);
    let mut items = Vec::new();
    for (index, value) in values.iter().filter(is_simple).enumerate() {
        items.extend([string(&format!("p{index}")), value.clone()]);
    }
    let items: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
    let properties = if items.is_empty() { Vec::new() } else { described(0x74, &map(&items)) };
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    [properties, described(0x77, &list(&values))].concat()
}

/// A message whose amqp-value section is this value.
pub fn message_with(value: &[u8]) -> Vec<u8> {
    described(0x77, value)
}

/// The body of an open whose properties hold this value, at the end of the frame.
pub fn open_with_property(open: Body, value: &[u8]) -> Body {
    open.with(9, Item::Raw(map(&[&symbol("x-opt-value"), value])))
}

/// The same with a vector.
pub fn open_with_vector(open: Body, name: &str) -> Body {
    open_with_property(open, &vector(name))
}

/// Values within values of this format code, each the only item of the next.
pub fn nested(code: u8, depth: usize, innermost: u8) -> Vec<u8> {
    // Written from the inside out, the octets in reverse.
    let mut reversed = vec![innermost];
    for _ in 0..depth {
        let size = u32::try_from(reversed.len().saturating_add(4)).unwrap_or(u32::MAX);
        reversed.extend([1, 0, 0, 0]);
        reversed.extend(size.to_le_bytes());
        reversed.push(code);
    }
    reversed.reverse();
    reversed
}

/// A message with every property but user-id, which a server may hold against the user. It expires in the year 9999.
pub fn every_property() -> Vec<u8> {
    let fields = [
        "a1026d31",
        "40",
        "a10171",
        "b10000000173",
        "a10172",
        "a10163",
        "a30a746578742f706c61696e",
        "40",
        "830000e677d21fdbff",
        "83ffffffffffffffff",
        "a10167",
        "7000000001",
        "a10172",
    ]
    .map(hex);
    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    let properties = described(0x73, &list32(&fields));
    [properties, vector("msg-data")].concat()
}

/// A message with every section, each once and in order, that is not durable.
pub fn every_section() -> Vec<u8> {
    let names = [
        "header-defaults",
        "delivery-annotations",
        "message-annotations",
        "properties-min",
        "application-properties",
        "msg-value",
        "footer",
    ];
    names.map(vector).concat()
}
