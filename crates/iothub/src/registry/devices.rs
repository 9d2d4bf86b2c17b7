//! Routes of devices and modules.

use super::{
    RegistryClient,
    etag::IfMatch,
    http::{Call, Repeat, segment},
    identity::{Device, IdentityId, Module},
};
use crate::error::Error;
use reqwest::Method;
use serde::Deserialize;

/// How many devices there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RegistryStatistics {
    /// All of them.
    #[serde(rename = "totalDeviceCount")]
    pub total: u64,
    /// Those that may connect.
    #[serde(rename = "enabledDeviceCount")]
    pub enabled: u64,
    /// Those that may not.
    #[serde(rename = "disabledDeviceCount")]
    pub disabled: u64,
}

/// How many devices are connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ServiceStatistics {
    /// The devices that are connected.
    #[serde(rename = "connectedDeviceCount")]
    pub connected: u64,
}

/// What a purge has removed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PurgeResult {
    /// The device.
    pub device_id: String,
    /// The module of it, if it was one's.
    #[serde(default)]
    pub module_id: Option<String>,
    /// How many messages were removed.
    #[serde(rename = "totalMessagesPurged")]
    pub purged: u64,
}

/// The path of a device in the registry.
fn device(id: &str) -> Result<String, Error> {
    Ok(format!("/devices/{}", segment(id, "device")?))
}

/// The path of a module in the registry.
fn module(device_id: &str, id: &str) -> Result<String, Error> {
    Ok(format!("{}/modules/{}", device(device_id)?, segment(id, "module")?))
}

/// Done twice, a change under a condition would fail the second time.
fn repeat(condition: &IfMatch) -> Repeat {
    match condition {
        IfMatch::Any => Repeat::Always,
        IfMatch::ETag(_) => Repeat::UnlessDelivered,
    }
}

impl RegistryClient {
    /// Creates a device, and gives it as it is now: with keys and an ETag.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`](crate::ErrorKind::AlreadyExists);
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for an id or authentication that the hub does
    /// not take; what happens to all requests.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it may have been created or not.
    pub async fn create_device(&self, new: &Device) -> Result<Device, Error> {
        let call = Call::new(Method::PUT, device(&new.device_id)?, Repeat::UnlessDelivered);
        self.http().send(call.json(&new.to_wire())?).await?.json()
    }

    /// Reads a device.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DeviceNotFound`](crate::ErrorKind::DeviceNotFound); what happens to all requests.
    ///
    /// # Cancel safety
    ///
    /// Nothing changes.
    pub async fn device(&self, device_id: &str) -> Result<Device, Error> {
        self.http().send(Call::get(device(device_id)?)).await?.json()
    }

    /// Lists up to `top` devices (1,000 at most) in no order. The hub's documentation prefers a
    /// [query](Self::query), which has all of them.
    ///
    /// # Errors
    ///
    /// What happens to all requests.
    ///
    /// # Cancel safety
    ///
    /// Nothing changes.
    pub async fn devices(&self, top: u32) -> Result<Vec<Device>, Error> {
        self.http().send(Call::get("/devices").parameter("top", top)).await?.json()
    }

    /// Replaces a device's status, authentication, capabilities and scopes by these, on a condition: `&device.etag`
    /// of the device that was read, or [`IfMatch::Any`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PreconditionFailed`](crate::ErrorKind::PreconditionFailed) if the device has changed;
    /// [`ErrorKind::DeviceNotFound`](crate::ErrorKind::DeviceNotFound); what happens to all requests.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it may have been changed or not.
    pub async fn update_device(&self, changed: &Device, condition: impl Into<IfMatch>) -> Result<Device, Error> {
        let condition = condition.into();
        let call = Call::new(Method::PUT, device(&changed.device_id)?, repeat(&condition)).if_match(&condition)?;
        self.http().send(call.json(&changed.to_wire())?).await?.json()
    }

    /// Deletes a device with its modules, its twin and the messages that wait for it.
    ///
    /// # Errors
    ///
    /// As [`update_device`](Self::update_device).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it may have been deleted or not.
    pub async fn delete_device(&self, device_id: &str, condition: impl Into<IfMatch>) -> Result<(), Error> {
        self.delete(device(device_id)?, &condition.into()).await
    }

    /// Creates a module of a device, as [`create_device`](Self::create_device) does a device.
    ///
    /// # Errors
    ///
    /// As there; [`ErrorKind::QuotaExceeded`](crate::ErrorKind::QuotaExceeded) if the device has too many.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it may have been created or not.
    pub async fn create_module(&self, new: &Module) -> Result<Module, Error> {
        let path = module(&new.device_id, &new.module_id)?;
        let call = Call::new(Method::PUT, path, Repeat::UnlessDelivered);
        self.http().send(call.json(&new.to_wire())?).await?.json()
    }

    /// Reads a module of a device.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ModuleNotFound`](crate::ErrorKind::ModuleNotFound),
    /// [`ErrorKind::DeviceNotFound`](crate::ErrorKind::DeviceNotFound); what happens to all requests.
    ///
    /// # Cancel safety
    ///
    /// Nothing changes.
    pub async fn module(&self, device_id: &str, module_id: &str) -> Result<Module, Error> {
        self.http().send(Call::get(module(device_id, module_id)?)).await?.json()
    }

    /// Lists the modules of a device.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DeviceNotFound`](crate::ErrorKind::DeviceNotFound); what happens to all requests.
    ///
    /// # Cancel safety
    ///
    /// Nothing changes.
    pub async fn modules(&self, device_id: &str) -> Result<Vec<Module>, Error> {
        self.http().send(Call::get(format!("{}/modules", device(device_id)?))).await?.json()
    }

    /// Replaces what a module's manager and authentication are, as [`update_device`](Self::update_device) does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it may have been changed or not.
    pub async fn update_module(&self, changed: &Module, condition: impl Into<IfMatch>) -> Result<Module, Error> {
        let condition = condition.into();
        let path = module(&changed.device_id, &changed.module_id)?;
        let call = Call::new(Method::PUT, path, repeat(&condition)).if_match(&condition)?;
        self.http().send(call.json(&changed.to_wire())?).await?.json()
    }

    /// Deletes a module with its twin.
    ///
    /// # Errors
    ///
    /// As [`update_device`](Self::update_device).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it may have been deleted or not.
    pub async fn delete_module(
        &self,
        device_id: &str,
        module_id: &str,
        condition: impl Into<IfMatch>,
    ) -> Result<(), Error> {
        self.delete(module(device_id, module_id)?, &condition.into()).await
    }

    async fn delete(&self, path: String, condition: &IfMatch) -> Result<(), Error> {
        let call = Call::new(Method::DELETE, path, Repeat::UnlessDelivered).if_match(condition)?;
        self.http().send(call).await.map(drop)
    }

    /// Counts the devices of the registry.
    ///
    /// # Errors
    ///
    /// What happens to all requests.
    ///
    /// # Cancel safety
    ///
    /// Nothing changes.
    pub async fn registry_statistics(&self) -> Result<RegistryStatistics, Error> {
        self.http().send(Call::get("/statistics/devices")).await?.json()
    }

    /// Counts the devices that are connected.
    ///
    /// # Errors
    ///
    /// What happens to all requests.
    ///
    /// # Cancel safety
    ///
    /// Nothing changes.
    pub async fn service_statistics(&self) -> Result<ServiceStatistics, Error> {
        self.http().send(Call::get("/statistics/service")).await?.json()
    }

    /// Removes the messages that wait for a device. Feedback about them says
    /// [`Purged`](crate::FeedbackStatus::Purged).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DeviceNotFound`](crate::ErrorKind::DeviceNotFound); what happens to all requests.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, they may have been removed or not.
    pub async fn purge_messages(&self, device_id: &str) -> Result<PurgeResult, Error> {
        let path = format!("{}/commands", device(device_id)?);
        // Done twice, the second answer would say that there were none.
        self.http().send(Call::new(Method::DELETE, path, Repeat::UnlessDelivered)).await?.json()
    }

    /// The connection string of a device or a module with this key of it, for its own client.
    ///
    /// It holds the key: pass it on, do not print it.
    pub fn connection_string(&self, identity: impl Into<IdentityId>, key: &super::SymmetricKey) -> String {
        let IdentityId { device_id, module_id } = identity.into();
        let module = module_id.map(|id| format!(";ModuleId={id}")).unwrap_or_default();
        format!("HostName={};DeviceId={device_id}{module};SharedAccessKey={}", self.host(), key.expose())
    }
}
