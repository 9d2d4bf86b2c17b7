//! What each target of the codec does with its octets. The codec's tests run the same over the corpus.

use amqp1_codec::{
    Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Limits, Message, Reader, Str, Symbol, Value, ValueRef,
    frame::{Frame, FrameDecoder, FrameWriter},
    message::Body,
    messaging::{Annotations, Header, Properties, PropertiesRef},
    performative::{Disposition, Flow, Performative, Transfer},
    sasl::SaslBody,
};
use bytes::{Bytes, BytesMut};

/// Octets to frames and back: what decodes is written and decodes to the same, in both styles, and cutting the stream
/// up changes nothing. The first octet says which layer.
pub fn frame_decode(octets: &[u8]) {
    let Some((layer, octets)) = octets.split_first() else { return };
    let sasl = layer % 2 == 1;
    let decoder = || {
        if sasl { FrameDecoder::sasl(4_096, Limits::DEFAULT) } else { FrameDecoder::new(4_096, Limits::DEFAULT) }
    };
    let whole = frames(&mut decoder(), &[octets]);
    let halves = octets.split_at(octets.len() / 2);
    assert_eq!(whole, frames(&mut decoder(), &[halves.0, halves.1]), "cutting the stream up changes nothing");
    for frame in whole.0 {
        assert!(!frame.to_string().contains('\n'));
        for style in [EncodeStyle::Compact, EncodeStyle::Full] {
            let mut out = BytesMut::new();
            match &frame {
                Frame::Sasl(body) => write_sasl(body, style, &mut out),
                Frame::Amqp { channel, performative, payload } => {
                    let writer = FrameWriter::begin(*channel, &mut out);
                    if let Some(performative) = performative {
                        let start = out.len();
                        performative.encode(style, &mut out);
                        assert_eq!(out.len() - start, performative.encoded_len(style));
                    }
                    writer.finish(payload.len(), &mut out);
                    out.extend_from_slice(payload);
                }
            }
            // Written in full, or with widened arrays, a frame may be larger than the one that was read.
            let mut large = if sasl {
                FrameDecoder::sasl(u32::MAX, Limits::DEFAULT)
            } else {
                FrameDecoder::new(u32::MAX, Limits::DEFAULT)
            };
            assert_eq!(large.decode(&mut out).as_ref().map(Option::as_ref), Ok(Some(&frame)));
        }
    }
}

fn write_sasl(body: &SaslBody, style: EncodeStyle, out: &mut BytesMut) {
    amqp1_codec::frame::write_sasl_frame(body, style, out);
}

/// The frames of a stream in pieces, up to the first that is wrong, and what is wrong with it.
fn frames(decoder: &mut FrameDecoder, pieces: &[&[u8]]) -> (Vec<Frame>, Option<String>) {
    let (mut input, mut frames) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
    }
    (frames, None)
}

/// The performatives that are read and written by hand are what the table says they are. The first octet says which of
/// the three it is, and whether the list's size is made to fit.
pub fn transfer_fast_vs_table(octets: &[u8]) {
    let Some((choice, octets)) = octets.split_first() else { return };
    let number = [Transfer::CODE, Flow::CODE, Disposition::CODE][usize::from(choice % 3)];
    let mut body = vec![0x00, 0x53, number, 0xc0];
    let fits = choice / 3 % 2 == 0;
    if let (true, Ok(size)) = (fits, u8::try_from(octets.len())) {
        body.push(size);
    }
    body.extend_from_slice(octets);
    by_hand_is_by_table(&body.into());
}

/// Compares the two ways to read a performative, and if it is one, the two ways to write it.
pub fn by_hand_is_by_table(octets: &Bytes) {
    let number = octets.get(2).copied();
    let mut table = Reader::new(octets);
    let by_table = match number {
        Some(Transfer::CODE) => Transfer::decode(&mut table).map(Performative::from),
        Some(Flow::CODE) => Flow::decode(&mut table).map(Performative::from),
        _ => Disposition::decode(&mut table).map(Performative::from),
    };
    let mut reader = Reader::new(octets);
    let by_hand = Performative::decode(&mut reader);
    match (by_hand, &by_table) {
        (Ok(by_hand), Ok(by_table)) => {
            assert_eq!(&by_hand, by_table);
            assert_eq!(reader.remaining(), table.remaining());
        }
        (by_hand, by_table) => assert_eq!(by_hand.is_ok(), by_table.is_ok(), "{by_hand:?} {by_table:?}"),
    }
    let mut frame = BytesMut::new();
    FrameWriter::begin(3, &mut frame).finish(octets.len(), &mut frame);
    frame.extend_from_slice(octets);
    let of_frame = FrameDecoder::new(u32::MAX, Limits::DEFAULT).decode(&mut frame);
    let Ok(performative) = by_table else {
        return assert!(of_frame.is_err(), "{of_frame:?}");
    };
    let rest = table.rest();
    if rest.is_empty() || number == Some(Transfer::CODE) {
        let expected = Frame::Amqp { channel: 3, performative: Some(performative.clone()), payload: rest };
        assert_eq!(of_frame, Ok(Some(expected)));
    } else {
        assert!(of_frame.is_err(), "{of_frame:?}");
    }
    for style in [EncodeStyle::Compact, EncodeStyle::Full] {
        let (mut by_hand, mut by_table) = (BytesMut::new(), BytesMut::new());
        performative.encode(style, &mut by_hand);
        match &performative {
            Performative::Transfer(body) => body.encode_by_table(style, &mut by_table),
            Performative::Flow(body) => body.encode_by_table(style, &mut by_table),
            Performative::Disposition(body) => body.encode_by_table(style, &mut by_table),
            other => unreachable!("{other}"),
        }
        assert_eq!(by_hand, by_table, "{style:?} {performative}");
        assert_eq!(by_hand.len(), performative.encoded_len(style));
    }
}

/// Octets to a value, to octets, to the same value; what is canonical stays.
pub fn value_roundtrip(octets: &[u8]) {
    let octets = Bytes::copy_from_slice(octets);
    let mut reader = Reader::new(&octets);
    let lazy = ValueRef::read(&mut Reader::new(&octets)).and_then(|value| value.to_value());
    let Ok(value) = Value::decode(&mut reader) else { return };
    assert_eq!(lazy.as_ref(), Ok(&value), "in place it is the same");
    let read = octets.len() - reader.remaining();
    assert_eq!(Reader::new(&octets).skip().map(<[u8]>::len), Ok(read), "skipping goes as far");
    for style in [EncodeStyle::Compact, EncodeStyle::Full] {
        let mut out = BytesMut::new();
        value.encode(style, &mut out);
        assert_eq!(out.len(), value.encoded_len(style));
        let out = out.freeze();
        let again = Value::decode(&mut Reader::new(&out));
        assert_eq!(again.as_ref(), Ok(&value));
        if style == EncodeStyle::Compact {
            assert_eq!(again.map(|again| again.to_octets()), Ok(out));
        }
    }
    assert!(!format!("{value:?}").is_empty());
}

/// Octets to a message: whatever they are, in one piece and in several it is the same, and lazy access gives what eager
/// decoding gives. The first octet says how large the pieces are, and whether deviations are tolerated.
pub fn message_scan(octets: &[u8]) {
    let Some((step, octets)) = octets.split_first() else { return };
    let limits = if step & 0x80 == 0 { Limits::DEFAULT } else { tolerant() };
    let step = usize::from(step % 16) + 1;
    let whole = || [Bytes::copy_from_slice(octets)];
    let pieces = || octets.chunks(step).map(Bytes::copy_from_slice);
    let (one, many) = (Message::received(whole(), limits), Message::received(pieces(), limits));
    assert_eq!(Message::from_chunks_with_limits(whole(), limits).err(), one.layout_error());
    assert_eq!(Message::from_chunks_with_limits(pieces(), limits).err(), many.layout_error());
    assert_eq!(one.layout_error().map(|error| error.kind), many.layout_error().map(|error| error.kind));
    assert_eq!(one.validate().is_ok(), many.validate().is_ok());
    // Each says where in the buffer that it is in; those of the second may be its own.
    fn kind<T>(read: Result<T, DecodeError>) -> Result<T, DecodeErrorKind> {
        read.map_err(|error| error.kind)
    }
    assert_eq!(kind(one.header()), kind(many.header()));
    assert_eq!(kind(one.delivery_annotations()), kind(many.delivery_annotations()));
    assert_eq!(kind(one.message_annotations()), kind(many.message_annotations()));
    assert_eq!(kind(one.properties()), kind(many.properties()));
    assert_eq!(kind(one.application_properties()), kind(many.application_properties()));
    assert_eq!(kind(one.footer()), kind(many.footer()));
    assert_eq!(body(&one), body(&many));
    let none = Annotations::new();
    let relayed = |message: &Message| message.relayed(&Header::default(), &none, &none).into_parts().concat();
    assert_eq!(relayed(&one), relayed(&many));
    for message in [&one, &many, &one.to_detached(), &many.to_detached()] {
        in_place_is_owned(message);
        let valid = message.layout_error().is_none() && decodes(message);
        assert_eq!(message.validate().is_ok(), valid, "what is looked at in place is what decoding finds");
        let again: Vec<u8> = message.to_encoded().chunks().flat_map(|chunk| chunk.to_vec()).collect();
        assert_eq!(again, octets, "what is passed on is the same");
        if let Ok(Some(properties)) = message.application_properties() {
            for (key, value) in properties.iter() {
                let key = key.as_text().expect("keys are texts");
                let lazy = message.application_property(key).expect("valid").expect("there");
                assert_eq!(lazy.to_value().as_ref(), Ok(value));
            }
        }
    }
}

/// Limits that tolerate all deviations of messages.
fn tolerant() -> Limits {
    let mut limits = Limits::DEFAULT;
    limits.any_section_order = true;
    limits.string_annotation_keys = true;
    limits.loose_properties = true;
    limits.compound_application_properties = true;
    limits
}

/// Whether every section can be decoded to values of its own.
fn decodes(message: &Message) -> bool {
    message.header().is_ok()
        && message.delivery_annotations().is_ok()
        && message.message_annotations().is_ok()
        && message.properties().is_ok()
        && message.application_properties().is_ok()
        && message.footer().is_ok()
        && match message.body() {
            Body::Value(value) => value.to_value().is_ok(),
            Body::Sequence(mut sequences) => sequences.all(|sequence| sequence.is_ok()),
            Body::Data(_) | Body::Empty => true,
            Body::Malformed(_) => false,
        }
}

/// What is read in place is what is decoded, and what is wrong is found both ways.
fn in_place_is_owned(message: &Message) {
    match (message.properties(), message.properties_ref().map(|properties| properties.map(owned))) {
        (Ok(owned), Ok(in_place)) => assert_eq!(in_place, owned.map(Ok)),
        (Err(_), Err(_) | Ok(Some(Err(_)))) => {}
        // A field too many costs none of the others.
        (Err(error), Ok(Some(Ok(_)))) if error.kind == DecodeErrorKind::TooManyFields => {}
        (owned, in_place) => panic!("{owned:?} is not {in_place:?}"),
    }
    let Ok(Some(owned)) = message.application_properties() else { return };
    let pairs = message.application_properties_ref().expect("valid").expect("there");
    let pairs = pairs.map(|pair| {
        let (key, value) = pair.expect("valid");
        (key.to_value().expect("valid"), value.to_value().expect("valid"))
    });
    assert!(owned.iter().eq(pairs.collect::<Vec<_>>().iter().map(|(key, value)| (key, value))));
}

/// The properties that were read in place, field by field.
fn owned(fields: PropertiesRef<'_>) -> Result<Properties, DecodeError> {
    let text = |text: Result<Option<&str>, DecodeError>| text.map(|text| text.map(Str::from));
    let symbol = |text: Result<Option<&str>, DecodeError>| {
        text.map(|text| text.map(|text| Symbol::new(text).expect("checked to be ASCII")))
    };
    Ok(Properties {
        message_id: fields.message_id()?.map(|id| id.to_owned()),
        user_id: fields.user_id()?.map(Bytes::copy_from_slice),
        to: text(fields.to())?,
        subject: text(fields.subject())?,
        reply_to: text(fields.reply_to())?,
        correlation_id: fields.correlation_id()?.map(|id| id.to_owned()),
        content_type: symbol(fields.content_type())?,
        content_encoding: symbol(fields.content_encoding())?,
        absolute_expiry_time: fields.absolute_expiry_time()?,
        creation_time: fields.creation_time()?,
        group_id: text(fields.group_id())?,
        group_sequence: fields.group_sequence()?,
        reply_to_group_id: text(fields.reply_to_group_id())?,
    })
}

fn body(message: &Message) -> Vec<Result<Value, String>> {
    match message.body() {
        Body::Empty => Vec::new(),
        Body::Data(sections) => sections
            .map(|section| {
                let octets: Vec<u8> = section.chunks().flat_map(|chunk| chunk.to_vec()).collect();
                assert_eq!(octets.len(), section.len());
                Ok(Bytes::from(octets).into())
            })
            .collect(),
        Body::Sequence(sequences) => {
            sequences.map(|sequence| sequence.map(Value::List).map_err(|error| error.kind.to_string())).collect()
        }
        Body::Value(value) => vec![value.to_value().map_err(|error| error.kind.to_string())],
        Body::Malformed(error) => vec![Err(error.kind.to_string())],
    }
}
