use core::fmt;
use core::time::Duration;

/// A moment on the wall clock: whole seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// This is the unit of a token's `se` field. The crate never reads a clock: the caller does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(u64);

impl UnixSeconds {
    /// The moment `seconds` after the epoch.
    pub const fn new(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Milliseconds since the epoch, the unit of an AMQP timestamp; saturates.
    pub const fn as_timestamp_millis(self) -> i64 {
        let millis = self.0.saturating_mul(1000);
        if millis > i64::MAX as u64 { i64::MAX } else { millis as i64 }
    }

    /// The moment `duration` later, fractions of a second dropped; saturates.
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// The moment `duration` earlier, fractions of a second dropped; not before the epoch.
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u64> for UnixSeconds {
    fn from(seconds: u64) -> Self {
        Self(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(UnixSeconds::new(u64::MAX).saturating_add(Duration::from_secs(1)), UnixSeconds::new(u64::MAX));
        assert_eq!(UnixSeconds::new(5).saturating_sub(Duration::from_secs(9)), UnixSeconds::new(0));
        assert_eq!(UnixSeconds::new(5).saturating_duration_since(UnixSeconds::new(9)), Duration::ZERO);
        assert_eq!(UnixSeconds::new(u64::MAX).as_timestamp_millis(), i64::MAX);
    }

    #[test]
    fn a_timestamp_counts_milliseconds() {
        assert_eq!(UnixSeconds::new(1_795_377_260).as_timestamp_millis(), 1_795_377_260_000);
    }
}
