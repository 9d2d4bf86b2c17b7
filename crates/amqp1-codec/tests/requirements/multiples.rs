//! Part 1, §1.3.5 and §1.4: fields of several values, and types with few values.

use crate::composites::{each_field, fields_of, refusal};
use crate::encodings::{codes, values};
use crate::support::*;
use amqp1_codec::{Array, DecodeErrorKind as Kind, EncodeStyle, Value};

/// Y-1.4-3, Y-1.2.4-1: one value bare or in an array, several in an array of any form; null and an empty array are none.
#[test]
fn several_values_are_one_or_an_array() {
    let mut tried = 0;
    each_field(|composite, index, field, name| {
        if !field.multiple {
            return;
        }
        assert_eq!(field.ty, "symbol");
        let forms = |text: &str| composite.forms(&composite.with(index, &hex(text)));
        let mut alike = |texts: &[&str]| {
            let first = forms(texts[0]).swap_remove(0);
            for text in texts {
                for form in forms(text) {
                    assert!((composite.same)(&form, &first), "{name} = {text}");
                    tried += 1;
                }
            }
            first
        };
        let one = alike(&[
            "a3 01 'a'",
            "b3 00000001 'a'",
            "e0 04 01 a3 01 'a'",
            "e0 07 01 b3 00000001 'a'",
            "f0 00000007 00000001 a3 01 'a'",
            "f0 0000000a 00000001 b3 00000001 'a'",
        ]);
        let two = alike(&[
            "e0 07 02 a3 01 'a' 02 'bc'",
            "e0 0d 02 b3 00000001 'a' 00000002 'bc'",
            "f0 0000000a 00000002 a3 01 'a' 02 'bc'",
            "f0 00000010 00000002 b3 00000001 'a' 00000002 'bc'",
        ]);
        assert!(!(composite.same)(&one, &two));
        if !field.mandatory {
            let empty = ["40", "e0 02 00 a3", "e0 02 00 b3", "f0 00000005 00000000 a3", "f0 00000005 00000000 b3"];
            assert!(!(composite.same)(&alike(&empty), &one));
        }
        let written = fields_of(&(composite.again)(&two, EncodeStyle::Full).expect(name));
        let expected = Array::from_values([symbol("a"), symbol("bc")]).expect("one type");
        assert_eq!(written[index], Value::Array(expected), "{name}");
    });
    assert!(tried > 500, "{tried}");
}

/// Y-1.4-4: where values are mandatory, none are as missing as null.
#[test]
fn mandatory_values_may_not_be_none() {
    let mut tried = 0;
    each_field(|composite, index, field, name| {
        if !(field.multiple && field.mandatory) {
            return;
        }
        for none in ["40", "e0 02 00 a3", "f0 00000005 00000000 b3"] {
            for octets in composite.forms(&composite.with(index, &hex(none))) {
                let refused = refusal(composite, &octets).map(|(kind, _)| kind);
                assert_eq!(refused, Some(Kind::MissingField(index as u8)), "{name} = {none}");
            }
        }
        tried += 1;
    });
    assert_eq!(tried, 1);
}

/// Y-1.4-5: several values are no list, and no array of another type.
#[test]
fn several_values_are_an_array_of_their_type() {
    let (mut one, mut several) = (0, 0);
    each_field(|composite, index, field, name| {
        let refused = |text: &str| {
            let octets = composite.forms(&composite.with(index, &hex(text))).swap_remove(1);
            refusal(composite, &octets).map(|(kind, _)| kind)
        };
        if !field.multiple {
            // One value, and not an array of one.
            let (_, wires) = values(field.ty).swap_remove(0);
            let array = format!("e0 {:02x} 01 {}", wires[0].len() + 1, shown(&wires[0]));
            let expected =
                if codes(field.ty) == [0x00] { Kind::NotDescribed } else { Kind::UnexpectedFormatCode(0xe0) };
            assert!(field.ty == "any" || refused(&array) == Some(expected), "{name} = {array}");
            one += 1;
            return;
        }
        for (text, kind) in [
            ("c0 04 01 a3 01 'a'", Kind::UnexpectedFormatCode(0xc0)),
            ("d0 00000007 00000001 a3 01 'a'", Kind::UnexpectedFormatCode(0xd0)),
            ("45", Kind::UnexpectedFormatCode(0x45)),
            ("e0 04 01 a1 01 'a'", Kind::UnexpectedFormatCode(0xa1)),
            ("e0 04 01 a0 01 'a'", Kind::UnexpectedFormatCode(0xa0)),
            ("e0 02 00 a1", Kind::UnexpectedFormatCode(0xa1)),
            ("e0 02 00 40", Kind::UnexpectedFormatCode(0x40)),
            ("f0 00000005 00000000 a1", Kind::UnexpectedFormatCode(0xa1)),
            ("e0 05 00 00 53 01 a3", Kind::UnexpectedDescriptor),
            ("e0 02 01 40", Kind::UnexpectedFormatCode(0x40)),
            ("e0 07 01 00 53 01 a3 01 'a'", Kind::UnexpectedDescriptor),
            ("e0 04 01 99 01 'a'", Kind::UnknownFormatCode(0x99)),
            ("e0 04 02 a3 01 'a'", Kind::Truncated),
            ("e0 05 01 a3 01 'a' 00", Kind::LengthMismatch),
            ("e0 01 00", Kind::Truncated),
            ("e0 04 01 a3 01 80", Kind::InvalidSymbol),
        ] {
            assert_eq!(refused(text), Some(kind), "{name} = {text}");
        }
        several += 1;
    });
    assert_eq!((one, several), (112, 13));
}

/// Y-1.3.5-1: a restricted type takes its choices and no other value of the type it restricts.
#[test]
fn choices_are_closed() {
    let mut tried = 0;
    each_field(|composite, index, field, name| {
        let choices = match field.ty {
            "sender-settle-mode" => 3,
            "receiver-settle-mode" => 2,
            "sasl-code" => 5,
            "terminus-durability" => 3,
            "terminus-expiry-policy" => {
                for text in ["a3 00", "a3 05 'Never'", "a3 06 'never '", "b3 00000004 'once'"] {
                    let octets = composite.forms(&composite.with(index, &hex(text))).swap_remove(0);
                    assert!(matches!(refusal(composite, &octets), Some((Kind::InvalidValue, _))), "{name} = {text}");
                }
                tried += 1;
                return;
            }
            _ => return,
        };
        let forms: &[&str] = if field.ty == "terminus-durability" { &["52 ", "70 000000"] } else { &["50 "] };
        for form in forms {
            for number in 0..=255u8 {
                let octets = composite.with(index, &hex(&format!("{form}{number:02x}")));
                let refused = refusal(composite, &composite.forms(&octets)[0]).map(|(kind, _)| kind);
                assert_eq!(refused, (number >= choices).then_some(Kind::InvalidValue), "{name} = {number}");
            }
        }
        // Wide numbers whose low octet is a choice.
        for wide in ["70 00000100", "70 00010001", "70 01000002", "70 80000000"] {
            let octets = composite.with(index, &hex(wide));
            let refused = refusal(composite, &composite.forms(&octets)[0]).map(|(kind, _)| kind);
            let expected = if forms.len() == 2 { Kind::InvalidValue } else { Kind::UnexpectedFormatCode(0x70) };
            assert_eq!(refused, Some(expected), "{name} = {wide}");
        }
        tried += 1;
    });
    assert_eq!(tried, 8);
}

/// T-2.8.7-1, T-2.7.5-6, X-4.5.4-1: delivery-tags and transaction ids have 32 octets at the most.
#[test]
fn tags_and_transaction_ids_have_at_most_32_octets() {
    let mut tried = 0;
    each_field(|composite, index, field, name| {
        if field.ty != "binary32" {
            return;
        }
        let kind = if field.name == "delivery-tag" { Kind::TagTooLong } else { Kind::InvalidValue };
        for (size, refused) in [(0, false), (32, false), (33, true), (255, true)] {
            for wire in [format!("a0 {size:02x} {}", "61".repeat(size)), format!("b0 {size:08x} {}", "61".repeat(size))]
            {
                for octets in composite.forms(&composite.with(index, &hex(&wire))) {
                    let found = refusal(composite, &octets).map(|(kind, _)| kind);
                    assert_eq!(found, refused.then_some(kind), "{name} of {size} octets");
                }
            }
        }
        tried += 1;
    });
    assert_eq!(tried, 4);
}
