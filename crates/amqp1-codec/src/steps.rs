//! Counts what decoding does, in tests only: steps do not depend on the machine, and times do.

/// One thing was read, skipped or compared.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn step() {}

/// One thing was read, skipped or compared.
#[cfg(test)]
pub(crate) fn step() {
    counting::STEPS.with(|steps| steps.set(steps.get() + 1));
}

#[cfg(test)]
mod counting {
    extern crate std;

    use crate::{
        Decode, Encode, Limits, Message, Reader, Value, frame::FrameDecoder, performative::Performative, sasl::SaslBody,
    };
    use alloc::{format, string::String, vec, vec::Vec};
    use bytes::{Bytes, BytesMut};
    use core::cell::Cell;

    std::thread_local! {
        pub(super) static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    /// Steps that each octet may cost, and those that any input may.
    const PER_OCTET: u64 = 12;
    const AT_LEAST: u64 = 64;

    /// Decodes as everything that octets can be, and says how many steps the dearest of these took.
    fn steps(octets: &Bytes) -> u64 {
        let kinds: [fn(&Bytes); 5] = [
            |octets| drop(Value::decode(&mut Reader::new(octets))),
            |octets| drop(Performative::decode(&mut Reader::new(octets))),
            |octets| drop(SaslBody::decode(&mut Reader::new(octets))),
            |octets| {
                let _ = Message::from_bytes(octets.clone()).map(|message| message.validate());
            },
            |octets| drop(FrameDecoder::new(u32::MAX, Limits::DEFAULT).decode(&mut BytesMut::from(&octets[..]))),
        ];
        let count = |kind: fn(&Bytes)| {
            let before = STEPS.get();
            kind(octets);
            STEPS.get() - before
        };
        kinds.into_iter().map(count).max().unwrap_or_default()
    }

    fn check(name: &str, octets: Vec<u8>) {
        let octets = Bytes::from(octets);
        let (steps, most) = (steps(&octets), octets.len() as u64 * PER_OCTET + AT_LEAST);
        assert!(steps <= most, "{name}: {steps} steps for {} octets", octets.len());
    }

    /// Octets from hexadecimal digits in pieces; the piece `7a*300` stands for 300 times that.
    fn octets(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in text.split_whitespace() {
            let (digits, times) = piece.split_once('*').unwrap_or((piece, "1"));
            let octet = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
            let unit: Vec<u8> = (0..digits.len()).step_by(2).map(octet).collect();
            out.extend(unit.repeat(times.parse().expect("a number")));
        }
        out
    }

    /// The octets of every vector, good ones and bad ones.
    fn vectors() -> Vec<Vec<u8>> {
        let texts = [include_str!("../tests/data/vectors.jsonl"), include_str!("../tests/data/malformed.jsonl")];
        let lines = texts.iter().flat_map(|text| text.lines()).filter(|line| !line.is_empty());
        lines
            .flat_map(|line| {
                let vector: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
                let wire = match (&vector["wire"], &vector["hex"]) {
                    (serde_json::Value::Array(all), _) => all.clone(),
                    (serde_json::Value::Null, one) | (one, _) => vec![one.clone()],
                };
                // The one that has none is twenty thousand lists deep, and built by the test of the limits.
                wire.into_iter().filter_map(|text| text.as_str().map(octets)).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Y-rob-1: whatever the octets, a fixed number of steps for each.
    #[test]
    fn every_vector_and_each_of_its_octets_changed_costs_a_fixed_number_of_steps_per_octet() {
        let vectors: Vec<Vec<u8>> = vectors();
        assert!(vectors.len() > 500, "{}", vectors.len());
        for octets in vectors.iter().filter(|octets| octets.len() <= 2_048) {
            check("a vector", octets.clone());
            for at in 0..octets.len() {
                for changed in [0x00, 0x01, 0x40, 0x45, 0x7f, 0xa1, 0xc0, 0xd1, 0xf0, 0xff, octets[at] ^ 0x10] {
                    let mut octets = octets.clone();
                    octets[at] = changed;
                    check("a vector with an octet changed", octets);
                }
            }
        }
    }

    /// A list32, map32 or array32 of these octets.
    fn compound(code: u8, count: u32, body: &[u8]) -> Vec<u8> {
        [&[code][..], &(body.len() as u32 + 4).to_be_bytes(), &count.to_be_bytes(), body].concat()
    }

    /// Y-1.2.4-5: read, compared and written.
    #[test]
    fn elements_without_width_cost_the_same_however_many_there_are() {
        for code in [0x40, 0x41, 0x42, 0x43, 0x44, 0x45] {
            let cost = |count| {
                let before = STEPS.get();
                // The same descriptor in two forms: what is not written alike is compared by its elements.
                let [narrow, wide] =
                    [&[0x00, 0x53, 1, code][..], &[0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, code]].map(|body| {
                        let octets = Bytes::from(compound(0xf0, count, body));
                        Value::decode(&mut Reader::new(&octets)).expect("an array")
                    });
                assert_eq!(narrow, wide);
                (narrow.to_octets().len(), STEPS.get() - before)
            };
            assert_eq!(cost(1_000), cost(65_536), "{code:#x}");
        }
    }

    /// Lists of many items, each a list of many items, down to `levels`: each level looks ahead over all that is below.
    fn tree(levels: usize, items: u32) -> Vec<u8> {
        if levels == 0 {
            return vec![0x43];
        }
        let below = tree(levels - 1, items).repeat(items as usize);
        compound(0xd0, items, &below)
    }

    #[test]
    fn attacks_cost_a_fixed_number_of_steps_per_octet() {
        check("levels of lists", (0..1_000).fold(vec![0x40], |below, _| compound(0xd0, 1, &below)));
        check(
            "levels of maps",
            (0..1_000).fold(vec![0x40], |below, _| compound(0xd1, 2, &[&[0x43], &below[..]].concat())),
        );
        check("descriptors", [vec![0x00; 4_096], vec![0x40; 4_097]].concat());
        check("a list that promises all", compound(0xd0, u32::MAX, &[0x43; 64]));
        check("a million nulls in an array", compound(0xf0, 1_000_000, &[0x40]));
        check("as many nulls as are allowed in an array", compound(0xf0, 65_536, &[0x40]));
        check("empty arrays in arrays", compound(0xf0, 100, &[&[0xe0][..], &[2, 0, 0x40].repeat(100)].concat()));
        for (levels, items) in [(2, 60), (3, 20), (12, 2), (30, 1), (1, 60_000)] {
            check(&format!("{levels} levels of {items}"), tree(levels, items));
        }
        let keys = |count: u32, key: fn(u32) -> String| {
            let pairs: Vec<u8> = (0..count)
                .flat_map(|number| {
                    let key = key(number);
                    [&[0xa1, key.len() as u8][..], key.as_bytes(), &[0x40]].concat()
                })
                .collect();
            compound(0xd1, count * 2, &pairs)
        };
        check("many keys", keys(20_000, |number| format!("{number}")));
        check("many keys that begin alike", keys(2_000, |number| format!("{}{number:06}", "x".repeat(200))));
        check("the same key again and again", keys(20_000, |_| "k".into()));
    }

    /// Steps per octet for each level of compounds in the keys of a map: their canonical octets are made once, for
    /// which arrays in arrays are read once for each level.
    const PER_LEVEL_OF_KEYS: u64 = 12;

    fn check_keys(name: &str, levels: u64, keys: &[Vec<u8>]) {
        let pairs: Vec<u8> = keys.iter().flat_map(|key| [&key[..], &[0x40]].concat()).collect();
        let octets = Bytes::from(compound(0xd1, keys.len() as u32 * 2, &pairs));
        let most = octets.len() as u64 * (PER_OCTET + PER_LEVEL_OF_KEYS * levels) + AT_LEAST;
        let steps = steps(&octets);
        assert!(steps <= most, "{name}: {steps} steps for {} octets", octets.len());
    }

    #[test]
    fn compounds_as_keys_cost_a_fixed_number_of_steps_per_octet_and_level() {
        let map = compound(0xd1, 32, &(0..16u8).flat_map(|number| [0x52, number, 0x40]).collect::<Vec<_>>());
        check_keys("the same map", 1, &vec![map; 16]);
        // Arrays of nothing are few octets, and equal to an array of many.
        let uniform = compound(0xf0, 35_000, &[0x43]);
        let wide = compound(0xf0, 35_000, &[&[0x52][..], &[0; 35_000]].concat());
        let mut keys = vec![uniform; 2_000];
        for (place, number) in [(0, 9), (1, 8), (2, 7), (3, 6)] {
            keys[place] = vec![0x52, number];
        }
        keys[1136] = wide;
        check_keys("arrays of nothing and an array of zeros", 1, &keys);
        for levels in [1, 10, 30] {
            let nested = |last: u8| {
                let mut array = [&[0x52][..], &[1; 4_000], &[last]].concat();
                let mut count = 4_001;
                for _ in 1..levels {
                    array = [&[0xf0][..], &(array.len() as u32 + 4).to_be_bytes(), &u32::to_be_bytes(count), &array]
                        .concat();
                    count = 1;
                }
                compound(0xf0, count, &array)
            };
            check_keys("arrays in arrays", levels, &(0..16).map(nested).collect::<Vec<_>>());
        }
        let lists = compound(0xd0, 16, &compound(0xd0, 500, &[0x43; 500]).repeat(16));
        check_keys("lists of lists", 2, &vec![lists; 16]);
    }

    /// The count is of real steps: twice the octets, twice the steps.
    #[test]
    fn steps_are_counted() {
        let list = |items: u32| Bytes::from(compound(0xd0, items, &[0x52, 7].repeat(items as usize)));
        let (one, two) = (steps(&list(1_000)), steps(&list(2_000)));
        assert!(one >= 1_000, "{one}");
        assert!((two as f64 / one as f64 - 2.0).abs() < 0.1, "{one} {two}");
    }
}
