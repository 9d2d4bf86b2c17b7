//! Timestamps and the clock of the system (§1.6.17); with the feature `std`.

use super::{Timestamp, Value};
use std::time::{Duration, SystemTime};

/// The last millisecond that has begun.
///
/// ```
/// use amqp1_codec::Timestamp;
/// use std::time::{Duration, SystemTime};
///
/// let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
/// assert_eq!(Timestamp::from(at), Timestamp(1_700_000_000_123));
/// assert_eq!(Timestamp(1_700_000_000_123).to_system_time(), Some(at));
/// ```
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        const MILLISECOND: u128 = 1_000_000;
        Self(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(error) => {
                let before = error.duration().as_nanos().div_ceil(MILLISECOND);
                i64::try_from(before).map_or(i64::MIN, i64::wrapping_neg)
            }
        })
    }
}

/// A timestamp.
impl From<SystemTime> for Value {
    fn from(time: SystemTime) -> Self {
        Self::Timestamp(time.into())
    }
}

impl Timestamp {
    /// Returns the same point in time on the clock of the system; `None` if that does not reach so far.
    pub fn to_system_time(self) -> Option<SystemTime> {
        let distance = Duration::from_millis(self.0.unsigned_abs());
        if self.0 < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn y_1_6_17_1_times_before_and_after_the_epoch_are_rounded_down() {
        let epoch = SystemTime::UNIX_EPOCH;
        for (time, milliseconds) in [
            (epoch, 0),
            (epoch + Duration::from_micros(1_999), 1),
            (epoch - Duration::from_nanos(1), -1),
            (epoch - Duration::from_millis(5), -5),
            (epoch - Duration::from_micros(5_001), -6),
        ] {
            assert_eq!(Timestamp::from(time), Timestamp(milliseconds), "{time:?}");
            assert_eq!(Value::from(time), Value::Timestamp(Timestamp(milliseconds)));
        }
    }

    #[test]
    fn a_timestamp_comes_back_from_the_clock_of_the_system() {
        for milliseconds in [0, 1, -1, 1_700_000_000_123, -62_135_596_800_000] {
            let time = Timestamp(milliseconds).to_system_time().expect("within the clock");
            assert_eq!(Timestamp::from(time), Timestamp(milliseconds));
        }
    }
}
