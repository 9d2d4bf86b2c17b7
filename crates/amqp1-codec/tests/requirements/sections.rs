//! Part 3, §3.2: what the sections of a message hold.

use crate::support::*;
use amqp1_codec::{
    DecodeErrorKind as Kind, Encode, Limits, Map, SequenceNo, Symbol, Timestamp, Uuid, Value,
    messaging::{Annotations, ApplicationProperties, Header, MessageId, Properties},
};
use bytes::Bytes;

/// M-3.2.1-1: an absent header, and each absent field of one, means its default.
#[test]
fn headers_have_defaults() {
    both_ways(
        Header::default(),
        "00 53 70 45",
        "00 53 70 c0 07 05 42 50 04 40 42 43",
        &["00 53 70 c0 06 05 40 40 40 40 40"],
    );
    let header = read::<Header>("00 53 70 45");
    assert_eq!(
        (header.durable, header.priority, header.ttl, header.first_acquirer, header.delivery_count),
        (false, 4, None, false, 0)
    );
    let all = Header { durable: true, priority: 0, ttl: Some(0), first_acquirer: true, delivery_count: 1 };
    both_ways(all, "00 53 70 c0 08 05 41 50 00 43 41 52 01", "00 53 70 c0 08 05 41 50 00 43 41 52 01", &[]);
}

/// M-3.2.4-1: a message-id is an unsigned long, a uuid, octets or text, and which of them is part of it.
#[test]
fn message_ids_are_of_four_types() {
    both_ways(MessageId::Ulong(0), "44", "44", &["53 00", "80 0000000000000000"]);
    both_ways(MessageId::Ulong(u64::MAX), "80 ffffffffffffffff", "80 ffffffffffffffff", &[]);
    both_ways(
        MessageId::Uuid(Uuid([7; 16])),
        &format!("98 {}", "07".repeat(16)),
        &format!("98 {}", "07".repeat(16)),
        &[],
    );
    both_ways(MessageId::Binary("m".into()), "a0 01 'm'", "a0 01 'm'", &["b0 00000001 'm'"]);
    both_ways(MessageId::from("m"), "a1 01 'm'", "a1 01 'm'", &["b1 00000001 'm'"]);
    assert_ne!(read::<MessageId>("a0 01 'm'"), read::<MessageId>("a1 01 'm'"));
    for (text, code) in [("52 01", 0x52), ("54 01", 0x54), ("a3 01 'm'", 0xa3), ("40", 0x40), ("55 01", 0x55)] {
        refused::<MessageId>(text, Kind::UnexpectedFormatCode(code), 0);
    }
}

/// As message-id and as correlation-id of a message, read in place and as values of their own.
#[test]
fn m_3_2_4_1_the_ids_of_a_message_are_of_four_types() {
    for (text, id) in [
        ("44", MessageId::Ulong(0)),
        ("53 07", MessageId::Ulong(7)),
        ("80 ffffffffffffffff", MessageId::Ulong(u64::MAX)),
        ("98 '0123456789abcdef'", MessageId::Uuid(Uuid(*b"0123456789abcdef"))),
        ("a0 00", MessageId::Binary(Bytes::new())),
        ("a0 01 'm'", MessageId::Binary("m".into())),
        ("b0 00000001 'm'", MessageId::Binary("m".into())),
        ("a1 01 'm'", MessageId::from("m")),
        ("b1 00000001 'm'", MessageId::from("m")),
    ] {
        let fields = format!("{text} 40 40 40 40 {text}");
        let section = format!("00 53 73 c0 {:02x} 06 {fields} 00 53 77 40", hex(&fields).len() + 1);
        messages(&section, Limits::STRICT, |message| {
            let in_place = message.properties_ref().expect(text).expect("there");
            let found = [in_place.message_id(), in_place.correlation_id()];
            for found in found.map(|id| id.expect(text).expect("there").to_owned()) {
                assert_eq!(found, id, "{text} in place");
            }
            let properties = message.properties().expect(text).expect("there");
            assert_eq!((properties.message_id.as_ref(), properties.correlation_id), (Some(&id), Some(id.clone())));
        });
    }
}

/// M-3.2.4-2: each of the properties has its type.
#[test]
fn properties_have_their_types() {
    let properties = Properties {
        message_id: Some(1u64.into()),
        user_id: Some(Bytes::from_static(b"\xff")),
        to: Some("t".into()),
        subject: Some("s".into()),
        reply_to: Some("r".into()),
        correlation_id: Some("c".into()),
        content_type: Some(Symbol::from_static("text/plain")),
        content_encoding: Some(Symbol::from_static("gzip")),
        absolute_expiry_time: Some(Timestamp(1)),
        creation_time: Some(Timestamp(-1)),
        group_id: Some("g".into()),
        group_sequence: Some(SequenceNo(u32::MAX)),
        reply_to_group_id: Some("h".into()),
    };
    let fields = "53 01 a0 01 ff a1 01 't' a1 01 's' a1 01 'r' a1 01 'c' a3 0a 'text/plain' a3 04 'gzip' \
                  83 0000000000000001 83 ffffffffffffffff a1 01 'g' 70 ffffffff a1 01 'h'";
    let octets = format!("00 53 73 c0 {:02x} 0d {fields}", hex(fields).len() + 1);
    let wide = format!("00 80 0000000000000073 d0 {:08x} 0000000d {fields}", hex(fields).len() + 4);
    both_ways(properties, &octets, &octets, &[&wide]);
    // What stands in these fields and is of another type.
    for (nulls, text, code) in [
        (0, "43", 0x43),
        (1, "a1 01 'u'", 0xa1),
        (2, "a3 01 't'", 0xa3),
        (6, "a1 01 'x'", 0xa1),
        (7, "a1 01 'x'", 0xa1),
        (8, "81 0000000000000001", 0x81),
        (9, "55 01", 0x55),
        (11, "53 01", 0x53),
    ] {
        let fields = format!("{} {text}", "40".repeat(nulls));
        let octets = format!("00 53 73 c0 {:02x} {:02x} {fields}", hex(&fields).len() + 1, nulls + 1);
        refused::<Properties>(&octets, Kind::UnexpectedFormatCode(code), 6 + nulls as u32);
        no_message(&format!("{octets} 00 53 77 40"), Limits::DEFAULT, Kind::UnexpectedFormatCode(code));
    }
}

/// M-3.2.5-1: application properties have strings as keys, and simple values.
#[test]
fn application_properties_are_simple() {
    let properties: ApplicationProperties =
        [("a", Value::Null), ("b", 1i64.into()), ("c", symbol("s"))].into_iter().collect();
    let octets = "c1 10 06 a1 01 'a' 40 a1 01 'b' 55 01 a1 01 'c' a3 01 's'";
    both_ways(properties, octets, octets, &[]);
    for key in ["a3 01 'k'", "40", "43", "a0 01 'k'"] {
        let map = format!("c1 {:02x} 02 {key} 40", hex(key).len() + 2);
        refused_as::<ApplicationProperties>(&map, Kind::InvalidKeyType);
        no_message(&format!("00 53 74 {map} 00 53 77 40"), Limits::DEFAULT, Kind::InvalidKeyType);
    }
    for value in [
        "45",
        "c0 01 00",
        "c1 01 00",
        "e0 02 00 40",
        "d0 00000004 00000000",
        "d1 00000004 00000000",
        "f0 00000005 00000000 40",
    ] {
        let map = format!("c1 {:02x} 02 a1 01 'k' {value}", hex(value).len() + 4);
        refused_as::<ApplicationProperties>(&map, Kind::InvalidValueType);
        no_message(&format!("00 53 74 {map} 00 53 77 40"), Limits::DEFAULT, Kind::InvalidValueType);
    }
    refused_as::<ApplicationProperties>("c1 09 04 a1 01 'k' 40 a1 01 'k' 40", Kind::DuplicateKey);
}

/// M-3.2.10-1, M-3.2.9-1 (§3.2.2, §3.2.3): annotations have symbols and unsigned longs as keys, and any values.
#[test]
fn annotations_have_symbols_or_numbers_as_keys() {
    let octets = "c1 0f 06 a3 01 'a' 45 53 01 c1 01 00 44 e0 02 00 40";
    let annotations = read::<Annotations>(octets);
    let found: Vec<(&Value, &Value)> = annotations.iter().collect();
    let (one, none) = (Value::from(1u64), Value::from(0u64));
    assert_eq!(found.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [&symbol("a"), &one, &none]);
    assert_eq!(shown(&annotations.to_octets()), shown(&hex(octets)), "as they were");
    for key in ["a1 01 'k'", "40", "43", "55 01", "a0 01 'k'", "50 01"] {
        let map = format!("c1 {:02x} 02 {key} 40", hex(key).len() + 2);
        refused_as::<Annotations>(&map, Kind::InvalidKeyType);
        for section in ["00 53 71", "00 53 72"] {
            no_message(&format!("{section} {map} 00 53 77 40"), Limits::DEFAULT, Kind::InvalidKeyType);
        }
        no_message(&format!("00 53 77 40 00 53 78 {map}"), Limits::DEFAULT, Kind::InvalidKeyType);
    }
    no_message("00 53 72 c1 06 04 44 40 53 00 40 00 53 77 40", Limits::DEFAULT, Kind::DuplicateKey);
}

/// M-3.2.10-1: the values of annotations stay what they are, described ones and arrays too.
#[test]
fn values_in_maps_are_of_any_type() {
    let unusual: Map =
        [(symbol("x-opt-a"), array([binary(b"a")])), (symbol("x-opt-d"), Value::described(symbol("x:y"), true))]
            .into_iter()
            .collect();
    let octets = "c1 20 04 a3 07 'x-opt-a' e0 04 01 a0 01 'a' a3 07 'x-opt-d' 00 a3 03 'x:y' 41";
    value(unusual, octets, octets, &[]);
    assert_eq!(shown(&read::<Annotations>(octets).to_octets()), shown(&hex(octets)));
}
