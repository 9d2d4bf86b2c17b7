//! Inputs: every index has its own, which depends on the seed and on nothing else.

use crate::{make_message, mutate::mutate, run::Mode, vectors::Vectors};
use amqp1_codec::{Decode, Encode, EncodeStyle, Reader, Value};
use bytes::{Bytes, BytesMut};
use fastrand::Rng;

/// Where an input came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A vector as it is.
    Vector,
    /// One vector or two, changed.
    MutatedVector,
    /// A value made at random.
    Random,
    /// A value made at random, then changed.
    MutatedRandom,
}

/// The input of this index.
pub(crate) fn input(mode: Mode, vectors: &Vectors, seed: u64, index: u64) -> (Origin, Vec<u8>) {
    if let Some(vector) = usize::try_from(index).ok().and_then(|index| vectors.all.get(index)) {
        return (Origin::Vector, vector.clone());
    }
    // Neighbouring seeds would give neighbouring streams.
    let mut rng = Rng::with_seed(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let vector = |rng: &mut Rng| vectors.all.get(rng.usize(..vectors.short)).cloned().unwrap_or_default();
    let random = match mode {
        Mode::Values => random,
        Mode::Messages => make_message::message,
    };
    match rng.u8(..20) {
        0..=12 => {
            let (base, other) = (vector(&mut rng), vector(&mut rng));
            (Origin::MutatedVector, mutate(&mut rng, base, &other))
        }
        13..=14 => {
            let (base, other) = (random(&mut rng), vector(&mut rng));
            (Origin::MutatedRandom, mutate(&mut rng, base, &other))
        }
        _ => (Origin::Random, random(&mut rng)),
    }
}

/// A random value, with constructors chosen at random or as the codec chooses them in one of its styles.
fn random(rng: &mut Rng) -> Vec<u8> {
    let mut wire = Vec::new();
    match rng.u16(..8192) {
        0 => crowd(rng, &mut wire),
        1..=127 => nest(rng, &mut wire),
        _ => {
            let mut budget = rng.u32(1..40);
            value(rng, 0, &mut budget, &mut wire);
        }
    }
    let style = match rng.u8(..3) {
        0 => return wire,
        1 => EncodeStyle::Compact,
        _ => EncodeStyle::Full,
    };
    let octets = Bytes::from(wire);
    match Value::decode(&mut Reader::new(&octets)) {
        Ok(value) => {
            let mut out = BytesMut::new();
            value.encode(style, &mut out);
            out.to_vec()
        }
        // A key that came up twice, or a nest that went too deep.
        Err(_) => octets.to_vec(),
    }
}

/// An array of elements without width, as many as Proton or the codec takes at most, or nearly.
fn crowd(rng: &mut Rng, out: &mut Vec<u8>) {
    out.extend([0xf0, 0, 0, 0, 5]);
    out.extend(rng.u32(65_530..65_540).to_be_bytes());
    out.push(FORMATS.get(rng.usize(..6)).copied().unwrap_or(0x40));
}

/// Lists, maps, arrays and described values in each other, about as deep as the codec goes.
fn nest(rng: &mut Rng, out: &mut Vec<u8>) {
    let kinds = rng.u8(1..16);
    let mut inner = vec![if rng.bool() { 0x45 } else { 0x40 }];
    for _ in 0..rng.u8(29..36) {
        let outer: &[u8] = match rng.u8(..4) {
            0 if kinds & 1 != 0 => &[0xd0, 0, 1],
            1 if kinds & 2 != 0 => &[0xd1, 0, 2, 0x40],
            2 if kinds & 4 != 0 => &[0xf0, 0, 1],
            3 if kinds & 8 != 0 => &[0x00, 0x53, 0x01],
            _ => &[0xd0, 0, 1],
        };
        let mut value = Vec::new();
        match outer {
            [0x00, ..] => value.extend_from_slice(outer),
            [code, _, count, more @ ..] => {
                value.push(*code);
                size(true, 4 + more.len() + inner.len(), &mut value);
                size(true, usize::from(*count), &mut value);
                value.extend_from_slice(more);
            }
            _ => {}
        }
        value.append(&mut inner);
        inner = value;
    }
    out.append(&mut inner);
}

/// All format codes (§1.6).
pub(crate) const FORMATS: [u8; 39] = [
    0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x60, 0x61, 0x70, 0x71, 0x72, 0x73,
    0x74, 0x80, 0x81, 0x82, 0x83, 0x84, 0x94, 0x98, 0xa0, 0xa1, 0xa3, 0xb0, 0xb1, 0xb3, 0xc0, 0xc1, 0xd0, 0xd1, 0xe0,
    0xf0,
];

/// Those of values without parts.
const SIMPLE: usize = 33;

/// A format code at this depth, without parts if the budget is spent.
pub(crate) fn format(rng: &mut Rng, depth: u32, budget: u32) -> u8 {
    let parts = budget > 0 && depth < 10 && (depth == 0 || rng.u8(..3) == 0);
    let index = if parts && rng.u8(..4) > 0 { rng.usize(SIMPLE..FORMATS.len()) } else { rng.usize(..SIMPLE) };
    FORMATS.get(index).copied().unwrap_or(0x40)
}

/// A value, and mostly few more than the budget in it.
pub(crate) fn value(rng: &mut Rng, depth: u32, budget: &mut u32, out: &mut Vec<u8>) {
    *budget = budget.saturating_sub(1);
    if depth < 10 && rng.u8(..8) == 0 {
        out.push(0);
        descriptor(rng, depth + 1, budget, out);
        // Mostly a value that is not described again, because Proton gets lost there.
        if rng.u8(..16) == 0 {
            return value(rng, depth + 1, budget, out);
        }
    }
    let format = format(rng, depth, *budget);
    out.push(format);
    data(rng, format, depth, budget, out);
}

fn descriptor(rng: &mut Rng, depth: u32, budget: &mut u32, out: &mut Vec<u8>) {
    let format = match rng.u8(..32) {
        0 => return value(rng, depth, budget, out),
        1..=20 => 0x53,
        21..=23 => 0x80,
        24..=29 => 0xa3,
        _ => FORMATS.get(rng.usize(..SIMPLE)).copied().unwrap_or(0x40),
    };
    out.push(format);
    data(rng, format, depth, budget, out);
}

/// Data for a format code.
pub(crate) fn data(rng: &mut Rng, format: u8, depth: u32, budget: &mut u32, out: &mut Vec<u8>) {
    match format {
        0x56 => out.push(rng.u8(..2)),
        0x73 => out.extend(u32::from(rng.char(..)).to_be_bytes()),
        0x40..=0x4f => {}
        0x50..=0x9f => {
            let width = match format >> 4 {
                5 => 1,
                6 => 2,
                7 => 4,
                8 => 8,
                _ => 16,
            };
            let octets = match rng.u8(..6) {
                0 => [0; 16],
                1 => [0xff; 16],
                // A small number, after a sign.
                2 => u128::from(rng.u8(..)).to_be_bytes(),
                3 => (-i128::from(rng.u8(..))).to_be_bytes(),
                _ => rng.u128(..).to_be_bytes(),
            };
            out.extend(octets.iter().skip(16 - width));
        }
        0xa0..=0xbf => {
            let octets = variable(rng, format & 0xf);
            let octets = if format < 0xb0 { octets.get(..255.min(octets.len())).unwrap_or_default() } else { &octets };
            let octets = if format == 0xa1 { valid_utf8(octets) } else { octets };
            size(format >= 0xb0, octets.len(), out);
            out.extend_from_slice(octets);
        }
        _ => compound(rng, format, depth, budget, out),
    }
}

/// What of the octets is UTF-8, after a cut.
fn valid_utf8(octets: &[u8]) -> &[u8] {
    octets.utf8_chunks().next().map_or(&[], |chunk| chunk.valid().as_bytes())
}

fn variable(rng: &mut Rng, kind: u8) -> Vec<u8> {
    let length = if rng.u8(..40) == 0 { rng.usize(250..260) } else { rng.usize(..12) };
    match kind {
        0 => std::iter::repeat_with(|| rng.u8(..)).take(length).collect(),
        1 => std::iter::repeat_with(|| if rng.bool() { rng.alphabetic() } else { rng.char(..) })
            .take(length)
            .collect::<String>()
            .into_bytes(),
        _ => std::iter::repeat_with(|| rng.u8(..128)).take(length).collect(),
    }
}

fn size(wide: bool, size: usize, out: &mut Vec<u8>) {
    let octets = u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(if wide { &octets } else { &octets[3..] });
}

/// A list, a map or an array; empty if it would be too large for its size of one octet.
fn compound(rng: &mut Rng, format: u8, depth: u32, budget: &mut u32, out: &mut Vec<u8>) {
    let wide = matches!(format, 0xd0 | 0xd1 | 0xf0);
    let mut count = rng.usize(..7);
    let mut body = Vec::new();
    let mut constructor = Vec::new();
    match format {
        0xe0 | 0xf0 => {
            if rng.u8(..5) == 0 {
                constructor.push(0);
                descriptor(rng, depth + 1, budget, &mut constructor);
            }
            let format = if *budget > 0 && depth < 8 {
                FORMATS.get(rng.usize(..FORMATS.len())).copied().unwrap_or(0x40)
            } else {
                FORMATS.get(rng.usize(..SIMPLE)).copied().unwrap_or(0x40)
            };
            constructor.push(format);
            for _ in 0..count {
                *budget = budget.saturating_sub(1);
                data(rng, format, depth + 1, budget, &mut body);
            }
        }
        0xc1 | 0xd1 => {
            count &= !1;
            (0..count).for_each(|_| value(rng, depth + 1, budget, &mut body));
        }
        _ => (0..count).for_each(|_| value(rng, depth + 1, budget, &mut body)),
    }
    if !wide && constructor.len() + body.len() > 254 {
        (count, constructor, body) = (0, constructor.split_off(constructor.len().saturating_sub(1)), Vec::new());
    }
    let count_width = if wide { 4 } else { 1 };
    size(wide, count_width + constructor.len() + body.len(), out);
    size(wide, count, out);
    out.extend(constructor);
    out.extend(body);
}
