//! What devices and modules have in common.

use super::{
    batch,
    c2d::{CloudToDeviceReceiver, InputReceiver},
    links::{self, Identity, Subscription},
    methods::Methods,
    telemetry::Telemetry,
    twin::Twin,
};
use crate::{connect::Hub, error::Error, lazy::LazySender, receipt::SendReceipt};
use amqp1::link::SendOptions;
use std::sync::Arc;
use tokio::sync::Mutex;

/// A device or a module at its hub.
#[derive(Debug)]
pub(crate) struct IdentityClient {
    pub(crate) hub: Arc<Hub>,
    pub(crate) identity: Identity,
    telemetry: LazySender,
    /// The links of the twin, while they live.
    twin: Mutex<Option<Twin>>,
}

impl IdentityClient {
    pub(crate) fn new(hub: Hub, identity: Identity) -> Self {
        let hub = Arc::new(hub);
        let telemetry = LazySender::new(hub.clone(), identity.telemetry_address()).with_properties(links::properties());
        Self { hub, identity, telemetry, twin: Mutex::new(None) }
    }

    pub(crate) async fn send(&self, telemetry: &Telemetry) -> Result<(), Error> {
        self.telemetry.send(telemetry.encode()?).await
    }

    pub(crate) async fn begin_send(&self, telemetry: &Telemetry) -> Result<SendReceipt, Error> {
        self.telemetry.begin_send(telemetry.encode()?).await
    }

    pub(crate) async fn send_batch(&self, telemetry: impl IntoIterator<Item = Telemetry>) -> Result<(), Error> {
        let Some(batch) = batch::encode(telemetry)? else { return Ok(()) };
        let options = SendOptions { message_format: batch::FORMAT, ..SendOptions::default() };
        self.telemetry.send_with(batch, options).await
    }

    pub(crate) async fn prepare_to_send(&self) -> Result<(), Error> {
        self.hub.check()?;
        self.telemetry.sender().await.map(drop)
    }

    pub(crate) async fn cloud_to_device(&self) -> Result<CloudToDeviceReceiver, Error> {
        let address = self.identity.subscription_address(Subscription::CloudToDevice);
        CloudToDeviceReceiver::attach(self.hub.clone(), address).await
    }

    pub(crate) async fn inputs(&self) -> Result<InputReceiver, Error> {
        let address = self.identity.subscription_address(Subscription::Inputs);
        InputReceiver::attach(self.hub.clone(), address).await
    }

    pub(crate) async fn methods(&self) -> Result<Methods, Error> {
        Methods::attach(self.hub.clone(), &self.identity).await
    }

    pub(crate) async fn twin(&self) -> Result<Twin, Error> {
        let mut slot = self.twin.lock().await;
        if let Some(twin) = slot.as_ref().filter(|twin| !twin.is_over()) {
            return Ok(twin.clone());
        }
        let twin = Twin::attach(self.hub.clone(), &self.identity).await?;
        Ok(slot.insert(twin).clone())
    }
}

/// What the clients of devices and modules can do alike; they have a field `client`.
macro_rules! identity_methods {
    () => {
        /// The device's id.
        pub fn device_id(&self) -> &str {
            &self.client.identity.device
        }

        /// Sends telemetry and waits until the hub has it.
        ///
        /// # Errors
        ///
        /// [`ErrorKind::DeviceNotFound`](crate::ErrorKind::DeviceNotFound);
        /// [`ErrorKind::MessageTooLarge`](crate::ErrorKind::MessageTooLarge);
        /// [`ErrorKind::Throttled`](crate::ErrorKind::Throttled);
        /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for telemetry that cannot be sent; what
        /// happens to connections. [`Error::delivered`](crate::Error::delivered) says whether the hub may have it.
        ///
        /// # Cancel safety
        ///
        /// Cancelled while it waits for its turn, nothing was sent. Cancelled later, the telemetry is in flight and its
        /// outcome is not known.
        pub async fn send(&self, telemetry: $crate::Telemetry) -> Result<(), $crate::Error> {
            self.client.send(&telemetry).await
        }

        /// Sends telemetry without waiting for the hub to accept it: waits until the hub takes a message, and returns a
        /// receipt, which is a future of what became of this one. With it many are in flight at a time, in order.
        ///
        /// # Errors
        ///
        /// As [`send`](Self::send), as far as it happens before the telemetry is sent; the receipt has the rest.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, nothing was sent.
        pub async fn begin_send(&self, telemetry: $crate::Telemetry) -> Result<$crate::SendReceipt, $crate::Error> {
            self.client.begin_send(&telemetry).await
        }

        /// Sends telemetry as one batch and waits until the hub has all of it. The hub takes a batch whole or not at
        /// all. A batch without telemetry is not sent.
        ///
        /// # Errors
        ///
        /// As [`send`](Self::send); [`ErrorKind::MessageTooLarge`](crate::ErrorKind::MessageTooLarge) if all of it is
        /// larger than 256 KB, as one message may be.
        ///
        /// # Cancel safety
        ///
        /// As [`send`](Self::send).
        pub async fn send_batch(
            &self,
            telemetry: impl IntoIterator<Item = $crate::Telemetry>,
        ) -> Result<(), $crate::Error> {
            self.client.send_batch(telemetry).await
        }

        /// Attaches the link for telemetry, which the first [`send`](Self::send) would do otherwise.
        ///
        /// # Errors
        ///
        /// [`ErrorKind::Unauthorized`](crate::ErrorKind::Unauthorized),
        /// [`ErrorKind::DeviceNotFound`](crate::ErrorKind::DeviceNotFound); what happens to connections.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, the first `send` attaches it.
        pub async fn prepare_to_send(&self) -> Result<(), $crate::Error> {
            self.client.prepare_to_send().await
        }

        /// Opens the receiver of the messages that services send. There is one for each device or module.
        ///
        /// # Errors
        ///
        /// [`ErrorKind::Unauthorized`](crate::ErrorKind::Unauthorized),
        /// [`ErrorKind::DeviceNotFound`](crate::ErrorKind::DeviceNotFound); what happens to connections.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, there is no receiver.
        pub async fn cloud_to_device(&self) -> Result<$crate::CloudToDeviceReceiver, $crate::Error> {
            self.client.cloud_to_device().await
        }

        /// Opens the receiver of direct methods. From then on the hub counts this as online for them.
        ///
        /// # Errors
        ///
        /// As [`cloud_to_device`](Self::cloud_to_device).
        ///
        /// # Cancel safety
        ///
        /// Cancelled, there is no receiver.
        pub async fn methods(&self) -> Result<$crate::Methods, $crate::Error> {
            self.client.methods().await
        }

        /// Opens the twin. Further calls return the same twin while its links live.
        ///
        /// # Errors
        ///
        /// As [`cloud_to_device`](Self::cloud_to_device).
        ///
        /// # Cancel safety
        ///
        /// Cancelled, its links are closed.
        pub async fn twin(&self) -> Result<$crate::Twin, $crate::Error> {
            self.client.twin().await
        }

        /// Writes what is queued, settlements included, and closes the connection; receivers end with it. On a
        /// [`MultiplexedConnection`](crate::MultiplexedConnection) only what belongs to this client is closed.
        ///
        /// # Errors
        ///
        /// If the connection had ended otherwise, or the hub does not answer in time.
        ///
        /// # Cancel safety
        ///
        /// Cancelled, it goes on closing by itself.
        pub async fn close(&self) -> Result<(), $crate::Error> {
            self.client.hub.close().await
        }
    };
}
pub(crate) use identity_methods;
