//! Messages that are written and read by the short ways.

use super::*;
use crate::{DecodeErrorKind, Map, SequenceNo, Str, Symbol, Timestamp, Value, messaging::MessageId};
use alloc::{string::String, vec};
use bytes::BytesMut;
use core::time::Duration;

fn octets(message: impl IntoMessage) -> Vec<u8> {
    message.into_message(None).into_parts().concat()
}

/// The message cut into pieces of this many octets.
fn cut(octets: &[u8], size: usize) -> Message {
    Message::from_chunks(octets.chunks(size).map(Bytes::copy_from_slice)).expect("valid")
}

fn whole(message: impl IntoMessage) -> Message {
    Message::from_chunks(message.into_message(None).into_parts()).expect("valid")
}

#[test]
fn m_3_2_6_1_data_is_there_at_every_size_however_it_is_cut() {
    for size in [0_usize, 1, 255, 256, 1024, 1025, 70_000] {
        let body: Vec<u8> = (0..size).map(|at| at as u8).collect();
        let octets = octets(Message::builder().subject("large").data(body.clone()));
        for piece in [1, 7, 512, 16 * 1024, octets.len()] {
            let message = cut(&octets, piece);
            assert_eq!(message.data().as_deref(), Some(&body[..]), "{size} {piece}");
            // It lies in one piece if that has its first octet and its last.
            let (first, last) = (octets.len() - size, octets.len().saturating_sub(1));
            let in_one = size == 0 || first / piece == last / piece;
            assert_eq!(message.data_in_place().is_some(), in_one, "{size} {piece}");
        }
    }
    let message = whole(Message::builder().data("one").data("").data("two"));
    assert_eq!((message.data().as_deref(), message.data_in_place()), (Some(&b"onetwo"[..]), None));
    for other in [Message::builder().value("text"), Message::builder().sequence(vec![]), Message::builder()] {
        assert_eq!(whole(other).data(), None);
    }
}

#[test]
fn a_text_is_read_from_data_and_from_values() {
    let text = "\u{e4}\u{20ac}\u{10348}".repeat(100);
    let octets = octets(Message::builder().data(text.clone()));
    for piece in [1, 2, 3, 5, octets.len()] {
        assert_eq!(cut(&octets, piece).text(), Ok(Some(Str::from(&*text))));
    }
    assert_eq!(whole(Message::builder().data("")).text(), Ok(Some(Str::default())));
    assert_eq!(whole(Message::builder().value(&*text)).text(), Ok(Some(Str::from(&*text))));
    assert_eq!(whole(Message::builder().value(Symbol::from_static("s"))).text(), Ok(Some(Str::from("s"))));
    for other in [Message::builder().value(7), Message::builder().value(Value::Null), Message::builder()] {
        assert_eq!(whole(other).text(), Ok(None));
    }
    assert_eq!(whole(Message::builder().sequence(vec![Value::from("a text")])).text(), Ok(None));
    let wrong = whole(Message::builder().data(&b"\xff"[..]));
    assert_eq!(wrong.text().map_err(|error| error.kind), Err(DecodeErrorKind::InvalidUtf8));
    let malformed = Message::received([Bytes::from_static(b"?")], Limits::DEFAULT);
    assert!(malformed.text().is_err() && malformed.data().is_none());
}

#[test]
fn each_setter_sets_its_field_and_each_accessor_reads_it() {
    let built = Message::builder()
        .durable(true)
        .priority(7)
        .ttl(Duration::from_micros(1_999))
        .first_acquirer(true)
        .delivery_count(3)
        .message_id(7_u64)
        .user_id("user")
        .to("to")
        .subject("subject")
        .reply_to("reply-to")
        .correlation_id("m0")
        .content_type("text/plain")
        .content_encoding(Symbol::from_static("gzip"))
        .absolute_expiry_time(Timestamp(2))
        .creation_time(Timestamp(1))
        .group_id("group")
        .group_sequence(9)
        .reply_to_group_id("other")
        .value(Value::Null);
    let header = Header { durable: true, priority: 7, ttl: Some(1), first_acquirer: true, delivery_count: 3 };
    let properties = Properties {
        message_id: Some(MessageId::Ulong(7)),
        user_id: Some(Bytes::from_static(b"user")),
        to: Some("to".into()),
        subject: Some("subject".into()),
        reply_to: Some("reply-to".into()),
        correlation_id: Some("m0".into()),
        content_type: Some("text/plain".into()),
        content_encoding: Some("gzip".into()),
        absolute_expiry_time: Some(Timestamp(2)),
        creation_time: Some(Timestamp(1)),
        group_id: Some("group".into()),
        group_sequence: Some(SequenceNo(9)),
        reply_to_group_id: Some("other".into()),
    };
    let message = whole(built);
    assert_eq!((message.header(), message.properties()), (Ok(Some(header)), Ok(Some(properties.clone()))));
    let read = Properties {
        message_id: message.message_id().expect("valid").map(|id| id.to_owned()),
        user_id: message.user_id().expect("valid").map(Bytes::copy_from_slice),
        to: message.to().expect("valid").map(Str::from),
        subject: message.subject().expect("valid").map(Str::from),
        reply_to: message.reply_to().expect("valid").map(Str::from),
        correlation_id: message.correlation_id().expect("valid").map(|id| id.to_owned()),
        content_type: message.content_type().expect("valid").and_then(|text| Symbol::new(text).ok()),
        content_encoding: message.content_encoding().expect("valid").and_then(|text| Symbol::new(text).ok()),
        absolute_expiry_time: message.absolute_expiry_time().expect("valid"),
        creation_time: message.creation_time().expect("valid"),
        group_id: message.group_id().expect("valid").map(Str::from),
        group_sequence: message.group_sequence().expect("valid"),
        reply_to_group_id: message.reply_to_group_id().expect("valid").map(Str::from),
    };
    assert_eq!(read, properties);
    // Without the section there is none of them.
    let bare = whole("body");
    assert_eq!((bare.subject(), bare.message_id(), bare.group_sequence()), (Ok(None), Ok(None), Ok(None)));
    // One field does not take another with it, and a ttl is as long as it can be.
    let message = whole(Message::builder().properties(properties.clone()).subject("changed").ttl(Duration::MAX));
    let changed = Properties { subject: Some("changed".into()), ..properties };
    assert_eq!(message.properties(), Ok(Some(changed)));
    assert_eq!(message.header().map(|header| header.and_then(|header| header.ttl)), Ok(Some(u32::MAX)));
}

/// The same octets, with a buffer that messages share and without it.
#[test]
fn texts_and_octets_are_sent_as_data() {
    fn check(message: impl IntoMessage + Clone, expected: &[u8]) {
        let mut buffer = BytesMut::new();
        for _ in 0..3 {
            let shared = message.clone().into_message(Some(&mut buffer));
            assert_eq!(shared.len(), octets(message.clone()).len());
            assert_eq!(whole(shared).data_in_place().as_deref(), Some(expected));
        }
        assert_eq!(octets(message), octets(Message::builder().data(expected.to_vec())));
    }
    for size in [0_usize, 1, 255, 256, 1024, 1025, 100_000] {
        let body: Vec<u8> = (0..size).map(|at| at as u8 & 0x7f).collect();
        let text = String::from_utf8(body.clone()).expect("ASCII");
        check(&*body, &body);
        check(body.clone(), &body);
        check(Bytes::from(body.clone()), &body);
        check(&*text, &body);
        check(&text, &body);
        check(Str::from(&*text), &body);
        check(text, &body);
    }
    check(b"hello", b"hello");
    check(&[], b"");
    assert_eq!(whole(Value::from(7)).value(), Ok(Some(Value::Int(7))));
    assert_eq!(whole(Map::new()).value(), Ok(Some(Value::Map(Map::new()))));
}

#[test]
fn much_data_is_shared_and_not_copied() {
    let body = Bytes::from(vec![1; 1025]);
    let sent = body.clone().into_message(Some(&mut BytesMut::new()));
    assert!(sent.chunks().any(|chunk| chunk.as_ptr() == body.as_ptr()));
}

#[test]
fn encoded_sections_are_the_octets_of_the_message_however_they_are_cut() {
    let odd: [&[u8]; 8] = [
        b"\0\x53\x70\x45",
        // Descriptors of every form, and a size that is wider than it needs to be.
        b"\0\x80\0\0\0\0\0\0\0\x72\xc1\x01\0",
        b"\0\xa3\x14amqp:properties:list\xd0\0\0\0\x04\0\0\0\0",
        b"\0\xb3\0\0\0\x10amqp:data:binary\xb0\0\0\0\x02hi",
        b"\0\x53\x75\xa0\0",
        b"\0\x53\x75\xa0\x03you",
        b"\0\x53\x79\x40",
        b"\0\xa3\x0bamqp:footer\x40",
    ];
    let codes = [0x70, 0x72, 0x73, 0x75, 0x75, 0x75, 0, 0];
    let octets = odd.concat();
    for size in 1..=octets.len() {
        let message = Message::received(octets.chunks(size).map(Bytes::copy_from_slice), Limits::DEFAULT);
        let sections = message.encoded_sections().expect("each section ends");
        assert_eq!(sections.iter().map(EncodedSection::code).collect::<Vec<_>>(), codes, "{size}");
        for (section, expected) in sections.into_iter().zip(odd) {
            assert_eq!(section.octets().len(), expected.len());
            assert_eq!(section.into_octets().into_parts().concat(), expected, "{size}");
        }
    }
    assert_eq!(Message::received([], Limits::DEFAULT).encoded_sections().expect("nothing").len(), 0);
    for garbage in [&b"?"[..], b"\0\x53\x75\xa0\x05hi", b"\0\x53\x75\xa0\x02hi?"] {
        assert!(Message::received([Bytes::from_static(garbage)], Limits::DEFAULT).encoded_sections().is_err());
    }
    let opaque = Message::opaque([Bytes::from(octets)], Limits::DEFAULT);
    assert_eq!(opaque.encoded_sections().map(drop).map_err(|error| error.kind), Err(DecodeErrorKind::OpaqueMessage));
}
