//! Wall-clock time as the hub stores it.
//!
//! The model never reads a clock: every entry point that needs the time takes it as an argument.

use core::fmt;
use core::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z, the unit of the AMQP `timestamp` type (AMQP 1.0 §1.6.17).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The point `span` later; stops at the far end of the range instead of wrapping.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// From the value of an AMQP `timestamp`. What lies before 1970 becomes 1970.
    #[must_use]
    pub fn from_timestamp(milliseconds: i64) -> Self {
        Self(u64::try_from(milliseconds).unwrap_or(0))
    }

    /// The value for an AMQP `timestamp`.
    #[must_use]
    pub fn to_timestamp(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// ISO 8601 in UTC with milliseconds and `Z`, as in the feedback records: `2026-11-22T20:27:21.045Z`.
    #[must_use]
    pub fn to_iso8601(self) -> Iso8601 {
        Iso8601(self)
    }
}

/// The instant as REST documents show it; the service writes the first instant of the year 1 where there never was one.
pub(crate) fn iso8601_or_never(at: Option<UnixMillis>) -> String {
    at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_iso8601().to_string())
}

/// Prints a [`UnixMillis`] as ISO 8601; see [`UnixMillis::to_iso8601`].
#[derive(Clone, Copy, Debug)]
pub struct Iso8601(UnixMillis);

impl fmt::Display for Iso8601 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.0;
        let (days, in_day) = (millis / 86_400_000, millis % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            in_day / 3_600_000,
            in_day / 60_000 % 60,
            in_day / 1_000 % 60,
            in_day % 1_000
        )
    }
}

/// The Gregorian date `days` after 1970-01-01. Counts in eras of 400 years that begin on a first of March, so that
/// the leap day is the last day of its year.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    const DAYS_FROM_0000_03_01: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let shifted = days + DAYS_FROM_0000_03_01;
    let (era, day_of_era) = (shifted / DAYS_PER_ERA, shifted % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso8601_shows_known_instants() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
            (1_795_377_253_045, "2026-11-22T19:54:13.045Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(UnixMillis(millis).to_iso8601().to_string(), text);
        }
    }

    #[test]
    fn iso8601_does_not_overflow_at_the_far_end() {
        assert!(UnixMillis(u64::MAX).to_iso8601().to_string().ends_with('Z'));
    }

    #[test]
    fn timestamps_outside_the_range_are_clamped() {
        assert_eq!(UnixMillis::from_timestamp(-5), UnixMillis(0));
        assert_eq!(UnixMillis(u64::MAX).to_timestamp(), i64::MAX);
        assert_eq!(UnixMillis(u64::MAX).after(Duration::from_secs(1)), UnixMillis(u64::MAX));
    }
}
