//! Telemetry, read by the service.

mod builder;
mod event;
mod management;
mod position;
mod redirect;
mod trail;

pub use builder::EventConsumerBuilder;
pub use event::Event;
pub use position::EventPosition;

use crate::{connect::Hub, error::Error};
use amqp1::Receiver;

/// Reads the events of one partition of a hub's built-in endpoint.
///
/// The client attaches at the hub, which redirects it to its Event-Hubs-compatible endpoint; it goes there, within the
/// rules of [`EventConsumerBuilder::allow_redirect_to`].
///
/// ```no_run
/// use iothub::{EventConsumer, EventPosition};
///
/// # async fn example(connection_string: &str) -> Result<(), iothub::Error> {
/// let builder = EventConsumer::builder().connection_string(connection_string)?.start(EventPosition::Start);
/// for partition in builder.partition_ids().await? {
///     println!("there is a partition {partition}");
/// }
/// let mut events = builder.partition(0).connect().await?;
/// while let Some(event) = events.next().await? {
///     println!("{:?}: {}", event.device_id(), String::from_utf8_lossy(event.body()));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventConsumer {
    hub: Hub,
    receiver: Receiver,
    address: String,
}

impl EventConsumer {
    /// A consumer that is to be connected.
    pub fn builder() -> EventConsumerBuilder {
        EventConsumerBuilder::default()
    }

    /// The address that the consumer is attached to, after redirects.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits for the next event, without a limit of time; `None` when the hub has ended the link without an error.
    ///
    /// # Errors
    ///
    /// If the link or the connection ends with an error: [`ErrorKind::Superseded`](crate::ErrorKind::Superseded) when a
    /// consumer with a higher owner level has come. An event that cannot be decoded is an error too,
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol), and the next call goes on behind it.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no event is lost.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        let delivery = self.receiver.recv().await.map_err(|error| self.hub.error(error))?;
        let Some(delivery) = delivery else { return self.hub.check().map(|()| None) };
        let event = Event::new(delivery.message());
        // A stream has no use for outcomes; where to go on is the reader's own business.
        let _ = delivery.accept();
        event.map(Some)
    }

    /// Closes the connection.
    ///
    /// # Errors
    ///
    /// If the connection had ended otherwise, or the hub does not answer in time.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on closing by itself.
    pub async fn close(&self) -> Result<(), Error> {
        self.hub.close().await
    }
}
