//! One partition that is being read.

use super::{Event, EventPosition, PlaceInPartition, UndecodableEvent};
use crate::{
    connect::Hub,
    error::{Error, ErrorKind},
};
use amqp1::{Delivery, Receiver};

/// An event, the end of the link, or the error that has ended it.
pub(super) type Next = Result<Option<Result<Event, UndecodableEvent>>, Error>;

/// A partition that is being read. What it holds is enough to go on elsewhere: where it is, and how far it was read.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) partition: String,
    pub(super) address: String,
    /// Behind the last event that was given out; where reading began before that.
    pub(super) position: EventPosition,
    pub(super) hub: Hub,
    pub(super) receiver: Receiver,
    /// Whether its end was reported.
    pub(super) ended: bool,
}

impl Reader {
    /// An event that is there already.
    pub(super) fn try_next(&mut self) -> Option<Result<Event, UndecodableEvent>> {
        let delivery = self.receiver.try_recv().ok()?;
        Some(self.event(delivery))
    }

    /// Waits for the next event; cancel-safe.
    pub(super) async fn next(&mut self) -> Next {
        let delivery = match self.receiver.recv().await {
            Ok(delivery) => delivery,
            Err(error) => {
                self.ended = true;
                return Err(self.hub.error(error));
            }
        };
        match delivery {
            Some(delivery) => Ok(Some(self.event(delivery))),
            None => {
                self.ended = true;
                self.hub.check().map(|()| None)
            }
        }
    }

    fn event(&mut self, delivery: Delivery) -> Result<Event, UndecodableEvent> {
        let event = Event::new(delivery.message(), &self.partition)
            .map_err(|error| UndecodableEvent::new(delivery.message(), &self.partition, error));
        // A stream has no use for outcomes; where to go on is the reader's own business.
        delivery.accept().ok();
        if let Some(offset) = event.offset() {
            self.position = EventPosition::Offset { offset: offset.to_owned(), inclusive: false };
        } else if let Some(number) = event.sequence_number() {
            self.position = EventPosition::SequenceNumber { number, inclusive: false };
        }
        event
    }

    /// The end of a partition among several: the others go on, so it must not pass in silence.
    pub(super) fn ended_among_others(&self, end: Next) -> Error {
        let partition = &self.partition;
        match end {
            Err(error) => error.prefixed(&format!("partition {partition}")),
            Ok(_) => {
                Error::new(ErrorKind::ConnectionLost, format!("partition {partition}: the hub has ended the link"))
            }
        }
    }
}
