//! Messages made at random (§3.2): sections in their order, each with what it may hold.

use crate::generate::{data, format, value};
use fastrand::Rng;

/// A random message.
pub(crate) fn message(rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    if rng.u8(..3) == 0 {
        fields(rng, 0x70, &HEADER, &mut out);
    }
    if rng.u8(..4) == 0 {
        map(rng, 0x71, SYMBOLS, true, &mut out);
    }
    if rng.u8(..3) == 0 {
        map(rng, 0x72, SYMBOLS, true, &mut out);
    }
    if rng.bool() {
        fields(rng, 0x73, &PROPERTIES, &mut out);
    }
    if rng.u8(..3) == 0 {
        map(rng, 0x74, STRINGS, false, &mut out);
    }
    match rng.u8(..8) {
        0..=2 => (0..more(rng)).for_each(|_| {
            section(rng, 0x75, &mut out);
            of(rng, BINARIES, &mut out);
        }),
        3 => (0..more(rng)).for_each(|_| {
            section(rng, 0x76, &mut out);
            of(rng, &[0x45, 0xc0, 0xd0], &mut out);
        }),
        _ => {
            section(rng, 0x77, &mut out);
            let mut budget = rng.u32(1..20);
            value(rng, 1, &mut budget, &mut out);
        }
    }
    if rng.u8(..8) == 0 {
        map(rng, 0x78, SYMBOLS, true, &mut out);
    }
    out
}

/// One, rarely more.
fn more(rng: &mut Rng) -> u8 {
    if rng.u8(..8) == 0 { rng.u8(2..4) } else { 1 }
}

const SYMBOLS: &[u8] = &[0xa3, 0xb3];
const STRINGS: &[u8] = &[0xa1, 0xb1];
const BINARIES: &[u8] = &[0xa0, 0xb0];
const BOOLEANS: &[u8] = &[0x41, 0x42, 0x56];
const UINTS: &[u8] = &[0x43, 0x52, 0x70];
const IDS: &[u8] = &[0x44, 0x53, 0x80, 0x98, 0xa0, 0xb0, 0xa1, 0xb1];
const TIMES: &[u8] = &[0x83];

const HEADER: [&[u8]; 5] = [BOOLEANS, &[0x50], UINTS, BOOLEANS, UINTS];
const PROPERTIES: [&[u8]; 13] =
    [IDS, BINARIES, STRINGS, STRINGS, STRINGS, IDS, SYMBOLS, SYMBOLS, TIMES, TIMES, STRINGS, UINTS, STRINGS];

const NAMES: [&[u8]; 9] = [
    b"amqp:header:list",
    b"amqp:delivery-annotations:map",
    b"amqp:message-annotations:map",
    b"amqp:properties:list",
    b"amqp:application-properties:map",
    b"amqp:data:binary",
    b"amqp:amqp-sequence:list",
    b"amqp:amqp-value:*",
    b"amqp:footer:map",
];

/// The descriptor of a section: mostly its number, rarely its name.
fn section(rng: &mut Rng, number: u8, out: &mut Vec<u8>) {
    match rng.u8(..64) {
        0 => {
            let name = NAMES.get(usize::from(number - 0x70)).copied().unwrap_or_default();
            out.extend([0x00, 0xa3, name.len() as u8]);
            out.extend_from_slice(name);
        }
        1..=6 => out.extend([0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, number]),
        _ => out.extend([0x00, 0x53, number]),
    }
}

/// A value with one of these constructors.
fn of(rng: &mut Rng, formats: &[u8], out: &mut Vec<u8>) {
    let format = formats.get(rng.usize(..formats.len())).copied().unwrap_or(0x40);
    out.push(format);
    let mut budget = rng.u32(1..10);
    data(rng, format, 2, &mut budget, out);
}

/// A section that is a list of fields, of which the last may be missing and all may be null.
fn fields(rng: &mut Rng, number: u8, types: &[&[u8]], out: &mut Vec<u8>) {
    section(rng, number, out);
    let count = rng.usize(..=types.len());
    let mut body = Vec::new();
    for formats in types.iter().take(count) {
        if rng.u8(..3) == 0 { body.push(0x40) } else { of(rng, formats, &mut body) }
    }
    if count == 0 && rng.bool() {
        return out.push(0x45);
    }
    close([0xc0, 0xd0], count, &body, rng, out);
}

/// A section that is a map with keys of this type and any values, or only simple ones.
fn map(rng: &mut Rng, number: u8, keys: &[u8], compound: bool, out: &mut Vec<u8>) {
    section(rng, number, out);
    let pairs = rng.usize(..5);
    let mut body = Vec::new();
    for _ in 0..pairs {
        of(rng, keys, &mut body);
        if compound {
            value(rng, 2, &mut 4, &mut body);
        } else {
            // A list without items has no parts, but is a list (§3.2.5).
            let format = match format(rng, 2, 0) {
                0x45 => 0x40,
                format => format,
            };
            body.push(format);
            data(rng, format, 2, &mut 0, &mut body);
        }
    }
    close([0xc1, 0xd1], pairs * 2, &body, rng, out);
}

fn close([narrow, wide]: [u8; 2], count: usize, body: &[u8], rng: &mut Rng, out: &mut Vec<u8>) {
    match u8::try_from(body.len() + 1) {
        Ok(size) if rng.u8(..4) > 0 => out.extend([narrow, size, count as u8]),
        _ => {
            out.push(wide);
            out.extend((body.len() as u32 + 4).to_be_bytes());
            out.extend((count as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(body);
}
