//! Part 1, §1.1 to §1.3 and §1.6.24: constructors, compounds, arrays and described values; and what hostile octets
//! may cost.

use crate::support::*;
use amqp1_codec::{
    DecodeErrorKind as Kind, Descriptor, EncodeStyle, Limits, Map, Multiple, Reader, Symbol, Value, ValueRef,
    performative::Open,
};
use bytes::Bytes;

/// Every format code of §1.6, with data that fits it.
pub(crate) const CONSTRUCTORS: [(u8, &str); 40] = [
    (0x40, "40"),
    (0x41, "41"),
    (0x42, "42"),
    (0x43, "43"),
    (0x44, "44"),
    (0x45, "45"),
    (0x50, "50 01"),
    (0x51, "51 01"),
    (0x52, "52 01"),
    (0x53, "53 01"),
    (0x54, "54 01"),
    (0x55, "55 01"),
    (0x56, "56 01"),
    (0x60, "60 0001"),
    (0x61, "61 0001"),
    (0x70, "70 00000001"),
    (0x71, "71 00000001"),
    (0x72, "72 00000001"),
    (0x73, "73 00000001"),
    (0x74, "74 00000001"),
    (0x80, "80 0000000000000001"),
    (0x81, "81 0000000000000001"),
    (0x82, "82 0000000000000001"),
    (0x83, "83 0000000000000001"),
    (0x84, "84 0000000000000001"),
    (0x94, "94 00000000000000000000000000000001"),
    (0x98, "98 00000000000000000000000000000001"),
    (0xa0, "a0 01 'a'"),
    (0xa1, "a1 01 'a'"),
    (0xa3, "a3 01 'a'"),
    (0xb0, "b0 00000001 'a'"),
    (0xb1, "b1 00000001 'a'"),
    (0xb3, "b3 00000001 'a'"),
    (0xc0, "c0 02 01 40"),
    (0xc1, "c1 03 02 41 40"),
    (0xd0, "d0 00000005 00000001 40"),
    (0xd1, "d1 00000006 00000002 41 40"),
    (0xe0, "e0 03 01 50 01"),
    (0xf0, "f0 00000006 00000001 50 01"),
    (0x00, "00 a3 03 'x:y' 40"),
];

/// Y-1.1.2-1, Y-1.5-1: 00, a descriptor, a value; an unsigned long in its three forms, a symbol in its two.
#[test]
fn described_values_have_a_descriptor_of_any_form() {
    value(Value::described(0u64, true), "00 44 41", "00 44 41", &["00 53 00 41", "00 80 0000000000000000 56 01"]);
    value(Value::described(16u64, 0u32), "00 53 10 43", "00 53 10 43", &["00 80 0000000000000010 70 00000000"]);
    value(
        Value::described(0x0000_468c_0000_0004u64, "x"),
        "00 80 0000468c00000004 a1 01 'x'",
        "00 80 0000468c00000004 a1 01 'x'",
        &[],
    );
    value(
        Value::described(symbol("x:y"), 1u8),
        "00 a3 03 'x:y' 50 01",
        "00 a3 03 'x:y' 50 01",
        &["00 b3 00000003 'x:y' 50 01"],
    );
    // Anything may describe, even what is described itself; the other types are reserved.
    value(Value::described("s", 1u8), "00 a1 01 's' 50 01", "00 a1 01 's' 50 01", &[]);
    value(Value::described(Value::Null, 1u8), "00 40 50 01", "00 40 50 01", &[]);
    value(
        Value::described(Value::described(1u64, 2u64), 3u64),
        "00 00 53 01 53 02 53 03",
        "00 00 53 01 53 02 53 03",
        &["00 00 80 0000000000000001 53 02 53 03"],
    );
    value(
        Value::described(1u64, Value::described(2u64, 3u64)),
        "00 53 01 00 53 02 53 03",
        "00 53 01 00 53 02 53 03",
        &[],
    );
}

/// Y-1.1.2-1, Y-1.1.2-2: a descriptor of any type, where the value is read in place, passed over, or an array's element.
#[test]
fn descriptors_of_any_type_are_read_in_place_and_in_arrays() {
    for (_, descriptor) in CONSTRUCTORS {
        let described = format!("00 {descriptor} 50 01");
        let octets = hex(&described);
        let expected = Value::described(read::<Value>(descriptor), 1u8);
        assert_eq!(read::<Value>(&described), expected, "{described}");
        let ValueRef::Described(in_place) = ValueRef::read(&mut Reader::new(&octets)).expect(&described) else {
            panic!("{described}")
        };
        let (of, what) = in_place.parts().expect(&described);
        let parts = (of.to_value(), what.to_value());
        assert_eq!(parts, (Ok(read::<Value>(descriptor)), Ok(1u8.into())), "{described}");
        assert_eq!(Reader::new(&octets).skip().map(<[u8]>::len), Ok(octets.len()), "{described}");
        // The value behind it in a list or a map is found, and it describes each element of an array.
        let size = octets.len();
        let list: Vec<Value> = vec![expected.clone(), true.into()];
        assert_eq!(read::<Value>(&format!("c0 {:02x} 02 {described} 41", size + 2)), Value::List(list), "{described}");
        let map = hex(&format!("c1 {:02x} 04 a1 01 'a' {described} a1 01 'b' 41", size + 8));
        let ValueRef::Map(map) = ValueRef::read(&mut Reader::new(&map)).expect(&described) else { panic!("a map") };
        assert!(matches!(map.get("b"), Ok(Some(ValueRef::Boolean(true)))), "{described}");
        let elements = format!("e0 {:02x} 02 00 {descriptor} 50 01 01", size + 2);
        assert_eq!(read::<Value>(&elements), array([expected.clone(), expected]), "{elements}");
    }
}

/// Y-1.1.2-1: a descriptor in each form, as a reader takes it off.
#[test]
fn descriptors_are_read_in_each_form() {
    for text in ["00 53 10", "00 80 0000000000000010"] {
        let octets = hex(text);
        assert_eq!(Reader::new(&octets).descriptor(), Ok(Descriptor::Code(16)), "{text}");
    }
    for text in ["00 a3 0e 'amqp:open:list'", "00 b3 0000000e 'amqp:open:list'"] {
        let octets = hex(text);
        let descriptor = Reader::new(&octets).descriptor().expect(text);
        assert_eq!(descriptor, Descriptor::Name(Symbol::from_static("amqp:open:list")));
        assert_eq!(descriptor.code(), Some(16), "the name means the number");
    }
    assert_eq!(Reader::new(&hex("00 44")).descriptor(), Ok(Descriptor::Code(0)));
    for (text, kind) in [
        ("53 10", Kind::NotDescribed),
        ("00", Kind::Truncated),
        ("00 43", Kind::UnexpectedDescriptor),
        ("00 52 10", Kind::UnexpectedDescriptor),
        ("00 50 10", Kind::UnexpectedDescriptor),
        ("00 55 10", Kind::UnexpectedDescriptor),
        ("00 a1 01 'x'", Kind::UnexpectedDescriptor),
    ] {
        assert_eq!(Reader::new(&hex(text)).descriptor().expect_err(text).kind, kind, "{text}");
    }
}

/// Y-1.1.2-2: what an unknown descriptor describes is kept wherever any type may stand, whatever it is.
#[test]
fn unknown_descriptors_are_kept() {
    for (_, text) in CONSTRUCTORS {
        let octets = hex(&format!("00 a3 03 'x:y' {text}"));
        let value = ValueRef::read(&mut Reader::new(&octets)).expect(text);
        let ValueRef::Described(described) = value else { panic!("{text}") };
        let (descriptor, described) = described.parts().expect(text);
        assert_eq!((descriptor.to_value(), described.to_value()), (Ok(symbol("x:y")), Ok(read(text))), "{text}");
        assert_eq!(value.to_value(), Ok(Value::described(symbol("x:y"), read::<Value>(text))), "{text}");
    }
    let map: Map = [("k", 1u8)].into_iter().collect();
    let unknown = Value::described(symbol("x:y"), map);
    let octets = "00 a3 03 'x:y' c1 06 02 a1 01 'k' 50 01";
    value(unknown.clone(), octets, octets, &["00 b3 00000003 'x:y' d1 00000009 00000002 a1 01 'k' 50 01"]);
    let listed = format!("c0 10 02 {octets} 40");
    value(vec![unknown.clone(), Value::Null], &listed, &listed, &[]);
    let open: Open = read(&format!("00 53 10 c0 20 0a a1 01 'c' 40 40 40 40 40 40 40 40 c1 12 02 a3 01 'x' {octets}"));
    assert_eq!(open.properties.as_ref().and_then(|fields| fields.get("x")), Some(&unknown));
    assert!(shown(&written(&open, EncodeStyle::Compact)).contains(&shown(&hex(octets))), "and written again");
}

/// Y-1.2.1-1, Y-1.2.2-1: how long the data is follows from the format code's high half.
#[test]
fn the_high_half_of_a_format_code_gives_the_width() {
    for (code, text) in CONSTRUCTORS.iter().filter(|(code, _)| (0x40..0xa0).contains(code)) {
        let width = [0, 1, 2, 4, 8, 16][usize::from(code >> 4) - 4];
        let octets = hex(text);
        assert_eq!(octets.len(), 1 + width, "{code:#x}");
        let followed = [&octets[..], b"rest"].concat().into();
        let mut reader = Reader::new(&followed);
        assert!(amqp1_codec::Decode::decode(&mut reader).map(|_: Value| ()).is_ok());
        assert_eq!(reader.rest(), &b"rest"[..], "{code:#x}");
        assert_eq!(Reader::new(&followed).skip().map(<[u8]>::len), Ok(1 + width), "{code:#x}, unread");
        let described = [&hex("00 53 01")[..], &followed].concat().into();
        assert_eq!(Reader::new(&described).skip().map(<[u8]>::len), Ok(4 + width), "{code:#x}, described and unread");
    }
}

/// Y-1.2.5-1: there are forty format codes, 00 among them, and no others.
#[test]
fn other_format_codes_are_refused() {
    for code in 0..=255u8 {
        match CONSTRUCTORS.iter().find(|(known, _)| *known == code) {
            Some((_, text)) => drop(read::<Value>(text)),
            None => {
                let filled = format!("{code:02x} {}", "00".repeat(16));
                refused::<Value>(&filled, Kind::UnknownFormatCode(code), 0);
                refused::<Value>(&format!("c0 03 02 40 {code:02x}"), Kind::UnknownFormatCode(code), 4);
                refused::<Value>(&format!("c1 03 02 40 {code:02x}"), Kind::UnknownFormatCode(code), 4);
                refused::<Value>(&format!("e0 02 00 {code:02x}"), Kind::UnknownFormatCode(code), 3);
                refused::<Value>(&format!("00 {code:02x} 40"), Kind::UnknownFormatCode(code), 1);
                refused::<Value>(&format!("00 53 01 {code:02x}"), Kind::UnknownFormatCode(code), 3);
                // Read in place and passed over too.
                for (before, offset) in [("", 0), ("00", 1), ("00 53 01", 3)] {
                    let text = format!("{before} {filled}");
                    refused_in_place(&text, Kind::UnknownFormatCode(code));
                    let skipped = Reader::new(&hex(&text)).skip().map(<[u8]>::len);
                    let refused = skipped.map_err(|error| (error.kind, error.offset));
                    assert_eq!(refused, Err((Kind::UnknownFormatCode(code), offset)), "{text}");
                }
            }
        }
    }
}

/// Y-1.2.3-1, Y-1.2.3-2: the size counts the count and the elements, and the count the elements; neither more nor less.
#[test]
fn sizes_and_counts_agree_with_the_elements() {
    for (text, kind, offset) in [
        // An element begins within the size and ends beyond it.
        ("c0 02 01 a1 01 'x'", Kind::Truncated, 4),
        ("c0 03 01 a1 01 'x'", Kind::Truncated, 5),
        ("c0 00 40", Kind::Truncated, 2),
        ("d0 00000003 000000 40", Kind::Truncated, 5),
        ("c1 04 02 a1 01 'k' 40", Kind::Truncated, 6),
        // Octets are left over.
        ("c0 02 00 40", Kind::LengthMismatch, 3),
        ("c0 03 01 40 40", Kind::LengthMismatch, 4),
        ("d0 00000006 00000001 40 40", Kind::LengthMismatch, 10),
        ("c1 04 02 41 40 40", Kind::LengthMismatch, 5),
        ("e0 04 01 50 01 02", Kind::LengthMismatch, 5),
        // There are fewer elements than are counted.
        ("c0 02 02 40", Kind::ElementsExceeded, 3),
        ("c0 03 02 50 01", Kind::Truncated, 5),
        ("e0 03 02 50 01", Kind::ElementsExceeded, 4),
        ("e0 04 02 60 0001", Kind::Truncated, 6),
        // The size goes beyond the octets.
        ("c0 05 01 40", Kind::Truncated, 2),
        ("d0 ffffffff 00000001 40", Kind::Truncated, 5),
    ] {
        let error = whole_within::<Value>(&hex(text), Limits::DEFAULT).expect_err(text);
        assert_eq!(error.kind, kind, "{text}");
        assert!(error.offset <= offset, "{text}: at {}", error.offset);
        refused_in_place(text, kind);
    }
}

/// Y-rob-1: a size or a count of gigabytes is told by the octets that are there.
#[test]
fn promises_are_checked_against_the_octets() {
    for code in ["b0", "b1", "b3", "d0", "d1", "f0"] {
        for size in ["ffffffff", "80000000", "7fffffff"] {
            refused_as::<Value>(&format!("{code} {size} 00000001 40 40"), Kind::Truncated);
        }
    }
    for code in ["d0", "d1", "f0"] {
        refused_as::<Value>(&format!("{code} 00000007 fffffffe 50 01 02"), Kind::ElementsExceeded);
    }
    refused_as::<Value>("c0 03 ff 40 40", Kind::ElementsExceeded);
    assert!(whole_within::<Multiple<Symbol>>(&hex("f0 00000007 fffffffe a3 01 61"), Limits::DEFAULT).is_err());
}

/// Y-rob-2: nesting has a bound, which is a limit of ours: just so deep is read, one level more is refused.
#[test]
fn nesting_is_bounded() {
    let lists = |levels: usize| {
        (1..levels).fold(hex("c0 02 01 40"), |inner, _| {
            let size = (4 + inner.len() as u32).to_be_bytes();
            Bytes::from([&[0xd0][..], &size, &[0, 0, 0, 1], &inner].concat())
        })
    };
    let described = |levels: usize| hex(&format!("{} 40", "00 40".repeat(levels)));
    let descriptors = |levels: usize| hex(&format!("{}{}", "00".repeat(levels), "40".repeat(levels + 1)));
    // By their values or by their keys, narrow as far as they fit.
    let maps = |by_key: bool| {
        move |levels: usize| {
            (1..levels).fold(hex("c1 03 02 40 40"), |inner, _| {
                let (before, after) = if by_key { ("", "40") } else { ("40", "") };
                let items = [&hex(before)[..], &inner, &hex(after)].concat();
                match u8::try_from(items.len() + 1) {
                    Ok(size) => Bytes::from([&[0xc1, size, 2][..], &items].concat()),
                    Err(_) => {
                        let size = (4 + items.len() as u32).to_be_bytes();
                        Bytes::from([&[0xd1][..], &size, &[0, 0, 0, 2], &items].concat())
                    }
                }
            })
        }
    };
    let arrays = |levels: usize| {
        (1..levels).fold(hex("e0 03 01 50 07"), |inner, _| {
            let size = (4 + inner.len() as u32).to_be_bytes();
            Bytes::from([&[0xf0][..], &size, &[0, 0, 0, 1], &inner].concat())
        })
    };
    // An array whose elements have one descriptor less than levels.
    let described_elements = |levels: usize| {
        let elements = hex(&format!("{} 50 07", "00 40".repeat(levels - 1)));
        let size = (4 + elements.len() as u32).to_be_bytes();
        Bytes::from([&[0xf0][..], &size, &[0, 0, 0, 1], &elements].concat())
    };
    let limits = |depth: u8| {
        let mut limits = Limits::DEFAULT;
        limits.depth = depth;
        limits
    };
    let (values, keys) = (maps(false), maps(true));
    for make in
        [&lists as &dyn Fn(usize) -> Bytes, &described, &descriptors, &values, &keys, &arrays, &described_elements]
    {
        for depth in [1, 8, 32] {
            let fits = whole_within::<Value>(&make(depth), limits(depth as u8));
            assert!(fits.is_ok(), "{depth}: {fits:?}");
            let deeper = whole_within::<Value>(&make(depth + 1), limits(depth as u8)).expect_err("too deep");
            assert_eq!(deeper.kind, Kind::DepthExceeded);
            assert_eq!(walked(&make(depth), limits(depth as u8)), Ok(()), "{depth} in place");
            let deeper = walked(&make(depth + 1), limits(depth as u8)).expect_err("too deep");
            assert_eq!(deeper.kind, Kind::DepthExceeded, "{depth} in place");
        }
        let deepest = whole_within::<Value>(&make(20_000), Limits::DEFAULT).expect_err("far too deep");
        assert_eq!(deepest.kind, Kind::DepthExceeded);
    }
    // To pass over a value needs a stack of descriptors alone.
    let skipped = |octets: Bytes, depth: u8| {
        let skipped = Reader::with_limits(&octets, limits(depth)).skip().map(<[u8]>::len);
        skipped.map(|length| assert_eq!(length, octets.len())).map_err(|error| error.kind)
    };
    for depth in [1, 8, 32] {
        assert_eq!(skipped(descriptors(depth.into()), depth), Ok(()), "{depth} passed over");
        for levels in [usize::from(depth) + 1, 20_000] {
            assert_eq!(skipped(descriptors(levels), depth), Err(Kind::DepthExceeded), "{depth} passed over");
        }
    }
}

/// Y-rob-3: what ends too soon is malformed, whatever its constructor.
#[test]
fn cut_values_are_malformed() {
    for (_, text) in CONSTRUCTORS {
        let octets = hex(text);
        for end in 0..octets.len() {
            let cut = octets.slice(..end);
            let error = whole_within::<Value>(&cut, Limits::DEFAULT).expect_err("cut");
            assert_eq!(error.kind, Kind::Truncated, "{text} at {end}");
            let mut reader = Reader::new(&cut);
            assert!(ValueRef::read(&mut reader).and_then(|value| value.to_value()).is_err(), "{text} at {end}");
            assert!(Reader::new(&cut).skip().is_err(), "{text} at {end}");
        }
    }
}
