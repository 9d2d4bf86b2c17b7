//! The device's side: telemetry to the hub, messages from it.

mod builder;
mod c2d;
mod telemetry;

pub use builder::DeviceClientBuilder;
pub use c2d::{CloudToDevice, CloudToDeviceReceiver};
pub use telemetry::Telemetry;

#[cfg(doc)]
use crate::ErrorKind;
use crate::{connect::Hub, error::Error, lazy::LazySender, message::device_path};
use std::sync::Arc;

/// A device, or a module of one, at its hub: sends telemetry and receives cloud-to-device messages.
///
/// All methods take `&self`; many tasks may send at a time.
///
/// ```no_run
/// use iothub::{DeviceClient, Telemetry};
///
/// # async fn example(connection_string: &str) -> Result<(), iothub::Error> {
/// let device = DeviceClient::builder().connection_string(connection_string)?.connect().await?;
/// device.send(Telemetry::new(r#"{"degrees":21}"#).content_type("application/json").property("room", "3")).await?;
///
/// let mut messages = device.cloud_to_device().await?;
/// if let Some(message) = messages.next().await? {
///     println!("{}", String::from_utf8_lossy(message.body()));
///     message.complete()?;
/// }
/// device.close().await
/// # }
/// ```
#[derive(Debug)]
pub struct DeviceClient {
    hub: Arc<Hub>,
    device_id: String,
    module_id: Option<String>,
    sender: LazySender,
}

impl DeviceClient {
    /// A client that is to be connected.
    pub fn builder() -> DeviceClientBuilder {
        DeviceClientBuilder::default()
    }

    fn new(hub: Hub, device_id: String, module_id: Option<String>) -> Self {
        let hub = Arc::new(hub);
        let sender = LazySender::new(hub.clone(), address(&device_id, module_id.as_deref(), "events"));
        Self { hub, device_id, module_id, sender }
    }

    /// The device's id.
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// The module's id, if this is a module.
    pub fn module_id(&self) -> Option<&str> {
        self.module_id.as_deref()
    }

    /// Sends telemetry and waits until the hub has it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DeviceNotFound`]; [`ErrorKind::MessageTooLarge`]; [`ErrorKind::Throttled`];
    /// [`ErrorKind::InvalidArgument`] for telemetry that cannot be sent; what happens to connections.
    /// [`Error::delivered`] says whether the hub may have it.
    ///
    /// # Cancel safety
    ///
    /// Cancelled while it waits for its turn, nothing was sent. Cancelled later, the telemetry goes on its way and its
    /// outcome is not known.
    pub async fn send(&self, telemetry: Telemetry) -> Result<(), Error> {
        self.sender.send(telemetry.encode()?).await
    }

    /// Opens the receiver of the messages that services send to this device. There is one per device.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthorized`], [`ErrorKind::DeviceNotFound`]; what happens to connections.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, there is no receiver.
    pub async fn cloud_to_device(&self) -> Result<CloudToDeviceReceiver, Error> {
        let address = address(&self.device_id, self.module_id.as_deref(), "devicebound");
        CloudToDeviceReceiver::attach(self.hub.clone(), address).await
    }

    /// Writes what is queued, settlements included, and closes the connection; receivers end with it.
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

fn address(device: &str, module: Option<&str>, kind: &str) -> String {
    format!("{}/messages/{kind}", device_path(device, module))
}
