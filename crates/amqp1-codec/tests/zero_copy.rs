//! Payloads are slices of the buffer that was read, in one frame and in several.

use amqp1_codec::{
    Encode, EncodeStyle, EncodedMessage, Limits, Message,
    frame::{Frame, FrameDecoder, FrameWriter},
    message::Body,
    messaging::Properties,
    performative::{Performative, Transfer},
};
use bytes::{Bytes, BytesMut};
use std::ops::Range;

fn addresses(octets: &[u8]) -> Range<*const u8> {
    octets.as_ptr_range()
}

fn lies_in(inner: &[u8], outer: &Range<*const u8>) -> bool {
    let inner = addresses(inner);
    outer.start <= inner.start && inner.end <= outer.end
}

/// Frames of one delivery, one after another, as they would be read from a socket.
fn frames(message: &[u8], most: usize) -> BytesMut {
    let mut out = BytesMut::new();
    let count = message.chunks(most).count();
    for (index, payload) in message.chunks(most).enumerate() {
        let frame = FrameWriter::begin(0, &mut out);
        let transfer = Transfer { more: index + 1 < count, ..Transfer::default() };
        transfer.encode(EncodeStyle::Compact, &mut out);
        out.extend_from_slice(payload);
        frame.finish(0, &mut out);
    }
    out
}

fn payloads(input: &mut BytesMut) -> Vec<Bytes> {
    let mut decoder = FrameDecoder::new(u32::MAX, Limits::DEFAULT);
    let mut all = Vec::new();
    while let Some(frame) = decoder.decode(input).expect("valid frames") {
        let Frame::Amqp { performative: Some(Performative::Transfer(_)), payload, .. } = frame else {
            panic!("only transfers were written");
        };
        all.push(payload);
    }
    all
}

fn message(body: &[u8]) -> Vec<u8> {
    let properties = Properties { message_id: Some("m1".into()), ..Properties::default() };
    let built: EncodedMessage = Message::builder().properties(properties).data(Bytes::copy_from_slice(body)).build();
    built.chunks().flat_map(|chunk| chunk.to_vec()).collect()
}

#[test]
fn the_body_of_one_frame_points_into_the_read_buffer() {
    let body = vec![7u8; 5_000];
    let mut input = frames(&message(&body), usize::MAX);
    let buffer = addresses(&input);
    let payloads = payloads(&mut input);
    assert_eq!(payloads.len(), 1);
    assert!(lies_in(&payloads[0], &buffer));
    let message = Message::from_chunks(payloads).expect("valid");
    let data = message.data_in_place().expect("one data section");
    assert_eq!(data, body);
    assert!(lies_in(&data, &buffer));
    let properties = message.properties().expect("valid").expect("there");
    let Some(amqp1_codec::messaging::MessageId::String(id)) = properties.message_id else { panic!("a string") };
    assert!(lies_in(id.as_bytes(), &buffer), "texts are slices too");
}

#[test]
fn the_body_of_several_frames_points_into_the_read_buffer() {
    let body: Vec<u8> = (0..5_000u32).map(|at| at as u8).collect();
    let mut input = frames(&message(&body), 512);
    let buffer = addresses(&input);
    let payloads = payloads(&mut input);
    assert!(payloads.len() > 8);
    let message = Message::from_chunks(payloads).expect("valid");
    assert_eq!(message.data_in_place(), None, "the body is in several pieces");
    let Body::Data(mut sections) = message.body() else { panic!("data") };
    let section = sections.next().expect("a section");
    assert!(sections.next().is_none());
    let mut octets = Vec::new();
    for chunk in section.chunks() {
        assert!(lies_in(&chunk, &buffer));
        octets.extend_from_slice(&chunk);
    }
    assert_eq!(octets, body);
    assert_eq!(message.data().expect("data"), body, "a copy");
}

#[test]
fn a_large_body_is_sent_without_a_copy() {
    let body = Bytes::from(vec![1u8; 100_000]);
    let built = Message::builder().data(body.clone()).build();
    assert!(built.chunks().any(|chunk| addresses(chunk) == addresses(&body)));
}

#[test]
fn a_detached_message_keeps_no_buffer_alive() {
    let mut input = frames(&message(&[1; 100]), usize::MAX);
    let buffer = addresses(&input);
    let message = Message::from_chunks(payloads(&mut input)).expect("valid").to_detached();
    assert!(!lies_in(&message.data().expect("data"), &buffer));
}

/// A body of more than four gibibytes, of which every piece is the same octets.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_body_of_any_size_is_read_to_its_end() {
    const SECTION: usize = 1 << 20;
    const SECTIONS: usize = 4_100;
    let data = Message::builder().data(vec![7u8; SECTION]).build().into_parts().concat();
    let (large, small) = (Bytes::from(data), Bytes::from_static(&[0x00, 0x53, 0x75, 0xa0, 3, 1, 2, 3]));
    let chunks = std::iter::repeat_n(large.clone(), SECTIONS).chain([small]);
    let message = Message::from_chunks(chunks).expect("a message");
    assert_eq!(message.encoded_len(), SECTIONS * large.len() + 8);
    let Body::Data(sections) = message.body() else { panic!("{message:?}") };
    let lengths: Vec<usize> = sections.map(|section| section.len()).collect();
    assert_eq!(lengths.len(), SECTIONS + 1);
    assert_eq!(lengths.iter().sum::<usize>(), SECTIONS * SECTION + 3);
}
