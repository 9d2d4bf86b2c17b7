//! The bodies of the fuzz targets, over the seed corpus and over the vectors.

#[path = "../../../fuzz/src/codec.rs"]
#[allow(unreachable_pub)]
mod codec;
mod support;

use std::{fs, path::Path};
use support::{malformed, vectors};

/// Every file of a target's corpus, of which there must be some.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<Vec<u8>> = fs::read_dir(&folder)
        .expect("a corpus")
        .map(|entry| fs::read(entry.expect("an entry").path()).expect("a file"))
        .collect();
    assert!(!files.is_empty());
    files
}

fn all_vectors() -> Vec<Vec<u8>> {
    let all = vectors();
    let mut octets: Vec<Vec<u8>> =
        all.values.iter().flat_map(|vector| vector.wire.iter()).map(|w| w.to_vec()).collect();
    octets.extend(all.frames.iter().map(|vector| vector.wire.to_vec()));
    octets.extend(all.messages.iter().map(|vector| vector.wire.to_vec()));
    octets.extend(malformed().iter().map(|vector| vector.wire.to_vec()));
    octets
}

#[test]
fn frame_decode() {
    corpus("frame_decode").iter().chain(&all_vectors()).for_each(|octets| codec::frame_decode(octets));
}

#[test]
fn value_roundtrip() {
    corpus("value_roundtrip").iter().chain(&all_vectors()).for_each(|octets| codec::value_roundtrip(octets));
}

#[test]
fn message_scan() {
    corpus("message_scan").iter().chain(&all_vectors()).for_each(|octets| codec::message_scan(octets));
}

#[test]
fn transfer_fast_vs_table() {
    let all = corpus("transfer_fast_vs_table");
    all.iter().chain(&all_vectors()).for_each(|octets| codec::transfer_fast_vs_table(octets));
}

/// Makes the seed corpus again from the vectors: run by name after the vectors have changed.
#[test]
#[ignore = "writes files"]
fn make_corpus() {
    let all = vectors();
    let write = |target: &str, name: &str, octets: &[u8]| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        fs::create_dir_all(&folder).expect("a folder");
        if octets.len() <= 1_024 {
            fs::write(folder.join(name), octets).expect("a file");
        }
    };
    let mut seen = std::collections::HashSet::new();
    for vector in &all.values {
        // One of each kind of value; of composites all, in their canonical form.
        let kind = vector.id.split('-').next().unwrap_or_default().to_owned();
        if vector.group != "prim" || seen.insert(kind) {
            write("value_roundtrip", &vector.id, vector.wire.last().expect("an encoding"));
        }
        if vector.group == "section" {
            write("message_scan", &vector.id, &[&[3][..], &vector.wire[0]].concat());
        }
    }
    for vector in &all.frames {
        if !vector.id.starts_with("cap-") || seen.insert(vector.id.clone()) {
            write("frame_decode", &vector.id, &[&[u8::from(vector.sasl)][..], &vector.wire].concat());
        }
    }
    for vector in all.values.iter().filter(|vector| vector.group == "performative") {
        for (index, wire) in vector.wire.iter().enumerate() {
            if let (Some(choice), [0x00, 0x53, _, 0xc0, _, fields @ ..]) =
                ([0x14, 0x13, 0x15].iter().position(|number| wire.get(2) == Some(number)), &wire[..])
            {
                let name = format!("{}-{index}", vector.id);
                write("transfer_fast_vs_table", &name, &[&[choice as u8][..], fields].concat());
            }
        }
    }
    for vector in &all.messages {
        write("message_scan", &vector.id, &[&[7][..], &vector.wire].concat());
    }
    for vector in malformed() {
        match vector.level.as_str() {
            "value" => write("value_roundtrip", &vector.id, &vector.wire),
            "message" => write("message_scan", &vector.id, &[&[1][..], &vector.wire].concat()),
            "stream" => write("frame_decode", &vector.id, &[&[0][..], &vector.wire].concat()),
            _ => {}
        }
    }
}
