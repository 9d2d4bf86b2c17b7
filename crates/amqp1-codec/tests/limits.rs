//! What hostile octets may cost: nothing that grows faster than they do (Y-rob-1, Y-rob-2, Y-rob-3, Y-1.2.4-5).

mod support;

use amqp1_codec::{
    Array, Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Limits, Message, Multiple, Reader, Symbol, Value,
    ValueRef, frame::FrameDecoder, message::Body, messaging::DeliveryState, performative::Performative, sasl::SaslBody,
};
use bytes::{Bytes, BytesMut};
use support::{malformed, nested, tagged::hex, vectors};

fn decode<T: Decode>(octets: impl Into<Bytes>) -> Result<T, DecodeErrorKind> {
    let octets = octets.into();
    let mut reader = Reader::new(&octets);
    T::decode(&mut reader).and_then(|value| reader.finish().map(|()| value)).map_err(|error| error.kind)
}

/// Decodes, and where that works, does everything else that walks a value.
fn exercise(octets: &Bytes) -> Result<Value, DecodeError> {
    let value = Value::decode(&mut Reader::new(octets))?;
    let again = value.to_octets();
    assert_eq!(again.len(), value.encoded_len(EncodeStyle::Compact));
    assert_eq!(Value::decode(&mut Reader::new(&again)).as_ref(), Ok(&value), "{}", hex(octets));
    assert!(!format!("{value:?}").is_empty());
    assert!(!format!("{:?}", ValueRef::read(&mut Reader::new(octets))).is_empty());
    Ok(value)
}

/// An empty compound is no level: `list0` and an empty `list8` are the same.
#[test]
fn empty_compounds_are_no_level() {
    let mut limits = Limits::DEFAULT;
    limits.depth = 1;
    for empty in [&[0x45][..], &[0xc0, 1, 0], &[0xc1, 1, 0], &[0xe0, 2, 0, 0x40]] {
        let octets = Bytes::from([&[0xc0, empty.len() as u8 + 1, 1][..], empty].concat());
        assert!(Value::decode(&mut Reader::with_limits(&octets, limits)).is_ok(), "{}", hex(&octets));
    }
}

/// Octets that nest so many levels.
type Nest = fn(usize) -> Vec<u8>;

/// Each way to nest: a name, and `levels` levels of it.
fn nests() -> [(&'static str, Nest); 7] {
    [
        ("list", |levels| nested(levels, 0xd0, |_| {})),
        ("map", |levels| nested(levels, 0xd1, |out| out.push(0x40))),
        ("array", |levels| {
            // An array of one array …, down to an array of one null.
            let mut out = Vec::new();
            for level in 0..levels {
                if level == 0 {
                    out.push(0xf0);
                }
                let below = levels - level - 1;
                out.extend((4 + 1 + below as u32 * 9).to_be_bytes());
                out.extend(1u32.to_be_bytes());
                out.push(if below > 0 { 0xf0 } else { 0x40 });
            }
            out
        }),
        ("described value", |levels| {
            let mut out = [0x00, 0x40].repeat(levels);
            out.push(0x40);
            out
        }),
        ("descriptor", |levels| {
            let mut out = vec![0; levels];
            out.extend(vec![0x40; levels + 1]);
            out
        }),
        ("map key", |levels| {
            // The inner map is the key, the value follows it.
            let mut out = vec![0x40];
            for _ in 0..levels {
                out.push(0x40);
                let mut outer = vec![0xd1];
                outer.extend((4 + out.len() as u32).to_be_bytes());
                outer.extend(2u32.to_be_bytes());
                outer.append(&mut out);
                out = outer;
                if out.len() > 1_000_000 {
                    break;
                }
            }
            out
        }),
        ("list8", |levels| {
            let mut out = vec![0x40];
            for _ in 0..levels.min(80) {
                out.splice(0..0, [0xc0, out.len() as u8 + 1, 1]);
            }
            out
        }),
    ]
}

#[test]
fn thirty_two_levels_are_read_and_thirty_three_are_not() {
    for (name, make) in nests() {
        let value = exercise(&make(32).into());
        assert!(value.is_ok(), "{name}: {value:?}");
        assert_eq!(decode::<Value>(make(33)), Err(DecodeErrorKind::DepthExceeded), "{name}");
    }
}

#[test]
fn a_hundred_thousand_levels_are_refused() {
    for (name, make) in nests() {
        // Deep maps as keys are quadratic to make, not to refuse.
        let levels = if name == "map key" { 2_000 } else { 100_000 };
        let octets = Bytes::from(make(levels));
        assert_eq!(decode::<Value>(octets.clone()), Err(DecodeErrorKind::DepthExceeded), "{name}");
        // Skipping looks at the outermost size only, or refuses.
        let _ = Reader::new(&octets).skip();
        let _ = ValueRef::read(&mut Reader::new(&octets));
        // The same as the value of a message.
        let message: Bytes = [&[0x00, 0x53, 0x77][..], &octets].concat().into();
        for cut in [message.len(), 1] {
            let chunks = message.chunks(cut).map(Bytes::copy_from_slice);
            assert!(Message::from_chunks(chunks).and_then(|message| message.validate()).is_err(), "{name}");
        }
    }
}

/// A state within a transactional state within …
#[test]
fn delivery_states_do_not_nest_without_end() {
    let states = |levels: usize| {
        let mut out = vec![0x00, 0x53, 0x24, 0x45];
        for _ in 0..levels {
            let mut outer = vec![0x00, 0x53, 0x34, 0xd0];
            outer.extend((4 + 2 + out.len() as u32).to_be_bytes());
            outer.extend([0, 0, 0, 2, 0xa0, 0]);
            outer.append(&mut out);
            out = outer;
        }
        out
    };
    assert!(decode::<DeliveryState>(states(1)).is_ok());
    assert_eq!(decode::<DeliveryState>(states(2)), Err(DecodeErrorKind::InvalidValue), "no outcome");
    assert_eq!(decode::<DeliveryState>(states(3_000)), Err(DecodeErrorKind::DepthExceeded));
}

/// Y-rob-1: sizes and counts of gigabytes are told from the octets that are there.
#[test]
fn promises_of_gigabytes_are_refused() {
    for code in [0xb0u8, 0xb1, 0xb3, 0xd0, 0xd1, 0xf0] {
        for size in [0xffff_ffffu32, 0x8000_0000, 0x7fff_ffff, 0x4000_0000] {
            let mut octets = vec![code];
            octets.extend(size.to_be_bytes());
            octets.extend([1, 2, 3]);
            assert_eq!(decode::<Value>(octets), Err(DecodeErrorKind::Truncated), "{code:#x} of size {size}");
        }
    }
    for code in [0xd0u8, 0xd1, 0xf0] {
        for count in [0xffff_fffeu32, 0x8000_0000, 0x7fff_fffe] {
            let mut octets = vec![code, 0, 0, 0, 8];
            octets.extend(count.to_be_bytes());
            octets.extend([0x50, 0x40, 0x40, 0x40]);
            assert_eq!(decode::<Value>(octets.clone()), Err(DecodeErrorKind::ElementsExceeded), "{code:#x}, {count}");
            assert!(decode::<Multiple<Symbol>>(octets).is_err());
        }
    }
}

fn zero_width_array(code: u8, count: u32) -> Vec<u8> {
    let mut out = vec![0xf0, 0, 0, 0, 5];
    out.extend(count.to_be_bytes());
    out.push(code);
    out
}

/// Y-1.2.4-4, Y-1.2.4-5: arrays of elements without width are legal while they are small, and never take memory.
#[test]
fn arrays_of_nothing_are_small_or_refused() {
    for code in [0x40u8, 0x41, 0x42, 0x43, 0x44, 0x45] {
        for count in [0, 1, 31, 32, 33, 255, 256, 65_536] {
            let value = exercise(&zero_width_array(code, count).into()).expect("a legal array");
            let Value::Array(array) = &value else { panic!("an array") };
            assert_eq!(array.len(), count as usize);
            assert_eq!(array.iter().count(), count as usize);
            // Small ones get an octet for each element; a few octets do not become many.
            assert!(value.to_octets().len() <= 10 + 2 * 32, "{code:#x}, {count}");
        }
        for count in [65_537, u32::MAX] {
            let octets = zero_width_array(code, count);
            assert_eq!(decode::<Value>(octets), Err(DecodeErrorKind::ElementsExceeded), "{code:#x}, {count}");
        }
    }
}

/// Arrays in arrays are written in a time that grows with their octets, not with their levels.
#[test]
fn nested_arrays_are_written_in_linear_time() {
    let (_, make) = nests()[2];
    let value = decode::<Value>(make(32)).expect("32 levels");
    // With work that doubles at each level, this would not end.
    assert_eq!(decode::<Value>(value.to_octets()), Ok(value));
}

/// Y-1.6.23-2: finding equal keys does not take the square of their number.
#[test]
fn many_keys_are_compared_in_less_than_quadratic_time() {
    let map = |keys: &mut dyn Iterator<Item = Vec<u8>>| {
        let mut body = Vec::new();
        let mut count = 0u32;
        for key in keys {
            body.extend(key);
            body.push(0x40);
            count += 2;
        }
        let mut out = vec![0xd1];
        out.extend((4 + body.len() as u32).to_be_bytes());
        out.extend(count.to_be_bytes());
        out.extend(body);
        out
    };
    let number = |number: u32| [&[0x70][..], &number.to_be_bytes()].concat();
    assert!(decode::<Value>(map(&mut (0..200_000).map(number))).is_ok());
    assert_eq!(decode::<Value>(map(&mut (0..200_000).chain([77_777]).map(number))), Err(DecodeErrorKind::DuplicateKey));
    // Keys that are arrays of many nothings: only their counts differ.
    assert!(decode::<Value>(map(&mut (0..20_000).map(|count| zero_width_array(0x45, count)))).is_ok());
    // The same key, written in two ways, far apart.
    let strings = (0..1_000u32).map(|number| [&[0xa1, 4][..], &format!("{number:04}").into_bytes()].concat());
    let again = [0xb1u8, 0, 0, 0, 4, b'0', b'5', b'0', b'0'].to_vec();
    assert_eq!(decode::<Value>(map(&mut strings.chain([again]))), Err(DecodeErrorKind::DuplicateKey));
}

/// Where an error is said to be is where it is.
#[test]
fn errors_say_where_they_are() {
    let octets = Bytes::from_static(&[0xc0, 7, 3, 0x40, 0xa1, 1, 0x80, 0x40, 0x40]);
    let error = Value::decode(&mut Reader::new(&octets)).expect_err("no UTF-8");
    assert_eq!(error.kind, DecodeErrorKind::InvalidUtf8);
    assert!((4..=7).contains(&error.offset), "{error}");
    let map = Bytes::from_static(&[0xc1, 6, 4, 0x41, 0x40, 0x42, 0x40, 0x40]);
    assert_eq!(Value::decode(&mut Reader::new(&map)).expect_err("short").kind, DecodeErrorKind::LengthMismatch);
    let map = Bytes::from_static(&[0xc1, 5, 4, 0x41, 0x40, 0x41, 0x40]);
    let error = Value::decode(&mut Reader::new(&map)).expect_err("twice");
    assert_eq!((error.kind, error.offset), (DecodeErrorKind::DuplicateKey, 5));
    let open = Bytes::from_static(&[0x00, 0x53, 0x10, 0x45]);
    let error = Performative::decode(&mut Reader::new(&open)).expect_err("no container-id");
    assert_eq!((error.kind, error.offset), (DecodeErrorKind::MissingField(0), 4));
}

/// Everything that reads octets, over octets that may be anything.
fn read_as_anything(octets: &Bytes) {
    let _ = exercise(octets);
    let _ = decode::<Performative>(octets.clone());
    let _ = decode::<SaslBody>(octets.clone());
    let _ = decode::<DeliveryState>(octets.clone());
    let _ = decode::<Array>(octets.clone());
    let _ = decode::<Multiple<Symbol>>(octets.clone());
    for mut decoder in [FrameDecoder::new(65_536, Limits::DEFAULT), FrameDecoder::sasl(65_536, Limits::DEFAULT)] {
        let _ = decoder.decode(&mut BytesMut::from(&octets[..]));
    }
    read_message(octets);
}

fn read_message(octets: &Bytes) {
    let one = Message::from_bytes(octets.clone());
    let middle = octets.len() / 2;
    let two = Message::from_chunks([octets.slice(..middle), octets.slice(middle..)]);
    assert_eq!(one.is_ok(), two.is_ok(), "{}", hex(octets));
    let any = Message::received([octets.slice(..middle), octets.slice(middle..)], Limits::DEFAULT);
    assert_eq!(two.as_ref().err().copied(), any.layout_error(), "{}", hex(octets));
    for message in [one, two, Ok(any)].into_iter().flatten() {
        let valid = message.validate();
        let _ = message.application_property("a");
        let _ = message.message_annotation("a");
        match message.body() {
            Body::Data(sections) => assert!(sections.map(|section| section.len()).sum::<usize>() <= octets.len()),
            Body::Sequence(sequences) => sequences.for_each(drop),
            Body::Value(value) => drop(value.as_ref()),
            Body::Empty | Body::Malformed(_) => {}
        }
        let again: usize = message.to_encoded().len();
        assert_eq!(again, octets.len());
        assert!(!format!("{message:?} {valid:?}").is_empty());
    }
}

/// What the vectors hold, each once, those of more than two kilobytes apart; of a value the canonical encoding, and
/// the others too if `all`.
fn seeds(all: bool) -> Vec<Bytes> {
    let vectors = vectors();
    let most = if all { usize::MAX } else { 1 };
    let mut seeds: Vec<Bytes> =
        vectors.values.into_iter().flat_map(|vector| vector.wire.into_iter().take(most)).collect();
    seeds.extend(vectors.frames.into_iter().map(|vector| vector.wire));
    seeds.extend(vectors.messages.into_iter().map(|vector| vector.wire));
    seeds.extend(malformed().into_iter().map(|vector| vector.wire));
    seeds.retain(|seed| seed.len() <= 2_048);
    seeds.sort();
    seeds.dedup();
    seeds
}

/// Y-rob-3: what ends too soon is malformed, not a panic and not a wait.
#[test]
fn truncation_at_every_octet_is_harmless() {
    for seed in seeds(true) {
        for end in 0..=seed.len() {
            read_as_anything(&seed.slice(..end));
        }
    }
    for vector in vectors().values {
        for wire in vector.wire.iter().filter(|wire| wire.len() <= 2_048) {
            for end in 0..wire.len() {
                assert!(decode::<Value>(wire.slice(..end)).is_err(), "{} cut at {end}", vector.id);
            }
        }
    }
}

/// Sets each of the first `most` octets of a seed to each of `replacements`.
fn mutate(seed: &Bytes, most: usize, replacements: &[u8]) {
    let mut octets = seed.to_vec();
    for at in 0..seed.len().min(most) {
        for replacement in replacements {
            octets[at] = *replacement;
            read_as_anything(&Bytes::copy_from_slice(&octets));
        }
        octets[at] = seed[at];
    }
}

/// Octets set to what they are not: format codes, sizes and counts at their edges.
#[test]
fn mutations_of_one_octet_are_harmless() {
    const TELLING: [u8; 14] = [0x00, 0x01, 0x02, 0x40, 0x45, 0x53, 0x56, 0x7f, 0x80, 0xa1, 0xb3, 0xc1, 0xe0, 0xff];
    seeds(false).iter().for_each(|seed| mutate(seed, 160, &TELLING));
}

/// The same with every octet and every replacement: minutes, so it is asked for by name.
#[test]
#[ignore = "takes minutes"]
fn all_mutations_of_one_octet_are_harmless() {
    let every: Vec<u8> = (0..=255).collect();
    seeds(true).iter().for_each(|seed| mutate(seed, usize::MAX, &every));
}
