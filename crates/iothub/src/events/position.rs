use crate::{error::Error, time::to_millis};
use std::time::SystemTime;

/// Where to begin in a partition.
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
        /// The offset: an opaque text that [`Event::offset`](crate::Event::offset) gives.
        offset: String,
        /// Whether to begin with the event of this offset itself.
        inclusive: bool,
    },
    /// After an event's sequence number.
    SequenceNumber {
        /// The number.
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
        Self::EnqueuedTime(to_millis(time))
    }

    /// The selector expression for it.
    pub(crate) fn to_selector(&self) -> Result<String, Error> {
        let operator = |inclusive| if inclusive { ">=" } else { ">" };
        Ok(match self {
            Self::Start => "amqp.annotation.x-opt-offset > '-1'".to_owned(),
            Self::Latest => "amqp.annotation.x-opt-offset > '@latest'".to_owned(),
            Self::Offset { offset, inclusive } => {
                // It goes into an expression between quotes.
                if offset.is_empty() || !offset.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\'') {
                    return Err(Error::invalid("an offset is a text of printable ASCII without quotes"));
                }
                format!("amqp.annotation.x-opt-offset {} '{offset}'", operator(*inclusive))
            }
            Self::SequenceNumber { number, inclusive } => {
                format!("amqp.annotation.x-opt-sequence-number {} '{number}'", operator(*inclusive))
            }
            Self::EnqueuedTime(millis) => format!("amqp.annotation.x-opt-enqueued-time > '{millis}'"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

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
            assert_eq!(position.to_selector().expect("a selector"), selector);
        }
    }

    #[test]
    fn an_offset_cannot_leave_its_quotes() {
        for offset in ["", "1' OR '1", "1 2", "é"] {
            let position = EventPosition::Offset { offset: offset.to_owned(), inclusive: false };
            assert!(position.to_selector().is_err(), "{offset:?}");
        }
    }
}
