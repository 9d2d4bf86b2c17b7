//! The emulator's delays, locks and lifetimes, as they are given on the command line.

use clap::Args;
use iothub_emulator::hub::Settings;
use std::{str::FromStr, time::Duration};

/// A span of time: `15`, `1.5s`, `500ms`, `2m`, `1h` or `2d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(Duration);

impl Span {
    pub(crate) fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a number of seconds, or a number with ms, s, m, h or d";
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let seconds = match unit {
            "ms" => 0.001,
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(EXPECTED),
        };
        let number: f64 = number.parse().map_err(|_| EXPECTED)?;
        Duration::try_from_secs_f64(number * seconds).map(Self).map_err(|_| EXPECTED)
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Delays, locks and lifetimes")]
pub(crate) struct TimingOptions {
    /// How old the first record of a feedback batch gets before the batch is sent; 15 s on the real hub.
    #[arg(long, default_value = "15s", value_name = "TIME")]
    pub(crate) feedback_delay: Span,
    /// How long a feedback batch belongs to the receiver that took it.
    #[arg(long, default_value = "60s", value_name = "TIME")]
    pub(crate) feedback_lock: Span,
    /// How long a feedback batch is kept.
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub(crate) feedback_ttl: Span,
    /// How often a feedback batch may be abandoned before it is dropped.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) feedback_max_delivery_count: u32,
    /// How long a cloud-to-device message belongs to the device that took it.
    #[arg(long, default_value = "60s", value_name = "TIME")]
    pub(crate) c2d_lock: Span,
    /// How long a cloud-to-device message is kept that has no expiry of its own.
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub(crate) c2d_ttl: Span,
    /// How often a cloud-to-device message may be abandoned before it is dead-lettered.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) c2d_max_delivery_count: u32,
    /// Count a lock that runs out as an abandon. The real hub counts explicit abandons only.
    #[arg(long)]
    pub(crate) c2d_count_lock_expiry: bool,
    /// How long a token is taken after its expiry, for clients whose clocks are behind.
    #[arg(long, default_value = "0s", value_name = "TIME")]
    pub(crate) token_clock_skew: Span,
}

impl TimingOptions {
    pub(crate) fn apply(&self, settings: &mut Settings) {
        let feedback = &mut settings.feedback;
        feedback.batch_delay = self.feedback_delay.0;
        feedback.lock = self.feedback_lock.0;
        feedback.ttl = self.feedback_ttl.0;
        feedback.max_delivery_count = self.feedback_max_delivery_count;
        let c2d = &mut settings.cloud_to_device;
        c2d.lock = self.c2d_lock.0;
        c2d.default_ttl = self.c2d_ttl.0;
        c2d.max_delivery_count = self.c2d_max_delivery_count;
        c2d.count_lock_expiry = self.c2d_count_lock_expiry;
        settings.token_clock_skew = self.token_clock_skew.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        timing: TimingOptions,
    }

    #[test]
    fn spans_have_units() {
        let millis = |text: &str| text.parse::<Span>().map(|span| span.0.as_millis());
        for (text, expected) in
            [("15", 15_000), ("1.5s", 1500), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000), ("2d", 172_800_000)]
        {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
        for text in ["", "s", "-1", "1y", "1 s", "inf", "NaN"] {
            assert!(millis(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_given_is_as_in_the_settings() {
        let mut settings = Settings::default();
        Only::parse_from(["emulator"]).timing.apply(&mut settings);
        assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
    }
}
