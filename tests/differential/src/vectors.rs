//! The codec's own test vectors, as octets.

use crate::{dump::unhex, run::Mode};
use serde_json::Value as Json;

/// Longer vectors are read once as they are, but not mutated: they would take the time of thousands.
const LONGEST_MUTATED: usize = 4096;

/// What there is to read, and to mutate.
#[derive(Debug)]
pub(crate) struct Vectors {
    /// All vectors.
    pub(crate) all: Vec<Vec<u8>>,
    /// How many of them, from the front, are short enough to be mutated.
    pub(crate) short: usize,
}

/// The encodings of all values, the bodies of all frames, the messages, and what is malformed; or only messages.
pub(crate) fn load(mode: Mode) -> Result<Vectors, String> {
    let mut all = Vec::new();
    let good = include_str!("../../../crates/amqp1-codec/tests/data/vectors.jsonl");
    let bad = include_str!("../../../crates/amqp1-codec/tests/data/malformed.jsonl");
    for line in good.lines().chain(bad.lines()) {
        let json: Json = serde_json::from_str(line).map_err(|error| format!("a vector is no JSON: {error}"))?;
        let message = json["kind"] == "message" || json["level"] == "message";
        if mode == Mode::Messages && !message {
            continue;
        }
        all.extend(octets(&json).ok_or_else(|| format!("a vector without octets: {line}"))?);
    }
    all.sort_by_key(Vec::len);
    all.dedup();
    let short = all.partition_point(|octets| octets.len() <= LONGEST_MUTATED);
    Ok(Vectors { all, short })
}

fn octets(json: &Json) -> Option<Vec<Vec<u8>>> {
    let text = |json: &Json| json.as_str().and_then(unhex);
    match json["kind"].as_str() {
        Some("value") => json["wire"].as_array()?.iter().map(text).collect(),
        // The frame's body follows the header, whose fifth octet says where in words of four octets (§2.3.1).
        Some("frame") => {
            let frame = text(&json["wire"])?;
            let start = usize::from(*frame.get(4)?) * 4;
            Some(vec![frame.get(start..)?.to_vec()])
        }
        Some(_) => Some(vec![text(&json["wire"])?]),
        None => match json.get("hex").and_then(Json::as_str) {
            Some(digits) => Some(vec![unhex(digits)?]),
            None => Some(vec![nested_lists(20_000)]),
        },
    }
}

/// A list in a list in a list …, which is too long to be written down.
fn nested_lists(levels: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for level in 0..levels {
        out.push(0xd0);
        out.extend((4 + (levels - level - 1) * 9 + 1).to_be_bytes());
        out.extend(1u32.to_be_bytes());
    }
    out.push(0x40);
    out
}
