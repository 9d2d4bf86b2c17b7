//! How much memory decoding takes at its peak: at most 64 KiB for each KiB of input (Y-rob-1), and no allocation for
//! each octet where octets come one at a time.

mod support;

use allocation_counter::measure;
use amqp1_codec::{
    Decode, Encode, EncodeStyle, IntoMessage, Limits, Message, Multiple, Reader, Symbol, Value, frame::FrameDecoder,
    message::Body, performative::Performative,
};
use bytes::{Bytes, BytesMut};
use support::{malformed, nested, vectors};

/// A compound of `count` elements whose data is `body`.
fn compound(code: u8, count: u32, body: &[u8]) -> Vec<u8> {
    let mut out = vec![code];
    out.extend((4 + body.len() as u32).to_be_bytes());
    out.extend(count.to_be_bytes());
    out.extend(body);
    out
}

fn repeated(code: u8, element: &[u8], count: u32) -> Vec<u8> {
    compound(code, count, &element.repeat(count as usize))
}

fn check(name: &str, octets: &Bytes, peak: u64) {
    let allowed = 64 * 1024 * (octets.len() as u64).div_ceil(1024).max(1);
    assert!(peak <= allowed, "{name}: {} octets took {peak} octets of heap, {allowed} are allowed", octets.len());
}

fn peak_of<T>(octets: &Bytes, read: impl Fn(&Bytes) -> T) -> u64 {
    measure(|| drop(read(octets))).bytes_max
}

fn check_everything(name: &str, octets: &Bytes) {
    check(name, octets, peak_of(octets, |octets| Value::decode(&mut Reader::new(octets))));
    check(name, octets, peak_of(octets, |octets| Performative::decode(&mut Reader::new(octets))));
    check(name, octets, peak_of(octets, |octets| Multiple::<Symbol>::decode(&mut Reader::new(octets))));
    check(name, octets, peak_of(octets, |octets| Message::from_bytes(octets.clone()).map(|m| m.validate())));
    let mut input = BytesMut::from(&octets[..]);
    let peak = measure(|| drop(FrameDecoder::new(u32::MAX, Limits::DEFAULT).decode(&mut input))).bytes_max;
    check(name, octets, peak);
}

#[test]
fn a_value_is_no_larger_than_it_needs_to_be() {
    assert!(size_of::<Value>() <= 40, "{}", size_of::<Value>());
}

/// Y-rob-1: the forms with the most values for their octets, complete and promising more than they have.
#[test]
fn heap_stays_within_64_times_the_input() {
    let keys: Vec<u8> =
        (0..=255u8).flat_map(|a| [[0x50, a, 0x40], [0x51, a, 0x40], [0x52, a, 0x40]]).flatten().collect();
    let numbers: Vec<u8> = (0..20_000u16)
        .flat_map(|number| {
            let [high, low] = number.to_be_bytes();
            [0x60, high, low, 0x40]
        })
        .collect();
    let described = [0x00, 0x40, 0x40];
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("nulls", repeated(0xd0, &[0x40], 60_000)),
        ("empty lists", repeated(0xd0, &[0x45], 60_000)),
        ("lists of one", repeated(0xd0, &[0xc0, 2, 1, 0x40], 15_000)),
        ("empty maps", repeated(0xd0, &[0xc1, 1, 0], 20_000)),
        ("empty arrays", repeated(0xd0, &[0xe0, 2, 0, 0x40], 15_000)),
        ("arrays of nothings", repeated(0xd0, &zero_width(65_536), 6_000)),
        ("empty strings", repeated(0xd0, &[0xa1, 0], 30_000)),
        ("short strings", repeated(0xd0, &[0xa1, 1, b'a'], 20_000)),
        ("described nulls", repeated(0xd0, &described, 20_000)),
        ("described descriptors", repeated(0xd0, &[0, 0, 0x40, 0x40, 0x40], 12_000)),
        ("small maps", repeated(0xd0, &[0xc1, 3, 2, 0x40, 0x40], 12_000)),
        ("small keys", compound(0xd1, 768 * 2, &keys)),
        ("many keys", compound(0xd1, 40_000, &numbers)),
        ("array of symbols", repeated(0xf0, &[0], 60_000).tap(9, 0xa3)),
        ("array of lists", repeated(0xf0, &[1, 0], 30_000).tap(9, 0xc0)),
        ("keys of arrays of nothings", {
            let list = repeated(0xd0, &[0xe0, 2, 32, 0x43], 12_000);
            compound(0xd1, 4, &[&list[..], &[0x40, 0x43, 0x40]].concat())
        }),
        ("nest of promises", nested(32, 0xd0, |out| out.extend([0x40; 3]))),
        ("nest of lists", nested(32, 0xd0, |_| {})),
    ];
    for (name, octets) in hostile {
        let whole = Bytes::from(octets);
        check_everything(name, &whole);
        // Cut short, and with a count that is too large: what is not there must not be paid for.
        check_everything(name, &whole.slice(..whole.len() / 2));
        let mut more = whole.to_vec();
        more[5..9].copy_from_slice(&(whole.len() as u32 - 9).to_be_bytes());
        check_everything(name, &more.into());
        // The same as a message's value.
        let message: Bytes = [&[0x00, 0x53, 0x77][..], &whole].concat().into();
        check_everything(name, &message);
        // And written again.
        if let Ok(value) = Value::decode(&mut Reader::new(&whole)) {
            check(name, &whole, measure(|| drop(value.to_octets())).bytes_max);
            check(name, &whole, measure(|| drop(format!("{value:?}"))).bytes_max);
        }
    }
}

fn zero_width(count: u32) -> Vec<u8> {
    compound(0xf0, count, &[0x45])
}

trait Tap {
    /// With an octet put in at a place, and the size grown by it.
    fn tap(self, at: usize, octet: u8) -> Self;
}

impl Tap for Vec<u8> {
    fn tap(mut self, at: usize, octet: u8) -> Self {
        self.insert(at, octet);
        let size = self.len() as u32 - 5;
        self[1..5].copy_from_slice(&size.to_be_bytes());
        self
    }
}

/// Y-rob-1: nests in which each level claims all that is deeper for itself.
#[test]
fn promises_on_each_level_are_paid_once() {
    let mut octets = vec![0x40u8; 2_000];
    for _ in 0..31 {
        // A count of all octets, of which the first is a list that takes them all.
        octets = compound(0xd0, octets.len() as u32, &octets);
    }
    let octets = Bytes::from(octets);
    assert!(Value::decode(&mut Reader::new(&octets)).is_err());
    check_everything("promises", &octets);
}

#[test]
fn vectors_stay_within_the_bound() {
    let all = vectors();
    for vector in &all.values {
        vector.wire.iter().for_each(|wire| check_everything(&vector.id, wire));
    }
    all.frames.iter().for_each(|vector| check_everything(&vector.id, &vector.wire));
    all.messages.iter().for_each(|vector| check_everything(&vector.id, &vector.wire));
    malformed().iter().for_each(|vector| check_everything(&vector.id, &vector.wire));
}

/// A megabyte of the smallest sections, octet by octet: with work that grows with the square, this would not end.
#[test]
fn messages_in_pieces_of_one_octet_cost_what_they_have() {
    let section = [0x00, 0x53, 0x75, 0xa0, 0x00];
    let octets = Bytes::from(section.repeat(200_000));
    let pieces: Vec<Bytes> = (0..octets.len()).map(|at| octets.slice(at..at + 1)).collect();
    let mut count = 0;
    let info = measure(|| {
        let message = Message::from_chunks(pieces.clone()).expect("valid");
        let Body::Data(sections) = message.body() else { panic!("data") };
        count = sections.count();
    });
    assert_eq!(count, 200_000);
    // One short-lived buffer for each section's header at most.
    assert!(info.count_total <= 2 * 200_000 + 100, "{info:?}");
    assert!(info.bytes_max <= 200 * octets.len() as u64, "{info:?}");
    // In one piece, each section is found without going over those before it.
    let message = Message::from_bytes(octets.clone()).expect("valid");
    let Body::Data(sections) = message.body() else { panic!("data") };
    assert_eq!(sections.count(), 200_000);
    // One large section in small pieces.
    let mut large = vec![0x00, 0x53, 0x75, 0xb0];
    large.extend(1_000_000u32.to_be_bytes());
    large.resize(8 + 1_000_000, 7);
    let large = Bytes::from(large);
    let message = Message::from_chunks((0..large.len()).map(|at| large.slice(at..at + 1))).expect("valid");
    assert_eq!(message.data().expect("data").len(), 1_000_000);
}

/// A descriptor that is long, and no section: it is looked at a constant number of times.
#[test]
fn long_descriptors_are_joined_a_few_times_only() {
    for (start, fits) in [(&[0x00, 0xb3][..], false), (&[0x00, 0x53, 0x77, 0x00, 0xb3][..], true)] {
        let mut octets = start.to_vec();
        octets.extend(1_000_000u32.to_be_bytes());
        octets.resize(octets.len() + 1_000_000, b'a');
        octets.push(0x40);
        let octets = Bytes::from(octets);
        let pieces: Vec<Bytes> = (0..octets.len()).map(|at| octets.slice(at..at + 1)).collect();
        let info = measure(|| assert_eq!(Message::from_chunks(pieces).is_ok(), fits));
        assert!(info.bytes_total <= 200 * octets.len() as u64, "{info:?}");
    }
}

/// Reading a frame and what applications look at most takes no memory of its own.
#[test]
fn a_message_is_read_without_allocation() {
    let built = Message::builder()
        .properties(amqp1_codec::messaging::Properties { message_id: Some("m1".into()), ..Default::default() })
        .application_property("colour", "green")
        .data(vec![0u8; 512])
        .build();
    let octets = Bytes::from(built.chunks().flat_map(|chunk| chunk.to_vec()).collect::<Vec<u8>>());
    let info = measure(|| {
        let message = Message::from_bytes(octets.clone()).expect("valid");
        let colour = message.application_property("colour").expect("valid").expect("there");
        assert_eq!(colour.as_text(), Some("green"));
        assert_eq!(message.data().expect("data").len(), 512);
    });
    // The first clone of a buffer that was made of a vector makes its count.
    assert!(info.count_total <= 1, "{info:?}");
    let mut out = BytesMut::with_capacity(256);
    let flow = amqp1_codec::performative::Flow::default();
    let info = measure(|| flow.encode(EncodeStyle::Compact, &mut out));
    assert_eq!(info.count_total, 0);
}

/// Messages share a buffer, which is not kept at the size of the largest of them.
#[test]
fn a_large_message_does_not_leave_a_large_buffer() {
    let mut buffer = BytesMut::new();
    let large = Message::builder().value("y".repeat(1 << 20)).into_message(Some(&mut buffer));
    drop(large);
    let small = Message::builder().data("x").into_message(Some(&mut buffer));
    drop(small);
    assert!(buffer.capacity() <= 64 * 1024, "{}", buffer.capacity());
}

#[test]
fn a_message_without_a_shared_buffer_keeps_no_more_than_it_needs() {
    let taken = measure(|| std::mem::forget(Message::builder().data("x").into_message(None)));
    assert!(taken.bytes_current < 1024, "{}", taken.bytes_current);
}
