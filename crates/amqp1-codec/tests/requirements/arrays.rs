//! Part 1, §1.2.4 and §1.6.24: arrays.

use crate::support::*;
use amqp1_codec::{Array, DecodeErrorKind as Kind, Described, Encode, Limits, Map, Multiple, Symbol, Value};
use bytes::Bytes;

/// Y-1.2.4-1, Y-1.6.24-1: size, count, one constructor, and the elements' data; the narrowest that fits all is written.
#[test]
fn arrays_share_one_constructor() {
    value(
        array([symbol("a"), symbol("bc")]),
        "e0 07 02 a3 01 'a' 02 'bc'",
        "e0 07 02 a3 01 'a' 02 'bc'",
        &[
            "f0 0000000a 00000002 a3 01 'a' 02 'bc'",
            "e0 0d 02 b3 00000001 'a' 00000002 'bc'",
            "f0 00000010 00000002 b3 00000001 'a' 00000002 'bc'",
        ],
    );
    let ints = array([1i32.into(), (-2i32).into()]);
    value(ints, "e0 04 02 54 01 fe", "e0 04 02 54 01 fe", &["e0 0a 02 71 00000001 fffffffe"]);
    let wide = array([1i32.into(), 300i32.into()]);
    value(wide, "e0 0a 02 71 00000001 0000012c", "e0 0a 02 71 00000001 0000012c", &[]);
    value(
        array([0u64.into(), 1u64.into()]),
        "e0 04 02 53 00 01",
        "e0 04 02 53 00 01",
        &["e0 12 02 80 0000000000000000 0000000000000001"],
    );
    // One string of 256 octets, and all have the wide form.
    let long = "61".repeat(256);
    let strings = array(["a".into(), "a".repeat(256).into()]);
    let octets = format!("f0 0000010e 00000002 b1 00000001 'a' 00000100 {long}");
    value(strings, &octets, &octets, &[]);
    refused::<Value>("e0 05 02 a3 01 'a'", Kind::Truncated, 2);
    assert!(Array::from_values([1u8.into(), 1u16.into()]).is_err(), "of one type");
    assert!(Array::from_values([1u8.into(), Value::Null]).is_err());
    // Descriptors are part of the constructor, in arrays within arrays too.
    let described = |name: u64, number: u8| Value::described(name, number);
    for other in
        [described(2, 1), Value::described(symbol("x:y"), 1u8), 1u8.into(), Value::described(1u64, described(1, 1))]
    {
        assert!(Array::from_values([described(1, 1), other.clone()]).is_err(), "{other:?}");
        assert!(Array::from_values([other.clone(), described(1, 1)]).is_err(), "{other:?}");
    }
    let nested = "e0 10 02 e0 06 01 00 53 01 50 01 06 01 00 53 01 50 02";
    value(array([array([described(1, 1)]), array([described(1, 2)])]), nested, nested, &[]);
}

/// Y-1.6.24-1: the narrow constructor is for elements that all fit it, whichever of them does not.
#[test]
fn one_element_that_is_too_wide_widens_all() {
    let list = |length: usize| Value::List(vec![Value::Null; length]);
    let map = |length: usize| Value::Map([(Value::from("k".repeat(length)), Value::Null)].into_iter().collect());
    let ubytes = |length: usize| array(vec![Value::from(1u8); length]);
    let binary = |length: usize| Value::from(Bytes::from(vec![1; length]));
    let string = |length: usize| Value::from("s".repeat(length));
    let symbol = |length: usize| Value::from(Symbol::new("s".repeat(length)).expect("ASCII"));
    // A small element, the widest that is narrow, the narrowest that is wide, and the two constructors.
    let types: [([Value; 3], u8, u8); 11] = [
        ([1u32.into(), 255u32.into(), 256u32.into()], 0x52, 0x70),
        ([1u64.into(), 255u64.into(), 256u64.into()], 0x53, 0x80),
        ([1i32.into(), 127i32.into(), 128i32.into()], 0x54, 0x71),
        ([1i32.into(), (-128i32).into(), (-129i32).into()], 0x54, 0x71),
        ([1i64.into(), 127i64.into(), 128i64.into()], 0x55, 0x81),
        ([binary(1), binary(255), binary(256)], 0xa0, 0xb0),
        ([string(1), string(255), string(256)], 0xa1, 0xb1),
        ([symbol(1), symbol(255), symbol(256)], 0xa3, 0xb3),
        ([list(1), list(254), list(255)], 0xc0, 0xd0),
        ([map(1), map(251), map(252)], 0xc1, 0xd1),
        ([ubytes(1), ubytes(253), ubytes(254)], 0xe0, 0xf0),
    ];
    for ([small, largest, wide], narrow, widest) in types {
        for (elements, constructor) in [
            (vec![small.clone(), largest.clone()], narrow),
            (vec![largest.clone(), small.clone()], narrow),
            (vec![small.clone(), wide.clone()], widest),
            (vec![wide.clone(), small.clone()], widest),
            (vec![small.clone(), wide.clone(), largest.clone()], widest),
        ] {
            let Value::Array(array) = array(elements.clone()) else { panic!("an array") };
            assert_eq!(array.iter().collect::<Vec<_>>(), elements, "{constructor:#x}");
            for style in STYLES {
                let octets = written(&array, style);
                let at = if octets[0] == 0xe0 { 3 } else { 9 };
                assert_eq!(octets[at], constructor, "{}", shown(&octets[..at + 8]));
                let read = whole_within::<Array>(&octets, Limits::STRICT).expect("an array");
                assert_eq!(read.iter().collect::<Vec<_>>(), elements, "{constructor:#x}");
            }
        }
    }
}

/// Y-1.6.24-1, Y-1.2.4-1: size and count of an array are one octet each where both fit, else four each.
#[test]
fn arrays_have_a_narrow_and_a_wide_header() {
    let ubytes = |count: usize| array(vec![Value::from(7u8); count]);
    let octets = |count: usize| "07".repeat(count);
    let narrow = format!("e0 ff fd 50 {}", octets(253));
    value(ubytes(253), &narrow, &narrow, &[&format!("f0 00000102 000000fd 50 {}", octets(253))]);
    for (count, size) in [(254, "00000103"), (255, "00000104"), (256, "00000105")] {
        let wide = format!("f0 {size} {count:08x} 50 {}", octets(count));
        value(ubytes(count), &wide, &wide, &[]);
    }
    // Nulls take no octets: only the count grows.
    value(array(vec![Value::Null; 255]), "e0 02 ff 40", "e0 02 ff 40", &["f0 00000005 000000ff 40"]);
    let many = array(vec![Value::Null; 300]);
    value(many.clone(), "f0 00000005 0000012c 40", "f0 00000005 0000012c 40", &[]);
    let Value::Array(many) = many else { panic!("an array") };
    assert_eq!((many.len(), many.iter().count()), (300, 300));
    refused::<Value>("e0 04 03 50 07 07", Kind::ElementsExceeded, 4);
    refused::<Value>("e0 05 02 50 07 07 07", Kind::LengthMismatch, 6);
}

/// Y-1.2.4-2: the element constructor is present even when the count is 0.
#[test]
fn empty_arrays_have_a_constructor() {
    let empty = Value::Array(Array::empty_like(&symbol("")));
    value(empty.clone(), "e0 02 00 a3", "e0 02 00 a3", &["f0 00000005 00000000 a3", "e0 02 00 b3"]);
    assert_ne!(read::<Value>("e0 02 00 a1"), empty, "an empty array has a type");
    refused::<Value>("e0 01 00", Kind::Truncated, 3);
    refused::<Value>("f0 00000004 00000000", Kind::Truncated, 9);
    refused::<Multiple<Symbol>>("e0 01 00", Kind::Truncated, 3);
    refused::<Value>("e0 00", Kind::Truncated, 2);
}

/// Y-1.2.4-3: the element constructor may be described; the descriptor is there once and holds for each element.
#[test]
fn elements_may_be_described_together() {
    let item = |number: u8| Value::described(symbol("x:y"), Value::List(vec![number.into()]));
    let octets = "e0 10 02 00 a3 03 'x:y' c0 03 01 50 01 03 01 50 02";
    value(
        array([item(1), item(2)]),
        octets,
        octets,
        &["f0 00000013 00000002 00 a3 03 'x:y' c0 03 01 50 01 03 01 50 02"],
    );
    let twice = Value::described(1u64, Value::described(2u64, true));
    value(
        array([twice.clone()]),
        "e0 09 01 00 53 01 00 53 02 56 01",
        "e0 09 01 00 53 01 00 53 02 56 01",
        &["e0 08 01 00 53 01 00 53 02 41"],
    );
    // Each element that is taken out has all descriptors, the first one outermost.
    let Value::Array(nested) = read::<Value>("e0 09 01 00 53 01 00 53 02 56 01") else { panic!("an array") };
    assert_eq!(nested.descriptors().collect::<Vec<_>>(), [Value::from(1u64), 2u64.into()]);
    assert_eq!(nested.iter().collect::<Vec<_>>(), [twice]);
    let Value::Array(read) = read::<Value>(octets) else { panic!("an array") };
    assert_eq!((read.len(), read.iter().collect::<Vec<_>>()), (2, vec![item(1), item(2)]));
    assert_eq!(read.descriptors().collect::<Vec<_>>(), [symbol("x:y")]);
    let Value::Described(first) = read.iter().next().expect("two") else { panic!("described") };
    assert_eq!(*first, Described { descriptor: symbol("x:y"), value: Value::List(vec![1u8.into()]) });
}

/// Y-1.2.4-4, Y-1.6.2-2: constructors without data are legal in arrays; mixed booleans have the one with an octet.
#[test]
fn elements_may_have_no_width() {
    // As three of them are written: only null has no constructor with data.
    for (element, code, octets) in [
        (Value::Null, "40", "e0 02 03 40"),
        (true.into(), "41", "e0 05 03 56 01 01 01"),
        (false.into(), "42", "e0 05 03 56 00 00 00"),
        (0u32.into(), "43", "e0 05 03 52 00 00 00"),
        (0u64.into(), "44", "e0 05 03 53 00 00 00"),
        (Value::List(Vec::new()), "45", "e0 08 03 c0 01 00 01 00 01 00"),
    ] {
        let elements = array([element.clone(), element.clone(), element.clone()]);
        for text in [format!("e0 02 03 {code}"), format!("f0 00000005 00000003 {code}")] {
            assert_eq!(read::<Value>(&text), elements, "{text}");
            for array in [&elements, &read::<Value>(&text)] {
                for style in STYLES {
                    assert_eq!(shown(&written(array, style)), shown(&hex(octets)), "{text}");
                }
            }
        }
    }
    let all = |value: bool| array([value.into(), value.into()]);
    value(all(true), "e0 04 02 56 01 01", "e0 04 02 56 01 01", &["e0 02 02 41"]);
    value(all(false), "e0 04 02 56 00 00", "e0 04 02 56 00 00", &["e0 02 02 42"]);
    value(array([true.into(), false.into()]), "e0 04 02 56 01 00", "e0 04 02 56 01 00", &[]);
    refused_as::<Value>("e0 03 02 41 42", Kind::LengthMismatch);
}

/// Y-1.2.4-5: elements without width cost nothing, so that there is a limit to how many a few octets may claim.
#[test]
fn many_elements_without_width_are_refused() {
    for code in ["40", "41", "42", "43", "44", "45"] {
        for (count, within) in [("00010000", true), ("00010001", false), ("ffffffff", false)] {
            let text = format!("f0 00000005 {count} {code}");
            match whole_within::<Value>(&hex(&text), Limits::DEFAULT) {
                Ok(value) => assert!(within && value.to_octets().len() <= 10, "{text}"),
                Err(error) => assert!(!within && error.kind == Kind::ElementsExceeded, "{text}: {error}"),
            }
        }
    }
}

/// Y-1.6.24-2: arrays hold arrays, lists and maps.
#[test]
fn arrays_hold_compounds() {
    let arrays = array([array([1u8.into()]), array([2u8.into(), 3u8.into()])]);
    value(
        arrays,
        "e0 0b 02 e0 03 01 50 01 04 02 50 02 03",
        "e0 0b 02 e0 03 01 50 01 04 02 50 02 03",
        &["e0 17 02 f0 00000006 00000001 50 01 00000007 00000002 50 02 03"],
    );
    let lists = array([Value::List(vec![Value::Null]), Value::List(Vec::new())]);
    value(
        lists,
        "e0 07 02 c0 02 01 40 01 00",
        "e0 07 02 c0 02 01 40 01 00",
        &["e0 13 02 d0 00000005 00000001 40 00000004 00000000"],
    );
    let maps = array([Value::Map([(binary(b"k"), Value::Null)].into_iter().collect()), Value::Map(Map::new())]);
    value(maps, "e0 0a 02 c1 05 02 a0 01 'k' 40 01 00", "e0 0a 02 c1 05 02 a0 01 'k' 40 01 00", &[]);
    refused_as::<Value>("e0 05 01 c1 03 02 40", Kind::Truncated);
    refused_as::<Value>("e0 08 01 c1 05 04 40 40 40 40", Kind::DuplicateKey);
}
