//! Part 1, §1.3 and §1.4: every field of every composite in every legal encoding, and in no other.

use crate::{
    encodings::{codes, values},
    support::{STYLES, hex, no_message, read, shown},
    table::{Composite, Field, composites, lists},
    types::CONSTRUCTORS,
};
use amqp1_codec::{DecodeErrorKind as Kind, EncodeStyle, Limits, Message, Value};
use bytes::Bytes;

/// What the octets are refused for, and where.
pub(crate) fn refusal(composite: &Composite, octets: &Bytes) -> Option<(Kind, u32)> {
    (composite.again)(octets, EncodeStyle::Full).err().map(|error| (error.kind, error.offset))
}

/// The fields of a composite that is written in full.
pub(crate) fn fields_of(octets: &Bytes) -> Vec<Value> {
    let Value::Described(described) = read::<Value>(&shown(octets)) else { panic!("described") };
    let Value::List(fields) = described.value else { panic!("a list") };
    fields
}

/// Does `check` for every field of every composite.
pub(crate) fn each_field(mut check: impl FnMut(&Composite, usize, &Field, &str)) {
    for composite in composites() {
        for (index, field) in composite.fields.iter().enumerate() {
            check(&composite, index, field, &format!("{}.{}", composite.name, field.name));
        }
    }
}

/// That the table is whole: as many composites and fields as the text has, without those of no fields.
#[test]
fn the_table_has_all_fields() {
    let all = composites();
    assert_eq!(all.len(), 29);
    assert_eq!(all.iter().map(|composite| composite.fields.len()).sum::<usize>(), 125);
}

/// Y-1.1.2-1, Y-1.3.3-1, Y-1.4-2, Y-1.6.22-1, Y-1.2.3-1: by number and by name, as list8 and as list32.
#[test]
fn composites_are_read_in_each_form() {
    for composite in composites() {
        let forms = composite.forms(&composite.least());
        for form in &forms {
            assert!((composite.same)(form, &forms[0]), "{} as {}", composite.name, shown(form));
            for style in STYLES {
                let again = (composite.again)(form, style).expect(composite.name);
                assert_eq!(again[..3], [0x00, 0x53, composite.code], "{} is written by number", composite.name);
                assert!((composite.same)(&again, form), "{} again", composite.name);
            }
        }
    }
}

/// Y-1.5-1, Y-1.3.2-1: what describes it is an unsigned long or a symbol, and what is described is a list.
#[test]
fn composites_are_nothing_but_described_lists() {
    for composite in composites() {
        let list = shown(&lists(&composite.least())[0]);
        let (code, name) = (composite.code, composite.name);
        for (descriptor, kind) in [
            (String::new(), Kind::NotDescribed),
            (format!("00 52 {code:02x}"), Kind::UnexpectedDescriptor),
            (format!("00 50 {code:02x}"), Kind::UnexpectedDescriptor),
            (format!("00 55 {code:02x}"), Kind::UnexpectedDescriptor),
            (format!("00 80 00000001000000{code:02x}"), Kind::UnexpectedDescriptor),
            (format!("00 53 {:02x}", code ^ 0x80), Kind::UnexpectedDescriptor),
            (format!("00 a3 {:02x} '{name}'", name.len()), Kind::UnexpectedDescriptor),
            (format!("00 a3 {:02x} 'amqp:{name}:map'", name.len() + 9), Kind::UnexpectedDescriptor),
            (format!("00 a1 {:02x} 'amqp:{name}:list'", name.len() + 10), Kind::UnexpectedDescriptor),
        ] {
            let octets = hex(&format!("{descriptor} {list}"));
            // These two have no type of their own, and a state may be an extension's.
            let own = descriptor.starts_with("00 80") || descriptor.ends_with(&format!(" '{name}'"));
            let expected = if ["accepted", "released"].contains(&name) && own { None } else { Some((kind, 0)) };
            assert_eq!(refusal(&composite, &octets), expected, "{name} as {descriptor}");
        }
        for (format, body) in CONSTRUCTORS.iter().filter(|(format, _)| ![0x45, 0xc0, 0xd0].contains(format)) {
            let octets = hex(&format!("00 53 {code:02x} {body}"));
            assert_eq!(refusal(&composite, &octets), Some((Kind::UnexpectedFormatCode(*format), 3)), "{name} {body}");
        }
    }
}

/// Y-1.6.5-1, Y-1.6.6-1, Y-1.6.2-1, Y-1.6.19-1 to Y-1.6.24-1, Y-1.4-3: each field in every encoding of its type means
/// the same, and is written again with that meaning.
#[test]
fn fields_are_read_in_every_encoding() {
    let mut tried = 0;
    each_field(|composite, index, field, name| {
        for (value, wires) in values(field.ty) {
            let canonical = composite.forms(&composite.with(index, &wires[0])).swap_remove(0);
            for wire in &wires {
                for form in composite.forms(&composite.with(index, wire)) {
                    assert!((composite.same)(&form, &canonical), "{name} = {} in {}", shown(wire), shown(&form));
                    tried += 1;
                }
            }
            for style in STYLES {
                let again = (composite.again)(&canonical, style).expect(name);
                assert!((composite.same)(&again, &canonical), "{name}: {} again", shown(&wires[0]));
            }
            let full = (composite.again)(&canonical, EncodeStyle::Full).expect(name);
            if let Some(value) = value {
                assert_eq!(fields_of(&full)[index], value, "{name} = {}", shown(&wires[0]));
            }
        }
    });
    assert!(tried > 5_000, "{tried}");
}

/// The same with all fields at once: however their encodings are mixed, each has its own value.
#[test]
fn fields_are_read_beside_each_other() {
    for composite in composites().iter().filter(|composite| !composite.fields.is_empty()) {
        for round in 0..60 {
            // Each field takes another of its values, and another of that value's encodings, as rounds go on.
            let mut expected = Vec::new();
            let (mut canonical, mut mixed) = (Vec::new(), Vec::new());
            for (index, field) in composite.fields.iter().enumerate() {
                let values = values(field.ty);
                let (value, wires) = &values[(round * (index + 1) + index) % values.len()];
                expected.push(value.clone());
                canonical.push(wires[0].clone());
                mixed.push(wires[(round + index * 5) % wires.len()].clone());
            }
            let canonical = composite.forms(&canonical).swap_remove(0);
            let forms = composite.forms(&mixed);
            for form in [&forms[0], &forms[round % forms.len()]] {
                assert!((composite.same)(form, &canonical), "{} as {}", composite.name, shown(form));
                let full = (composite.again)(form, EncodeStyle::Full).expect(composite.name);
                for (index, (found, expected)) in fields_of(&full).iter().zip(&expected).enumerate() {
                    let name = composite.fields[index].name;
                    assert!(expected.as_ref().is_none_or(|value| found == value), "{}.{name}", composite.name);
                }
                let compact = (composite.again)(form, EncodeStyle::Compact).expect(composite.name);
                assert!((composite.same)(&compact, &canonical), "{} as {}", composite.name, shown(&compact));
            }
        }
    }
}

/// Y-1.3.4-1: a mandatory field that is null, or past the end of the list, is missing.
#[test]
fn mandatory_fields_are_required() {
    let mut tried = 0;
    each_field(|composite, index, field, name| {
        let missing = |index: usize| Kind::MissingField(index as u8);
        let mut next = index..composite.fields.len();
        let null = composite.with(index, &hex("40"));
        for (fields, expected) in [
            (&null[..], field.mandatory.then(|| missing(index))),
            (&null[..index], next.find(|at| composite.fields[*at].mandatory).map(missing)),
        ] {
            for octets in composite.forms(fields) {
                let refused = refusal(composite, &octets).map(|(kind, _)| kind);
                assert_eq!(refused, expected, "{name}: {}", shown(&octets));
                tried += usize::from(field.mandatory);
            }
        }
    });
    assert!(tried > 100, "{tried}");
}

/// Y-1.3.4-2: a field takes the constructors of its type; any other, described values and octets that are no
/// constructor are refused where they stand.
#[test]
fn fields_of_another_type_are_refused() {
    let mut tried = 0;
    each_field(|composite, index, field, name| {
        if field.ty == "any" {
            return;
        }
        let at = |octets: &Bytes| {
            let fields = composite.with(index, octets);
            let before: usize = fields[..index].iter().map(Bytes::len).sum();
            // Descriptor, list32, and the fields before.
            (composite.forms(&fields).swap_remove(1), 3 + 9 + before as u32)
        };
        let fits = codes(field.ty);
        for code in 0..=255u8 {
            let known = CONSTRUCTORS.iter().find(|(known, _)| *known == code);
            if fits.contains(&code) || code == 0x40 || (field.multiple && [0xe0, 0xf0].contains(&code)) {
                continue;
            }
            let (octets, offset) = at(&known.map_or_else(|| hex(&format!("{code:02x}")), |(_, text)| hex(text)));
            let expected = match known {
                _ if fits == [0x00] => Kind::NotDescribed,
                Some(_) => Kind::UnexpectedFormatCode(code),
                None => Kind::UnknownFormatCode(code),
            };
            assert_eq!(refusal(composite, &octets), Some((expected, offset)), "{name} as {code:#04x}");
            tried += 1;
        }
        if fits == [0x00] {
            let (octets, offset) = at(&hex("00 a3 03 'x:y' 45"));
            let expected = match field.ty {
                "delivery-state" => None,
                "outcome" => Some((Kind::InvalidValue, offset)),
                _ => Some((Kind::UnexpectedDescriptor, offset)),
            };
            assert_eq!(refusal(composite, &octets), expected, "{name} of another kind");
        }
    });
    assert!(tried > 25_000, "{tried}");
}

/// Y-1.3.4-3: null and absent mean the declared default, and the default is not written where it is compact.
#[test]
fn absent_fields_have_their_default() {
    let mut tried = 0;
    each_field(|composite, index, field, name| {
        let Some(default) = &field.default else { return };
        let null = composite.forms(&composite.least()).swap_remove(0);
        let stated = composite.forms(&composite.with(index, default)).swap_remove(0);
        assert!((composite.same)(&null, &stated), "{name}");
        let full = fields_of(&(composite.again)(&null, EncodeStyle::Full).expect(name));
        assert_eq!(full[index], read::<Value>(&shown(default)), "{name} as it is written in full");
        let compact = (composite.again)(&stated, EncodeStyle::Compact).expect(name);
        assert_eq!(compact, (composite.again)(&null, EncodeStyle::Compact).expect(name), "{name} is left off");
        tried += 1;
    });
    assert_eq!(tried, 29);
}

/// Y-1.3.4-4: more fields than are declared are refused, and so are they if null.
#[test]
fn surplus_fields_are_refused() {
    for composite in composites() {
        for surplus in ["40", "50 01", "00 a3 03 'x:y' 45"] {
            let mut fields = composite.least();
            fields.push(hex(surplus));
            for octets in composite.forms(&fields) {
                let refused = refusal(&composite, &octets).map(|(kind, _)| kind);
                assert_eq!(refused, Some(Kind::TooManyFields), "{} {}", composite.name, shown(&octets));
                if composite.name == "properties" {
                    no_message(&format!("{} 00 53 77 40", shown(&octets)), Limits::DEFAULT, Kind::TooManyFields);
                }
            }
        }
    }
}

/// Y-1.2.3-2: a composite's size and count agree with its fields.
#[test]
fn surplus_octets_are_refused() {
    for composite in composites() {
        let fields = composite.least();
        let mut list = lists(&fields)[0].to_vec();
        list.push(0x40);
        list[1] += 1;
        let octets = Bytes::from([&[0x00, 0x53, composite.code][..], &list].concat());
        let refused = refusal(&composite, &octets).map(|(kind, _)| kind);
        assert_eq!(refused, Some(Kind::LengthMismatch), "{}", composite.name);
        if composite.name == "properties" {
            // As they are read in place.
            let message = Message::received([octets, hex("00 53 77 40")], Limits::DEFAULT);
            let refused = message.properties_ref().map(|_| ()).map_err(|error| error.kind);
            assert_eq!(refused, Err(Kind::LengthMismatch));
        }
    }
}

/// Y-1.2.3-2: a composite that counts more fields than there are is refused, whether its type has that many or not.
#[test]
fn fields_that_are_counted_are_there() {
    for composite in composites().iter().filter(|composite| !composite.fields.is_empty()) {
        let least = composite.least();
        for length in 1..=least.len() {
            let mut list = lists(&least[..length])[0].to_vec();
            list[2] += 1;
            let octets = Bytes::from([&[0x00, 0x53, composite.code][..], &list].concat());
            assert!(refusal(composite, &octets).is_some(), "{} {}", composite.name, shown(&octets));
        }
    }
}

/// Y-1.4-1, Y-1.4-2: trailing nulls may be there or be left off; left off they are where it is compact.
#[test]
fn trailing_nulls_may_be_left_off() {
    for composite in composites() {
        let least = composite.least();
        let needed = composite.fields.iter().rposition(|field| field.mandatory).map_or(0, |at| at + 1);
        let untrimmed = composite.forms(&least).swap_remove(0);
        for length in needed..=least.len() {
            for octets in composite.forms(&least[..length]) {
                assert!((composite.same)(&octets, &untrimmed), "{} {}", composite.name, shown(&octets));
            }
        }
        let compact = (composite.again)(&untrimmed, EncodeStyle::Compact).expect(composite.name);
        assert_eq!(fields_of(&compact).len(), needed, "{}", composite.name);
        if needed == 0 {
            assert_eq!(compact[3..], [0x45], "{}", composite.name);
        }
        let full = (composite.again)(&untrimmed, EncodeStyle::Full).expect(composite.name);
        assert_eq!(fields_of(&full).len(), least.len(), "{}", composite.name);
    }
}
