//! Telemetry, read by the service.

mod builder;
mod event;
mod management;
mod properties;
mod reader;
mod redirect;
mod source;
mod trail;
mod undecodable;

pub use amqp1::brokers::event_hubs::EventPosition;
pub use builder::EventConsumerBuilder;
pub use event::Event;
pub use properties::{EventHubProperties, PartitionProperties};
pub use source::{AuthMethod, EventSource};
pub use undecodable::{PlaceInPartition, UndecodableEvent};

use crate::error::Error;
use reader::Reader;
use std::task::Poll;

/// Reads the events of a hub's built-in endpoint, of one partition or of several.
///
/// The client attaches at the hub, which redirects it to its Event-Hubs-compatible endpoint; it goes there, within the
/// rules of [`EventConsumerBuilder::allow_redirect_to`].
///
/// To share the partitions among several processes, and to go on where an earlier process ended, use an
/// [`EventProcessor`](crate::processor::EventProcessor).
///
/// ```no_run
/// use iothub::{EventConsumer, EventPosition};
///
/// # async fn example(connection_string: &str) -> Result<(), iothub::Error> {
/// let builder = EventConsumer::builder().connection_string(connection_string)?;
/// let mut events = builder.all_partitions().start(EventPosition::Start).connect().await?;
/// while let Some(event) = events.next().await? {
///     match event {
///         Ok(event) => println!("{:?}: {}", event.device_id(), String::from_utf8_lossy(event.body())),
///         // The next call goes on behind it.
///         Err(undecodable) => eprintln!("{undecodable}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventConsumer {
    /// Never empty.
    readers: Vec<Reader>,
    /// Whose turn it is, so that a busy partition does not keep the others waiting.
    turn: usize,
    /// As a stream: its end was given.
    over: bool,
}

crate::stream::stream!(EventConsumer => Result<Event, UndecodableEvent>, |this| this.has_ended());

impl EventConsumer {
    /// A consumer that is to be connected.
    pub fn builder() -> EventConsumerBuilder {
        EventConsumerBuilder::default()
    }

    /// The address that the consumer is attached to, after redirects; with several partitions, that of the first.
    pub fn address(&self) -> &str {
        self.readers.first().map(|reader| reader.address.as_str()).unwrap_or_default()
    }

    /// The partitions that are read.
    pub fn partition_ids(&self) -> impl Iterator<Item = &str> {
        self.readers.iter().map(|reader| reader.partition.as_str())
    }

    /// Where another consumer would go on: behind the last event of the partition that [`next`](Self::next) has given.
    /// `None` if the partition is not read here.
    pub fn position(&self, partition: &str) -> Option<&EventPosition> {
        self.readers.iter().find(|reader| reader.partition == partition).map(|reader| &reader.position)
    }

    /// Waits for the next event, without a limit of time; `None` when the hub has ended the link without an error.
    ///
    /// Events of a partition come in its order. Several partitions take turns. An event that cannot be decoded comes in
    /// its place as an [`UndecodableEvent`]; to stop at it, convert it into an error (`event?`).
    ///
    /// # Errors
    ///
    /// If the link or the connection ends with an error: [`ErrorKind::Superseded`](crate::ErrorKind::Superseded) when a
    /// consumer with a higher owner level has come.
    ///
    /// Of several partitions, each that ends is an error, once, which names it; the others go on, and `None` comes when
    /// all have ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no event is lost.
    pub async fn next(&mut self) -> Result<Option<Result<Event, UndecodableEvent>>, Error> {
        if let [reader] = &mut self.readers[..] {
            return reader.next().await;
        }
        let count = self.readers.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            if let Some(event) = self.readers[index].try_next() {
                self.turn = (index + 1) % count;
                return Ok(Some(event));
            }
        }
        let waiting = self.readers.iter_mut().enumerate().filter(|(_, reader)| !reader.ended);
        let mut waiting: Vec<_> =
            waiting.map(|(index, reader)| Box::pin(async move { (index, reader.next().await) })).collect();
        if waiting.is_empty() {
            return Ok(None);
        }
        let (index, next) = std::future::poll_fn(|context| {
            for reader in &mut waiting {
                if let Poll::Ready(next) = reader.as_mut().poll(context) {
                    return Poll::Ready(next);
                }
            }
            Poll::Pending
        })
        .await;
        drop(waiting);
        self.turn = (index + 1) % count;
        match next {
            Ok(Some(event)) => Ok(Some(event)),
            end => Err(self.readers[index].ended_among_others(end)),
        }
    }

    /// Whether all partitions have ended, and were reported so.
    pub(crate) fn has_ended(&self) -> bool {
        self.readers.iter().all(|reader| reader.ended)
    }

    /// Closes the connections.
    ///
    /// # Errors
    ///
    /// If a connection had ended otherwise, or the hub does not answer in time.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, those that are being closed go on by themselves.
    pub async fn close(&self) -> Result<(), Error> {
        let mut closed = Ok(());
        for reader in &self.readers {
            closed = closed.and(reader.hub.close().await);
        }
        closed
    }
}
