//! What each limit and each switch changes, and that the switches are off until they are turned on.

use crate::support::{hex, messages, no_message, passed_on, read, refused_as, shown, whole_within};
use amqp1_codec::{
    DecodeErrorKind as Kind, Limits, Message, Value,
    definitions::Fields,
    message::Body,
    messaging::{Annotations, ApplicationProperties, FilterSet},
};

fn with(change: impl Fn(&mut Limits)) -> Limits {
    let mut limits = Limits::DEFAULT;
    change(&mut limits);
    limits
}

/// What is refused unless a switch allows it is refused by default, and `strict` adds to that.
#[test]
fn the_switches_are_off_by_default() {
    assert_eq!(Limits::default(), Limits::DEFAULT);
    for limits in [Limits::DEFAULT, Limits::STRICT] {
        assert!(!limits.any_section_order && !limits.string_annotation_keys && !limits.compound_application_properties);
        assert!(!limits.loose_properties && !limits.string_field_keys);
        assert!(!limits.undescribed_filters && !limits.long_transaction_ids);
        assert!(!limits.odd_node_properties && !limits.odd_advisory_data);
    }
    assert_eq!((Limits::DEFAULT.strict, Limits::STRICT.strict), (false, true));
    assert_eq!(Limits::STRICT, with(|limits| limits.strict = true));
}

/// M-3.2-2: a message without a body is taken by default, and refused when strict.
#[test]
fn strict_refuses_messages_without_a_body() {
    for text in ["", "00 53 70 45", "00 53 73 45 00 53 74 c1 01 00", "00 53 72 c1 01 00 00 53 78 c1 01 00"] {
        for limits in [Limits::DEFAULT, with(|limits| limits.any_section_order = true)] {
            let message = Message::from_chunks_with_limits([hex(text)], limits).expect(text);
            assert_eq!(message.validate(), Ok(()), "{text}");
            assert!(matches!(message.body(), Body::Empty), "{text}");
            assert_eq!(message.value(), Ok(None));
            assert_eq!(message.data(), None);
            assert_eq!(passed_on(&message), shown(&hex(text)));
        }
        no_message(text, Limits::STRICT, Kind::MissingBody);
    }
    // An empty body is a body.
    for text in ["00 53 75 a0 00", "00 53 76 45", "00 53 77 40"] {
        messages(text, Limits::STRICT, |message| assert!(!matches!(message.body(), Body::Empty)));
    }
}

/// M-3.2-1, M-3.2-3: with `any_section_order` sections may stand anywhere, and are passed on as they came.
#[test]
fn sections_in_any_order_are_passed_on_as_they_came() {
    let (properties, value, footer, annotations) = (
        "00 53 73 c0 05 02 40 a0 01 'u'",
        "00 53 77 a1 01 'v'",
        "00 53 78 c1 05 02 a3 01 'f' 41",
        "00 53 71 c1 05 02 a3 01 'd' 42",
    );
    let limits = with(|limits| limits.any_section_order = true);
    for text in [
        format!("{footer} {value} {properties} {annotations}"),
        format!("{value} {footer} {annotations} {properties}"),
        format!("{properties} {annotations} {value} {footer}"),
        format!("{annotations} {properties} {footer} {value}"),
    ] {
        no_message(&text, Limits::DEFAULT, Kind::SectionOrder);
        no_message(&text, with(|limits| limits.string_annotation_keys = true), Kind::SectionOrder);
        messages(&text, limits, |message| {
            assert_eq!(passed_on(message), shown(&hex(&text)));
            assert_eq!(message.value(), Ok(Some("v".into())));
            assert_eq!(message.footer().expect("valid").and_then(|footer| footer.get("f").cloned()), Some(true.into()));
            let delivery = message.delivery_annotations().expect("valid").expect("there");
            assert_eq!(delivery.get("d"), Some(&false.into()));
            assert_eq!(message.properties().expect("valid").and_then(|it| it.user_id).expect("there"), "u");
        });
    }
}

/// M-3.2-1, M-3.2-2: also with `any_section_order`, none comes twice, and a body is of one kind and in one place.
#[test]
fn sections_in_any_order_do_not_repeat() {
    let limits = with(|limits| limits.any_section_order = true);
    let (data, sequence, value, properties) = ("00 53 75 a0 00", "00 53 76 45", "00 53 77 40", "00 53 73 45");
    for parts in [
        [properties, value, properties],
        [properties, properties, value],
        [value, properties, value],
        [data, properties, data],
        [sequence, properties, sequence],
        [data, properties, value],
        [value, properties, data],
    ] {
        no_message(&parts.join(" "), limits, Kind::SectionOrder);
    }
    no_message("00 53 77 40 00 53 79 40", limits, Kind::UnexpectedDescriptor);
    let both = with(|limits| (limits.any_section_order, limits.strict) = (true, true));
    no_message("00 53 78 c1 01 00 00 53 73 45", both, Kind::MissingBody);
}

/// M-3.2.10-1: with `string_annotation_keys` annotations and footers take strings as keys, and nothing else does.
#[test]
fn strings_may_be_keys_of_annotations() {
    let limits = with(|limits| limits.string_annotation_keys = true);
    let map = "c1 09 04 a1 01 'k' 41 a3 01 's' 42";
    refused_as::<Annotations>(map, Kind::InvalidKeyType);
    let annotations = whole_within::<Annotations>(&hex(map), limits).expect("allowed");
    assert_eq!((annotations.get("k"), annotations.get("s")), (Some(&true.into()), Some(&false.into())));
    for section in ["00 53 71", "00 53 72"] {
        let text = format!("{section} {map} 00 53 77 40");
        no_message(&text, Limits::DEFAULT, Kind::InvalidKeyType);
        no_message(&text, with(|limits| limits.any_section_order = true), Kind::InvalidKeyType);
        messages(&text, limits, |message| assert_eq!(passed_on(message), shown(&hex(&text))));
    }
    let footer = format!("00 53 77 40 00 53 78 {map}");
    no_message(&footer, Limits::DEFAULT, Kind::InvalidKeyType);
    messages(&footer, limits, |message| {
        assert_eq!(message.footer().expect("valid").map(|footer| footer.len()), Some(2))
    });
    // Other keys, and other maps, are what they were.
    for key in ["40", "43", "a0 01 'k'"] {
        let map = format!("c1 {:02x} 02 {key} 40", hex(key).len() + 2);
        assert_eq!(
            whole_within::<Annotations>(&hex(&map), limits).map_err(|error| error.kind),
            Err(Kind::InvalidKeyType)
        );
    }
    let text = hex("c1 05 02 a1 01 'k' 40");
    assert_eq!(whole_within::<Fields>(&text, limits).map_err(|error| error.kind), Err(Kind::InvalidKeyType));
    assert_eq!(whole_within::<FilterSet>(&text, limits).map_err(|error| error.kind), Err(Kind::InvalidKeyType));
    let name = hex("c1 05 02 a3 01 'k' 40");
    assert_eq!(
        whole_within::<ApplicationProperties>(&name, limits).map_err(|error| error.kind),
        Err(Kind::InvalidKeyType)
    );
    no_message("00 53 72 c1 09 04 a1 01 'k' 40 a1 01 'k' 40 00 53 77 40", limits, Kind::DuplicateKey);
}

/// Y-rob-2: how deep values may nest is a limit, for what stands in messages too.
#[test]
fn the_depth_is_a_limit() {
    let two = "c0 05 01 c0 02 01 40";
    for (depth, fits) in [(1, false), (2, true)] {
        let limits = with(|limits| limits.depth = depth);
        assert_eq!(whole_within::<Value>(&hex(two), limits).is_ok(), fits, "{depth}");
    }
    let shallow = with(|limits| limits.depth = 2);
    no_message(&format!("00 53 77 c0 08 01 {two}"), shallow, Kind::DepthExceeded);
    no_message(&format!("00 53 72 c1 0b 02 a3 01 'k' {two} 00 53 77 40"), shallow, Kind::DepthExceeded);
    messages(&format!("00 53 72 c1 0b 02 a3 01 'k' {two} 00 53 77 c0 08 01 {two}"), Limits::STRICT, |message| {
        assert_eq!(message.value(), Ok(Some(Value::List(vec![read::<Value>(two)]))));
    });
}

/// Y-1.2.4-5: how many elements without width an array may claim is a limit.
#[test]
fn the_number_of_elements_without_width_is_a_limit() {
    let limits = with(|limits| limits.zero_width_elements = 3);
    assert!(whole_within::<Value>(&hex("e0 02 03 45"), limits).is_ok());
    let refused = whole_within::<Value>(&hex("e0 02 04 45"), limits).map_err(|error| error.kind);
    assert_eq!(refused, Err(Kind::ElementsExceeded));
    assert!(whole_within::<Value>(&hex("e0 06 04 50 01020304"), limits).is_ok(), "those with a width are no matter");
}
