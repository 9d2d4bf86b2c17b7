//! Times as the hub writes them: AMQP timestamps, and ISO 8601 in JSON and in application properties.

use amqp1::message::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MILLIS_PER_DAY: i64 = 86_400_000;

/// Milliseconds since 1970, of which times outside of what an AMQP timestamp holds are the nearest.
pub(crate) fn to_millis(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
    }
}

pub(crate) fn to_timestamp(time: SystemTime) -> Timestamp {
    Timestamp(to_millis(time))
}

/// The time of a timestamp, if this system can express it.
pub(crate) fn from_timestamp(timestamp: Timestamp) -> Option<SystemTime> {
    let distance = Duration::from_millis(timestamp.0.unsigned_abs());
    if timestamp.0 < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

/// Reads `2026-11-22T20:07:31.1234567Z`. The fraction may be missing, the offset may be `+hh:mm`; a time without an
/// offset is UTC, which is how the hub means it.
pub(crate) fn parse_iso8601(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (number(date.next()?, 4)?, number(date.next()?, 2)?, number(date.next()?, 2)?);
    let (clock, offset) = split_offset(rest)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':');
    let (hour, minute, second) = (number(clock.next()?, 2)?, number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    from_timestamp(Timestamp(seconds * 1000 + millis(fraction)?))
}

/// Writes a time as hubs do: `2026-11-22T20:07:31.123Z`.
pub fn to_iso8601(time: SystemTime) -> String {
    let millis = to_millis(time);
    let (days, rest) = (millis.div_euclid(MILLIS_PER_DAY), millis.rem_euclid(MILLIS_PER_DAY));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second, milli) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Digits only, exactly this many.
fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|octet| octet.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// The first three digits of the fraction of a second, as milliseconds.
fn millis(fraction: &str) -> Option<i64> {
    if !fraction.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    Some(digits.fold(0, |millis, digit| millis * 10 + i64::from(digit - b'0')))
}

/// The clock, and the seconds that it is ahead of UTC.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(sign) = text.find(['+', '-']) else { return Some((text, 0)) };
    let (clock, offset) = text.split_at_checked(sign)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let seconds = number(hours, 2)? * 3600 + number(minutes, 2)? * 60;
    Some((clock, if offset.starts_with('-') { -seconds } else { seconds }))
}

/// Days since 1970-01-01 of a date in the Gregorian calendar. Years begin in March here, so that the leap day is the
/// last of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The other way round.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> SystemTime {
        from_timestamp(Timestamp(millis)).expect("a time of this century")
    }

    #[test]
    fn iso_8601_is_read_and_written() {
        for (text, millis) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T23:59:59.999Z", 951_868_799_999),
            ("2026-11-22T20:07:31.123Z", 1_795_378_051_123),
            ("1969-12-31T23:59:59.500Z", -500),
        ] {
            assert_eq!(parse_iso8601(text), Some(at(millis)), "{text}");
            assert_eq!(to_iso8601(at(millis)), text);
        }
    }

    #[test]
    fn fractions_and_offsets_of_other_writers_are_read() {
        let expected = Some(at(1_795_378_051_100));
        for text in ["2026-11-22T20:07:31.1000009Z", "2026-11-22T21:07:31.1+01:00", "2026-11-22 20:07:31.1"] {
            assert_eq!(parse_iso8601(text), expected, "{text}");
        }
        assert_eq!(parse_iso8601("2026-11-22T20:07:31Z"), Some(at(1_795_378_051_000)));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T+1:00:00Z",
            "2026-11-22T20:07:31.xZ",
            "2026-11-22T20:07:31+é",
        ] {
            assert_eq!(parse_iso8601(text), None, "{text:?}");
        }
    }

    #[test]
    fn timestamps_beyond_the_system_do_not_panic() {
        for millis in [i64::MIN, i64::MAX] {
            if let Some(time) = from_timestamp(Timestamp(millis)) {
                to_iso8601(time);
            }
        }
        assert_eq!(to_millis(at(-500)), -500);
    }
}
