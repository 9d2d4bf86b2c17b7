//! Changes to octets: most leave something that almost is a value.

use crate::generate::FORMATS;
use fastrand::Rng;

/// One change to four; `other` is what is spliced in.
pub(crate) fn mutate(rng: &mut Rng, mut octets: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let before = octets.clone();
    let changes = 1 + rng.u8(..4).saturating_sub(rng.u8(..4));
    for _ in 0..changes {
        change(rng, &mut octets, other);
    }
    // What came out as it went in is no mutation.
    while octets == before {
        change(rng, &mut octets, other);
    }
    octets
}

fn change(rng: &mut Rng, octets: &mut Vec<u8>, other: &[u8]) {
    let at = rng.usize(..octets.len().max(1));
    match rng.u8(..13) {
        0 | 1 => set(octets, at, |octet| octet ^ 1 << rng.u8(..8)),
        2 => set(octets, at, |_| rng.u8(..)),
        3 => {
            let code = format(rng);
            set(octets, at, |_| code);
        }
        4 => set(octets, at, |_| [0x00, 0x01, 0x02, 0x7f, 0x80, 0xff][rng.usize(..6)]),
        5 => octets.truncate(at),
        6 => {
            let octet = if rng.bool() { rng.u8(..) } else { format(rng) };
            octets.insert(at.min(octets.len()), octet);
        }
        7 if !octets.is_empty() => {
            let end = octets.len().min(at + 1 + rng.usize(..4));
            octets.drain(at..end);
        }
        8 => {
            octets.truncate(at);
            octets.extend(other.iter().skip(rng.usize(..other.len().max(1))));
        }
        9 => {
            let start = rng.usize(..other.len().max(1));
            let part = other.iter().skip(start).take(rng.usize(1..9)).copied();
            let at = at.min(octets.len());
            octets.splice(at..at, part.collect::<Vec<_>>());
        }
        10 | 11 => edit_size(rng, octets),
        _ => wrap(rng, octets),
    }
}

fn format(rng: &mut Rng) -> u8 {
    FORMATS.get(rng.usize(..FORMATS.len())).copied().unwrap_or(0x40)
}

fn set(octets: &mut [u8], at: usize, change: impl FnOnce(u8) -> u8) {
    if let Some(octet) = octets.get_mut(at) {
        *octet = change(*octet);
    }
}

/// Changes what may be a size or a count: an octet behind a format code that has one.
fn edit_size(rng: &mut Rng, octets: &mut [u8]) {
    let places: Vec<usize> = octets
        .iter()
        .enumerate()
        .flat_map(|(at, octet)| match octet {
            0xa0 | 0xa1 | 0xa3 => [at + 1, at + 1],
            0xb0 | 0xb1 | 0xb3 => [at + 4, at + 4],
            0xc0 | 0xc1 | 0xe0 => [at + 1, at + 2],
            0xd0 | 0xd1 | 0xf0 => [at + 4, at + 8],
            _ => [usize::MAX, usize::MAX],
        })
        .filter(|at| *at < octets.len())
        .collect();
    let at = places.get(rng.usize(..places.len().max(1))).copied().unwrap_or_default();
    // Mostly by one or two; sometimes the octets of higher value.
    if rng.u8(..8) == 0 {
        let at = at.saturating_sub(rng.usize(1..4));
        return set(octets, at, |_| rng.u8(..));
    }
    let by = rng.u8(1..4);
    let up = rng.bool();
    set(octets, at, |octet| if up { octet.wrapping_add(by) } else { octet.wrapping_sub(by) });
}

/// Puts all of it into a list, an array or a map, or describes it.
fn wrap(rng: &mut Rng, octets: &mut Vec<u8>) {
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    let mut front = Vec::new();
    match rng.u8(..5) {
        0 => front.extend([0x00, 0x53, rng.u8(..)]),
        1 => front.extend([0x00, 0xa3, 0x01, rng.u8(..128)]),
        kind => {
            let key: &[u8] = if kind == 4 { &[0x54, 0x07] } else { &[] };
            let code = [0xd0, 0xf0, 0xd1][usize::from(kind) - 2];
            front.push(code);
            front.extend(length.saturating_add(4).saturating_add(key.len() as u32).to_be_bytes());
            front.extend(if kind == 4 { 2u32 } else { 1 }.to_be_bytes());
            front.extend(key);
        }
    }
    octets.splice(0..0, front);
}
