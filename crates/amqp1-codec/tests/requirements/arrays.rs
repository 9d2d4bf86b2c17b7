//! Part 1, §1.2.4 and §1.6.24: arrays.

use crate::support::*;
use amqp1_codec::{Array, DecodeErrorKind as Kind, Described, Encode, Limits, Map, Multiple, Symbol, Value};

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
        array([twice]),
        "e0 09 01 00 53 01 00 53 02 56 01",
        "e0 09 01 00 53 01 00 53 02 56 01",
        &["e0 08 01 00 53 01 00 53 02 41"],
    );
    let Value::Array(read) = read::<Value>(octets) else { panic!("an array") };
    assert_eq!((read.len(), read.iter().collect::<Vec<_>>()), (2, vec![item(1), item(2)]));
    assert_eq!(read.descriptors().collect::<Vec<_>>(), [symbol("x:y")]);
    let Value::Described(first) = read.iter().next().expect("two") else { panic!("described") };
    assert_eq!(*first, Described { descriptor: symbol("x:y"), value: Value::List(vec![1u8.into()]) });
}

/// Y-1.2.4-4, Y-1.6.2-2: constructors without data are legal in arrays; mixed booleans have the one with an octet.
#[test]
fn elements_may_have_no_width() {
    for (element, code) in [
        (Value::Null, "40"),
        (true.into(), "41"),
        (false.into(), "42"),
        (0u32.into(), "43"),
        (0u64.into(), "44"),
        (Value::List(Vec::new()), "45"),
    ] {
        for text in [format!("e0 02 03 {code}"), format!("f0 00000005 00000003 {code}")] {
            assert_eq!(read::<Value>(&text), array([element.clone(), element.clone(), element.clone()]), "{text}");
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
