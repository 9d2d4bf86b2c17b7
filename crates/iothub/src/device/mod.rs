//! The device's side: telemetry to the hub, messages, method calls and twins from it.

mod batch;
mod builder;
mod c2d;
mod client;
mod links;
mod methods;
mod module;
mod multiplexed;
mod telemetry;
mod twin;
mod who;

pub use builder::{DeviceClientBuilder, ModuleClientBuilder};
pub use c2d::{CloudToDevice, CloudToDeviceReceiver, InputMessage, InputReceiver};
pub use methods::{MethodAnswer, MethodCall, MethodHandlers, MethodRequest, Methods};
pub use module::ModuleClient;
pub use multiplexed::{MultiplexedConnection, MultiplexedConnectionBuilder};
pub use telemetry::Telemetry;
pub use twin::{DesiredChange, DesiredChanges, DeviceTwin, Properties, Twin};

use client::{IdentityClient, identity_methods};

/// A device at its hub: sends telemetry, receives messages, answers direct methods and keeps its twin.
///
/// All methods take `&self`; many tasks may use it at a time.
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
    client: IdentityClient,
}

impl DeviceClient {
    /// A client that is to be connected.
    pub fn builder() -> DeviceClientBuilder {
        DeviceClientBuilder::default()
    }

    identity_methods!();
}
