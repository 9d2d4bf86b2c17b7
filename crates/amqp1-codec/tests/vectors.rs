//! Every vector gives the answer that it states.
//!
//! Carries Y-1.1.2-1, Y-1.1.2-2, Y-1.2.*, Y-1.3.*, Y-1.4-*, Y-1.5-1 and Y-1.6.*: the vectors are named after what they
//! show.

mod support;

use amqp1_codec::{
    Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Limits, Message, Reader, Symbol, Value,
    definitions::AmqpError,
    frame::{Frame, FrameDecoder, FrameErrorKind, ProtocolHeader, ProtocolId},
    message::Body,
    messaging::{
        Annotations, ApplicationProperties, DeliveryState, Header, LifetimePolicy, Properties, Source, Target,
    },
    performative::{Performative, TargetArchetype},
    sasl::SaslBody,
    transaction::{Coordinator, Declare, Declared, Discharge, TransactionalState},
};
use bytes::{Bytes, BytesMut};
use support::{MessageVector, malformed, tagged::hex, vectors};

const STYLES: [EncodeStyle; 2] = [EncodeStyle::Compact, EncodeStyle::Full];

/// Decodes exactly one value.
fn whole<T: Decode>(wire: &Bytes, limits: Limits) -> Result<T, DecodeError> {
    let mut reader = Reader::with_limits(wire, limits);
    let value = T::decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

fn encoded(value: &impl Encode, style: EncodeStyle) -> Bytes {
    let mut out = BytesMut::new();
    value.encode(style, &mut out);
    assert_eq!(out.len(), value.encoded_len(style), "encoded_len is exact");
    out.freeze()
}

/// The canonical forms that are accepted in place of the one listed.
///
/// Arrays never get an element constructor without data, because several decoders refuse them: the narrowest
/// constructor with one octet stands in its place. An empty array of uint or ulong takes the narrower constructor.
fn canonical(id: &str, listed: &Bytes) -> Bytes {
    let other: &[u8] = match id {
        "array-all-true" => &[0xe0, 4, 2, 0x56, 1, 1],
        "array-all-false" => &[0xe0, 5, 3, 0x56, 0, 0, 0],
        "array-ulong0" => &[0xe0, 4, 2, 0x53, 0, 0],
        "array-uint0" => &[0xe0, 4, 2, 0x52, 0, 0],
        "array-of-empty-lists" => &[0xe0, 6, 2, 0xc0, 1, 0, 1, 0],
        "array-empty-uint" => &[0xe0, 2, 0, 0x52],
        "array-empty-ulong" => &[0xe0, 2, 0, 0x53],
        _ => listed,
    };
    Bytes::copy_from_slice(other)
}

#[test]
fn every_encoding_of_a_value_decodes_to_it_and_is_written_canonically() {
    let values = vectors().values;
    assert_eq!(values.len(), 328);
    for vector in values {
        for wire in &vector.wire {
            let decoded: Value =
                whole(wire, Limits::STRICT).unwrap_or_else(|error| panic!("{} as {}: {error}", vector.id, hex(wire)));
            assert_eq!(decoded, vector.value, "{} as {}", vector.id, hex(wire));
            let again = encoded(&decoded, EncodeStyle::Compact);
            assert_eq!(hex(&again), hex(&canonical(&vector.id, &vector.wire[0])), "{} as {}", vector.id, hex(wire));
            let full = encoded(&decoded, EncodeStyle::Full);
            assert_eq!(whole::<Value>(&full, Limits::STRICT), Ok(decoded), "{} in full", vector.id);
        }
        assert_eq!(
            encoded(&vector.value, EncodeStyle::Compact),
            canonical(&vector.id, &vector.wire[0]),
            "{}",
            vector.id
        );
    }
}

/// Decodes a value as a type of its own, and it survives both styles.
fn typed<T: Decode + Encode + PartialEq + std::fmt::Debug>(id: &str, wire: &Bytes) {
    let value: T = whole(wire, Limits::STRICT).unwrap_or_else(|error| panic!("{id} as {}: {error}", hex(wire)));
    for style in STYLES {
        let again = encoded(&value, style);
        assert_eq!(whole::<T>(&again, Limits::STRICT).as_ref(), Ok(&value), "{id} in style {style:?}: {}", hex(&again));
    }
}

/// A composite as the type that its descriptor names; false if there is none.
fn as_its_type(id: &str, wire: &Bytes) -> bool {
    let mut reader = Reader::new(wire);
    let Ok(descriptor) = reader.descriptor() else { return false };
    match descriptor.code() {
        Some(0x10..=0x18) => typed::<Performative>(id, wire),
        Some(0x1d) => typed::<AmqpError>(id, wire),
        Some(0x23..=0x27) => typed::<DeliveryState>(id, wire),
        Some(0x28) => typed::<Source>(id, wire),
        Some(0x29) => {
            typed::<Target>(id, wire);
            typed::<TargetArchetype>(id, wire);
        }
        Some(0x2b..=0x2e) => {
            let value = whole::<Value>(wire, Limits::STRICT).expect("a value");
            let policy = LifetimePolicy::from_value(&value).unwrap_or_else(|| panic!("{id} is no lifetime-policy"));
            assert_eq!(LifetimePolicy::from_value(&policy.into()), Some(policy), "{id}");
        }
        Some(0x30) => {
            typed::<Coordinator>(id, wire);
            typed::<TargetArchetype>(id, wire);
        }
        Some(0x31) => typed::<Declare>(id, wire),
        Some(0x32) => typed::<Discharge>(id, wire),
        Some(0x33) => {
            typed::<Declared>(id, wire);
            typed::<DeliveryState>(id, wire);
        }
        Some(0x34) => {
            typed::<TransactionalState>(id, wire);
            typed::<DeliveryState>(id, wire);
        }
        Some(0x40..=0x44) => typed::<SaslBody>(id, wire),
        Some(0x70) => typed::<Header>(id, wire),
        Some(0x73) => typed::<Properties>(id, wire),
        Some(0x71 | 0x72 | 0x78) => typed::<Annotations>(id, &reader.rest()),
        Some(0x74) => typed::<ApplicationProperties>(id, &reader.rest()),
        Some(0x75) => typed::<Bytes>(id, &reader.rest()),
        Some(0x76 | 0x77) => typed::<Value>(id, &reader.rest()),
        _ => return false,
    }
    true
}

/// Y-1.3.3-1, Y-1.4-1, Y-1.4-2, Y-1.4-3: every spelling of a composite is the same composite.
#[test]
fn composites_decode_as_their_types() {
    let groups = ["performative", "composite", "state", "terminus", "txn", "section", "sasl"];
    let mut seen = 0;
    for vector in vectors().values.iter().filter(|vector| groups.contains(&vector.group.as_str())) {
        for wire in &vector.wire {
            assert!(as_its_type(&vector.id, wire), "{} has no type", vector.id);
        }
        seen += 1;
    }
    assert_eq!(seen, 103);
}

/// Every spelling of one composite is equal as a type too.
#[test]
fn spellings_of_a_performative_are_equal_as_types() {
    let mut spellings = 0;
    for vector in vectors().values.iter().filter(|vector| vector.group == "performative") {
        let first: Performative = whole(&vector.wire[0], Limits::STRICT).expect("decodes");
        for wire in &vector.wire {
            assert_eq!(whole::<Performative>(wire, Limits::STRICT).as_ref(), Ok(&first), "{}", vector.id);
            spellings += 1;
        }
    }
    assert!(spellings > 60, "{spellings}");
}

#[test]
fn protocol_headers_decode() {
    let headers = vectors().headers;
    assert_eq!(headers.len(), 2);
    for vector in headers {
        let octets: [u8; 8] = vector.wire.as_ref().try_into().expect("eight octets");
        let header = ProtocolHeader::decode(&octets).expect("a header");
        let id = match vector.protocol {
            0 => ProtocolId::Amqp,
            2 => ProtocolId::Tls,
            _ => ProtocolId::Sasl,
        };
        assert_eq!(header, ProtocolHeader { id, version: vector.version }, "{}", vector.id);
        assert!(header.is_supported(), "{}", vector.id);
        assert_eq!(header.encode(), octets, "{}", vector.id);
    }
}

/// The captured frames are what other programs sent; each decodes, and as its type survives both styles.
#[test]
fn frames_decode_to_what_they_hold() {
    let frames = vectors().frames;
    assert_eq!(frames.len(), 140);
    for vector in frames {
        let id = &vector.id;
        let mut decoder = if vector.sasl {
            FrameDecoder::sasl(65_536, Limits::STRICT)
        } else {
            FrameDecoder::new(65_536, Limits::STRICT)
        };
        let mut input = BytesMut::from(&vector.wire[..]);
        input.extend_from_slice(b"next");
        let frame = decoder.decode(&mut input).unwrap_or_else(|error| panic!("{id}: {error}")).expect("a whole frame");
        assert_eq!(&input[..], b"next", "{id}: what follows stays");
        let start = usize::from(vector.wire[4]) * 4;
        let octets = vector.wire.slice(start..);
        let body = match frame {
            Frame::Sasl(_) => {
                assert!(vector.sasl, "{id}");
                as_its_type(id, &octets);
                octets
            }
            Frame::Amqp { channel, performative, payload } => {
                assert_eq!(channel, vector.channel, "{id}");
                assert_eq!(payload.len(), vector.payload, "{id}");
                assert_eq!(performative.is_some(), vector.body.is_some(), "{id}");
                let body = octets.slice(..octets.len() - payload.len());
                if let Some(performative) = performative {
                    assert!(as_its_type(id, &body), "{id}");
                    assert_eq!(whole(&body, Limits::STRICT), Ok(performative), "{id}");
                }
                body
            }
        };
        if let Some(expected) = &vector.body {
            assert_eq!(whole::<Value>(&body, Limits::STRICT).as_ref(), Ok(expected), "{id}");
        }
    }
}

/// A message as the sections that it has, each read by its accessor.
fn sections(message: &Message) -> Result<Vec<Value>, DecodeError> {
    let mut all = Vec::new();
    let mut list = |number: u64, octets: Option<Bytes>| {
        all.extend(octets.map(|octets| (number, whole::<Value>(&octets, Limits::DEFAULT))));
    };
    let compact = |value: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        value(&mut out);
        out.freeze()
    };
    list(0x70, message.header()?.map(|v| compact(&|out| v.encode(EncodeStyle::Full, out)).slice(3..)));
    list(0x71, message.delivery_annotations()?.map(|v| compact(&|out| v.encode(EncodeStyle::Full, out))));
    list(0x72, message.message_annotations()?.map(|v| compact(&|out| v.encode(EncodeStyle::Full, out))));
    list(0x73, message.properties()?.map(|v| compact(&|out| v.encode(EncodeStyle::Full, out)).slice(3..)));
    list(0x74, message.application_properties()?.map(|v| compact(&|out| v.encode(EncodeStyle::Full, out))));
    let mut found = Vec::new();
    for (number, value) in all {
        found.push(Value::described(number, value?));
    }
    match message.body() {
        Body::Empty => {}
        Body::Malformed(error) => return Err(error),
        Body::Data(data) => found.extend(data.map(|section| {
            let octets: Vec<u8> = section.chunks().flat_map(|chunk| chunk.to_vec()).collect();
            assert_eq!(octets.len(), section.len());
            Value::described(0x75u64, Bytes::from(octets))
        })),
        Body::Sequence(sequences) => {
            for sequence in sequences {
                found.push(Value::described(0x76u64, sequence?));
            }
        }
        Body::Value(value) => found.push(Value::described(0x77u64, value.to_value()?)),
    }
    if let Some(footer) = message.footer()? {
        found.push(Value::described(0x78u64, whole::<Value>(&footer.to_octets(), Limits::DEFAULT)?));
    }
    Ok(found)
}

/// Lists of fields are compared with their trailing nulls and defaults written out.
fn normal(section: &Value) -> Value {
    let octets = section.to_octets();
    let mut reader = Reader::new(&octets);
    let code = reader.descriptor().expect("a descriptor").code().expect("a known one");
    let full = match code {
        0x70 => encoded(&whole::<Header>(&octets, Limits::DEFAULT).expect("a header"), EncodeStyle::Full),
        0x73 => encoded(&whole::<Properties>(&octets, Limits::DEFAULT).expect("properties"), EncodeStyle::Full),
        _ => octets.clone(),
    };
    let Ok(Value::Described(described)) = whole::<Value>(&full, Limits::DEFAULT) else { panic!("described") };
    Value::described(code, described.value)
}

/// The two that write the delivery-annotations or the footer elsewhere, which §3.2 does not allow.
const OUT_OF_ORDER: [&str; 2] = ["native-pyamqp-full", "native-rhea-full"];

/// The one without a body, which is tolerated unless strict.
const WITHOUT_BODY: &str = "native-proton-none";

/// The one that has strings as keys of its footer.
const STRING_KEYS: &str = "native-rhea-full";

/// The strictest limits with which a vector is read.
fn limits_for(id: &str) -> Limits {
    let mut limits = if id == WITHOUT_BODY { Limits::DEFAULT } else { Limits::STRICT };
    limits.any_section_order = OUT_OF_ORDER.contains(&id);
    limits.string_annotation_keys = id == STRING_KEYS;
    limits
}

/// The number of a section.
fn number(section: &Value) -> u64 {
    match section {
        Value::Described(described) => match described.descriptor {
            Value::Ulong(number) => number,
            _ => panic!("a number"),
        },
        _ => panic!("described"),
    }
}

/// The sections that a vector has, in the specification's order.
fn expected(vector: &MessageVector) -> Vec<Value> {
    let mut all: Vec<Value> = vector.sections.iter().map(normal).collect();
    if vector.id == STRING_KEYS {
        // Tolerated, they are read as symbols.
        all.retain(|section| number(section) != 0x78);
        all.push(Value::described(0x78_u64, Value::Map([(Symbol::from_static("f"), 1_u32)].into_iter().collect())));
    }
    all.sort_by_key(number);
    all
}

/// M-3.2-1: out of order only by a switch; and strictly, not without a body.
#[test]
fn order_and_body_of_messages_are_required() {
    for vector in vectors().messages {
        let kind =
            |limits| Message::from_chunks_with_limits([vector.wire.clone()], limits).err().map(|error| error.kind);
        if OUT_OF_ORDER.contains(&vector.id.as_str()) {
            assert_eq!(kind(Limits::DEFAULT), Some(DecodeErrorKind::SectionOrder), "{}", vector.id);
        }
        if vector.id == WITHOUT_BODY {
            assert_eq!(kind(Limits::STRICT), Some(DecodeErrorKind::MissingBody));
        }
    }
}

/// M-3.2-1, M-3.2-5, M-3.2.6-1, M-3.2.7-1, M-3.2.8-1: lazy access gives what eager decoding gives.
#[test]
fn messages_are_read_section_by_section() {
    let messages = vectors().messages;
    assert_eq!(messages.len(), 28);
    for vector in messages {
        let id = &vector.id;
        let message = Message::from_chunks_with_limits([vector.wire.clone()], limits_for(id))
            .unwrap_or_else(|error| panic!("{id}: {error}"));
        message.validate().unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(sections(&message), Ok(expected(&vector)), "{id}");
        assert_eq!(message.encoded_len(), vector.wire.len(), "{id}");
        // What is only passed on is the same octets.
        let again: Vec<u8> = message.to_encoded().chunks().flat_map(|chunk| chunk.to_vec()).collect();
        assert_eq!(hex(&again), hex(&vector.wire), "{id}");
        if let Some(properties) = message.application_properties().expect("valid") {
            for (key, value) in properties.iter() {
                let lazy = message.application_property(key.as_text().expect("a text")).expect("valid");
                assert_eq!(lazy.expect("there").to_value().as_ref(), Ok(value), "{id}");
            }
        }
    }
}

/// T-2.6.14: however a message is cut into transfers, it is the same message.
#[test]
fn split_messages_have_the_same_sections() {
    for vector in vectors().messages {
        let limits = limits_for(&vector.id);
        let whole_message = Message::from_chunks_with_limits([vector.wire.clone()], limits).expect("valid");
        let encoding =
            |message: &Message| -> Vec<u8> { message.to_encoded().chunks().flat_map(|chunk| chunk.to_vec()).collect() };
        let check = |chunks: Vec<Bytes>, how: &str| {
            let message = Message::from_chunks_with_limits(chunks, limits)
                .unwrap_or_else(|error| panic!("{} {how}: {error}", vector.id));
            message.validate().unwrap_or_else(|error| panic!("{} {how}: {error}", vector.id));
            assert_eq!(sections(&message), Ok(expected(&vector)), "{} {how}", vector.id);
            assert_eq!(encoding(&message), encoding(&whole_message), "{} {how}", vector.id);
            assert_eq!(message.data(), whole_message.data(), "{} {how}", vector.id);
            assert_eq!(sections(&message.to_detached()), Ok(expected(&vector)), "{} {how}", vector.id);
        };
        for at in 0..=vector.wire.len() {
            check(vec![vector.wire.slice(..at), vector.wire.slice(at..)], &format!("cut at {at}"));
        }
        for size in [1, 2, 3, 7] {
            let chunks = vector.wire.chunks(size).map(Bytes::copy_from_slice).collect();
            check(chunks, &format!("in pieces of {size}"));
        }
    }
}

/// Refused as a message, whole and cut up.
fn message_refused(wire: &Bytes, limits: Limits) -> bool {
    let refused = |chunks: Vec<Bytes>| {
        Message::from_chunks_with_limits(chunks, limits).and_then(|message| message.validate()).is_err()
    };
    let pieces = wire.chunks(1).map(Bytes::copy_from_slice).collect();
    let whole = refused(vec![wire.clone()]);
    assert_eq!(whole, refused(pieces), "cutting a message up does not change whether it is valid");
    whole
}

/// Refused as the body of an AMQP frame, or as its payload.
fn performative_refused(wire: &Bytes, limits: Limits) -> bool {
    let mut frame = BytesMut::new();
    let header = amqp1_codec::frame::FrameWriter::begin(0, &mut frame);
    frame.extend_from_slice(wire);
    header.finish(0, &mut frame);
    match FrameDecoder::new(65_536, limits).decode(&mut frame) {
        Ok(Some(Frame::Amqp { performative: Some(Performative::Transfer(_)), payload, .. })) => {
            message_refused(&payload, limits)
        }
        Ok(Some(_)) => false,
        Ok(None) => panic!("the frame is whole"),
        // The stream goes on after it, so the frame was taken off.
        Err(error) => matches!(error.kind, FrameErrorKind::Body(_)) && frame.is_empty(),
    }
}

/// Refused as a protocol header or as a frame, whichever it looks like; what ends too soon is neither.
fn stream_refused(id: &str, wire: &Bytes, limits: Limits) -> bool {
    if id.starts_with("bad-hdr") {
        return match wire.first_chunk() {
            Some(octets) => !ProtocolHeader::decode(octets).is_some_and(ProtocolHeader::is_supported),
            None => true,
        };
    }
    FrameDecoder::new(65_536, limits).decode(&mut BytesMut::from(&wire[..])).is_err()
}

/// Y-rob-1, Y-rob-2, Y-rob-3 and every `bad-` vector of the codec: decoding alone refuses them.
#[test]
fn malformed_octets_are_refused_by_decoding_alone() {
    let all = malformed();
    assert_eq!(all.len(), 193);
    for vector in all {
        let refused = |limits: Limits| match vector.level.as_str() {
            "value" => whole::<Value>(&vector.wire, limits).is_err(),
            "performative" => performative_refused(&vector.wire, limits),
            "message" => message_refused(&vector.wire, limits),
            "stream" => stream_refused(&vector.id, &vector.wire, limits),
            other => panic!("no level {other}"),
        };
        assert!(refused(Limits::STRICT), "{}: {}", vector.id, vector.reason);
        assert!(vector.strict || refused(Limits::DEFAULT), "{}: {}", vector.id, vector.reason);
    }
}
