//! Frames that real peers send although the specification forbids them: string keys, filters without a descriptor, long
//! transaction ids.

use crate::support::{binary, hex, name, whole_within};
use amqp1_codec::{
    Decode, DecodeErrorKind as Kind, Limits, Reader, Value,
    definitions::{AmqpError, Fields},
    frame::{Frame, FrameDecoder},
    messaging::{DeliveryState, FilterSet},
    performative::{Begin, Flow, Open, Performative},
    transaction::{Declared, TransactionalState},
};
use bytes::BytesMut;

fn tolerant() -> Limits {
    let mut limits = Limits::DEFAULT;
    limits.string_field_keys = true;
    limits.undescribed_filters = true;
    limits
}

#[track_caller]
fn frame(text: &str, limits: Limits) -> Result<Performative, Kind> {
    let mut input = BytesMut::from(&hex(text)[..]);
    match FrameDecoder::new(4096, limits).decode(&mut input) {
        Ok(Some(Frame::Amqp { performative: Some(performative), .. })) => Ok(performative),
        Err(error) => match error.kind {
            amqp1_codec::frame::FrameErrorKind::Body(error) => Err(error.kind),
            other => panic!("{text}: {other:?}"),
        },
        other => panic!("{text}: {other:?}"),
    }
}

/// rhea and go-amqp.
#[test]
fn the_info_of_an_error_may_have_string_keys() {
    let text = "0000004202000000005315c0350541434041005325c02b0100531dc02503a30f636f6d2e6578616d706c653a626164a103776879\
                c10c02a106526561736f6ea10172";
    assert_eq!(frame(text, Limits::DEFAULT), Err(Kind::InvalidKeyType));
    let Ok(Performative::Disposition(disposition)) = frame(text, tolerant()) else { panic!("a disposition") };
    let Some(DeliveryState::Rejected(Some(error))) = disposition.state else { panic!("rejected") };
    assert_eq!((error.condition.as_str(), error.description.as_deref()), ("com.example:bad", Some("why")));
    let info = error.info.expect("there");
    assert_eq!(info.iter().collect::<Vec<_>>(), [(&name("Reason").into(), &"r".into())]);

    let text = "0000004c02000000005316c03f03434100531dc03703a312616d71703a6c696e6b3a726564697265637440c11f04a108686f73746e\
                616d65a109682e6578616d706c65a104706f7274601627";
    assert_eq!(frame(text, Limits::DEFAULT), Err(Kind::InvalidKeyType));
    let Ok(Performative::Detach(detach)) = frame(text, tolerant()) else { panic!("a detach") };
    let AmqpError { condition, info: Some(info), .. } = detach.error.expect("there") else { panic!("info") };
    assert_eq!(condition.as_str(), "amqp:link:redirect");
    assert_eq!((info.get("hostname"), info.get("port")), (Some(&"h.example".into()), Some(&5671_u16.into())));
}

#[test]
fn fields_may_have_string_keys() {
    let properties = "c1 07 02 a1 01 'k' a1 01 'v'";
    let expected: Fields = [(name("k"), "v")].into_iter().collect();
    let mut found = Vec::new();
    for (head, nulls) in [("10 a1 01 'c'", 8), ("11 40 43 43 43", 3), ("13 40 43 43 43", 6), ("12 a1 01 'l' 43 41", 10)]
    {
        let (number, fields) = head.split_at(2);
        let count = nulls
            + 1
            + match number {
                "10" => 1,
                "12" => 3,
                _ => 4,
            };
        let fields = format!("{fields} {} {properties}", "40 ".repeat(nulls));
        let body = format!("00 53 {number} c0 {:02x} {count:02x} {fields}", hex(&fields).len() + 1);
        let text = format!("00 00 00 {:02x} 02 00 00 00 {body}", hex(&body).len() + 8);
        assert_eq!(frame(&text, Limits::DEFAULT), Err(Kind::InvalidKeyType), "{text}");
        found.push(match frame(&text, tolerant()).expect("tolerated") {
            Performative::Open(open) => Open { ..*open }.properties,
            Performative::Begin(begin) => Begin { ..*begin }.properties,
            Performative::Flow(flow) => Flow { ..flow }.properties,
            Performative::Attach(attach) => attach.properties,
            other => panic!("{other}"),
        });
    }
    assert_eq!(found, vec![Some(expected); 4]);
    // Two keys that would be one stay two; other keys are none.
    let both = whole_within::<Fields>(&hex("c1 09 04 a1 01 'k' 41 a3 01 'k' 42"), tolerant()).expect("tolerated");
    assert_eq!(both.iter().len(), 2);
    let number = whole_within::<Fields>(&hex("c1 04 02 54 01 41"), tolerant());
    assert_eq!(number.map_err(|error| error.kind), Err(Kind::InvalidKeyType));
}

/// Service Bus's session filter, which users of rhea write.
#[test]
fn filters_that_are_not_described_are_kept_as_they_came() {
    let text = "0000004d02000000005312c04007a1017243414040005328c02f08a10171434043424040c12302a31c636f6d2e6d6963726f736f66\
                743a73657373696f6e2d66696c746572a102733100532945";
    assert_eq!(frame(text, Limits::DEFAULT), Err(Kind::NotDescribed));
    let Ok(Performative::Attach(attach)) = frame(text, tolerant()) else { panic!("an attach") };
    let filter = attach.source.expect("a source").filter.expect("a filter");
    assert_eq!(filter.get("com.microsoft:session-filter"), Some(&"s1".into()));

    // What is read is what is written.
    for value in [Value::Null, "s1".into(), Value::described(name("d"), 1_i32), binary(b"s")] {
        let mut filter = FilterSet::new();
        filter.insert_undescribed(name("f"), value.clone());
        let octets = amqp1_codec::Encode::to_octets(&filter);
        assert_eq!(whole_within::<FilterSet>(&octets, tolerant()).as_ref(), Ok(&filter));
        let strict = matches!(value, Value::Null | Value::Described(_));
        assert_eq!(whole_within::<FilterSet>(&octets, Limits::STRICT).is_ok(), strict, "{value:?}");
    }
    let named = whole_within::<FilterSet>(&hex("c1 05 02 a1 01 'f' 40"), tolerant()).expect("tolerated");
    assert_eq!(named.iter().collect::<Vec<_>>(), [(&name("f").into(), &Value::Null)]);
}

/// Artemis's have 36 octets.
#[test]
fn transaction_ids_may_be_long_if_it_is_tolerated() {
    let mut limits = Limits::DEFAULT;
    limits.long_transaction_ids = true;
    for (length, short, long) in [(32, true, true), (33, false, true), (36, false, true), (255, false, true)] {
        let id = format!("a0 {length:02x} {}", "07 ".repeat(length));
        let list = |fields: &str| format!("d0 {:08x} 00 00 00 01 {fields}", hex(fields).len() + 4);
        let declared = hex(&format!("00 53 33 {}", list(&id)));
        let state = hex(&format!("00 53 34 {}", list(&id)));
        for (limits, fits) in [(Limits::DEFAULT, short), (tolerant(), short), (limits, long)] {
            assert_eq!(whole_within::<Declared>(&declared, limits).is_ok(), fits, "{length}");
            assert_eq!(whole_within::<TransactionalState>(&state, limits).is_ok(), fits, "{length}");
        }
    }
    let id = format!("b0 00 00 01 00 {}", "07 ".repeat(256));
    let declared = hex(&format!("00 53 33 d0 {:08x} 00 00 00 01 {id}", hex(&id).len() + 4));
    assert_eq!(whole_within::<Declared>(&declared, limits).map_err(|error| error.kind), Err(Kind::InvalidValue));
}

/// Properties, an error's info and capabilities that cannot be read count as absent; the rest of the frame is read.
#[test]
fn advisory_fields_that_cannot_be_read_count_as_absent() {
    let mut limits = Limits::DEFAULT;
    limits.odd_advisory_data = true;
    let tolerant = |text: &str| Open::decode(&mut Reader::with_limits(&hex(text), limits));
    // Capabilities as a list, a string, a symbol that is not ASCII; properties as a list, with a number as key, with a
    // key twice, and with a symbol that is not ASCII.
    for (capabilities, properties) in [
        ("45", "45"),
        ("a1 01 'x'", "c1 05 02 53 01 53 02"),
        ("a3 02 c3 a9", "c1 09 04 a3 01 'k' 41 a3 01 'k' 42"),
        ("e0 05 01 a3 02 c3 a9", "c1 08 02 a3 01 'k' a3 02 c3 a9"),
    ] {
        let fields = format!("a1 01 'p' 40 40 40 40 40 40 {capabilities} 40 {properties}");
        let text = format!("00 53 10 c0 {:02x} 0a {fields}", hex(&fields).len() + 1);
        let open = tolerant(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((open.container_id.as_str(), open.offered_capabilities.len()), ("p", 0), "{text}");
        assert_eq!(open.properties, None, "{text}");
        assert!(Open::decode(&mut Reader::with_limits(&hex(&text), Limits::DEFAULT)).is_err(), "{text}");
    }
    // A value that ends beyond its frame stays malformed.
    assert!(tolerant("00 53 10 c0 0c 0a a1 01 'p' 40 40 40 40 40 40 40 40 c1 ff 02").is_err());
}
