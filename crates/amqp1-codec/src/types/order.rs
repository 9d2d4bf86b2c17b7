//! A total order of values, so that duplicate keys of a large map are found by sorting.

use super::{Array, element::widest_for};
use crate::{Value, steps::step};
use core::cmp::Ordering;

/// Compares values by type, then by content. Equal are those that `==` says are equal.
pub(crate) fn compare(a: &Value, b: &Value) -> Ordering {
    step();
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
        (Value::List(a), Value::List(b)) => a.len().cmp(&b.len()).then_with(|| compare_all(a.iter(), b.iter())),
        (Value::Map(a), Value::Map(b)) => a.len().cmp(&b.len()).then_with(|| {
            let items = |(key, value)| [key, value];
            compare_all(a.iter().flat_map(items), b.iter().flat_map(items))
        }),
        (Value::Array(a), Value::Array(b)) => compare_arrays(a, b),
        (Value::Described(a), Value::Described(b)) => {
            compare(&a.descriptor, &b.descriptor).then_with(|| compare(&a.value, &b.value))
        }
        _ => widest_for(a).cmp(&widest_for(b)),
    }
}

fn compare_all<'a>(mut a: impl Iterator<Item = &'a Value>, mut b: impl Iterator<Item = &'a Value>) -> Ordering {
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) => match compare(a, b) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}

fn compare_arrays(a: &Array, b: &Array) -> Ordering {
    if a.is_same(b) {
        return Ordering::Equal;
    }
    let owned = |a: &mut dyn Iterator<Item = Value>, b: &mut dyn Iterator<Item = Value>| loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) => match compare(&a, &b) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    };
    a.kind().cmp(&b.kind()).then_with(|| owned(&mut a.descriptors(), &mut b.descriptors())).then_with(|| {
        // Elements without width are all the same: comparing one is enough, and costs what its octets do.
        if a.is_uniform() && b.is_uniform() {
            owned(&mut a.distinct(), &mut b.distinct())
        } else {
            owned(&mut a.undescribed(), &mut b.undescribed())
        }
    })
}
