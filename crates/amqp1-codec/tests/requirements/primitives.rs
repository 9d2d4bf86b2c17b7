//! Part 1, §1.6: each primitive type in each of its encodings.

use crate::support::*;
use amqp1_codec::{
    Decode, DecodeErrorKind as Kind, Encode, EncodeStyle, Limits, Message, Str, Symbol, Timestamp, Uuid, Value,
    types::{Decimal32, Decimal64, Decimal128, Multiple},
};
use bytes::Bytes;

/// The value is written and read as any value, and as one of its own type.
#[track_caller]
fn typed<T: Into<Value> + Decode + Encode + Clone>(of: T, compact: &str, full: &str, others: &[&str]) {
    assert_eq!(shown(&written(&of, EncodeStyle::Compact)), shown(&hex(compact)), "compact");
    assert_eq!(shown(&written(&of, EncodeStyle::Full)), shown(&hex(full)), "full");
    for text in [compact, full].iter().chain(others) {
        assert_eq!(read::<T>(text).into(), of.clone().into(), "{text}");
    }
    value(of, compact, full, others);
}

/// A value with one encoding only.
#[track_caller]
fn only<T: Into<Value> + Decode + Encode + Clone>(of: T, octets: &str) {
    typed(of, octets, octets, &[]);
}

/// Y-1.6.1-1: null is the octet 40 and nothing else.
#[test]
fn null_is_one_octet() {
    only(Value::Null, "40");
    refused::<Value>("40 40", Kind::TrailingOctets, 1);
}

/// Y-1.6.2-1: true is 41 or 56 01, false is 42 or 56 00; 56 takes no other octet.
#[test]
fn booleans_have_a_short_and_a_long_form() {
    typed(true, "41", "41", &["56 01"]);
    typed(false, "42", "42", &["56 00"]);
    for octet in 2..=255u8 {
        for text in [format!("56 {octet:02x}"), format!("c0 03 01 56 {octet:02x}"), format!("e0 03 01 56 {octet:02x}")]
        {
            let offset = text.split(' ').count() as u32;
            refused::<Value>(&text, Kind::InvalidBoolean, offset);
        }
    }
}

/// Y-1.6.3-1: ubyte is 50 and one octet.
#[test]
fn ubytes_are_one_octet() {
    only(0u8, "50 00");
    only(127u8, "50 7f");
    only(128u8, "50 80");
    only(255u8, "50 ff");
}

/// Y-1.6.4-1: ushort is 60 and two octets, the higher first.
#[test]
fn ushorts_are_two_octets() {
    only(0u16, "60 0000");
    only(1u16, "60 0001");
    only(0x1234u16, "60 1234");
    only(65_535u16, "60 ffff");
}

/// Y-1.6.5-1: uint is 43, 52 with one octet, or 70 with four.
#[test]
fn uints_have_three_forms() {
    typed(0u32, "43", "43", &["52 00", "70 00000000"]);
    typed(1u32, "52 01", "52 01", &["70 00000001"]);
    typed(255u32, "52 ff", "52 ff", &["70 000000ff"]);
    only(256u32, "70 00000100");
    only(0x1234_5678u32, "70 12345678");
    only(u32::MAX, "70 ffffffff");
}

/// Y-1.6.6-1: ulong is 44, 53 with one octet, or 80 with eight, all 64 bits of which count.
#[test]
fn ulongs_have_three_forms() {
    typed(0u64, "44", "44", &["53 00", "80 0000000000000000"]);
    typed(255u64, "53 ff", "53 ff", &["80 00000000000000ff"]);
    only(256u64, "80 0000000000000100");
    only((1u64 << 53) + 1, "80 0020000000000001");
    only(u64::MAX, "80 ffffffffffffffff");
}

/// Y-1.6.7-1: byte is 51 and one octet, in two's complement.
#[test]
fn bytes_are_signed() {
    only(0i8, "51 00");
    only(127i8, "51 7f");
    only(-128i8, "51 80");
    only(-1i8, "51 ff");
}

/// Y-1.6.8-1: short is 61 and two octets, in two's complement.
#[test]
fn shorts_are_signed() {
    only(0i16, "61 0000");
    only(32_767i16, "61 7fff");
    only(-32_768i16, "61 8000");
    only(-2i16, "61 fffe");
}

/// Y-1.6.9-1: int is 54 with one octet whose sign extends, or 71 with four.
#[test]
fn ints_have_two_forms() {
    typed(0i32, "54 00", "54 00", &["71 00000000"]);
    typed(127i32, "54 7f", "54 7f", &["71 0000007f"]);
    typed(-128i32, "54 80", "54 80", &["71 ffffff80"]);
    typed(-1i32, "54 ff", "54 ff", &["71 ffffffff"]);
    only(128i32, "71 00000080");
    only(-129i32, "71 ffffff7f");
    only(i32::MIN, "71 80000000");
}

/// Y-1.6.10-1: long is 55 with one octet whose sign extends, or 81 with eight.
#[test]
fn longs_have_two_forms() {
    typed(0i64, "55 00", "55 00", &["81 0000000000000000"]);
    typed(-1i64, "55 ff", "55 ff", &["81 ffffffffffffffff"]);
    typed(-128i64, "55 80", "55 80", &["81 ffffffffffffff80"]);
    typed(127i64, "55 7f", "55 7f", &["81 000000000000007f"]);
    only(128i64, "81 0000000000000080");
    only(-129i64, "81 ffffffffffffff7f");
    only(9_007_199_254_740_993i64, "81 0020000000000001");
    only(i64::MAX, "81 7fffffffffffffff");
    only(i64::MIN, "81 8000000000000000");
}

/// Y-1.6.11-1: float is 72 and binary32; every bit is carried, of what is no number too.
#[test]
fn floats_are_carried_bit_for_bit() {
    only(1.5f32, "72 3fc00000");
    only(-0.0f32, "72 80000000");
    only(f32::INFINITY, "72 7f800000");
    only(f32::from_bits(0x7fc0_1234), "72 7fc01234");
    only(f32::from_bits(0xff80_0001), "72 ff800001");
    assert_ne!(read::<Value>("72 00000000"), read::<Value>("72 80000000"));
}

/// Y-1.6.12-1: double is 82 and binary64; every bit is carried.
#[test]
fn doubles_are_carried_bit_for_bit() {
    only(1.5f64, "82 3ff8000000000000");
    only(-0.0f64, "82 8000000000000000");
    only(f64::NEG_INFINITY, "82 fff0000000000000");
    only(f64::from_bits(0x7ff0_0000_0000_0001), "82 7ff0000000000001");
}

/// Y-1.6.13-1: decimals are 74, 84 and 94 with four, eight and sixteen octets, carried as they are.
#[test]
fn decimals_are_carried_octet_for_octet() {
    only(Decimal32([0x22, 0x50, 0x00, 0x07]), "74 22500007");
    only(Decimal64([0xf8, 0, 0, 0, 0, 0, 0, 1]), "84 f800000000000001");
    only(Decimal128(*b"0123456789abcdef"), "94 '0123456789abcdef'");
}

/// Y-1.6.16-1: char is 73 and a Unicode scalar value in four octets.
#[test]
fn chars_are_unicode_scalars() {
    only('a', "73 00000061");
    only('\0', "73 00000000");
    only('\u{d7ff}', "73 0000d7ff");
    only('\u{e000}', "73 0000e000");
    only('\u{10ffff}', "73 0010ffff");
    for surrogate_or_beyond in ["73 0000d800", "73 0000dfff", "73 00110000", "73 ffffffff"] {
        refused::<Value>(surrogate_or_beyond, Kind::InvalidChar, 5);
    }
}

/// Y-1.6.17-1: timestamp is 83 and signed milliseconds in eight octets.
#[test]
fn timestamps_are_signed_milliseconds() {
    only(Timestamp(0), "83 0000000000000000");
    only(Timestamp(-1), "83 ffffffffffffffff");
    only(Timestamp(1_311_704_463_521), "83 0000013167adb8a1");
    only(Timestamp(i64::MIN), "83 8000000000000000");
    only(Timestamp(i64::MAX), "83 7fffffffffffffff");
}

/// Y-1.6.18-1: uuid is 98 and sixteen octets in the order in which they are written.
#[test]
fn uuids_keep_their_order() {
    let text = "98 00010203 0405 0607 0809 0a0b0c0d0e0f";
    only(Uuid([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]), text);
    assert_eq!(read::<Uuid>(text).to_string(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
}

/// Y-1.6.19-1: binary is a0 or b0; an empty one is a value, and not null.
#[test]
fn binaries_may_be_empty() {
    value(binary(b""), "a0 00", "a0 00", &["b0 00000000"]);
    value(binary(b"\x00\xff"), "a0 02 00ff", "a0 02 00ff", &["b0 00000002 00ff"]);
    assert_ne!(read::<Value>("a0 00"), Value::Null);
}

/// Y-1.2.2-1: up to 255 octets the size is one octet, beyond it is four; octets count, not characters.
#[test]
fn sizes_count_octets() {
    let nul = "00".repeat(255);
    value(
        Bytes::from(vec![0; 255]),
        &format!("a0 ff {nul}"),
        &format!("a0 ff {nul}"),
        &[&format!("b0 000000ff {nul}")],
    );
    let long = format!("b0 00000100 {nul} 00");
    value(Bytes::from(vec![0; 256]), &long, &long, &[]);
    // 85 characters of three octets each, and one more.
    let euros = "e282ac".repeat(85);
    let text = "€".repeat(85);
    let short = format!("a1 ff {euros}");
    value(text.clone(), &short, &short, &[&format!("b1 000000ff {euros}")]);
    let long = format!("b1 00000100 {euros} 'x'");
    value(text + "x", &long, &long, &[]);
    let long = format!("b3 00000100 {}", "61".repeat(256));
    value(Symbol::new("a".repeat(256)).expect("ASCII"), &long, &long, &[]);
    // All four octets of the size count.
    for size in [0xffff, 0x1_0000, 0x1_0001, 0x100_0000] {
        let text = "a".repeat(size);
        let octets = |code: u8| {
            let size = (size as u32).to_be_bytes();
            Bytes::from([&[code][..], &size, text.as_bytes()].concat())
        };
        for (code, value) in [
            (0xb0, Value::from(Bytes::from(text.clone()))),
            (0xb1, text.clone().into()),
            (0xb3, Symbol::new(text.clone()).expect("ASCII").into()),
        ] {
            for style in STYLES {
                assert!(written(&value, style) == octets(code), "{code:#x} of {size} octets");
            }
            assert!(whole_within(&octets(code), Limits::STRICT) == Ok(value), "{code:#x} of {size} octets");
        }
    }
}

/// Y-1.6.20-1: string is a1 or b1 and UTF-8; what is not is refused, a byte order mark is a character as any other.
#[test]
fn strings_are_utf_8() {
    value("", "a1 00", "a1 00", &["b1 00000000"]);
    value("Hallo", "a1 05 'Hallo'", "a1 05 'Hallo'", &["b1 00000005 'Hallo'"]);
    value("a\0é€\u{1f600}", "a1 0b 61 00 c3a9 e282ac f09f9880", "a1 0b 61 00 c3a9 e282ac f09f9880", &[]);
    assert_eq!(read::<Str>("a1 03 efbbbf").as_str(), "\u{feff}");
    let malformed = ["80", "c3", "c080", "e08080", "eda080", "f4908080", "ff", "6180"];
    for octets in malformed {
        let size = octets.len() / 2;
        let narrow = format!("a1 {size:02x} {octets}");
        let wide = format!("b1 {size:08x} {octets}");
        refused_as::<Value>(&narrow, Kind::InvalidUtf8);
        refused_as::<Value>(&wide, Kind::InvalidUtf8);
        refused_in_place(&narrow, Kind::InvalidUtf8);
        refused_in_place(&wide, Kind::InvalidUtf8);
        refused_as::<Str>(&narrow, Kind::InvalidUtf8);
        // The subject of a message, of which the text is read in place too.
        for text in [narrow, wide] {
            let list = format!("d0 {:08x} 00000004 40 40 40 {text}", hex(&text).len() + 7);
            let message = Message::from_chunks([hex(&format!("00 53 73 {list} 00 53 77 40"))]).expect(&text);
            let subject = message.properties_ref().expect(&text).expect("there").subject();
            assert_eq!(subject.map_err(|error| error.kind), Err(Kind::InvalidUtf8), "{text}");
            assert_eq!(message.properties().map_err(|error| error.kind), Err(Kind::InvalidUtf8), "{text}");
        }
    }
}

/// Y-1.6.21-1: symbol is a3 or b3 and ASCII.
#[test]
fn symbols_are_ascii() {
    value(symbol(""), "a3 00", "a3 00", &["b3 00000000"]);
    value(symbol("amqp:x"), "a3 06 'amqp:x'", "a3 06 'amqp:x'", &["b3 00000006 'amqp:x'"]);
    value(symbol("\0\x7f"), "a3 02 00 7f", "a3 02 00 7f", &[]);
    for octet in 0x80..=0xffu8 {
        refused_as::<Value>(&format!("a3 02 61 {octet:02x}"), Kind::InvalidSymbol);
        refused_in_place(&format!("a3 02 61 {octet:02x}"), Kind::InvalidSymbol);
        refused_in_place(&format!("b3 00000002 {octet:02x} 61"), Kind::InvalidSymbol);
        refused_as::<Symbol>(&format!("b3 00000002 {octet:02x} 61"), Kind::InvalidSymbol);
        refused_as::<Multiple<Symbol>>(&format!("e0 04 01 a3 01 {octet:02x}"), Kind::InvalidSymbol);
        let wide = format!("f0 0000000a 00000001 b3 00000001 {octet:02x}");
        refused_as::<Multiple<Symbol>>(&wide, Kind::InvalidSymbol);
    }
    // However long, and wherever it stands.
    for at in [0, 100, 299] {
        let text = format!("b3 0000012c {}80{}", "61".repeat(at), "61".repeat(299 - at));
        refused_as::<Value>(&text, Kind::InvalidSymbol);
        refused_as::<Symbol>(&text, Kind::InvalidSymbol);
        refused_in_place(&text, Kind::InvalidSymbol);
    }
    // UTF-8, but not ASCII.
    refused_as::<Value>("a3 02 c3a9", Kind::InvalidSymbol);
    refused_in_place("a3 02 c3a9", Kind::InvalidSymbol);
    refused_as::<Multiple<Symbol>>("e0 05 01 a3 02 c3a9", Kind::InvalidSymbol);
    assert!(Symbol::new("é").is_err());
}
