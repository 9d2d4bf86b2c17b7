//! Part 3, §3.2: what is passed on stays as it was, known to us or not.

use crate::support::{STYLES, hex, messages, passed_on, read, refused_as, shown, symbol, whole_within, written};
use amqp1_codec::{
    DecodeErrorKind as Kind, Encode, EncodeStyle, EncodedMessage, Limits, Message, Symbol, Value,
    definitions::Fields,
    messaging::{Annotations, ApplicationProperties, DeliveryState, FilterSet, Header, Source},
    performative::{Attach, Disposition},
};
use bytes::Bytes;

/// A described list of a type that nobody knows, with fields of types that nobody knows.
const EXTENSION: &str = "00 80 0000468c00000099 d0 00000014 00000004 40 00 a3 03 'x:y' c0 02 01 40 a1 01 'v' 56 01";

/// A described value that is described itself, by what is reserved.
const ODD: &str = "00 00 53 01 52 02 00 a1 01 's' e0 02 03 45";

fn entry(key: &str, value: &str) -> String {
    format!("{key} {value}")
}

/// A map32 of these entries.
fn map(entries: &[String]) -> String {
    let data = entries.join(" ");
    format!("d1 {:08x} {:08x} {data}", hex(&data).len() + 4, entries.len() * 2)
}

fn list(fields: &[&str]) -> String {
    let data = fields.join(" ");
    format!("d0 {:08x} {:08x} {data}", hex(&data).len() + 4, fields.len())
}

/// A message in which nothing is as we would write it.
fn unusual(body: &str) -> String {
    let header = list(&["56 00", "50 04", "40", "42", "70 00000000"]);
    let annotations = map(&[entry("b3 00000003 'x-o'", ODD), entry("80 0000000000000001", EXTENSION)]);
    let properties = list(&["80 0000000000000007", "b0 00000000", "b1 00000001 't'", "40", "40", "40", "40", "40"]);
    let application = map(&[
        entry("b1 00000001 'z'", "70 00000001"),
        entry("a1 01 'a'", "00 a3 03 'x:y' 81 0000000000000001"),
        entry("a1 01 'n'", "56 00"),
    ]);
    format!(
        "00 a3 10 'amqp:header:list' {header} 00 80 0000000000000071 {annotations} \
         00 b3 0000001c 'amqp:message-annotations:map' {annotations} 00 80 0000000000000073 {properties} \
         00 a3 1f 'amqp:application-properties:map' {application} {body} 00 a3 0f 'amqp:footer:map' {annotations}"
    )
}

/// Bodies of each kind, likewise.
fn bodies() -> [String; 4] {
    [
        "00 a3 10 'amqp:data:binary' b0 00000002 'ab' 00 53 75 a0 00 00 80 0000000000000075 a0 01 'c'".into(),
        format!("00 a3 17 'amqp:amqp-sequence:list' {} 00 53 76 c0 01 00", list(&[EXTENSION, "43", "52 00"])),
        format!("00 a3 11 'amqp:amqp-value:*' {EXTENSION}"),
        format!("00 53 77 {ODD}"),
    ]
}

/// M-3.2-3, M-3.2.4-3, M-3.2.3-1: a message that is passed on is the same octets, in one chunk and in several.
#[test]
fn a_message_is_passed_on_octet_for_octet() {
    for body in bodies() {
        let text = unusual(&body);
        let expected = shown(&hex(&text));
        messages(&text, Limits::STRICT, |message| {
            assert_eq!(passed_on(message), expected);
            // To look at it, to keep it, and to cut it anew changes nothing.
            assert!(message.application_property("a").expect("valid").is_some());
            assert_eq!(passed_on(&message.to_detached()), expected);
            let again = Message::from_chunks(message.to_encoded().into_parts()).expect("valid");
            assert_eq!(passed_on(&again), expected);
        });
    }
}

/// The properties stay in the encoding that they came in when a hop replaces what stands before them.
#[test]
fn m_3_2_4_3_a_hop_leaves_the_properties_as_they_came() {
    let properties = list(&["80 0000000000000007", "b0 00000001 'u'", "b1 00000001 't'", "40", "40", "40"]);
    for (name, body) in [("00 80 0000000000000073", "00 53 77 40"), ("00 53 73", "00 53 75 b0 00000002 'ab'")] {
        let bare = format!("{name} {properties} {body}");
        let (header, annotation) = ("00 53 70 c0 02 01 41", "c1 06 02 a3 01 'x' 52 01");
        let before = format!("{header} 00 53 71 {annotation} 00 53 72 {annotation}");
        let next = Header { delivery_count: 3, ..Header::default() };
        let hop: Annotations = [(Symbol::from_static("y"), Value::Uint(2))].into_iter().collect();
        let front = "00 53 70 c0 07 05 40 40 40 40 52 03 00 53 71 c1 06 02 a3 01 'y' 52 02";
        for text in [bare.clone(), format!("{before} {bare}")] {
            messages(&text, Limits::STRICT, |message| {
                let relayed = message.relayed(&next, &hop, &Annotations::new()).into_parts().concat();
                assert_eq!(shown(&relayed), shown(&hex(&format!("{front} {bare}"))), "{text}");
            });
        }
    }
}

/// M-3.2-4: what the sender left out is not put in.
#[test]
fn nothing_is_added_to_a_message() {
    for text in [
        "00 53 77 40",
        "00 53 75 a0 00",
        "00 53 73 45 00 53 75 b0 00000000",
        "00 53 74 c1 01 00 00 53 76 d0 00000004 00000000",
        "00 53 77 40 00 53 78 d1 00000004 00000000",
    ] {
        messages(text, Limits::STRICT, |message| {
            assert_eq!(passed_on(message), shown(&hex(text)));
            assert!(message.header().expect("valid").is_none());
            // Nor by a hop that has nothing to say.
            let none = Annotations::new();
            let relayed = message.relayed(&Header::default(), &none, &none).into_parts().concat();
            assert_eq!(relayed, hex(text));
        });
    }
    let encoded = EncodedMessage::from_parts([Bytes::new(), hex("00 53 77 40"), Bytes::new()]);
    assert_eq!((encoded.len(), encoded.chunks().count()), (4, 1));
}

/// Y-1.1.2-2, Y-1.6.23-3: what the maps of a message hold survives being decoded and written again.
#[test]
fn unknown_values_survive_in_maps() {
    let (extension, odd) = (read::<Value>(EXTENSION), read::<Value>(ODD));
    let entries = map(&[entry("a3 01 'b'", ODD), entry("a3 01 'a'", EXTENSION)]);
    let annotations = read::<Annotations>(&entries);
    let fields = read::<Fields>(&entries);
    assert_eq!((annotations.get("a"), annotations.get("b")), (Some(&extension), Some(&odd)));
    assert_eq!((fields.get("a"), fields.get("b")), (Some(&extension), Some(&odd)));
    for style in STYLES {
        let again = whole_within::<Annotations>(&written(&annotations, style), Limits::STRICT);
        assert_eq!(again.as_ref(), Ok(&annotations));
        let keys: Vec<Value> = again.iter().flat_map(Annotations::iter).map(|(key, _)| key.clone()).collect();
        assert_eq!(keys, [symbol("b"), symbol("a")], "in their order");
        assert_eq!(whole_within::<Fields>(&written(&fields, style), Limits::STRICT), Ok(fields.clone()));
    }
    let filters = read::<FilterSet>(&entries);
    assert_eq!(read::<FilterSet>(&shown(&filters.to_octets())), filters);
    let application = read::<ApplicationProperties>(&map(&[entry("a1 01 'k'", "00 a3 03 'x:y' 81 0000000000000001")]));
    assert_eq!(application.get("k"), Some(&Value::described(symbol("x:y"), 1i64)));
    assert_eq!(shown(&application.to_octets()), shown(&hex("c1 0c 02 a1 01 'k' 00 a3 03 'x:y' 55 01")));
}

/// Y-1.1.2-2: fields of a type that nobody knows survive, trailing nulls and all.
#[test]
fn unknown_types_keep_their_fields() {
    let extension = read::<Value>(EXTENSION);
    let Value::Described(described) = &extension else { panic!("described") };
    let Value::List(fields) = &described.value else { panic!("a list") };
    assert_eq!(fields.len(), 4);
    let compact = "00 80 0000468c00000099 c0 10 04 40 00 a3 03 'x:y' c0 02 01 40 a1 01 'v' 41";
    for style in STYLES {
        assert_eq!(shown(&written(&extension, style)), shown(&hex(compact)));
    }
    for text in ["00 53 f0 c0 04 03 40 40 40", "00 a3 03 'x:y' c0 03 02 43 40", "00 53 24 c0 02 01 40"] {
        assert_eq!(shown(&read::<Value>(text).to_octets()), shown(&hex(text)), "no field is dropped");
    }
}

/// Y-1.1.2-2: states and filters that nobody knows survive in an attach.
#[test]
fn unknown_states_and_filters_survive_in_an_attach() {
    let source = format!(
        "00 53 28 {}",
        list(&["a1 01 'q'", "40", "40", "40", "40", "40", "40", &map(&[entry("a3 01 'f'", EXTENSION)])])
    );
    let unsettled = map(&[entry("a0 01 't'", EXTENSION), entry("a0 01 'u'", "40")]);
    let text = format!("00 53 12 {}", list(&["a1 01 'l'", "43", "41", "40", "40", &source, "40", &unsettled]));
    let attach = read::<Attach>(&text);
    let filter = attach.source.as_ref().and_then(|source| source.filter.as_ref()).and_then(|filters| filters.get("f"));
    assert_eq!(filter, Some(&read::<Value>(EXTENSION)));
    for style in STYLES {
        assert_eq!(read::<Attach>(&shown(&written(&attach, style))), attach);
    }
    let compact = shown(&written(&attach, EncodeStyle::Compact));
    assert_eq!(compact.matches("0000468c00000099").count(), 2);
    let source = *attach.source.expect("a source");
    assert_eq!(read::<Source>(&shown(&source.to_octets())), source);
}

/// Y-1.1.2-2: a state that nobody knows survives in a disposition, and as it came; one that is misspelt is refused.
#[test]
fn states_of_extensions_survive() {
    let wide = format!("00 a3 03 'x:y' d0 00000103 000000ff {}", "40".repeat(255));
    for state in
        ["00 a3 03 'x:y' 45", "00 80 0000468c00000099 c0 03 01 52 07", "00 a3 03 'x:y' c0 04 01 a1 01 'a'", &wide]
    {
        let text = format!("00 53 15 {}", list(&["41", "43", "40", "41", state]));
        let disposition = read::<Disposition>(&text);
        let Some(DeliveryState::Extension(_)) = &disposition.state else { panic!("{disposition:?}") };
        assert!(!disposition.state.as_ref().is_some_and(DeliveryState::is_outcome));
        assert!(shown(&written(&disposition, EncodeStyle::Compact)).ends_with(&shown(&hex(state))));
        for style in STYLES {
            assert_eq!(read::<Disposition>(&shown(&written(&disposition, style))), disposition);
        }
    }
    for state in ["00 53 2a 45", "00 a3 0c 'amqp:unknown' 45", "00 a3 03 'x:y' 40", "00 a3 03 'x:y' c1 01 00"] {
        let text = format!("00 53 15 {}", list(&["41", "43", "40", "41", state]));
        refused_as::<Disposition>(&text, Kind::UnexpectedDescriptor);
    }
}
