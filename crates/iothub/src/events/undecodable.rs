use super::Event;
use crate::{error::Error, time::from_timestamp};
use amqp1::{
    Message,
    codec::{DecodeError, ValueRef, printable::bounded_debug},
};
use bytes::Bytes;
use std::{error::Error as StdError, fmt, time::SystemTime};

/// An event that cannot be decoded: its octets, the reason, and its place in the partition.
///
/// It stays in the partition, and every reader meets it again that begins before it. A reader goes on behind it with its
/// next call; [`PartitionReader::checkpoint`](crate::processor::PartitionReader::checkpoint) takes it as it takes an
/// [`Event`], so that the next reader begins behind it.
#[derive(Clone)]
pub struct UndecodableEvent(Box<Inner>);

#[derive(Clone)]
struct Inner {
    message: Message,
    partition: String,
    offset: Option<String>,
    error: DecodeError,
}

impl UndecodableEvent {
    pub(super) fn new(message: &Message, partition: &str, error: DecodeError) -> Self {
        let offset = text(message, "x-opt-offset").map(str::to_owned);
        Self(Box::new(Inner { message: message.clone(), partition: partition.to_owned(), offset, error }))
    }

    /// The partition that it was read from.
    pub fn partition_id(&self) -> &str {
        &self.0.partition
    }

    /// Where the event is in its partition; `None` if that cannot be read either.
    pub fn offset(&self) -> Option<&str> {
        self.0.offset.as_deref()
    }

    /// The event's number in its partition; `None` if that cannot be read either.
    pub fn sequence_number(&self) -> Option<i64> {
        annotation(&self.0.message, "x-opt-sequence-number")?.as_integer()?.try_into().ok()
    }

    /// When the event came into its partition; `None` if that cannot be read either.
    pub fn enqueued_time(&self) -> Option<SystemTime> {
        match annotation(&self.0.message, "x-opt-enqueued-time")? {
            ValueRef::Timestamp(time) => from_timestamp(time),
            _ => None,
        }
    }

    /// The device that sent it; `None` if that cannot be read either.
    pub fn device_id(&self) -> Option<&str> {
        text(&self.0.message, "iothub-connection-device-id")
    }

    /// The whole message as it came, section by section in AMQP's encoding.
    pub fn octets(&self) -> Bytes {
        let mut parts = self.0.message.to_encoded().into_parts();
        match parts.len() {
            1 => parts.swap_remove(0),
            _ => parts.concat().into(),
        }
    }

    /// The message, of which the sections that can be decoded are readable one by one.
    pub fn message(&self) -> &Message {
        &self.0.message
    }

    /// Why it cannot be decoded.
    pub fn error(&self) -> &DecodeError {
        &self.0.error
    }
}

fn annotation<'a>(message: &'a Message, name: &str) -> Option<ValueRef<'a>> {
    message.message_annotation(name).ok().flatten()
}

fn text<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    annotation(message, name)?.as_text()
}

impl fmt::Display for UndecodableEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event of partition {} cannot be decoded", self.0.partition)?;
        if let Some(number) = self.sequence_number() {
            write!(f, " (sequence number {number})")?;
        }
        write!(f, ": {}", self.0.error)
    }
}

impl fmt::Debug for UndecodableEvent {
    /// How many octets it has; what they hold may be large or secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { message, partition, offset, error } = &*self.0;
        bounded_debug(f, |f| {
            f.debug_struct("UndecodableEvent")
                .field("partition", partition)
                .field("offset", offset)
                .field("sequence_number", &self.sequence_number())
                .field("octets", &message.encoded_len())
                .field("error", error)
                .finish()
        })
    }
}

impl StdError for UndecodableEvent {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0.error)
    }
}

impl From<UndecodableEvent> for Error {
    /// For an application that stops at such an event.
    fn from(event: UndecodableEvent) -> Self {
        Self::protocol(format!("the hub did not keep to the protocol: {event}")).with_source(event)
    }
}

/// An event's place in its partition, of which a checkpoint is made: of an [`Event`], of an [`UndecodableEvent`], and of
/// either as a reader gives it.
pub trait PlaceInPartition: sealed::Sealed + Sync {
    /// The partition.
    fn partition_id(&self) -> &str;

    /// The offset.
    fn offset(&self) -> Option<&str>;

    /// The sequence number.
    fn sequence_number(&self) -> Option<i64>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! place_in_partition {
    ($event:ty) => {
        impl sealed::Sealed for $event {}

        impl PlaceInPartition for $event {
            fn partition_id(&self) -> &str {
                self.partition_id()
            }

            fn offset(&self) -> Option<&str> {
                self.offset()
            }

            fn sequence_number(&self) -> Option<i64> {
                self.sequence_number()
            }
        }
    };
}

place_in_partition!(Event);
place_in_partition!(UndecodableEvent);

impl sealed::Sealed for Result<Event, UndecodableEvent> {}

impl PlaceInPartition for Result<Event, UndecodableEvent> {
    fn partition_id(&self) -> &str {
        self.as_ref().map_or_else(UndecodableEvent::partition_id, Event::partition_id)
    }

    fn offset(&self) -> Option<&str> {
        self.as_ref().map_or_else(UndecodableEvent::offset, Event::offset)
    }

    fn sequence_number(&self) -> Option<i64> {
        self.as_ref().map_or_else(UndecodableEvent::sequence_number, Event::sequence_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1::Symbol;

    /// A section of message annotations, then application properties with a key that cannot be decoded.
    fn malformed() -> Message {
        let built = Message::builder()
            .message_annotation(Symbol::from_static("x-opt-offset"), "4096")
            .message_annotation(Symbol::from_static("x-opt-sequence-number"), 42i64)
            .message_annotation(Symbol::from_static("iothub-connection-device-id"), "d1")
            .build();
        let mut octets: Vec<u8> = built.into_parts().concat();
        // A map of one entry. AMQP has no type of the key's format code.
        octets.extend([0x00, 0x53, 0x74, 0xc1, 0x03, 0x02, 0x0f, 0x40]);
        Message::received([Bytes::from(octets)], amqp1::codec::Limits::default())
    }

    fn undecodable() -> UndecodableEvent {
        let message = malformed();
        let error = Event::new(&message, "3").expect_err("undecodable");
        UndecodableEvent::new(&message, "3", error)
    }

    #[test]
    fn an_event_that_cannot_be_decoded_has_its_place_and_its_octets() {
        let event = undecodable();
        assert_eq!((event.partition_id(), event.offset(), event.sequence_number()), ("3", Some("4096"), Some(42)));
        assert_eq!((event.device_id(), event.enqueued_time()), (Some("d1"), None));
        assert!(event.octets().ends_with(&[0x0f, 0x40]));
        let text = event.to_string();
        assert!(text.starts_with("an event of partition 3 cannot be decoded (sequence number 42): "), "{text}");
        let error = Error::from(event);
        assert_eq!(error.kind(), crate::ErrorKind::Protocol);
        assert!(error.source().is_some_and(<dyn StdError>::is::<UndecodableEvent>));
    }

    #[test]
    fn debug_shows_no_octets() {
        let shown = format!("{:?}", undecodable());
        assert!(shown.contains("sequence_number") && !shown.contains("Bytes") && !shown.contains("\\x"), "{shown}");
    }
}
