//! Tiers: how much of what a hub does in a second and in a day. Without a tier there is no bound.

use core::str::FromStr;
use core::time::Duration;
use std::collections::BTreeMap;

use thiserror::Error;

use super::Hub;
use super::clock::UnixMillis;
use super::service_error::{ErrorCode, ServiceError};

/// What a hub may do at once after a rest.
const BURST: Duration = Duration::from_secs(1);

/// How long an operation is put off before it is refused.
const SHAPING: Duration = Duration::from_secs(5);

const DAY_MS: u64 = 24 * 3600 * 1000;

/// The tier of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Free: 8,000 messages of half a kilobyte a day.
    Free,
    /// Basic, with the numbers of S1.
    Basic,
    /// Standard 1.
    S1,
    /// Standard 2.
    S2,
    /// Standard 3.
    S3,
}

/// A text is not a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a tier is free, basic, s1, s2 or s3")]
pub struct TierError;

impl FromStr for Tier {
    type Err = TierError;

    fn from_str(text: &str) -> Result<Self, TierError> {
        let tiers =
            [("free", Self::Free), ("basic", Self::Basic), ("s1", Self::S1), ("s2", Self::S2), ("s3", Self::S3)];
        let found = tiers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, tier)| tier).ok_or(TierError)
    }
}

/// What is bounded by a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// A connection of a client.
    Connection,
    /// A device-to-cloud message.
    DeviceToCloud,
    /// A cloud-to-device message.
    CloudToDevice,
    /// A call of a direct method.
    Method,
    /// A twin is read.
    TwinRead,
    /// A twin is written.
    TwinUpdate,
    /// A query.
    Query,
    /// The registry is read or written.
    Registry,
    /// A file upload begins.
    FileUpload,
}

/// The size of a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Its tier.
    pub tier: Tier,
    /// How many units of it, 1 to 200.
    pub units: u32,
}

impl Scale {
    /// The octets that count as one message.
    fn message_octets(self) -> usize {
        if self.tier == Tier::Free { 512 } else { 4096 }
    }

    /// Messages a day.
    fn daily_messages(self) -> u64 {
        let unit = match self.tier {
            Tier::Free => return 8000,
            Tier::Basic | Tier::S1 => 400_000,
            Tier::S2 => 6_000_000,
            Tier::S3 => 300_000_000,
        };
        unit * u64::from(self.units)
    }

    /// The number of messages that `octets` count as; at least one.
    fn messages(self, octets: usize) -> u64 {
        u64::try_from(octets.div_ceil(self.message_octets()).max(1)).unwrap_or(u64::MAX)
    }

    fn exceeded(self, messages: u64) -> ServiceError {
        let text = format!("the hub takes {} messages a day, and has had {messages}", self.daily_messages());
        ServiceError::new(ErrorCode::IotHubQuotaExceeded, text)
    }

    /// Operations a second; of methods 4-KB steps.
    fn rate(self, operation: Operation) -> f64 {
        let units = f64::from(self.units);
        match (operation, self.tier) {
            (Operation::Connection | Operation::DeviceToCloud, Tier::S3) => 6000.0 * units,
            (Operation::Connection | Operation::DeviceToCloud, Tier::S2) => 120.0 * units,
            (Operation::Connection | Operation::DeviceToCloud, _) => f64::max(100.0, 12.0 * units),
            (Operation::CloudToDevice | Operation::Registry, Tier::S3) => 83.33 * units,
            (Operation::CloudToDevice | Operation::Registry | Operation::FileUpload, _) => 1.67 * units,
            (Operation::Method, Tier::S3) => 24.0 * 1024.0 / 4.0 * units,
            (Operation::Method, Tier::S2) => 480.0 / 4.0 * units,
            (Operation::Method, _) => 160.0 / 4.0 * units,
            (Operation::TwinRead, Tier::S3) => 500.0 * units,
            (Operation::TwinRead, Tier::S2) => f64::max(100.0, 10.0 * units),
            (Operation::TwinRead, _) => 100.0,
            (Operation::TwinUpdate, Tier::S3) => 250.0 * units,
            (Operation::TwinUpdate, Tier::S2) => f64::max(50.0, 5.0 * units),
            (Operation::TwinUpdate, _) => 50.0,
            (Operation::Query, _) => 20.0 / 60.0 * units,
        }
    }
}

/// What was done, and when there is room again.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// When what was let through is paid for, in milliseconds since 1970.
    paid_at: BTreeMap<Operation, f64>,
    day: u64,
    messages: u64,
}

impl Usage {
    /// The messages of the day so far.
    fn on_day(&mut self, now: UnixMillis) -> u64 {
        let day = now.0 / DAY_MS;
        if day != self.day {
            (self.day, self.messages) = (day, 0);
        }
        self.messages
    }
}

impl Hub {
    /// Whether an operation of that many octets may be done: at once, or after the time that is given. What is to be put off
    /// longer than 5 s is refused. Octets count for methods alone.
    ///
    /// # Errors
    /// *ThrottlingException*.
    #[expect(clippy::cast_precision_loss, reason = "times and sizes are far below 2^53")]
    pub fn throttle(&mut self, now: UnixMillis, operation: Operation, octets: usize) -> Result<Duration, ServiceError> {
        let Some(scale) = self.settings.scale else { return Ok(Duration::ZERO) };
        let steps = if operation == Operation::Method { octets.div_ceil(4096).max(1) as f64 } else { 1.0 };
        let rate = scale.rate(operation);
        let (now, burst) = (now.0 as f64, BURST.as_secs_f64().max(1.0 / rate) * 1000.0);
        let paid_at = self.usage.paid_at.entry(operation).or_insert(now);
        let paid = paid_at.max(now) + steps * 1000.0 / rate;
        let delay = Duration::from_secs_f64((paid - now - burst).max(0.0) / 1000.0);
        if delay > SHAPING {
            let text = format!("{operation:?}: the hub takes {rate:.2} a second, and too much waits already");
            return Err(ServiceError::new(ErrorCode::ThrottlingException, text));
        }
        *paid_at = paid;
        Ok(delay)
    }

    /// Counts a message of that many octets against the day's quota.
    ///
    /// # Errors
    /// *IotHubQuotaExceeded* until the next day (UTC) begins.
    pub fn meter(&mut self, now: UnixMillis, octets: usize) -> Result<(), ServiceError> {
        let Some(scale) = self.settings.scale else { return Ok(()) };
        let messages = self.usage.on_day(now).saturating_add(scale.messages(octets));
        if messages > scale.daily_messages() {
            return Err(scale.exceeded(self.usage.messages));
        }
        self.usage.messages = messages;
        Ok(())
    }

    /// Whether anything more may be done today that counts against the quota. What it counts is known only when it is done:
    /// see [`charge`](Self::charge).
    ///
    /// # Errors
    /// *IotHubQuotaExceeded* until the next day (UTC) begins.
    pub fn check_quota(&mut self, now: UnixMillis) -> Result<(), ServiceError> {
        let Some(scale) = self.settings.scale else { return Ok(()) };
        let messages = self.usage.on_day(now);
        if messages >= scale.daily_messages() { Err(scale.exceeded(messages)) } else { Ok(()) }
    }

    /// Counts something that was done against the day's quota, as a message of the size that `octets` gives: what is read
    /// and written of twins, results of queries, methods and their answers.
    pub fn charge(&mut self, now: UnixMillis, octets: impl FnOnce() -> usize) {
        let Some(scale) = self.settings.scale else { return };
        self.usage.messages = self.usage.on_day(now).saturating_add(scale.messages(octets()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Policies, Settings};

    const T0: UnixMillis = UnixMillis(1_000 * DAY_MS);

    fn hub(scale: Option<Scale>) -> Hub {
        Hub::new(Settings { scale, ..Settings::default() }, Policies::new()).unwrap()
    }

    fn s1() -> Option<Scale> {
        Some(Scale { tier: Tier::S1, units: 1 })
    }

    #[test]
    fn what_is_too_much_is_put_off_first_and_refused_later() {
        let mut hub = hub(s1());
        for _ in 0..100 {
            assert_eq!(hub.throttle(T0, Operation::DeviceToCloud, 0), Ok(Duration::ZERO));
        }
        let delay = hub.throttle(T0, Operation::DeviceToCloud, 0).unwrap();
        assert_eq!(delay.as_millis(), 10);
        for _ in 1..500 {
            hub.throttle(T0, Operation::DeviceToCloud, 0).unwrap();
        }
        let refused = hub.throttle(T0, Operation::DeviceToCloud, 0).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ThrottlingException);
        assert_eq!(hub.throttle(T0, Operation::TwinRead, 0), Ok(Duration::ZERO), "each has a rate of its own");
        let later = T0.after(Duration::from_secs(6));
        assert_eq!(hub.throttle(later, Operation::DeviceToCloud, 0), Ok(Duration::ZERO));
    }

    #[test]
    fn methods_are_counted_in_steps_of_4_kb() {
        let mut hub = hub(s1());
        for _ in 0..5 {
            assert_eq!(hub.throttle(T0, Operation::Method, 32 * 1024), Ok(Duration::ZERO));
        }
        assert!(hub.throttle(T0, Operation::Method, 1).unwrap() > Duration::ZERO);
    }

    #[test]
    fn a_slow_rate_lets_the_first_through() {
        let mut hub = hub(s1());
        assert_eq!(hub.throttle(T0, Operation::Query, 0), Ok(Duration::ZERO));
        assert!(hub.throttle(T0, Operation::Query, 0).unwrap() > Duration::ZERO);
    }

    #[test]
    fn the_quota_of_a_day_is_counted_in_messages_and_begins_again() {
        let mut hub = hub(Some(Scale { tier: Tier::Free, units: 1 }));
        assert_eq!(hub.meter(T0, 7999 * 512), Ok(()));
        assert_eq!(hub.meter(T0, 513).unwrap_err().code(), ErrorCode::IotHubQuotaExceeded);
        assert_eq!(hub.meter(T0, 0), Ok(()));
        assert_eq!(hub.meter(T0, 1).unwrap_err().code(), ErrorCode::IotHubQuotaExceeded);
        assert_eq!(hub.meter(UnixMillis(T0.0 + DAY_MS), 1), Ok(()));
    }

    #[test]
    fn what_was_done_counts_beyond_the_quota_and_then_nothing_more_is_done() {
        let mut hub = hub(Some(Scale { tier: Tier::Free, units: 1 }));
        assert_eq!(hub.meter(T0, 7999 * 512), Ok(()));
        assert_eq!(hub.check_quota(T0), Ok(()));
        hub.charge(T0, || 5 * 512);
        assert_eq!(hub.check_quota(T0).unwrap_err().code(), ErrorCode::IotHubQuotaExceeded);
        assert_eq!(hub.check_quota(UnixMillis(T0.0 + DAY_MS)), Ok(()));
    }

    #[test]
    fn without_a_tier_there_is_no_bound() {
        let mut hub = hub(None);
        for _ in 0..10_000 {
            assert_eq!(hub.throttle(T0, Operation::Query, 0), Ok(Duration::ZERO));
            assert_eq!(hub.meter(T0, 100_000), Ok(()));
            hub.charge(T0, || 100_000);
            assert_eq!(hub.check_quota(T0), Ok(()));
        }
    }

    #[test]
    fn tiers_have_names() {
        assert_eq!(("S2".parse(), "s4".parse()), (Ok(Tier::S2), Err::<Tier, _>(TierError)));
    }
}
