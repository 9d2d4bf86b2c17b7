//! What real peers send although the specification forbids it: what is wrong costs the part that it is in, and no other.

use crate::support::{hex, name, passed_on, shown, whole_within};
use amqp1_codec::{
    DecodeError, DecodeErrorKind as Kind, Limits, Message, Value, ValueRef,
    message::Body,
    messaging::{Annotations, Header, MessageId, MessageIdRef},
};
use bytes::Bytes;

fn tolerant() -> Limits {
    let mut limits = Limits::DEFAULT;
    limits.any_section_order = true;
    limits.string_annotation_keys = true;
    limits.compound_application_properties = true;
    limits.loose_properties = true;
    limits
}

/// The message with these octets in one chunk, in chunks of one octet, and cut in two at each octet, under these limits:
/// passed on, it has the same octets, and `look` sees the same in it.
#[track_caller]
fn received(text: &str, limits: Limits, look: impl Fn(&Message)) {
    let octets = hex(text);
    let mut cuts: Vec<Vec<Bytes>> = (0..octets.len()).map(|at| vec![octets.slice(..at), octets.slice(at..)]).collect();
    cuts.push(octets.chunks(1).map(Bytes::copy_from_slice).collect());
    for chunks in cuts {
        let message = Message::received(chunks, limits);
        for message in [&message, &message.to_detached(), &message.clone()] {
            assert_eq!(passed_on(message), shown(&octets), "{text}");
            look(message);
        }
    }
}

/// The sections that cannot be read, and why.
fn errors(message: &Message) -> Vec<(&'static str, Kind)> {
    let body = match message.body() {
        Body::Malformed(error) => Err(error),
        Body::Value(value) => value.to_value().map(drop),
        Body::Sequence(mut sequences) => sequences.try_for_each(|sequence| sequence.map(drop)),
        Body::Data(_) | Body::Empty => Ok(()),
    };
    [
        ("header", message.header().map(drop)),
        ("delivery-annotations", message.delivery_annotations().map(drop)),
        ("message-annotations", message.message_annotations().map(drop)),
        ("properties", message.properties().map(drop)),
        ("application-properties", message.application_properties().map(drop)),
        ("body", body),
        ("footer", message.footer().map(drop)),
    ]
    .into_iter()
    .filter_map(|(section, read)| read.err().map(|error| (section, error.kind)))
    .collect()
}

/// properties of 14 fields, of which content-encoding is a string; a data section.
#[test]
fn y_1_3_4_4_a_field_too_many_is_named_where_another_field_is_tolerated() {
    let text = "005373c0110e40404040404040a1010e404040404040 005375a000";
    received(text, tolerant(), |message| {
        assert_eq!(errors(message), [("properties", Kind::TooManyFields)]);
        let properties = message.properties_ref().expect("a list").expect("there");
        assert_eq!(properties.content_encoding(), Ok(Some("\u{e}")));
    });
}

fn data(message: &Message) -> Option<Bytes> {
    message.data()
}

/// RabbitMQ 3.10, published with AMQP 0-9-1.
#[test]
fn m_3_2_4_1_a_user_id_as_string_costs_nothing_else() {
    // And a subject.
    let text = "00 53 73 c0 0d 04 40 a1 05 'guest' 40 a1 01 's' 00 53 75 a0 01 'x'";
    received(text, Limits::DEFAULT, |message| {
        assert_eq!(errors(message), [("properties", Kind::UnexpectedFormatCode(0xa1))]);
        let error = message.properties().expect_err("a string");
        assert_eq!(error.property.map(|name| name.as_str()), Some("user-id"));
        assert_eq!(error.to_string(), "user-id: format code 0xa1 is of another type (at octet 7)");
        let fields = message.properties_ref().expect("a list").expect("there");
        assert_eq!(fields.user_id().map_err(|error| error.kind), Err(Kind::UnexpectedFormatCode(0xa1)));
        assert_eq!(fields.subject(), Ok(Some("s")));
        assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
    });
    received(text, tolerant(), |message| {
        assert_eq!((errors(message), message.validate()), (vec![], Ok(())));
        let properties = message.properties().expect("tolerated").expect("there");
        assert_eq!(properties.user_id.as_deref(), Some(&b"guest"[..]));
        assert_eq!(properties.subject.as_deref(), Some("s"));
        let fields = message.properties_ref().expect("a list").expect("there");
        assert_eq!(fields.user_id(), Ok(Some(&b"guest"[..])));
    });
}

/// The same of the input as it was reported.
#[test]
fn m_3_2_4_1_the_user_id_of_rabbitmq_is_read() {
    received("005373c0090240a1056775657374005375a00178", tolerant(), |message| {
        let properties = message.properties().expect("tolerated").expect("there");
        assert_eq!(properties.user_id.as_deref(), Some(&b"guest"[..]));
        assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
    });
}

/// Also Y-1.6.21-1, of a symbol that is read in place.
#[test]
fn m_3_2_4_1_a_content_type_beyond_ascii_costs_that_field_only() {
    for limits in [Limits::DEFAULT, tolerant()] {
        received("005373c00c07404040404040a30361c3a9005375a00178", limits, |message| {
            assert_eq!(errors(message), [("properties", Kind::InvalidSymbol)]);
            let error = message.properties().expect_err("é");
            assert_eq!(error.property.map(|name| name.as_str()), Some("content-type"));
            let fields = message.properties_ref().expect("a list").expect("there");
            assert_eq!(fields.content_type().map_err(|error| error.kind), Err(Kind::InvalidSymbol));
            assert_eq!(fields.content_encoding(), Ok(None));
            assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
        });
    }
}

#[test]
fn m_3_2_4_1_a_content_type_as_string_is_read_if_it_is_tolerated() {
    let text = "00 53 73 c0 11 08 40 40 40 40 40 40 a1 04 'text' a1 02 'gz' 00 53 75 a0 01 'x'";
    received(text, Limits::DEFAULT, |message| {
        let error = message.properties().expect_err("a string");
        let named = (error.kind, error.property.map(|name| name.to_string()));
        assert_eq!(named, (Kind::UnexpectedFormatCode(0xa1), Some("content-type".into())));
    });
    received(text, tolerant(), |message| {
        let properties = message.properties().expect("tolerated").expect("there");
        assert_eq!((properties.content_type, properties.content_encoding), (Some(name("text")), Some(name("gz"))));
        assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
    });
    // A symbol is ASCII, whatever stood in its place.
    received("00 53 73 c0 0c 07 40 40 40 40 40 40 a1 03 'aé' 00 53 75 a0 01 'x'", tolerant(), |message| {
        assert_eq!(errors(message), [("properties", Kind::InvalidSymbol)]);
    });
}

/// node-amqp10.
#[test]
fn m_3_2_4_1_a_message_id_as_uint_is_the_same_number() {
    received("005373c00301522a005375a00178", Limits::DEFAULT, |message| {
        let error = message.properties().expect_err("a uint");
        let named = (error.kind, error.property.map(|name| name.as_str()));
        assert_eq!(named, (Kind::UnexpectedFormatCode(0x52), Some("message-id")));
        assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
    });
    for (id, number) in [
        ("52 2a", 42),
        ("70 00 00 01 00", 256),
        ("43", 0),
        ("50 07", 7),
        ("60 01 00", 256),
        ("54 05", 5),
        ("71 00 00 00 09", 9),
        ("81 00 00 00 00 00 00 00 03", 3),
    ] {
        let text = format!("00 53 73 c0 {:02x} 01 {id} 00 53 75 a0 01 'x'", hex(id).len() + 1);
        received(&text, tolerant(), |message| {
            let properties = message.properties().expect("tolerated").expect("there");
            assert_eq!(properties.message_id, Some(MessageId::Ulong(number)), "{id}");
            let fields = message.properties_ref().expect("a list").expect("there");
            assert_eq!(fields.message_id(), Ok(Some(MessageIdRef::Ulong(number))));
            assert_eq!(message.validate(), Ok(()));
        });
    }
    // A correlation-id as symbol is that text; what is negative is no id.
    received("00 53 73 c0 0a 06 40 40 40 40 40 a3 02 'id' 00 53 75 a0 00", tolerant(), |message| {
        let properties = message.properties().expect("tolerated").expect("there");
        assert_eq!(properties.correlation_id, Some("id".into()));
    });
    received("00 53 73 c0 03 01 54 ff 00 53 75 a0 00", tolerant(), |message| {
        let error = message.properties().expect_err("negative");
        let named = (error.kind, error.property.map(|name| name.as_str()));
        assert_eq!(named, (Kind::InvalidValue, Some("message-id")));
    });
}

#[test]
fn m_3_2_4_1_a_field_without_an_end_costs_those_behind_it() {
    // A message-id, then a user-id that claims more than there is.
    received("00 53 73 c0 08 03 a1 01 'm' a0 09 'ab' 00 53 75 a0 01 'x'", tolerant(), |message| {
        assert_eq!(errors(message), [("properties", Kind::Truncated)]);
        let error = message.properties().expect_err("cut");
        assert_eq!(error.property.map(|name| name.as_str()), Some("user-id"));
        let fields = message.properties_ref().expect("a list").expect("there");
        assert_eq!(fields.message_id(), Ok(Some(MessageIdRef::String("m"))));
        for lost in [fields.user_id().map(drop), fields.to().map(drop)] {
            assert_eq!(lost.map_err(|error| error.kind), Err(Kind::Truncated));
        }
        assert_eq!(fields.subject(), Ok(None), "the list has three fields");
        assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
    });
}

#[test]
fn m_3_2_4_1_a_field_too_many_costs_none_of_the_others() {
    let text = format!("00 53 73 c0 13 0e a1 01 'm' {} a1 01 '!' 00 53 75 a0 01 'x'", "40 ".repeat(12));
    for limits in [Limits::DEFAULT, tolerant()] {
        received(&text, limits, |message| {
            assert_eq!(errors(message), [("properties", Kind::TooManyFields)]);
            let fields = message.properties_ref().expect("a list").expect("there");
            assert_eq!(fields.message_id(), Ok(Some(MessageIdRef::String("m"))));
            assert_eq!(fields.reply_to_group_id(), Ok(None));
            assert_eq!(message.validate().map_err(|error| error.kind), Err(Kind::TooManyFields));
            assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
        });
    }
    // A header with one more.
    received("00 53 70 c0 07 06 40 40 40 40 40 40 00 53 75 a0 01 'x'", tolerant(), |message| {
        assert_eq!(errors(message), [("header", Kind::TooManyFields)]);
        assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
    });
}

/// rhea and Azure's JS SDK write maps; lists, arrays, and arrays of maps.
#[test]
fn m_3_2_5_1_application_properties_may_hold_compounds_if_it_is_tolerated() {
    for (value, check) in [
        ("c1 0e 02 a1 08 'clientId' a1 01 'g'", "map"),
        ("c0 03 01 54 01", "list"),
        ("e0 04 02 54 01 02", "array"),
        ("f0 00 00 00 0f 00 00 00 01 d1 00 00 00 06 00 00 00 02 41 40", "array of maps"),
    ] {
        // Before it, and behind it, one that is in order.
        let pairs = format!("a1 01 'a' 41 a1 01 'k' {value} a1 01 'z' a1 01 'v'");
        let text = format!("00 53 74 c1 {:02x} 06 {pairs} 00 53 75 a0 01 'x'", hex(&pairs).len() + 1);
        received(&text, Limits::DEFAULT, |message| {
            assert_eq!(errors(message), [("application-properties", Kind::InvalidValueType)], "{check}");
            let one = message.application_property("k").map_err(|error| error.kind);
            assert!(matches!(one, Err(Kind::InvalidValueType)));
            let others = ["a", "z"].map(|key| message.application_property(key).expect("in order").is_some());
            assert_eq!(others, [true, true]);
            assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
        });
        received(&text, tolerant(), |message| {
            assert_eq!((errors(message), message.validate()), (vec![], Ok(())), "{check}");
            let one = message.application_property("k").expect("tolerated").expect("there");
            match check {
                "map" => assert!(matches!(one, ValueRef::Map(map) if map.get("clientId").is_ok_and(|it| it.is_some()))),
                "list" => assert_eq!(one.to_value(), Ok(Value::List(vec![1_i32.into()]))),
                _ => assert!(matches!(one.to_value(), Ok(Value::Array(_)))),
            }
            let all = message.application_properties().expect("tolerated").expect("there");
            assert_eq!(all.get("k"), Some(&one.to_value().expect("valid")));
            assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
        });
    }
    // As they were reported.
    for text in
        ["005374c11402a10130c10e02a108636c69656e744964a10167005375a00178", "005374c10902a1016bc003015401005375a00178"]
    {
        received(text, tolerant(), |message| assert_eq!((errors(message), message.validate()), (vec![], Ok(()))));
    }
}

#[test]
fn m_3_2_10_1_string_keys_of_annotations_are_read_as_symbols() {
    for (number, section) in [(0x71, "delivery-annotations"), (0x72, "message-annotations")] {
        let text = format!("00 53 {number:02x} c1 07 02 a1 01 'k' a1 01 'v' 00 53 75 a0 01 'x'");
        received(&text, Limits::DEFAULT, |message| {
            assert_eq!(errors(message), [(section, Kind::InvalidKeyType)]);
            assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
        });
        received(&text, tolerant(), |message| {
            assert_eq!((errors(message), message.validate()), (vec![], Ok(())));
            let all = if number == 0x71 { message.delivery_annotations() } else { message.message_annotations() };
            let all = all.expect("tolerated").expect("there");
            assert_eq!(all.iter().collect::<Vec<_>>(), [(&name("k").into(), &"v".into())]);
            if number == 0x72 {
                let one = message.message_annotation("k").expect("tolerated").expect("there");
                assert_eq!(one.as_text(), Some("v"));
            }
            assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
        });
    }
    received("00 53 75 a0 01 'x' 00 53 78 c1 05 02 a1 01 'k' 41", tolerant(), |message| {
        let footer = message.footer().expect("tolerated").expect("there");
        assert_eq!(footer.iter().collect::<Vec<_>>(), [(&name("k").into(), &true.into())]);
    });
    // A string beyond ASCII is no symbol and stays one; so does a key that is there as a symbol too.
    let kept = whole_within::<Annotations>(&hex("c1 06 02 a1 02 'é' 41"), tolerant()).expect("tolerated");
    assert_eq!(kept.iter().collect::<Vec<_>>(), [(&"é".into(), &true.into())]);
    let both = whole_within::<Annotations>(&hex("c1 09 04 a1 01 'k' 41 a3 01 'k' 42"), tolerant()).expect("tolerated");
    assert_eq!(both.len(), 2);
}

#[test]
fn m_3_2_1_sections_out_of_order_cost_themselves_only() {
    let text = "00 53 73 c0 05 02 40 a0 01 'u' 00 53 75 a0 01 'x' 00 53 78 c1 01 00 00 53 71 c1 05 02 a3 01 'd' 41";
    received(text, Limits::DEFAULT, |message| {
        assert_eq!(errors(message), [("delivery-annotations", Kind::SectionOrder)]);
        assert_eq!(message.layout_error().map(|error| error.kind), Some(Kind::SectionOrder));
        let properties = message.properties().expect("in order").expect("there");
        assert_eq!(properties.user_id.as_deref(), Some(&b"u"[..]));
        assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
        assert!(message.footer().expect("in order").is_some());
        // What the node replaces is gone from its wrong place too, and the rest is as it was.
        let relayed = message.relayed(&Header::default(), &Annotations::new(), &Annotations::new());
        let rest = "00 53 73 c0 05 02 40 a0 01 'u' 00 53 75 a0 01 'x' 00 53 78 c1 01 00";
        assert_eq!(shown(&relayed.into_parts().concat()), shown(&hex(rest)));
    });
    received(text, tolerant(), |message| {
        assert_eq!((errors(message), message.validate()), (vec![], Ok(())));
        let annotations = message.delivery_annotations().expect("tolerated").expect("there");
        assert_eq!(annotations.get("d"), Some(&true.into()));
    });
    // As it was reported.
    received("005375a00178005378c10100005371c10100", tolerant(), |message| {
        assert_eq!((errors(message), message.validate()), (vec![], Ok(())));
        assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
    });
}

#[test]
fn m_3_2_1_a_section_that_stands_twice_cannot_be_read() {
    for limits in [Limits::DEFAULT, tolerant()] {
        let text = "00 53 70 45 00 53 73 45 00 53 73 45 00 53 75 a0 01 'x' 00 53 78 c1 01 00";
        received(text, limits, |message| {
            assert_eq!(errors(message), [("properties", Kind::SectionOrder)]);
            assert!(message.header().expect("once").is_some() && message.footer().expect("once").is_some());
            assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
        });
        // Two kinds of body.
        received("00 53 73 45 00 53 75 a0 01 'x' 00 53 77 41 00 53 78 c1 01 00", limits, |message| {
            assert_eq!(errors(message), [("body", Kind::SectionOrder)]);
            assert_eq!((message.data_in_place(), message.data()), (None, None));
            assert_eq!(message.value().map_err(|error| error.kind), Err(Kind::SectionOrder));
            assert!(message.properties().expect("once").is_some() && message.footer().expect("once").is_some());
        });
    }
}

#[test]
fn y_1_6_23_2_repeated_keys_cost_the_whole_map_only_when_it_is_decoded() {
    for limits in [Limits::DEFAULT, tolerant()] {
        let text = "00 53 72 c1 05 02 a3 01 'm' 41 00 53 74 c1 0d 06 a1 01 'k' 41 a1 01 'k' 42 a1 01 'l' 41 \
                    00 53 75 a0 01 'x'";
        received(text, limits, |message| {
            assert_eq!(errors(message), [("application-properties", Kind::DuplicateKey)]);
            let one = |key| message.application_property(key).expect("readable").expect("there").to_value();
            assert_eq!((one("k"), one("l")), (Ok(true.into()), Ok(true.into())));
            let all = message.application_properties_ref().expect("a map").expect("there");
            assert_eq!(all.filter(|pair| pair.is_ok()).count(), 3);
            assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
        });
    }
}

#[test]
fn m_3_2_6_1_data_that_holds_no_octets_costs_the_body_only() {
    for limits in [Limits::DEFAULT, tolerant()] {
        for (value, code) in [("40", 0x40), ("a1 01 'x'", 0xa1), ("c0 03 01 54 01", 0xc0)] {
            let text = format!("00 53 73 c0 05 02 40 a0 01 'u' 00 53 75 {value} 00 53 78 c1 05 02 a3 01 'f' 41");
            received(&text, limits, |message| {
                assert_eq!(errors(message), [("body", Kind::UnexpectedFormatCode(code))]);
                assert!(matches!(
                    message.body(),
                    Body::Malformed(DecodeError { kind: Kind::UnexpectedFormatCode(_), .. })
                ));
                assert_eq!((message.data_in_place(), message.data()), (None, None));
                let properties = message.properties().expect("in order").expect("there");
                assert_eq!(properties.user_id.as_deref(), Some(&b"u"[..]));
                let footer = message.footer().expect("in order").expect("there");
                assert_eq!(footer.get("f"), Some(&true.into()));
            });
        }
        // After data that is.
        received("00 53 75 a0 01 'x' 00 53 75 40", limits, |message| {
            assert_eq!(errors(message), [("body", Kind::UnexpectedFormatCode(0x40))]);
        });
    }
}

#[test]
fn m_3_2_1_octets_that_are_no_sections_are_kept() {
    for limits in [Limits::DEFAULT, tolerant()] {
        received("3c3f786d6c3f3e", limits, |message| {
            let all = [
                "header",
                "delivery-annotations",
                "message-annotations",
                "properties",
                "application-properties",
                "body",
                "footer",
            ];
            assert_eq!(errors(message), all.map(|section| (section, Kind::NotDescribed)));
            assert!(matches!(message.body(), Body::Malformed(_)));
            assert!(message.application_property("k").is_err() && message.properties_ref().is_err());
            assert_eq!(message.encoded_len(), 7);
            let relayed = message.relayed(&Header::default(), &Annotations::new(), &Annotations::new());
            assert_eq!(relayed.into_parts().concat(), b"<?xml?>");
        });
    }
}

#[test]
fn m_3_2_1_what_ends_too_early_costs_itself_and_what_would_follow() {
    // The data claims more than there is.
    received("00 53 70 45 00 53 73 c0 05 02 40 a0 01 'u' 00 53 75 a0 09 'x'", Limits::DEFAULT, |message| {
        assert_eq!(errors(message), [("body", Kind::Truncated), ("footer", Kind::Truncated)]);
        assert!(message.header().expect("in order").is_some());
        let properties = message.properties().expect("in order").expect("there");
        assert_eq!(properties.user_id.as_deref(), Some(&b"u"[..]));
    });
    // Something else follows the body.
    received("00 53 75 a0 01 'x' 'garbage'", Limits::DEFAULT, |message| {
        assert_eq!(errors(message), [("footer", Kind::NotDescribed)]);
        assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
    });
    // A second section of the body is cut.
    received("00 53 75 a0 01 'x' 00 53 75 a0 09 'y'", Limits::DEFAULT, |message| {
        assert_eq!(errors(message), [("body", Kind::Truncated), ("footer", Kind::Truncated)]);
    });
    // A section that no message has is passed over.
    received("00 53 70 45 00 53 79 a1 01 '?' 00 53 75 a0 01 'x'", Limits::DEFAULT, |message| {
        assert_eq!(errors(message), []);
        assert_eq!(message.validate().map_err(|error| error.kind), Err(Kind::UnexpectedDescriptor));
        assert!(message.header().expect("in order").is_some());
        assert_eq!(data(message).as_deref(), Some(&b"x"[..]));
    });
    received("00 53 70 45 00 53 79 a1 01 '?'", Limits::DEFAULT, |message| {
        assert_eq!(errors(message), [("body", Kind::UnexpectedDescriptor)]);
    });
}

/// T-2.8.11: what another format means is not known here.
#[test]
fn a_message_of_another_format_is_opaque_octets() {
    let octets = hex("00 53 73 45 00 53 75 a0 01 'x'");
    for chunks in [vec![octets.clone()], octets.chunks(1).map(Bytes::copy_from_slice).collect::<Vec<_>>()] {
        let message = Message::opaque(chunks, Limits::DEFAULT);
        assert_eq!(passed_on(&message), shown(&octets));
        assert_eq!(message.encoded_len(), octets.len());
        assert!(errors(&message).iter().all(|(_, kind)| *kind == Kind::OpaqueMessage));
        assert_eq!(errors(&message).len(), 7);
        let header = Header { durable: true, ..Header::default() };
        let relayed = message.relayed(&header, &Annotations::new(), &Annotations::new());
        assert_eq!(shown(&relayed.into_parts().concat()), shown(&octets), "it may have no header");
        // Some formats are built on format 0.
        let scanned = message.scanned();
        assert_eq!((errors(&scanned), data(&scanned).as_deref()), (vec![], Some(&b"x"[..])));
    }
}
