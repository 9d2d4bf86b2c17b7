//! Routes of twins and direct methods.

use super::{
    RegistryClient,
    etag::IfMatch,
    http::{Call, Repeat, segment},
    identity::IdentityId,
    method::{DirectMethod, MethodResponse},
    twin::{Twin, TwinUpdate},
};
use crate::error::Error;
use reqwest::Method;

impl IdentityId {
    /// The path of its twin.
    fn twin(&self) -> Result<String, Error> {
        let device = segment(&self.device_id, "device")?;
        Ok(match &self.module_id {
            Some(module) => format!("/twins/{device}/modules/{}", segment(module, "module")?),
            None => format!("/twins/{device}"),
        })
    }
}

impl RegistryClient {
    /// Reads the twin of a device or a module.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DeviceNotFound`](crate::ErrorKind::DeviceNotFound),
    /// [`ErrorKind::ModuleNotFound`](crate::ErrorKind::ModuleNotFound); what happens to all requests.
    ///
    /// # Cancel safety
    ///
    /// Nothing changes.
    pub async fn twin(&self, identity: impl Into<IdentityId>) -> Result<Twin, Error> {
        self.http().send(Call::get(identity.into().twin()?)).await?.json()
    }

    /// Merges tags and desired properties into a twin, on a condition, and gives the twin as it is now. The device is
    /// notified of desired properties.
    ///
    /// ```no_run
    /// # use iothub::registry::{IfMatch, RegistryClient, TwinUpdate};
    /// # async fn example(registry: &RegistryClient) -> Result<(), iothub::Error> {
    /// let twin = registry.twin("device1").await?;
    /// let speed = twin.desired.get(&["speed"]).and_then(|speed| speed.as_i64()).unwrap_or_default();
    /// // Fails if somebody else was faster.
    /// registry.patch_twin("device1", &TwinUpdate::new().desired("speed", speed + 1), twin.etag).await?;
    /// // Whatever was there.
    /// registry.patch_twin(("device1", "module1"), &TwinUpdate::new().tag("room", 3), IfMatch::Any).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PreconditionFailed`](crate::ErrorKind::PreconditionFailed) if the twin has changed;
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for what the hub's limits do not allow;
    /// as [`twin`](Self::twin).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it may have been changed or not.
    pub async fn patch_twin(
        &self,
        identity: impl Into<IdentityId>,
        update: &TwinUpdate,
        condition: impl Into<IfMatch>,
    ) -> Result<Twin, Error> {
        self.write_twin(Method::PATCH, &identity.into(), update, &condition.into()).await
    }

    /// Replaces a twin's tags and desired properties, as [`patch_twin`](Self::patch_twin) merges them.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it may have been changed or not.
    pub async fn replace_twin(
        &self,
        identity: impl Into<IdentityId>,
        content: &TwinUpdate,
        condition: impl Into<IfMatch>,
    ) -> Result<Twin, Error> {
        self.write_twin(Method::PUT, &identity.into(), content, &condition.into()).await
    }

    async fn write_twin(
        &self,
        method: Method,
        identity: &IdentityId,
        update: &TwinUpdate,
        condition: &IfMatch,
    ) -> Result<Twin, Error> {
        let repeat = match condition {
            IfMatch::Any => Repeat::Always,
            IfMatch::ETag(_) => Repeat::UnlessDelivered,
        };
        let call = Call::new(method, identity.twin()?, repeat).if_match(condition)?.json(&update.to_body())?;
        self.http().send(call).await?.json()
    }

    /// Invokes a direct method of a device or a module and waits for its answer. It is sent once, whatever happens.
    ///
    /// ```no_run
    /// # use iothub::registry::{DirectMethod, RegistryClient};
    /// # use std::time::Duration;
    /// # async fn example(registry: &RegistryClient) -> Result<(), iothub::Error> {
    /// let method = DirectMethod::new("reboot").payload(serde_json::json!({"delay": 5}));
    /// // A device that is not online has ten seconds to come.
    /// let response = registry.invoke_method("device1", &method.connect_timeout(Duration::from_secs(10))).await?;
    /// println!("status {}, {}", response.status, response.payload);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DeviceNotOnline`](crate::ErrorKind::DeviceNotOnline) if the device does not listen for methods, and
    /// has not done so within the connect time-out; [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) if it did not
    /// answer; [`ErrorKind::DeviceNotFound`](crate::ErrorKind::DeviceNotFound); what happens to all requests.
    /// [`Error::delivered`] says whether the device may have the request. A device's own status is not an error.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the device may have the request or not.
    pub async fn invoke_method(
        &self,
        identity: impl Into<IdentityId>,
        method: &DirectMethod,
    ) -> Result<MethodResponse, Error> {
        let path = format!("{}/methods", identity.into().twin()?);
        let call = Call::new(Method::POST, path, Repeat::Never).json(&method.to_body()?)?;
        self.http().send(call.within(method.limit())).await?.json()
    }
}
