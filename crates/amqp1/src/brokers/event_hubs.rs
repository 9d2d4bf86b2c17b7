//! Azure Event Hubs: its addresses, where reading begins, and who may read.
//!
//! ```no_run
//! # async fn example(session: amqp1::Session) -> Result<(), amqp1::Error> {
//! use amqp1::brokers::event_hubs::{self, DEFAULT_CONSUMER_GROUP, EventPosition};
//!
//! let partition = event_hubs::partition_of_group("hub", DEFAULT_CONSUMER_GROUP, "0");
//! let mut events = session
//!     .receiver(partition)
//!     .filter(EventPosition::Start)
//!     // Event Hubs applies the filter whether or not its answer has it.
//!     .allow_differences()
//!     .attach()
//!     .await?;
//! # Ok(()) }
//! ```

use crate::types::filter::Filter;
use amqp1_codec::{Str, Symbol};
use std::time::{SystemTime, UNIX_EPOCH};

/// The consumer group that each event hub has.
pub const DEFAULT_CONSUMER_GROUP: &str = "$Default";

/// The property of a receiving link that makes it the only reader of its partition in the consumer group, with an owner
/// level, a signed 64-bit number: readers with a lower level or none are detached.
pub const OWNER_LEVEL: Symbol = Symbol::from_static("com.microsoft:epoch");

/// The message annotation whose value decides the partition of an event.
pub const PARTITION_KEY: Symbol = Symbol::from_static("x-opt-partition-key");

/// The address from which a partition is read: `HUB/ConsumerGroups/GROUP/Partitions/ID`.
pub fn partition_of_group(hub: &str, group: &str, partition: &str) -> Str {
    format!("{hub}/ConsumerGroups/{group}/Partitions/{partition}").into()
}

/// The address at which one partition is written to: `HUB/Partitions/ID`. At the address `HUB` the service chooses.
pub fn partition(hub: &str, partition: &str) -> Str {
    format!("{hub}/Partitions/{partition}").into()
}

/// Where to begin in a partition. As a [`Filter`] it is a selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventPosition {
    /// With the oldest event that is still there.
    Start,
    /// With the next event that comes.
    #[default]
    Latest,
    /// After an event's offset.
    Offset {
        /// The offset: an opaque text, the event's message annotation `x-opt-offset`.
        offset: String,
        /// Whether to begin with the event of this offset itself.
        inclusive: bool,
    },
    /// After an event's sequence number.
    SequenceNumber {
        /// The number: the event's message annotation `x-opt-sequence-number`.
        number: i64,
        /// Whether to begin with the event of this number itself.
        inclusive: bool,
    },
    /// With the first event that was enqueued after this time, in milliseconds since 1970-01-01T00:00:00Z.
    EnqueuedTime(i64),
}

impl EventPosition {
    /// After the event of this offset.
    pub fn after_offset(offset: impl Into<String>) -> Self {
        Self::Offset { offset: offset.into(), inclusive: false }
    }

    /// With the event of this offset.
    pub fn at_offset(offset: impl Into<String>) -> Self {
        Self::Offset { offset: offset.into(), inclusive: true }
    }

    /// After the event of this sequence number.
    pub const fn after_sequence_number(number: i64) -> Self {
        Self::SequenceNumber { number, inclusive: false }
    }

    /// With the event of this sequence number.
    pub const fn at_sequence_number(number: i64) -> Self {
        Self::SequenceNumber { number, inclusive: true }
    }

    /// With the first event that was enqueued after `time`.
    pub fn enqueued_after(time: SystemTime) -> Self {
        let millis = time.duration_since(UNIX_EPOCH).map(|after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
        // All events are later than 1970.
        Self::EnqueuedTime(millis.unwrap_or(0))
    }

    /// The expression of the selector.
    pub fn selector(&self) -> String {
        let operator = |inclusive: &bool| if *inclusive { ">=" } else { ">" };
        match self {
            Self::Start => "amqp.annotation.x-opt-offset > '-1'".to_owned(),
            Self::Latest => "amqp.annotation.x-opt-offset > '@latest'".to_owned(),
            Self::Offset { offset, inclusive } => {
                // In an expression a quote within quotes is written twice.
                let offset = offset.replace('\'', "''");
                format!("amqp.annotation.x-opt-offset {} '{offset}'", operator(inclusive))
            }
            Self::SequenceNumber { number, inclusive } => {
                format!("amqp.annotation.x-opt-sequence-number {} '{number}'", operator(inclusive))
            }
            Self::EnqueuedTime(millis) => format!("amqp.annotation.x-opt-enqueued-time > '{millis}'"),
        }
    }
}

impl From<EventPosition> for Filter {
    fn from(position: EventPosition) -> Self {
        // Event Hubs looks at the name.
        Self::new(Symbol::from_static("apache.org:selector-filter:string"), Self::SELECTOR, position.selector())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::Value;
    use std::time::Duration;

    #[test]
    fn positions_have_the_selectors_that_event_hubs_knows() {
        let offset = |inclusive| EventPosition::Offset { offset: "4096".to_owned(), inclusive };
        let number = |inclusive| EventPosition::SequenceNumber { number: 2995, inclusive };
        for (position, selector) in [
            (EventPosition::Start, "amqp.annotation.x-opt-offset > '-1'"),
            (EventPosition::Latest, "amqp.annotation.x-opt-offset > '@latest'"),
            (offset(false), "amqp.annotation.x-opt-offset > '4096'"),
            (offset(true), "amqp.annotation.x-opt-offset >= '4096'"),
            (number(false), "amqp.annotation.x-opt-sequence-number > '2995'"),
            (number(true), "amqp.annotation.x-opt-sequence-number >= '2995'"),
            (
                EventPosition::enqueued_after(UNIX_EPOCH + Duration::from_millis(1_795_378_051_123)),
                "amqp.annotation.x-opt-enqueued-time > '1795378051123'",
            ),
        ] {
            assert_eq!(position.selector(), selector);
        }
    }

    #[test]
    fn an_offset_cannot_leave_its_quotes() {
        let position = EventPosition::after_offset("1' OR '1");
        assert_eq!(position.selector(), "amqp.annotation.x-opt-offset > '1'' OR ''1'");
    }

    #[test]
    fn a_position_is_a_selector_under_the_name_of_its_type() {
        let filter = Filter::from(EventPosition::Start);
        assert_eq!(filter.name(), "apache.org:selector-filter:string");
        assert_eq!(*filter.value(), Value::described(Filter::SELECTOR, EventPosition::Start.selector()));
    }

    #[test]
    fn partitions_have_an_address_for_each_direction() {
        assert_eq!(partition_of_group("hub", DEFAULT_CONSUMER_GROUP, "3"), "hub/ConsumerGroups/$Default/Partitions/3");
        assert_eq!(partition("hub", "3"), "hub/Partitions/3");
    }
}
