//! What the figures of the cases rest on.

use super::*;
use amqp1_codec::message::Body;

/// Allocations of one operation.
fn allocations(name: &str) -> u64 {
    const COUNT: usize = 200;
    let mut work = case(name, COUNT).expect("a case of this name");
    let mut succeeded = 0;
    let allocations = allocation_counter::measure(|| succeeded = work());
    assert_eq!(succeeded, COUNT, "{name}");
    allocations.count_total / COUNT as u64
}

#[test]
fn every_case_succeeds_and_only_what_makes_values_of_its_own_allocates() {
    for name in CASES {
        let expected = match name {
            "decode-transfer-owned" => 1,
            "decode-attach" => 3,
            _ => 0,
        };
        assert_eq!(allocations(name), expected, "{name}");
    }
    assert!(case("decode-everything", 1).is_none());
}

#[test]
fn a_large_body_is_not_copied_on_its_way_out() {
    for size in [64 * 1024, 1024 * 1024] {
        let data = Bytes::from(vec![b'x'; size]);
        let message = Message::builder().data(data.clone()).build();
        assert!(message.chunks().any(|chunk| chunk.as_ptr() == data.as_ptr() && chunk.len() == size), "{size}");
        let octets = allocation_counter::measure(|| drop(Message::builder().data(data.clone()).build())).bytes_total;
        assert!(octets < 1024, "{octets} octets for a body of {size}");
    }
}

#[test]
fn a_large_body_is_not_copied_on_its_way_in() {
    for size in [64 * 1024, 1024 * 1024] {
        let mut input = buffers(&transfer_frame(size), 1).remove(0);
        let range = input.as_ptr_range();
        let frame = FrameDecoder::new(u32::MAX, Limits::DEFAULT).decode(&mut input).expect("valid").expect("whole");
        let Frame::Amqp { payload, .. } = frame else { panic!("{frame}") };
        let message = Message::from_bytes(payload).expect("a message");
        let data = message.data().expect("one piece");
        assert_eq!(data.len(), size);
        assert!(range.contains(&data.as_ptr()));
        // In pieces it stays in them.
        let pieces: Vec<Bytes> = message.to_encoded().into_parts();
        let halves = pieces.iter().flat_map(|piece| [piece.slice(..piece.len() / 2), piece.slice(piece.len() / 2..)]);
        let message = Message::from_chunks(halves).expect("a message");
        let Body::Data(mut sections) = message.body() else { panic!("{message:?}") };
        let section = sections.next().expect("a section");
        assert_eq!(section.chunks().map(|chunk| chunk.len()).sum::<usize>(), size);
        assert!(section.chunks().all(|chunk| range.contains(&chunk.as_ptr())));
    }
}
