//! Part 1, §1.6.22 and §1.6.23: lists and maps.

use crate::support::*;
use amqp1_codec::{DecodeErrorKind as Kind, Limits, Map, Symbol, Value};

/// Y-1.6.22-1, Y-1.2.3-1: 45, c0 and d0 are the same list where it fits.
#[test]
fn lists_have_three_forms() {
    value(Vec::<Value>::new(), "45", "c0 01 00", &["d0 00000004 00000000"]);
    let one = Value::List(vec![Value::Null]);
    value(one.clone(), "c0 02 01 40", "c0 02 01 40", &["d0 00000005 00000001 40"]);
    value(
        vec![one, "a".into()],
        "c0 08 02 c0 02 01 40 a1 01 'a'",
        "c0 08 02 c0 02 01 40 a1 01 'a'",
        &[
            "c0 0e 02 d0 00000005 00000001 40 a1 01 'a'",
            "d0 00000011 00000002 d0 00000005 00000001 40 a1 01 'a'",
            "c0 0b 02 c0 02 01 40 b1 00000001 'a'",
        ],
    );
    // An empty list in a list: `list0` only where it is compact.
    value(vec![Value::List(Vec::new())], "c0 02 01 45", "c0 04 01 c0 01 00", &["c0 0a 01 d0 00000004 00000000"]);
    // The size, with the count, is one octet up to 254 octets of elements; the count up to 255.
    let narrow = format!("c0 ff fe {}", "40".repeat(254));
    value(vec![Value::Null; 254], &narrow, &narrow, &[&format!("d0 00000102 000000fe {}", "40".repeat(254))]);
    let wide = format!("d0 00000103 000000ff {}", "40".repeat(255));
    value(vec![Value::Null; 255], &wide, &wide, &[]);
}

/// Y-1.6.23-1: c1 and d1 are the same map; the count is of keys and values, and even.
#[test]
fn maps_have_two_forms_and_pairs() {
    value(Map::new(), "c1 01 00", "c1 01 00", &["d1 00000004 00000000"]);
    let map: Map = [(symbol("k"), Value::from(7u32))].into_iter().collect();
    value(
        map,
        "c1 06 02 a3 01 'k' 52 07",
        "c1 06 02 a3 01 'k' 52 07",
        &["d1 00000009 00000002 a3 01 'k' 52 07", "c1 0c 02 b3 00000001 'k' 70 00000007"],
    );
    for (text, at) in [("c1 02 01 40", 3), ("c1 04 03 40 41 42", 3), ("d1 00000005 00000001 40", 9)] {
        refused::<Value>(text, Kind::OddMap, at);
        refused_in_place(text, Kind::OddMap);
        refused_in_place(&format!("00 53 73 {text}"), Kind::OddMap);
    }
    // The size, with the count, is one octet up to 254 octets of keys and values.
    for (length, wide) in [(250, false), (251, false), (252, true), (253, true)] {
        let map: Map = [(Symbol::new("k".repeat(length)).expect("ASCII"), Value::Null)].into_iter().collect();
        let pair = format!("a3 {length:02x} {} 40", "6b".repeat(length));
        let narrow = format!("c1 {:02x} 02 {pair}", (length + 4) & 0xff);
        let full = format!("d1 {:08x} 00000002 {pair}", length + 7);
        if wide {
            value(map, &full, &full, &[]);
        } else {
            value(map, &narrow, &narrow, &[&full]);
        }
    }
}

/// Y-1.6.23-2: a key that comes again makes the map malformed, in another encoding too, and deep inside.
#[test]
fn maps_do_not_repeat_keys() {
    refused::<Value>("c1 09 04 a1 01 'k' 40 a1 01 'k' 41", Kind::DuplicateKey, 7);
    refused::<Value>("c1 0c 04 a1 01 'k' 40 b1 00000001 'k' 41", Kind::DuplicateKey, 7);
    refused::<Value>("c1 06 04 43 40 52 00 40", Kind::DuplicateKey, 5);
    refused::<Value>("c1 06 04 41 40 56 01 40", Kind::DuplicateKey, 5);
    refused::<Value>("c1 0c 04 c0 02 01 43 40 c0 03 01 52 00 40", Kind::DuplicateKey, 8);
    refused::<Value>("c0 08 01 c1 05 04 40 41 40 42", Kind::DuplicateKey, 8);
    // In each section of a message that is a map, beside other entries.
    for (before, key, after) in [
        ("00 53 71", "a3 01 'k'", "00 53 77 40"),
        ("00 53 72", "a3 01 'k'", "00 53 77 40"),
        ("00 53 74", "a1 01 'k'", "00 53 77 40"),
        ("00 53 77 40 00 53 78", "a3 01 'k'", ""),
    ] {
        let other = key.replace('k', "o");
        let map = format!("c1 11 08 {other} 40 {key} 41 {} 40 {key} 42", key.replace('k', "p"));
        no_message(&format!("{before} {map} {after}"), Limits::DEFAULT, Kind::DuplicateKey);
    }
}

/// Y-1.6.23-2: keys are equal whatever their encoding, compounds as well; and among many.
#[test]
fn equal_keys_are_found_in_any_encoding() {
    refused::<Value>("c1 18 04 e0 04 01 a3 01 'a' 40 f0 0000000a 00000001 b3 00000001 'a' 40", Kind::DuplicateKey, 10);
    refused::<Value>("c1 0d 04 e0 02 02 41 40 e0 04 02 56 01 01 40", Kind::DuplicateKey, 8);
    refused::<Value>("c1 12 04 00 53 01 41 40 00 80 0000000000000001 41 40", Kind::DuplicateKey, 8);
    let many: String = (1..=40).map(|key| format!("52 {key:02x} 40 ")).collect();
    read::<Value>(&format!("c1 79 50 {many}"));
    refused::<Value>(&format!("c1 7f 52 {many} 70 00000011 40"), Kind::DuplicateKey, 3 + 120);
}

/// Y-1.6.23-3: the order of a map is kept.
#[test]
fn maps_keep_their_order() {
    let ab: Map = [("a", 1u8), ("b", 2u8)].into_iter().collect();
    let ba: Map = [("b", 2u8), ("a", 1u8)].into_iter().collect();
    value(ab.clone(), "c1 0b 04 a1 01 'a' 50 01 a1 01 'b' 50 02", "c1 0b 04 a1 01 'a' 50 01 a1 01 'b' 50 02", &[]);
    value(ba.clone(), "c1 0b 04 a1 01 'b' 50 02 a1 01 'a' 50 01", "c1 0b 04 a1 01 'b' 50 02 a1 01 'a' 50 01", &[]);
    assert_ne!(ab, ba);
}

/// Y-1.6.23-4: keys of different types are different keys, though they look alike.
#[test]
fn keys_of_different_types_differ() {
    let keys: [Value; 9] = [
        1u8.into(),
        1u16.into(),
        1u32.into(),
        1u64.into(),
        1i8.into(),
        1i16.into(),
        1i32.into(),
        1i64.into(),
        true.into(),
    ];
    let map: Map = keys.into_iter().map(|key| (key, Value::Null)).collect();
    let text = "c1 1d 12 5001 40 600001 40 5201 40 5301 40 5101 40 610001 40 5401 40 5501 40 41 40";
    value(map, text, text, &[]);
    let texts: Map = [(Value::from("k"), Value::Null), (symbol("k"), Value::Null), (binary(b"k"), Value::Null)]
        .into_iter()
        .collect();
    let octets = "c1 0d 06 a1 01 'k' 40 a3 01 'k' 40 a0 01 'k' 40";
    value(texts, octets, octets, &[]);
    // Among many, which are compared in another way.
    let kinds = ["50 xx", "60 00xx", "52 xx", "53 xx", "51 xx", "61 00xx", "54 xx", "55 xx", "73 000000xx"];
    let kinds = kinds.iter().chain(&["83 00000000000000xx", "a0 01 xx", "a1 01 xx", "a3 01 xx"]);
    let keys: Vec<String> =
        kinds.flat_map(|kind| (1..=20u8).map(|number| kind.replace("xx", &format!("{number:02x}")))).collect();
    let data: String = keys.iter().map(|key| format!("{key} 40 ")).collect();
    let map = |data: &str, count: usize| format!("d1 {:08x} {:08x} {data}", hex(data).len() + 4, count * 2);
    let Value::Map(many) = read::<Value>(&map(&data, keys.len())) else { panic!("a map") };
    assert_eq!(many.len(), keys.len());
    refused_as::<Value>(&map(&format!("{data} {} 40", keys[7]), keys.len() + 1), Kind::DuplicateKey);
}
