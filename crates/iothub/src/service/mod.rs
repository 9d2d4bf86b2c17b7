//! The service's side: messages to devices, and what became of them.

mod builder;
mod c2d;
mod feedback;
mod files;

pub use builder::ServiceClientBuilder;
pub(crate) use c2d::ACK;
pub use c2d::{Ack, CloudMessage};
pub use feedback::{FeedbackBatch, FeedbackReceiver, FeedbackRecord, FeedbackStatus};
pub use files::{FileNotification, FileNotificationReceiver};

#[cfg(doc)]
use crate::ErrorKind;
use crate::{
    connect::{Hub, MAX_MESSAGE_SIZE},
    error::Error,
    lazy::LazySender,
    receipt::SendReceipt,
};
use amqp1::{
    Credit, Receiver,
    link::{OnDrop, ReceiverSettleMode},
};
use std::sync::Arc;

/// Where messages to devices go.
const DEVICE_BOUND: &str = "/messages/devicebound";

/// Deliveries that are fetched ahead. Each is locked for 60 s from when the hub sends it, so it is few.
const CREDIT: u32 = 16;

/// A receiver of deliveries that stay locked at the hub until the application has settled them.
async fn attach_receiver(hub: &Hub, source: &str) -> Result<Receiver, Error> {
    hub.check()?;
    let receiver = hub
        .session
        .receiver(source)
        .receiver_settle_mode(ReceiverSettleMode::First)
        .on_drop(OnDrop::LeaveUnsettled)
        .max_message_size(MAX_MESSAGE_SIZE)
        .credit(Credit::Window(CREDIT));
    receiver.attach().await.map_err(|error| hub.error(error))
}

/// A service at its hub: sends messages to devices, reads feedback about them, and which files devices have uploaded.
///
/// One client does for a whole program: [`send`](Self::send) takes `&self` and may be called by many tasks at a time;
/// all share one connection.
///
/// ```no_run
/// use iothub::{Ack, CloudMessage, ServiceClient};
///
/// # async fn example(connection_string: &str) -> Result<(), iothub::Error> {
/// let service = ServiceClient::builder().connection_string(connection_string)?.connect().await?;
/// let mut feedback = service.feedback().await?;
///
/// let message = CloudMessage::new("open the window").message_id("m1").ack(Ack::Full);
/// service.send("device1", message).await?;
///
/// if let Some(batch) = feedback.next().await? {
///     for record in batch.records() {
///         println!("{}: {:?}", record.original_message_id, record.status);
///     }
///     batch.complete()?;
/// }
/// service.close().await
/// # }
/// ```
#[derive(Debug)]
pub struct ServiceClient {
    hub: Arc<Hub>,
    sender: LazySender,
}

impl ServiceClient {
    /// A client that is to be connected.
    pub fn builder() -> ServiceClientBuilder {
        ServiceClientBuilder::default()
    }

    fn new(hub: Hub) -> Self {
        let hub = Arc::new(hub);
        Self { sender: LazySender::new(hub.clone(), DEVICE_BOUND), hub }
    }

    /// Sends a message to a device and waits until the hub has put it into the device's queue.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DeviceNotFound`]; [`ErrorKind::QuotaExceeded`] when the device's queue is full;
    /// [`ErrorKind::MessageTooLarge`]; [`ErrorKind::Throttled`]; [`ErrorKind::InvalidArgument`] for a message that
    /// cannot be sent; what happens to connections. [`Error::delivered`] says whether the hub may have the message.
    ///
    /// # Cancel safety
    ///
    /// Cancelled while it waits for its turn, nothing was sent. Cancelled later, the message is sent and its outcome
    /// is not known.
    pub async fn send(&self, device_id: &str, message: CloudMessage) -> Result<(), Error> {
        self.send_to(device_id, None, message).await
    }

    /// Sends a message to a module of a device, as [`send`](Self::send) does to a device.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn send_to_module(&self, device_id: &str, module_id: &str, message: CloudMessage) -> Result<(), Error> {
        self.send_to(device_id, Some(module_id), message).await
    }

    async fn send_to(&self, device: &str, module: Option<&str>, message: CloudMessage) -> Result<(), Error> {
        self.sender.send(message.encode(device, module)?).await
    }

    /// Sends a message to a device without waiting for the hub to accept it: waits until the hub takes a message, and
    /// gives what becomes of this one. With it many messages are in flight at a time.
    ///
    /// ```no_run
    /// # use iothub::{CloudMessage, ServiceClient};
    /// # async fn example(service: &ServiceClient, devices: &[&str]) -> Result<(), iothub::Error> {
    /// let mut receipts = Vec::new();
    /// for device in devices {
    ///     receipts.push(service.begin_send(device, CloudMessage::new("wake up")).await?);
    /// }
    /// for receipt in receipts {
    ///     receipt.await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// What happens before the message is sent; of what happens after that the receipt speaks. See
    /// [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing was sent.
    pub async fn begin_send(&self, device_id: &str, message: CloudMessage) -> Result<SendReceipt, Error> {
        self.sender.begin_send(message.encode(device_id, None)?).await
    }

    /// Sends a message to a module of a device, as [`begin_send`](Self::begin_send) does to a device.
    ///
    /// # Errors
    ///
    /// As [`begin_send`](Self::begin_send).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing was sent.
    pub async fn begin_send_to_module(
        &self,
        device_id: &str,
        module_id: &str,
        message: CloudMessage,
    ) -> Result<SendReceipt, Error> {
        self.sender.begin_send(message.encode(device_id, Some(module_id))?).await
    }

    /// Opens a reader of file notifications: which files devices have uploaded. Several readers of a hub share its
    /// notifications among them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`] if the policy does not allow it; what happens to connections.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, there is no reader.
    pub async fn file_notifications(&self) -> Result<FileNotificationReceiver, Error> {
        FileNotificationReceiver::attach(self.hub.clone()).await
    }

    /// Opens a reader of feedback. Several readers of a hub share its feedback among them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`] if the policy does not allow it; what happens to connections.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, there is no reader.
    pub async fn feedback(&self) -> Result<FeedbackReceiver, Error> {
        FeedbackReceiver::attach(self.hub.clone()).await
    }

    /// Writes what is queued, settlements of feedback included, and closes the connection; readers end with it.
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
