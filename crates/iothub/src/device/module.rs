use super::{
    builder::ModuleClientBuilder,
    c2d::InputReceiver,
    client::{IdentityClient, identity_methods},
};
use crate::error::Error;

/// A module of a device at its hub: sends telemetry to outputs, receives messages on inputs, answers direct methods and
/// keeps its twin.
///
/// ```no_run
/// use iothub::{ModuleClient, Telemetry};
///
/// # async fn example(connection_string: &str) -> Result<(), iothub::Error> {
/// let module = ModuleClient::builder().connection_string(connection_string)?.connect().await?;
/// module.send(Telemetry::new("21").output_name("temperature")).await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct ModuleClient {
    pub(super) client: IdentityClient,
}

impl ModuleClient {
    /// A client that is to be connected.
    pub fn builder() -> ModuleClientBuilder {
        ModuleClientBuilder::default()
    }

    /// The module's id.
    pub fn module_id(&self) -> &str {
        self.client.identity.module.as_deref().unwrap_or_default()
    }

    /// Opens the receiver of the messages that an IoT Edge gateway routes to the module's inputs.
    ///
    /// # Errors
    ///
    /// As [`cloud_to_device`](Self::cloud_to_device).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, there is no receiver.
    pub async fn inputs(&self) -> Result<InputReceiver, Error> {
        self.client.inputs().await
    }

    identity_methods!();
}
