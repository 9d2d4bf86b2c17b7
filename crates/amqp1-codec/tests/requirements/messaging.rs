//! Part 3: sections, delivery states and termini.

use crate::support::*;
use amqp1_codec::{
    DecodeErrorKind as Kind, Limits, Message, Symbol, Value,
    message::Body,
    messaging::{Header, Properties},
};
use bytes::{Bytes, BytesMut};

/// The sections in their order, each described by number, as short as they can be.
const SECTIONS: [&str; 7] = [
    "00 53 70 45",
    "00 53 71 c1 01 00",
    "00 53 72 c1 01 00",
    "00 53 73 45",
    "00 53 74 c1 01 00",
    "00 53 77 40",
    "00 53 78 c1 01 00",
];

/// M-3.2-1: the sections stand in one order; any but the body may be missing.
#[test]
fn sections_have_an_order() {
    for present in 0..128u32 {
        let chosen: Vec<&str> =
            SECTIONS.iter().enumerate().filter(|(at, _)| present & (1 << at) != 0).map(|(_, text)| *text).collect();
        let text = chosen.join(" ");
        if present & 0x20 == 0 {
            no_message(&text, Limits::STRICT, Kind::MissingBody);
            continue;
        }
        messages(&text, Limits::STRICT, |message| {
            assert_eq!(message.header().expect("valid").is_some(), present & 1 != 0);
            assert_eq!(message.delivery_annotations().expect("valid").is_some(), present & 2 != 0);
            assert_eq!(message.message_annotations().expect("valid").is_some(), present & 4 != 0);
            assert_eq!(message.properties().expect("valid").is_some(), present & 8 != 0);
            assert_eq!(message.application_properties().expect("valid").is_some(), present & 16 != 0);
            assert_eq!(message.value().expect("valid"), Some(Value::Null));
            assert_eq!(message.footer().expect("valid").is_some(), present & 64 != 0);
            assert_eq!(passed_on(message), shown(&hex(&text)));
        });
    }
}

/// M-3.2-1: no section comes twice, nor before one that it should follow.
#[test]
fn sections_out_of_order_are_refused() {
    for (at, first) in SECTIONS.iter().enumerate() {
        for second in &SECTIONS[..=at] {
            no_message(&format!("{first} {second} {}", SECTIONS[5]), Limits::DEFAULT, Kind::SectionOrder);
        }
    }
    no_message("00 53 77 40 00 53 73 45", Limits::DEFAULT, Kind::SectionOrder);
}

/// M-3.2-2: the body is one or more data, one or more sequences, or one value; never two kinds.
#[test]
fn bodies_are_of_one_kind() {
    let (data, sequence, one) = ("00 53 75 a0 00", "00 53 76 45", "00 53 77 40");
    for [first, second] in
        [[data, sequence], [data, one], [sequence, data], [sequence, one], [one, data], [one, sequence], [one, one]]
    {
        no_message(&format!("{first} {second}"), Limits::DEFAULT, Kind::SectionOrder);
        no_message(&format!("{first} {second} {first}"), Limits::DEFAULT, Kind::SectionOrder);
    }
    messages(&[data, data].join(" "), Limits::STRICT, |message| assert!(matches!(message.body(), Body::Data(_))));
    messages(&[sequence, sequence].join(" "), Limits::STRICT, |message| {
        assert!(matches!(message.body(), Body::Sequence(_)))
    });
}

/// M-3.2-5, Y-1.3.3-1: sections are described by number or by name, each in both forms.
#[test]
fn sections_are_described_by_number_or_by_name() {
    let sections = [
        (0x70, "amqp:header:list", "45"),
        (0x71, "amqp:delivery-annotations:map", "c1 01 00"),
        (0x72, "amqp:message-annotations:map", "c1 01 00"),
        (0x73, "amqp:properties:list", "45"),
        (0x74, "amqp:application-properties:map", "c1 01 00"),
        (0x75, "amqp:data:binary", "a0 02 'ab'"),
        (0x76, "amqp:amqp-sequence:list", "45"),
        (0x77, "amqp:amqp-value:*", "40"),
        (0x78, "amqp:footer:map", "c1 01 00"),
    ];
    for (code, name, body) in sections {
        let size = name.len();
        for descriptor in [
            format!("00 53 {code:02x}"),
            format!("00 80 {code:016x}"),
            format!("00 a3 {size:02x} '{name}'"),
            format!("00 b3 {size:08x} '{name}'"),
        ] {
            let section = format!("{descriptor} {body}");
            let text = match code {
                0x75..=0x77 => section,
                0x78 => format!("00 53 77 40 {section}"),
                _ => format!("{section} 00 53 77 40"),
            };
            messages(&text, Limits::STRICT, |message| {
                let found = match code {
                    0x70 => message.header().expect("valid").is_some(),
                    0x71 => message.delivery_annotations().expect("valid").is_some(),
                    0x72 => message.message_annotations().expect("valid").is_some(),
                    0x73 => message.properties().expect("valid").is_some(),
                    0x74 => message.application_properties().expect("valid").is_some(),
                    0x75 => message.data().is_some_and(|data| data == "ab"),
                    0x76 => matches!(message.body(), Body::Sequence(_)),
                    0x77 => message.value().expect("valid").is_some(),
                    _ => message.footer().expect("valid").is_some(),
                };
                assert!(found, "{text}");
            });
        }
    }
}

/// §3.2: what is no section is refused.
#[test]
fn what_is_no_section_is_refused() {
    for (text, kind) in [
        ("40", Kind::NotDescribed),
        ("a0 01 'x'", Kind::NotDescribed),
        ("00 53 79 40", Kind::UnexpectedDescriptor),
        ("00 53 6f 45", Kind::UnexpectedDescriptor),
        ("00 80 0000000100000077 40", Kind::UnexpectedDescriptor),
        ("00 52 77 40", Kind::UnexpectedDescriptor),
        ("00 a3 03 'x:y' 40", Kind::UnexpectedDescriptor),
        ("00", Kind::Truncated),
        ("00 53 77", Kind::Truncated),
        ("00 53 75 a0 02 00", Kind::Truncated),
        ("00 53 77 99", Kind::UnknownFormatCode(0x99)),
        ("00 53 77 c0 03 01 40 40", Kind::LengthMismatch),
        ("00 53 73 c1 01 00", Kind::UnexpectedFormatCode(0xc1)),
        ("00 53 73 40", Kind::UnexpectedFormatCode(0x40)),
        ("00 53 74 45", Kind::UnexpectedFormatCode(0x45)),
        ("00 53 75 40", Kind::UnexpectedFormatCode(0x40)),
        ("00 53 75 a1 00", Kind::UnexpectedFormatCode(0xa1)),
        ("00 53 76 e0 02 00 40", Kind::UnexpectedFormatCode(0xe0)),
        ("00 53 78 d0 00000004 00000000", Kind::UnexpectedFormatCode(0xd0)),
    ] {
        no_message(text, Limits::DEFAULT, kind);
    }
}

/// M-3.2.6-1: data is octets; several sections stay several.
#[test]
fn data_sections_stay_apart() {
    let text = "00 53 75 a0 02 'ab' 00 53 75 a0 00 00 53 75 b0 00000001 'c'";
    messages(text, Limits::STRICT, |message| {
        let Body::Data(sections) = message.body() else { panic!("data") };
        let sections: Vec<Vec<u8>> =
            sections.map(|section| section.chunks().flat_map(|chunk| chunk.to_vec()).collect()).collect();
        assert_eq!(sections, [b"ab".to_vec(), Vec::new(), b"c".to_vec()]);
        assert_eq!(message.data().expect("data"), "abc");
        assert_eq!(message.data_in_place(), None, "not in one piece");
    });
    for text in ["00 53 75 a0 00", "00 53 75 b0 00000000", "00 53 70 45 00 53 75 a0 00 00 53 78 c1 01 00"] {
        messages(text, Limits::STRICT, |message| {
            assert_eq!((message.data(), message.data_in_place()), (Some(Bytes::new()), Some(Bytes::new())), "{text}");
        });
    }
}

/// M-3.2.6-1, M-3.2.9-1: each section of data is written with its own size, and the footer follows the last, however large
/// they are and however the message is put together.
#[test]
fn data_sections_are_written_with_their_sizes_before_the_footer() {
    const FOOTER: &str = "00 53 78 c1 06 02 a3 01 'f' 52 07";
    let sizes =
        [&[2, 0][..], &[0], &[255], &[256, 255], &[1024, 1], &[1025], &[1, 5000, 3], &[65_535], &[65_536, 70_000]];
    for sizes in sizes {
        let mut builder = Message::builder();
        let mut expected = Vec::new();
        for (number, size) in sizes.iter().enumerate() {
            let octets = vec![number as u8 + 1; *size];
            expected.extend_from_slice(&hex("00 53 75"));
            match u8::try_from(*size) {
                Ok(size) => expected.extend_from_slice(&[0xa0, size]),
                Err(_) => expected.extend_from_slice(&[&[0xb0][..], &(*size as u32).to_be_bytes()].concat()),
            }
            expected.extend_from_slice(&octets);
            builder = builder.data(octets);
        }
        for footer in [false, true] {
            if footer {
                builder = builder.footer(Symbol::from_static("f"), 7u32);
                expected.extend_from_slice(&hex(FOOTER));
            }
            let mut appended = BytesMut::new();
            builder.encode(&mut appended);
            let shared = builder.clone().build_in(&mut BytesMut::new()).into_parts().concat();
            let built = builder.clone().build().into_parts().concat();
            assert!([&appended[..], &shared, &built].iter().all(|octets| *octets == expected), "{sizes:?} {footer}");
        }
    }
}

/// M-3.2.7-1: a sequence is a list of any values; several are allowed.
#[test]
fn sequences_are_lists() {
    let text = "00 53 76 45 00 53 76 c0 04 02 40 50 01 00 53 76 d0 00000005 00000001 45";
    messages(text, Limits::STRICT, |message| {
        let Body::Sequence(sequences) = message.body() else { panic!("sequences") };
        let all: Result<Vec<Vec<Value>>, _> = sequences.collect();
        assert_eq!(all, Ok(vec![vec![], vec![Value::Null, 1u8.into()], vec![Value::List(Vec::new())]]));
    });
    for (style, empty) in STYLES.into_iter().zip(["45", "c0 01 00"]) {
        let built = Message::builder().style(style).sequence(vec![]).sequence(vec![1u8.into()]).build();
        let octets: Vec<u8> = built.chunks().flat_map(|chunk| chunk.to_vec()).collect();
        assert_eq!(shown(&octets), shown(&hex(&format!("00 53 76 {empty} 00 53 76 c0 03 01 50 01"))));
    }
}

/// M-3.2.8-1: a value is any one value, null too.
#[test]
fn a_value_is_any_one_value() {
    for (_, text) in crate::types::CONSTRUCTORS {
        let expected = read::<Value>(text);
        messages(&format!("00 53 77 {text}"), Limits::STRICT, |message| {
            assert_eq!(message.value(), Ok(Some(expected.clone())), "{text}");
            let Body::Value(value) = message.body() else { panic!("a value") };
            assert_eq!(value.as_ref().and_then(|value| value.to_value()), Ok(expected.clone()));
        });
    }
}

/// M-3.1-1: a message of every section, as it is built.
#[test]
fn messages_are_built_in_order() {
    let builder = Message::builder()
        .footer(Symbol::from_static("x-f"), 1u8)
        .value("v")
        .application_property("p", true)
        .properties(Properties { to: Some("q".into()), ..Properties::default() })
        .message_annotation(Symbol::from_static("x-m"), 2u8)
        .delivery_annotation(Symbol::from_static("x-d"), 3u8)
        .header(Header { durable: true, ..Header::default() });
    let expected = "00 53 70 c0 02 01 41 00 53 71 c1 08 02 a3 03 'x-d' 50 03 00 53 72 c1 08 02 a3 03 'x-m' 50 02 \
                    00 53 73 c0 06 03 40 40 a1 01 'q' 00 53 74 c1 05 02 a1 01 'p' 41 00 53 77 a1 01 'v' \
                    00 53 78 c1 08 02 a3 03 'x-f' 50 01";
    let mut out = BytesMut::new();
    builder.encode(&mut out);
    assert_eq!(shown(&out), shown(&hex(expected)));
    let octets: Vec<u8> = builder.build().chunks().flat_map(|chunk| chunk.to_vec()).collect();
    assert_eq!(shown(&octets), shown(&hex(expected)));
}
