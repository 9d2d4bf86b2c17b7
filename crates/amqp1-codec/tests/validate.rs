//! What [`Message::validate`] reads in place is what decoding finds.
#![allow(missing_docs)]

use amqp1_codec::{
    DecodeError, EncodeStyle, Limits, Message, SequenceNo, Symbol, Timestamp, Value,
    message::Body,
    messaging::{Header, Properties},
};
use bytes::Bytes;

/// Every section as values of its own.
fn decode(message: &Message, strict: bool) -> Result<(), Option<DecodeError>> {
    message.header()?;
    message.delivery_annotations()?;
    message.message_annotations()?;
    message.properties()?;
    message.application_properties()?;
    match message.body() {
        Body::Value(value) => drop(value.to_value()?),
        Body::Sequence(mut sequences) => sequences.try_for_each(|sequence| sequence.map(drop))?,
        Body::Data(_) => {}
        Body::Empty if strict => return Err(None),
        Body::Empty => {}
        Body::Malformed(error) => return Err(Some(error)),
    }
    message.footer()?;
    Ok(())
}

fn agree(octets: &[u8]) -> bool {
    let mut valid = false;
    for limits in [Limits::DEFAULT, Limits::STRICT] {
        let Ok(message) = Message::from_chunks_with_limits([Bytes::copy_from_slice(octets)], limits) else { continue };
        match (message.validate(), decode(&message, limits.strict)) {
            (Ok(()), Ok(())) => valid = true,
            (Err(found), Err(Some(expected))) => assert_eq!(found, expected, "{octets:02x?}"),
            (Err(_), Err(None)) => {}
            (found, expected) => panic!("{found:?} is not {expected:?}: {octets:02x?}"),
        }
    }
    valid
}

fn properties() -> Properties {
    Properties {
        message_id: Some("m".into()),
        user_id: Some(Bytes::from_static(b"u")),
        to: Some("t".into()),
        subject: Some("s".into()),
        reply_to: Some("r".into()),
        correlation_id: Some("c".into()),
        content_type: Symbol::new("text/x").ok(),
        content_encoding: Symbol::new("gzip").ok(),
        absolute_expiry_time: Some(Timestamp(7)),
        creation_time: Some(Timestamp(8)),
        group_id: Some("g".into()),
        group_sequence: Some(SequenceNo(9)),
        reply_to_group_id: Some("h".into()),
    }
}

fn message(style: EncodeStyle, pairs: u32) -> Vec<u8> {
    let mut builder = Message::builder().style(style).header(Header { durable: true, ..Header::default() });
    for n in 0..pairs {
        builder = builder.message_annotation(Symbol::new(format!("x-{n}")).expect("ASCII"), n);
    }
    builder = builder.properties(properties());
    for n in 0..pairs {
        builder = builder.application_property(format!("k{n}"), Value::from(u64::from(n)));
    }
    builder.application_property("null", Value::Null).value("v").build().into_parts().concat()
}

#[test]
fn every_octet_of_a_message_may_be_any_other_and_both_agree() {
    for style in [EncodeStyle::Compact, EncodeStyle::Full] {
        let octets = message(style, 2);
        assert!(agree(&octets));
        let (mut valid, mut malformed) = (0, 0);
        for at in 0..octets.len() {
            for octet in 0..=255 {
                let mut changed = octets.clone();
                changed[at] = octet;
                if agree(&changed) { valid += 1 } else { malformed += 1 }
            }
            agree(&octets[..at]);
        }
        assert!(valid > 1000 && malformed > 1000, "{valid} {malformed}");
    }
}

#[test]
fn both_agree_on_keys_that_stand_twice_among_few_and_among_many() {
    for pairs in [1, 2, 14, 15, 16, 17, 18, 40] {
        let octets = message(EncodeStyle::Compact, pairs);
        assert!(agree(&octets), "{pairs}");
        for (from, to) in [(&b"\xa1\x02k1"[..], &b"\xa1\x02k0"[..]), (b"\xa3\x03x-1", b"\xa3\x03x-0")] {
            let Some(at) = octets.windows(from.len()).position(|window| window == from) else { continue };
            let mut twice = octets.clone();
            twice[at..at + from.len()].copy_from_slice(to);
            assert!(!agree(&twice), "{pairs}");
        }
    }
}
