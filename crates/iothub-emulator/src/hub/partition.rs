//! One telemetry partition: a log of events that readers walk at their own pace.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::clock::UnixMillis;
use super::ids::{DeviceId, ModuleId};
use super::notices::Notice;
use super::settings::TelemetrySettings;

/// One event of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The partition that holds it.
    pub partition: u32,
    /// `x-opt-sequence-number`: counts from 0 without a gap.
    pub sequence_number: i64,
    /// `x-opt-offset`, which is a string on the wire: grows with the octets of the events before it.
    pub offset: u64,
    /// `x-opt-enqueued-time` and `iothub-enqueuedtime`; never before that of an earlier event.
    pub enqueued: UnixMillis,
    /// What the hub knows about the sender.
    pub origin: EventOrigin,
    /// The message as the front encoded it; the model never looks inside.
    pub payload: Bytes,
}

/// Who sent an event, for the `iothub-connection-…` annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventOrigin {
    /// `iothub-connection-device-id`, and `x-opt-partition-key`.
    pub device: DeviceId,
    /// `iothub-connection-module-id`.
    pub module: Option<ModuleId>,
    /// `iothub-connection-auth-method`: see [`Grant::auth_method`](super::Grant::auth_method).
    pub auth_method: Arc<str>,
    /// `iothub-connection-auth-generation-id`.
    pub generation_id: Arc<str>,
    /// Set on an event of the hub itself, whose payload is JSON text.
    pub notice: Option<Notice>,
}

/// Where to begin reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventPosition {
    /// The oldest event that is kept.
    Start,
    /// After the newest event there is when the cursor is made.
    Latest,
    /// By offset.
    Offset {
        /// The offset.
        offset: u64,
        /// Whether the event at that offset is wanted too.
        inclusive: bool,
    },
    /// By sequence number.
    SequenceNumber {
        /// The sequence number.
        number: i64,
        /// Whether the event of that number is wanted too.
        inclusive: bool,
    },
    /// After this point in time.
    EnqueuedTime(UnixMillis),
}

impl EventPosition {
    fn is_before(self, event: &Event) -> bool {
        match self {
            Self::Start | Self::Latest => true,
            Self::Offset { offset, inclusive } => event.offset > offset || inclusive && event.offset == offset,
            Self::SequenceNumber { number, inclusive } => {
                event.sequence_number > number || inclusive && event.sequence_number == number
            }
            Self::EnqueuedTime(time) => event.enqueued > time,
        }
    }
}

/// Why reading cannot begin at a position.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PositionError {
    /// There is no such partition.
    #[error("404006 ErrorCode:AmqpAddressNotFound; no such partition")]
    NoPartition,
    /// The offset is behind that of the newest event.
    #[error("The supplied offset '{supplied}' is invalid. The last offset in the system is '{last}'")]
    OffsetBeyondEnd {
        /// The offset that was asked for.
        supplied: u64,
        /// The offset of the newest event as on the wire; `-1` if there never was one.
        last: String,
    },
    /// The sequence number is behind that of the newest event.
    #[error("The supplied sequence number '{supplied}' is invalid. The last sequence number in the system is '{last}'")]
    SequenceNumberBeyondEnd {
        /// The sequence number that was asked for.
        supplied: i64,
        /// The number of the newest event; -1 if there never was one.
        last: i64,
    },
}

impl PositionError {
    /// The error condition for detach. The description is the error's text, in the service's words.
    #[must_use]
    pub fn condition(&self) -> &'static str {
        match self {
            Self::NoPartition => "amqp:not-found",
            Self::OffsetBeyondEnd { .. } | Self::SequenceNumberBeyondEnd { .. } => "com.microsoft:argument-error",
        }
    }
}

/// A reader's place in a partition. A reader that falls behind what is kept goes on with the oldest event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    partition: u32,
    next: i64,
    /// A point in time may lie ahead of the newest event, so it is kept until an event is past it.
    position: EventPosition,
}

impl Cursor {
    /// The partition that it reads.
    #[must_use]
    pub fn partition(&self) -> u32 {
        self.partition
    }
}

/// What `$management` tells about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionProperties {
    /// Number of the oldest event that is kept.
    pub begin_sequence_number: i64,
    /// Number of the newest event; -1 if there never was one.
    pub last_sequence_number: i64,
    /// Offset of the newest event as on the wire; `-1` if there never was one.
    pub last_offset: String,
    /// When the newest event came; `None` if there never was one.
    pub last_enqueued: Option<UnixMillis>,
    /// Whether no event is kept.
    pub is_empty: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Partition {
    number: u32,
    max_messages: usize,
    max_octets: usize,
    events: VecDeque<Arc<Event>>,
    octets: usize,
    next_sequence_number: i64,
    next_offset: u64,
    last_enqueued: UnixMillis,
}

impl Partition {
    pub(crate) fn new(number: u32, settings: &TelemetrySettings) -> Self {
        Self {
            number,
            max_messages: settings.max_messages,
            max_octets: settings.max_octets,
            events: VecDeque::new(),
            octets: 0,
            next_sequence_number: 0,
            next_offset: 0,
            last_enqueued: UnixMillis::default(),
        }
    }

    pub(crate) fn append(&mut self, now: UnixMillis, origin: EventOrigin, payload: Bytes) -> Arc<Event> {
        self.last_enqueued = self.last_enqueued.max(now);
        let size = payload.len();
        let event = Arc::new(Event {
            partition: self.number,
            sequence_number: self.next_sequence_number,
            offset: self.next_offset,
            enqueued: self.last_enqueued,
            origin,
            payload,
        });
        self.next_sequence_number += 1;
        // An event without a payload must not share the offset of the next.
        self.next_offset += u64::try_from(size).unwrap_or(0).max(1);
        self.octets += size;
        self.events.push_back(event.clone());
        while self.events.len() > 1 && (self.events.len() > self.max_messages || self.octets > self.max_octets) {
            if let Some(oldest) = self.events.pop_front() {
                self.octets -= oldest.payload.len();
            }
        }
        event
    }

    /// A cursor at `position`. A position behind the newest event is not waited for: the reader has seen another log.
    pub(crate) fn cursor(&self, position: EventPosition) -> Result<Cursor, PositionError> {
        match position {
            EventPosition::Offset { offset, .. } if self.last_offset().is_none_or(|last| offset > last) => {
                return Err(PositionError::OffsetBeyondEnd { supplied: offset, last: self.last_offset_text() });
            }
            EventPosition::SequenceNumber { number, .. } if number >= self.next_sequence_number => {
                let last = self.next_sequence_number - 1;
                return Err(PositionError::SequenceNumberBeyondEnd { supplied: number, last });
            }
            _ => {}
        }
        let next = if position == EventPosition::Latest { self.next_sequence_number } else { 0 };
        Ok(Cursor { partition: self.number, next, position })
    }

    /// The next events for `cursor`, at most `max`, and moves it on.
    pub(crate) fn read(&self, cursor: &mut Cursor, max: usize) -> Vec<Arc<Event>> {
        let begin = self.begin_sequence_number();
        let from = usize::try_from(cursor.next.saturating_sub(begin)).unwrap_or(0);
        // All three measures grow along the log, so what is not wanted lies at its beginning.
        let wanted = self.events.partition_point(|event| !cursor.position.is_before(event)).max(from);
        let events: Vec<_> = self.events.iter().skip(wanted).take(max).cloned().collect();
        if let Some(last) = events.last() {
            cursor.next = last.sequence_number + 1;
            cursor.position = EventPosition::Start;
        }
        events
    }

    pub(crate) fn properties(&self) -> PartitionProperties {
        let newest = self.events.back();
        PartitionProperties {
            begin_sequence_number: self.begin_sequence_number(),
            last_sequence_number: self.next_sequence_number - 1,
            last_offset: self.last_offset_text(),
            last_enqueued: (self.next_sequence_number > 0).then_some(self.last_enqueued),
            is_empty: newest.is_none(),
        }
    }

    /// The newest event is always kept.
    fn last_offset(&self) -> Option<u64> {
        self.events.back().map(|event| event.offset)
    }

    fn last_offset_text(&self) -> String {
        self.last_offset().map_or_else(|| "-1".into(), |offset| offset.to_string())
    }

    fn begin_sequence_number(&self) -> i64 {
        self.events.front().map_or(self.next_sequence_number, |event| event.sequence_number)
    }
}

/// The partition of a device: always the same for the same id and number of partitions.
pub(crate) fn partition_of(device: &DeviceId, partitions: u32) -> u32 {
    // FNV-1a, then a last mix, as its low bits alone are uneven for ids that differ in one digit.
    let hash = device
        .as_str()
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01B3));
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    u32::try_from(mixed % u64::from(partitions.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests;
