//! The keys of a map in a total order, so that duplicates among many are found by sorting.

use super::element::widest_for;
use crate::{Encode, EncodeStyle, Value, steps::step};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use core::cmp::Ordering;

/// A key as it is compared: a compound as its canonical octets, which are made once. Comparing compounds item by item
/// would cost the same again for each comparison, and for each level of arrays in arrays.
pub(crate) enum Key<'a> {
    Scalar(&'a Value),
    Compound(Bytes),
}

/// Whether comparing a key costs what its octets do.
pub(crate) const fn is_compound(key: &Value) -> bool {
    matches!(key, Value::List(_) | Value::Map(_) | Value::Array(_) | Value::Described(_))
}

impl<'a> Key<'a> {
    pub(crate) fn new(key: &'a Value) -> Self {
        if !is_compound(key) {
            return Self::Scalar(key);
        }
        let mut octets = BytesMut::new();
        key.encode(EncodeStyle::Compact, &mut octets);
        Self::Compound(octets.freeze())
    }

    /// By type, then by content. Scalars are equal that `==` says are equal, compounds whose canonical octets are.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        step();
        match (self, other) {
            (Self::Scalar(a), Self::Scalar(b)) => scalars(a, b),
            (Self::Compound(a), Self::Compound(b)) => a.cmp(b),
            (Self::Scalar(_), Self::Compound(_)) => Ordering::Less,
            (Self::Compound(_), Self::Scalar(_)) => Ordering::Greater,
        }
    }
}

fn scalars(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Ubyte(a), Value::Ubyte(b)) => a.cmp(b),
        (Value::Ushort(a), Value::Ushort(b)) => a.cmp(b),
        (Value::Uint(a), Value::Uint(b)) => a.cmp(b),
        (Value::Ulong(a), Value::Ulong(b)) => a.cmp(b),
        (Value::Byte(a), Value::Byte(b)) => a.cmp(b),
        (Value::Short(a), Value::Short(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Long(a), Value::Long(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.to_bits().cmp(&b.to_bits()),
        (Value::Double(a), Value::Double(b)) => a.to_bits().cmp(&b.to_bits()),
        (Value::Decimal32(a), Value::Decimal32(b)) => a.0.cmp(&b.0),
        (Value::Decimal64(a), Value::Decimal64(b)) => a.0.cmp(&b.0),
        (Value::Decimal128(a), Value::Decimal128(b)) => a.0.cmp(&b.0),
        (Value::Char(a), Value::Char(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
        (Value::Binary(a), Value::Binary(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Symbol(a), Value::Symbol(b)) => a.cmp(b),
        _ => widest_for(a).cmp(&widest_for(b)),
    }
}

/// The first place whose key an earlier one has.
pub(crate) fn duplicate<'a>(keys: impl ExactSizeIterator<Item = &'a Value> + Clone) -> Option<usize> {
    /// Up to this many keys are compared each with each, if they are scalars; more are sorted, so that a large map does
    /// not cost the square of its size.
    const FEW: usize = 16;
    if keys.len() <= FEW && !keys.clone().any(is_compound) {
        return keys
            .clone()
            .enumerate()
            .position(|(index, key)| keys.clone().take(index).any(|earlier| is_same_scalar(earlier, key)));
    }
    sorted(keys)
        .windows(2)
        .filter_map(|pair| match pair {
            [(_, a), (at, b)] if a.compare(b).is_eq() => Some(*at),
            _ => None,
        })
        .min()
}

/// For each key, the place of the first one that is equal.
pub(crate) fn first_places<'a>(keys: impl ExactSizeIterator<Item = &'a Value>) -> Vec<usize> {
    let mut first: Vec<usize> = (0..keys.len()).collect();
    let mut run: Option<(usize, Key<'_>)> = None;
    for (place, key) in sorted(keys) {
        match &run {
            Some((start, known)) if known.compare(&key).is_eq() => {
                if let Some(slot) = first.get_mut(place) {
                    *slot = *start;
                }
            }
            _ => run = Some((place, key)),
        }
    }
    first
}

/// The keys with their places, sorted by key and then by place.
fn sorted<'a>(keys: impl Iterator<Item = &'a Value>) -> Vec<(usize, Key<'a>)> {
    let mut keys: Vec<(usize, Key<'a>)> = keys.map(Key::new).enumerate().collect();
    keys.sort_unstable_by(|(place_a, a), (place_b, b)| a.compare(b).then(place_a.cmp(place_b)));
    keys
}

/// Whether two scalars are equal. Names in one map begin alike more often than they end alike.
#[inline]
fn is_same_scalar(a: &Value, b: &Value) -> bool {
    step();
    match (a, b) {
        (Value::String(a), Value::String(b)) => {
            a.len() == b.len() && a.as_bytes().last() == b.as_bytes().last() && a == b
        }
        (a, b) => a == b,
    }
}
