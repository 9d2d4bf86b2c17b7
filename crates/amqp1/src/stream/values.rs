//! Values of any type that are passed over as their octets come.

use super::section_head::{Malformed, Width};

/// Values that are passed over. A described value is passed over as its descriptor and its value, in memory that does not
/// grow with how deep it is described.
#[derive(Debug)]
pub(super) struct Values {
    /// How many values are left to begin.
    left: usize,
    within: Within,
}

/// The meaning of the next octet.
#[derive(Debug)]
enum Within {
    Constructor,
    /// One of a size, of which this many octets are missing.
    Size {
        missing: u8,
        size: u32,
    },
    /// One of a value's data, of which this many are missing.
    Data(usize),
}

impl Values {
    /// One value.
    pub(super) fn one() -> Self {
        Self { left: 1, within: Within::Constructor }
    }

    /// Whether all of them are passed over.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0 && matches!(self.within, Within::Constructor)
    }

    /// Returns how many of the next octets belong to them.
    pub(super) fn pass(&mut self, octets: &[u8]) -> Result<usize, Malformed> {
        let mut passed = 0;
        while let Some(rest) = octets.get(passed..).filter(|rest| !rest.is_empty() && !self.is_over()) {
            passed = passed.saturating_add(self.step(rest)?);
        }
        Ok(passed)
    }

    /// As [`pass`](Self::pass), one step on. There is at least one octet.
    fn step(&mut self, rest: &[u8]) -> Result<usize, Malformed> {
        let octet = rest.first().copied().unwrap_or_default();
        self.within = match &mut self.within {
            Within::Constructor if octet == 0 => {
                // The descriptor and the value, in place of the described value.
                self.left = self.left.saturating_add(1);
                Within::Constructor
            }
            Within::Constructor => {
                self.left = self.left.saturating_sub(1);
                match Width::of(octet).ok_or(Malformed::NoSection)? {
                    Width::Fixed(width) => Self::data(width),
                    Width::Sized(missing) => Within::Size { missing, size: 0 },
                }
            }
            Within::Size { missing, size } => {
                let size = *size << 8 | u32::from(octet);
                match missing.saturating_sub(1) {
                    0 => Self::data(usize::try_from(size).unwrap_or(usize::MAX)),
                    missing => Within::Size { missing, size },
                }
            }
            Within::Data(missing) => {
                let taken = rest.len().min(*missing);
                self.within = Self::data(missing.saturating_sub(taken));
                return Ok(taken);
            }
        };
        Ok(1)
    }

    fn data(missing: usize) -> Within {
        if missing == 0 { Within::Constructor } else { Within::Data(missing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::{Encode, Symbol, Value};

    /// Also however they are cut: each is passed over to its last octet, and no further.
    #[test]
    fn values_are_passed_over_however_they_are_cut() {
        let list = Value::List(vec![Value::from(1_u8), Value::from("x".repeat(300))]);
        for value in [
            Value::Null,
            Value::from(true),
            Value::from(7_i64),
            Value::from("text"),
            Value::from("x".repeat(300)),
            Value::List(Vec::new()),
            list.clone(),
            Value::described(Symbol::from_static("example:d"), list.clone()),
            Value::described(1_u64, Value::described(Value::described("inner", 2_u64), list)),
        ] {
            let mut octets = value.to_octets().to_vec();
            let length = octets.len();
            octets.extend(b"rest");
            for size in 1..=octets.len() {
                let (mut values, mut passed) = (Values::one(), 0);
                for part in octets.chunks(size) {
                    passed += values.pass(part).expect("values");
                }
                assert!(values.is_over() && passed == length, "{value:?} {size}");
            }
            let mut cut = Values::one();
            assert_eq!(cut.pass(&octets[..length - 1]), Ok(length - 1));
            assert!(!cut.is_over(), "{value:?}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for octets in [&b"\x3f"[..], b"\0\x53\x01\x10", b"\0\0\0\x05"] {
            assert_eq!(Values::one().pass(octets), Err(Malformed::NoSection));
        }
    }
}
