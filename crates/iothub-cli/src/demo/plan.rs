//! Who takes part in the demo, and what is to happen to each message.

use super::ledger::Final;
use crate::{cli::DemoOptions, failure::Failure};
use base64::{Engine, engine::general_purpose::STANDARD};

/// A device of the demo.
pub(super) struct Participant {
    pub(super) id: String,
    /// The key, in base64.
    pub(super) key: String,
}

impl std::fmt::Debug for Participant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.id)
    }
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) devices: Vec<Participant>,
    pub(super) messages: u32,
}

impl Plan {
    pub(super) fn new(options: &DemoOptions) -> Result<Self, Failure> {
        let devices = (1..=options.devices)
            .map(|number| {
                let mut key = [0; 32];
                getrandom::fill(&mut key).map_err(|error| Failure::new(format!("no random numbers: {error}")))?;
                Ok(Participant { id: format!("device-{number:03}"), key: STANDARD.encode(key) })
            })
            .collect::<Result<_, Failure>>()?;
        Ok(Self { devices, messages: options.messages })
    }

    /// Message `number` in all, for the device whose turn it is.
    pub(super) fn numbers_for(&self, device: usize) -> impl Iterator<Item = u32> + use<> {
        let first = u32::try_from(device).unwrap_or(u32::MAX);
        let step = self.devices.len().max(1);
        (first..self.messages).step_by(step)
    }
}

/// The id of a message.
pub(super) fn message_id(number: u32) -> String {
    format!("c2d-{number:06}")
}

/// The number of a message, if it is one of ours.
pub(super) fn message_number(id: &str) -> Option<u32> {
    id.strip_prefix("c2d-")?.parse().ok()
}

/// The body of a message, which the device checks.
pub(super) fn message_body(device: &str, number: u32) -> String {
    format!("message {number} for {device}")
}

/// The id of the telemetry that a device sends when it is done with a message.
pub(super) fn telemetry_id(number: u32) -> String {
    format!("d2c-{number:06}")
}

/// The body of that telemetry, which the reader checks.
pub(super) fn telemetry_body(device: &str, number: u32) -> String {
    format!("{{\"device\":\"{device}\",\"done\":{number}}}")
}

/// The method that the service calls of each device, which answers with its id.
pub(super) const METHOD: &str = "who";

/// The property that the service wants of each device, and its value.
pub(super) const PROPERTY: &str = "interval";
pub(super) fn property_value(device: usize) -> u64 {
    1000 + u64::try_from(device).unwrap_or_default()
}

/// What a device does with a message in the end: it rejects one in ten.
pub(super) fn outcome(number: u32) -> Final {
    if number % 10 == 3 { Final::Rejected } else { Final::Completed }
}

/// Whether a device abandons a message the first time it gets it: one in seven.
pub(super) fn is_abandoned_once(number: u32) -> bool {
    number % 7 == 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_for_one_device() {
        let devices = (0..3).map(|n| Participant { id: n.to_string(), key: String::new() }).collect();
        let plan = Plan { devices, messages: 10 };
        let mut all: Vec<u32> = (0..3).flat_map(|device| plan.numbers_for(device)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn an_id_gives_its_number_back() {
        assert_eq!(message_number(&message_id(41)), Some(41));
        assert_eq!(message_number("another"), None);
    }
}
