//! The values of each type that fields have, in every encoding that §1.6 gives them.

use crate::support::{hex, read, symbol};
use crate::table::{descriptors, lists};
use amqp1_codec::{Map, Timestamp, Uuid, Value};
use bytes::Bytes;

/// A composite of which only these fields are given, in every form.
fn nested(name: &str, fields: &[&str]) -> (Option<Value>, Vec<Bytes>) {
    let code = match name {
        "error" => 0x1d,
        "received" => 0x23,
        "accepted" => 0x24,
        "rejected" => 0x25,
        "released" => 0x26,
        "modified" => 0x27,
        "source" => 0x28,
        "target" => 0x29,
        "coordinator" => 0x30,
        "declared" => 0x33,
        "transactional-state" => 0x34,
        other => panic!("{other} is not nested"),
    };
    let fields: Vec<Bytes> = fields.iter().map(|field| hex(field)).collect();
    let lists = lists(&fields);
    let forms = descriptors(code, name);
    (None, forms.iter().flat_map(|form| lists.iter().map(|list| [&form[..], list].concat().into())).collect())
}

fn simple(value: impl Into<Value>, wires: &[&str]) -> (Option<Value>, Vec<Bytes>) {
    (Some(value.into()), wires.iter().map(|wire| hex(wire)).collect())
}

fn text(prefixes: [&str; 2], value: Value, text: &str) -> (Option<Value>, Vec<Bytes>) {
    let size = text.len();
    let [narrow, wide] = prefixes;
    simple(value, &[&format!("{narrow} {size:02x} '{text}'"), &format!("{wide} {size:08x} '{text}'")])
}

/// Values of a type, each with all its encodings; a composite's value is left to what they have in common.
pub(crate) fn values(ty: &str) -> Vec<(Option<Value>, Vec<Bytes>)> {
    let symbol_of = |name: &'static str| text(["a3", "b3"], symbol(name), name);
    let binary_of = |name: &'static str| text(["a0", "b0"], Bytes::from_static(name.as_bytes()).into(), name);
    let string_of = |name: &'static str| text(["a1", "b1"], name.into(), name);
    let empty = || simple(Map::new(), &["c1 01 00", "d1 00000004 00000000"]);
    let one = |key: Value, entry: &str| {
        let Value::Map(map) = read::<Value>(entry) else { panic!("a map") };
        assert!(map.get(&key).is_some(), "{entry}");
        let narrow = hex(entry);
        let size = narrow.len() as u32 + 1;
        let wide = [&[0xd1][..], &size.to_be_bytes(), &[0, 0, 0, narrow[2]], &narrow[3..]].concat();
        (Some(Value::Map(map)), vec![narrow, wide.into()])
    };
    let choice = |choices: u8| (0..choices).map(|n| simple(n, &[&format!("50 {n:02x}")])).collect();
    let uint = |n: u8| simple(u32::from(n), &[&format!("52 {n:02x}"), &format!("70 {n:08x}")]);
    let zero = || simple(0u32, &["43", "52 00", "70 00000000"]);
    match ty {
        "boolean" => vec![simple(true, &["41", "56 01"]), simple(false, &["42", "56 00"])],
        "ubyte" => vec![simple(0u8, &["50 00"]), simple(255u8, &["50 ff"])],
        "ushort" => vec![simple(0u16, &["60 0000"]), simple(0x1234u16, &["60 1234"])],
        "uint" => vec![uint(7), zero(), uint(255), simple(256u32, &["70 00000100"])],
        "ulong" => vec![
            simple(9u64, &["53 09", "80 0000000000000009"]),
            simple(0u64, &["44", "53 00", "80 0000000000000000"]),
            simple(u64::MAX, &["80 ffffffffffffffff"]),
        ],
        "timestamp" => vec![simple(Timestamp(-1), &["83 ffffffffffffffff"])],
        "binary" => vec![binary_of("octets"), binary_of("")],
        "binary32" => vec![binary_of("tag"), binary_of(""), binary_of("0123456789abcdef0123456789abcdef")],
        "string" => vec![string_of("text"), string_of("")],
        "symbol" => vec![symbol_of("name"), symbol_of("")],
        "fields" => {
            vec![empty(), one(symbol("k"), "c1 06 02 a3 01 'k' 52 01"), one(symbol("k"), "c1 08 02 b3 00000001 'k' 45")]
        }
        "unsettled" => vec![empty(), one(Bytes::from_static(b"t").into(), "c1 08 02 a0 01 't' 00 53 24 45")],
        "filter-set" => vec![
            empty(),
            one(symbol("f"), "c1 09 02 a3 01 'f' 00 a3 01 'x' 41"),
            one(symbol("f"), "c1 05 02 a3 01 'f' 40"),
            one(symbol("f"), "c1 12 02 b3 00000001 'f' 00 80 0000468c00000004 41"),
        ],
        "sender-settle-mode" => choice(3),
        "receiver-settle-mode" => choice(2),
        "sasl-code" => choice(5),
        "terminus-durability" => vec![zero(), uint(1), uint(2)],
        "terminus-expiry-policy" => {
            ["link-detach", "session-end", "connection-close", "never"].into_iter().map(symbol_of).collect()
        }
        "message-id" => {
            let uuid = simple(Uuid(*b"0123456789abcdef"), &["98 '0123456789abcdef'"]);
            [values("ulong"), vec![uuid], values("binary"), values("string")].concat()
        }
        "any" => [values("uint"), values("string"), values("fields"), values("message-id")].concat(),
        "error" => {
            vec![nested("error", &["a3 01 'c'"]), nested("error", &["b3 00000001 'c'", "a1 01 'd'", "c1 01 00"])]
        }
        "source" => vec![nested("source", &[]), nested("source", &["a1 01 'q'", "43", "40", "43", "42"])],
        "target" => {
            vec![nested("target", &[]), nested("target", &["a1 01 'q'"]), nested("coordinator", &["a3 01 'x'"])]
        }
        "outcome" => vec![
            nested("accepted", &[]),
            nested("rejected", &[]),
            nested("released", &[]),
            nested("modified", &["41"]),
            nested("declared", &["a0 01 't'"]),
        ],
        "delivery-state" => [
            values("outcome"),
            vec![
                nested("received", &["43", "44"]),
                nested("transactional-state", &["a0 01 't'", "00 53 24 45"]),
                nested("transactional-state", &["b0 00000001 't'"]),
            ],
        ]
        .concat(),
        other => panic!("no values of {other}"),
    }
}

/// The format codes that a value of a type begins with, §1.6.
pub(crate) fn codes(ty: &str) -> &'static [u8] {
    match ty {
        "boolean" => &[0x41, 0x42, 0x56],
        "ubyte" | "sender-settle-mode" | "receiver-settle-mode" | "sasl-code" => &[0x50],
        "ushort" => &[0x60],
        "uint" | "terminus-durability" => &[0x43, 0x52, 0x70],
        "ulong" => &[0x44, 0x53, 0x80],
        "timestamp" => &[0x83],
        "binary" | "binary32" => &[0xa0, 0xb0],
        "string" => &[0xa1, 0xb1],
        "symbol" | "terminus-expiry-policy" => &[0xa3, 0xb3],
        "fields" | "unsettled" | "filter-set" => &[0xc1, 0xd1],
        "message-id" => &[0x44, 0x53, 0x80, 0x98, 0xa0, 0xb0, 0xa1, 0xb1],
        _ => &[0x00],
    }
}
