//! What is encoded and decoded again is the same, in both styles, and `encoded_len` is exact (Y-1.*, M-3.2-1).

#[path = "support/strategies.rs"]
#[allow(unreachable_pub)]
mod strategies;

use amqp1_codec::{
    Decode, DecodeErrorKind, Encode, EncodeStyle, EncodedMessage, Limits, Message, Reader, Value, ValueRef,
    frame::{Frame, FrameDecoder, FrameWriter, write_sasl_frame},
    message::Body,
    performative::Performative,
};
use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use std::fmt::Debug;

const STYLES: [EncodeStyle; 2] = [EncodeStyle::Compact, EncodeStyle::Full];

fn whole<T: Decode>(octets: &Bytes) -> T {
    let mut reader = Reader::with_limits(octets, Limits::STRICT);
    let value = T::decode(&mut reader).unwrap_or_else(|error| panic!("{error}: {octets:02x?}"));
    reader.finish().expect("nothing follows");
    value
}

/// Encodes and decodes in both styles; what follows stays in the reader.
fn both_ways<T: Encode + Decode + PartialEq + Debug>(value: &T) {
    for style in STYLES {
        let mut out = BytesMut::from(&b"before"[..]);
        value.encode(style, &mut out);
        assert_eq!(out.len() - 6, value.encoded_len(style), "in style {style:?}");
        let octets = out.freeze().slice(6..);
        assert_eq!(whole::<T>(&octets), *value, "in style {style:?}: {octets:02x?}");
        let followed: Bytes = [&octets[..], b"after"].concat().into();
        let mut reader = Reader::new(&followed);
        assert_eq!(T::decode(&mut reader).as_ref(), Ok(value));
        assert_eq!(reader.rest(), &b"after"[..]);
        for end in [0, octets.len() / 2, octets.len() - 1] {
            assert!(T::decode(&mut Reader::new(&octets.slice(..end))).is_err(), "cut at {end}");
        }
    }
    assert!(value.encoded_len(EncodeStyle::Compact) <= value.encoded_len(EncodeStyle::Full));
    let canonical = value.to_octets();
    assert_eq!(whole::<T>(&canonical).to_octets(), canonical, "canonical octets stay as they are");
}

/// The most levels that a value is decoded on: its own, and those of what is in it.
fn levels(value: &Value) -> u8 {
    let most = |inner: &mut dyn Iterator<Item = &Value>| inner.map(levels).max().unwrap_or_default();
    1 + match value {
        Value::List(items) => most(&mut items.iter()),
        Value::Map(map) => most(&mut map.iter().flat_map(|(key, value)| [key, value])),
        Value::Array(array) => {
            let described = array.descriptors().map(|descriptor| 1 + levels(&descriptor)).sum();
            array.iter().map(|value| levels(&value)).max().unwrap_or_default().max(described)
        }
        Value::Described(described) => most(&mut [&described.descriptor, &described.value].into_iter()),
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values(value in strategies::value()) {
        both_ways(&value);
        let octets = value.to_octets();
        let mut reader = Reader::new(&octets);
        prop_assert_eq!(ValueRef::read(&mut reader).and_then(|lazy| lazy.to_value()), Ok(value.clone()));
        prop_assert!(reader.is_empty());
        prop_assert_eq!(Reader::new(&octets).skip().map(<[u8]>::len), Ok(octets.len()));
        let mut limits = Limits::DEFAULT;
        limits.depth = levels(&value);
        prop_assert!(Value::decode(&mut Reader::with_limits(&octets, limits)).is_ok());
    }

    #[test]
    fn values_walked_in_place(items in vec((strategies::value(), strategies::value()), 0..5)) {
        let map: amqp1_codec::Map = items.into_iter().collect();
        let octets = Value::from(map.clone()).to_octets();
        let Ok(ValueRef::Map(lazy)) = ValueRef::read(&mut Reader::new(&octets)) else { panic!("a map") };
        let mut eager = map.iter();
        for pair in lazy {
            let (key, value) = pair.expect("valid");
            prop_assert_eq!(
                (key.to_value(), value.to_value()),
                eager.next().map(|(key, value)| (Ok(key.clone()), Ok(value.clone()))).expect("as many"),
            );
        }
        prop_assert!(eager.next().is_none());
    }

    #[test]
    fn performatives(performative in strategies::performative()) {
        both_ways(&performative);
        prop_assert!(performative.to_string().starts_with(performative.name()));
    }

    #[test]
    fn sasl_bodies(body in strategies::sasl_body()) {
        both_ways(&body);
        for style in STYLES {
            let mut out = BytesMut::new();
            write_sasl_frame(&body, style, &mut out);
            let frame = FrameDecoder::sasl(4_096, Limits::STRICT).decode(&mut out);
            prop_assert_eq!(frame, Ok(Some(Frame::Sasl(body.clone()))));
            prop_assert!(out.is_empty());
        }
    }

    #[test]
    fn errors_and_states(error in strategies::error(), state in strategies::delivery_state(), modified in strategies::modified()) {
        both_ways(&error);
        both_ways(&state);
        both_ways(&modified);
    }

    #[test]
    fn states_of_one_kind(
        received in strategies::received(),
        rejected in strategies::rejected(),
        declared in strategies::declared(),
        transactional in strategies::transactional_state(),
    ) {
        both_ways(&received);
        both_ways(&rejected);
        both_ways(&declared);
        both_ways(&transactional);
    }

    #[test]
    fn termini(source in strategies::source(), target in strategies::target(), coordinator in strategies::coordinator()) {
        both_ways(&source);
        both_ways(&target);
        both_ways(&coordinator);
    }

    #[test]
    fn transactions(declare in strategies::declare(), discharge in strategies::discharge()) {
        both_ways(&declare);
        both_ways(&discharge);
    }

    #[test]
    fn sections(header in strategies::header(), properties in strategies::properties()) {
        both_ways(&header);
        both_ways(&properties);
    }

    #[test]
    fn maps_of_sections(annotations in strategies::annotations(), properties in strategies::application_properties()) {
        both_ways(&annotations);
        both_ways(&properties);
    }

    /// Frames come out of a stream as they went in, however it is cut up.
    #[test]
    fn frames(
        performatives in vec((any::<u16>(), strategies::performative(), strategies::octets()), 1..4),
        full in any::<bool>(),
        step in 1usize..64,
    ) {
        let style = if full { EncodeStyle::Full } else { EncodeStyle::Compact };
        let mut stream = BytesMut::new();
        let mut expected = Vec::new();
        for (channel, performative, payload) in performatives {
            let frame = FrameWriter::begin(channel, &mut stream);
            performative.encode(style, &mut stream);
            let payload = if matches!(performative, Performative::Transfer(_)) { payload } else { Bytes::new() };
            frame.finish(payload.len(), &mut stream);
            stream.extend_from_slice(&payload);
            expected.push(Frame::Amqp { channel, performative: Some(performative), payload });
        }
        let mut decoder = FrameDecoder::new(u32::MAX, Limits::STRICT);
        let (mut input, mut frames) = (BytesMut::new(), Vec::new());
        for piece in stream.chunks(step) {
            input.extend_from_slice(piece);
            while let Some(frame) = decoder.decode(&mut input).expect("valid") {
                frames.push(frame);
            }
        }
        prop_assert_eq!(frames, expected);
        prop_assert!(input.is_empty());
    }

    /// A built message is read as it was built, whole and in pieces.
    #[test]
    fn messages(
        header in proptest::option::of(strategies::header()),
        properties in proptest::option::of(strategies::properties()),
        application in strategies::application_properties(),
        annotations in strategies::annotations(),
        body in body(),
        full in any::<bool>(),
        step in 1usize..64,
    ) {
        let mut builder = Message::builder().application_properties(application.clone()).message_annotations(annotations.clone());
        if let Some(header) = header.clone() {
            builder = builder.header(header);
        }
        if let Some(properties) = properties.clone() {
            builder = builder.properties(properties);
        }
        if full {
            builder = builder.style(EncodeStyle::Full);
        }
        builder = match body.clone() {
            Content::Data(sections) => sections.into_iter().fold(builder, |builder, octets| builder.data(octets)),
            Content::Sequence(sections) => sections.into_iter().fold(builder, |builder, items| builder.sequence(items)),
            Content::Value(value) => builder.value(value),
        };
        let built: EncodedMessage = builder.build();
        let octets: Vec<u8> = built.chunks().flat_map(|chunk| chunk.to_vec()).collect();
        prop_assert_eq!(octets.len(), built.len());
        let pieces = octets.chunks(step).map(Bytes::copy_from_slice);
        for message in [Message::from_bytes(octets.clone().into()), Message::from_chunks(pieces)] {
            let message = message.expect("valid");
            prop_assert!(message.validate().is_ok());
            prop_assert_eq!(message.header().expect("valid"), header.clone());
            prop_assert_eq!(message.properties().expect("valid"), properties.clone());
            prop_assert_eq!(message.application_properties().expect("valid").unwrap_or_default(), application.clone());
            prop_assert_eq!(message.message_annotations().expect("valid").unwrap_or_default(), annotations.clone());
            prop_assert_eq!(content(&message), Some(body.clone()));
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Content {
    Data(Vec<Bytes>),
    Sequence(Vec<Vec<Value>>),
    Value(Value),
}

fn body() -> impl Strategy<Value = Content> {
    prop_oneof![
        vec(strategies::octets(), 1..4).prop_map(Content::Data),
        vec(vec(strategies::value(), 0..3), 1..3).prop_map(Content::Sequence),
        strategies::value().prop_map(Content::Value),
    ]
}

fn content(message: &Message) -> Option<Content> {
    Some(match message.body() {
        Body::Data(sections) => Content::Data(
            sections
                .map(|section| section.chunks().flat_map(|chunk| chunk.to_vec()).collect::<Vec<u8>>().into())
                .collect(),
        ),
        Body::Sequence(sequences) => Content::Sequence(sequences.map(|sequence| sequence.expect("valid")).collect()),
        Body::Value(value) => Content::Value(value.to_value().expect("valid")),
        Body::Empty | Body::Malformed(_) => return None,
    })
}

/// What is malformed is found by walking in place too (M-3.2.5-1, M-3.2.10-1): octets after the last item, and keys and
/// values that the section may not have.
#[test]
fn what_decoding_refuses_walking_does_not_pass_over() {
    let message = |octets: &'static [u8]| Message::from_bytes(Bytes::from_static(octets)).expect("sections");
    // An application property, and an octet that no pair has.
    let excess = message(b"\0\x53\x74\xc1\x07\x02\xa1\x01k\x54\x05\x40\0\x53\x77\x40");
    assert!(excess.application_properties().is_err());
    let walked: Vec<_> = excess.application_properties_ref().expect("a map").expect("there").collect();
    assert!(matches!(&walked[..], [Ok(_), Err(error)] if error.kind == DecodeErrorKind::LengthMismatch));
    assert!(excess.application_property("another").is_err());
    assert!(excess.application_property("k").expect("found before").is_some());
    let received = message(b"\0\x53\x77\xc0\x03\x01\x43\x40");
    let Body::Value(body) = received.body() else { panic!("a value") };
    assert!(body.to_value().is_err());
    let Ok(ValueRef::List(items)) = body.as_ref() else { panic!("a list") };
    assert!(matches!(&items.collect::<Vec<_>>()[..], [Ok(_), Err(_)]));
    // A symbol is no key of an application property, and a list no value.
    let symbol = message(b"\0\x53\x74\xc1\x06\x02\xa3\x01k\x54\x05");
    assert_eq!(symbol.application_property("k").expect("skipped").map(|value| value.as_integer()), None);
    let list = message(b"\0\x53\x74\xc1\x05\x02\xa1\x01k\x45");
    assert_eq!(
        list.application_property("k").map(|_| ()).map_err(|error| error.kind),
        Err(DecodeErrorKind::InvalidValueType)
    );
    // A string is a key of an annotation only where that is tolerated.
    let octets = Bytes::from_static(b"\0\x53\x72\xc1\x06\x02\xa1\x01k\x54\x05");
    let mut limits = Limits::DEFAULT;
    for tolerated in [false, true] {
        limits.string_annotation_keys = tolerated;
        let message = Message::from_chunks_with_limits([octets.clone()], limits).expect("sections");
        assert_eq!(message.message_annotations().is_ok(), tolerated);
        assert_eq!(message.message_annotation("k").expect("a map").is_some(), tolerated);
    }
}

#[test]
fn texts_and_octets_of_ones_own_are_messages_of_one_data_section() {
    let expected = EncodedMessage::from("text").into_parts().concat();
    let messages: [EncodedMessage; 3] = ["text".to_owned().into(), b"text".to_vec().into(), Bytes::from("text").into()];
    for message in messages {
        assert_eq!(message.into_parts().concat(), expected);
    }
}
