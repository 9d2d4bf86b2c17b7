//! What the figures of the cases rest on.

use super::*;
use amqp1_codec::message::Body;

/// Sizes of bodies that are shared, never copied.
const LARGE: [usize; 2] = [64 * 1024, 1024 * 1024];

/// Allocations of this many operations.
fn allocations(name: &str, count: usize) -> u64 {
    let mut work = case(name, count).expect("a case of this name");
    let mut succeeded = 0;
    let allocations = allocation_counter::measure(|| succeeded = work());
    assert_eq!(succeeded, count, "{name}");
    allocations.count_total
}

#[test]
fn every_case_succeeds_and_only_what_makes_values_of_its_own_allocates() {
    for name in CASES {
        let each = match name {
            "decode-transfer-owned" => 1,
            "decode-attach" => 3,
            _ => 0,
        };
        for count in [1, 200] {
            assert_eq!(allocations(name, count), each * count as u64, "{name}, {count} times");
        }
    }
    assert!(case("decode-everything", 1).is_none());
}

#[test]
fn a_large_body_is_not_copied_on_its_way_out() {
    for size in LARGE {
        let data = Bytes::from(vec![b'x'; size]);
        for _ in 0..8 {
            let mut parts = Vec::new();
            let octets = allocation_counter::measure(|| {
                parts = Message::builder().data(data.clone()).build().into_parts();
            });
            let shared = parts.iter().filter(|part| part.as_ptr() == data.as_ptr() && part.len() == size);
            assert_eq!(shared.count(), 1, "{size}");
            assert!(octets.bytes_total < 1024, "{} octets for a body of {size}", octets.bytes_total);
        }
    }
}

#[test]
fn a_message_with_a_large_body_that_is_built_again_and_again_allocates_for_its_other_sections_alone() {
    for size in LARGE {
        let message = message(size);
        for _ in 0..8 {
            let octets = allocation_counter::measure(|| drop(black_box(message.clone().build()))).bytes_total;
            assert!(octets < 4096, "{octets} octets for a body of {size}");
        }
    }
}

#[test]
fn a_large_body_is_not_copied_on_its_way_in() {
    for size in LARGE {
        let mut input = BytesMut::from(transfer_frame(size).repeat(8).as_slice());
        drop(input.split_to(0));
        let range = input.as_ptr_range();
        let mut decoder = FrameDecoder::new(u32::MAX, Limits::DEFAULT);
        for _ in 0..8 {
            let allocations = allocation_counter::measure(|| {
                let frame = decoder.decode(&mut input).expect("valid").expect("whole");
                let Frame::Amqp { payload, .. } = frame else { panic!("{frame}") };
                let message = Message::from_bytes(payload).expect("a message");
                let data = message.data().expect("one piece");
                assert_eq!(data.len(), size);
                assert!(range.contains(&data.as_ptr()));
            });
            assert_eq!(allocations.count_total, 0, "{size}");
        }
        assert!(input.is_empty());
    }
}

#[test]
fn a_large_body_that_comes_in_pieces_stays_in_them() {
    for size in LARGE {
        let whole = Bytes::from(message(size).build().into_parts().concat());
        let range = whole.as_ptr_range();
        let (one, other) = (whole.slice(..whole.len() / 2), whole.slice(whole.len() / 2..));
        let message = Message::from_chunks([one, other]).expect("a message");
        let Body::Data(mut sections) = message.body() else { panic!("{message:?}") };
        let section = sections.next().expect("a section");
        assert_eq!(section.chunks().count(), 2);
        assert_eq!(section.chunks().map(|chunk| chunk.len()).sum::<usize>(), size);
        assert!(section.chunks().all(|chunk| range.contains(&chunk.as_ptr())));
    }
}
