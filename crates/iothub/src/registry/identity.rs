//! Devices and modules as the registry knows them.

use super::{
    authentication::{Authentication, WireAuthentication},
    etag::ETag,
};
use crate::time::parse_iso8601;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether a device may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum DeviceStatus {
    /// It may.
    #[default]
    #[serde(alias = "Enabled")]
    Enabled,
    /// It may not, and neither may its modules.
    #[serde(alias = "Disabled")]
    Disabled,
}

/// Whether a device or a module is connected, as far as the hub knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ConnectionState {
    /// It is.
    #[serde(alias = "connected")]
    Connected,
    /// It is not.
    #[default]
    #[serde(other)]
    Disconnected,
}

/// What a device is, besides a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether it is an IoT Edge gateway.
    pub iot_edge: bool,
}

/// A device in the registry of a hub.
///
/// Of a device that is created or updated, the hub takes its status, the reason for it, its authentication, its
/// capabilities and its scopes; it sets the other fields itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
#[non_exhaustive]
pub struct Device {
    /// Its id.
    pub device_id: String,
    /// Tells the device from an earlier one of the same id.
    pub generation_id: Option<String>,
    /// The version of the identity; the twin has another one.
    pub etag: Option<ETag>,
    /// Whether it may connect.
    pub status: DeviceStatus,
    /// Why it has this status, in up to 128 characters.
    pub status_reason: Option<String>,
    /// When its status changed last.
    pub status_updated: Option<SystemTime>,
    /// Whether it is connected.
    pub connection_state: ConnectionState,
    /// When it connected or disconnected last.
    pub connection_state_updated: Option<SystemTime>,
    /// When it connected, or sent or received something, last.
    pub last_activity: Option<SystemTime>,
    /// How many messages wait for it.
    pub cloud_to_device_message_count: u32,
    /// How it shows who it is.
    pub authentication: Authentication,
    /// What it is besides.
    pub capabilities: Capabilities,
    /// The IoT Edge gateway that it belongs to.
    pub device_scope: Option<String>,
    /// The gateways above that one.
    pub parent_scopes: Vec<String>,
}

impl Device {
    /// A device to be created, for which the hub makes keys.
    pub fn new(device_id: impl Into<String>) -> Self {
        Self {
            device_id: device_id.into(),
            generation_id: None,
            etag: None,
            status: DeviceStatus::Enabled,
            status_reason: None,
            status_updated: None,
            connection_state: ConnectionState::Disconnected,
            connection_state_updated: None,
            last_activity: None,
            cloud_to_device_message_count: 0,
            authentication: Authentication::default(),
            capabilities: Capabilities::default(),
            device_scope: None,
            parent_scopes: Vec::new(),
        }
    }

    /// Sets how the device shows who it is.
    #[must_use]
    pub fn authentication(mut self, authentication: Authentication) -> Self {
        self.authentication = authentication;
        self
    }

    /// Sets whether the device may connect.
    #[must_use]
    pub fn status(mut self, status: DeviceStatus) -> Self {
        self.status = status;
        self
    }

    pub(super) fn to_wire(&self) -> Wire {
        Wire {
            device_id: self.device_id.clone(),
            etag: self.etag.clone(),
            status: Some(self.status),
            status_reason: self.status_reason.clone(),
            authentication: Some(WireAuthentication::from(&self.authentication)),
            capabilities: Some(self.capabilities),
            device_scope: self.device_scope.clone(),
            parent_scopes: (!self.parent_scopes.is_empty()).then(|| self.parent_scopes.clone()),
            ..Wire::default()
        }
    }
}

/// A module of a device in the registry of a hub.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
#[non_exhaustive]
pub struct Module {
    /// The device that it belongs to.
    pub device_id: String,
    /// Its id.
    pub module_id: String,
    /// Who manages it, in the words of that one; IoT Edge writes `iotEdge`.
    pub managed_by: Option<String>,
    /// Tells the module from an earlier one of the same id.
    pub generation_id: Option<String>,
    /// The version of the identity; the twin has another one.
    pub etag: Option<ETag>,
    /// Whether it is connected.
    pub connection_state: ConnectionState,
    /// When it connected or disconnected last.
    pub connection_state_updated: Option<SystemTime>,
    /// When it connected, or sent or received something, last.
    pub last_activity: Option<SystemTime>,
    /// How many messages wait for it.
    pub cloud_to_device_message_count: u32,
    /// How it shows who it is.
    pub authentication: Authentication,
}

impl Module {
    /// A module to be created, for which the hub makes keys.
    pub fn new(device_id: impl Into<String>, module_id: impl Into<String>) -> Self {
        Self {
            device_id: device_id.into(),
            module_id: module_id.into(),
            managed_by: None,
            generation_id: None,
            etag: None,
            connection_state: ConnectionState::Disconnected,
            connection_state_updated: None,
            last_activity: None,
            cloud_to_device_message_count: 0,
            authentication: Authentication::default(),
        }
    }

    /// Sets how the module shows who it is.
    #[must_use]
    pub fn authentication(mut self, authentication: Authentication) -> Self {
        self.authentication = authentication;
        self
    }

    pub(super) fn to_wire(&self) -> Wire {
        Wire {
            device_id: self.device_id.clone(),
            module_id: Some(self.module_id.clone()),
            managed_by: self.managed_by.clone(),
            etag: self.etag.clone(),
            authentication: Some(WireAuthentication::from(&self.authentication)),
            ..Wire::default()
        }
    }
}

/// A device or a module, for what works with both.
///
/// It is made from a device's id, from the ids of a device and its module, or from what was read:
/// `"device1"`, `("device1", "module1")`, `&device`, `&module`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct IdentityId {
    /// The device.
    pub device_id: String,
    /// The module of it; `None` is the device itself.
    pub module_id: Option<String>,
}

impl From<&str> for IdentityId {
    fn from(device_id: &str) -> Self {
        Self { device_id: device_id.to_owned(), module_id: None }
    }
}

impl From<&String> for IdentityId {
    fn from(device_id: &String) -> Self {
        device_id.as_str().into()
    }
}

impl From<String> for IdentityId {
    fn from(device_id: String) -> Self {
        Self { device_id, module_id: None }
    }
}

impl<D: Into<String>, M: Into<String>> From<(D, M)> for IdentityId {
    fn from((device_id, module_id): (D, M)) -> Self {
        Self { device_id: device_id.into(), module_id: Some(module_id.into()) }
    }
}

impl From<&Device> for IdentityId {
    fn from(device: &Device) -> Self {
        device.device_id.as_str().into()
    }
}

impl From<&Module> for IdentityId {
    fn from(module: &Module) -> Self {
        (module.device_id.as_str(), module.module_id.as_str()).into()
    }
}

/// Devices and modules as the hub writes them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wire {
    device_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    module_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_by: Option<String>,
    #[serde(skip_serializing)]
    generation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<ETag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<DeviceStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<String>,
    #[serde(skip_serializing)]
    status_updated_time: Option<String>,
    #[serde(skip_serializing)]
    connection_state: Option<ConnectionState>,
    #[serde(skip_serializing)]
    connection_state_updated_time: Option<String>,
    #[serde(skip_serializing)]
    last_activity_time: Option<String>,
    #[serde(skip_serializing)]
    cloud_to_device_message_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication: Option<WireAuthentication>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<Capabilities>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_scopes: Option<Vec<String>>,
}

impl From<Wire> for Device {
    fn from(wire: Wire) -> Self {
        Self {
            device_id: wire.device_id,
            generation_id: wire.generation_id,
            etag: wire.etag,
            status: wire.status.unwrap_or_default(),
            status_reason: wire.status_reason,
            status_updated: time(wire.status_updated_time.as_deref()),
            connection_state: wire.connection_state.unwrap_or_default(),
            connection_state_updated: time(wire.connection_state_updated_time.as_deref()),
            last_activity: time(wire.last_activity_time.as_deref()),
            cloud_to_device_message_count: wire.cloud_to_device_message_count.unwrap_or_default(),
            authentication: wire.authentication.map(Into::into).unwrap_or_default(),
            capabilities: wire.capabilities.unwrap_or_default(),
            device_scope: wire.device_scope,
            parent_scopes: wire.parent_scopes.unwrap_or_default(),
        }
    }
}

impl From<Wire> for Module {
    fn from(wire: Wire) -> Self {
        Self {
            device_id: wire.device_id,
            module_id: wire.module_id.unwrap_or_default(),
            managed_by: wire.managed_by,
            generation_id: wire.generation_id,
            etag: wire.etag,
            connection_state: wire.connection_state.unwrap_or_default(),
            connection_state_updated: time(wire.connection_state_updated_time.as_deref()),
            last_activity: time(wire.last_activity_time.as_deref()),
            cloud_to_device_message_count: wire.cloud_to_device_message_count.unwrap_or_default(),
            authentication: wire.authentication.map(Into::into).unwrap_or_default(),
        }
    }
}

/// A time of the hub, where "never" is the first of January of the year 1.
pub(super) fn time(text: Option<&str>) -> Option<SystemTime> {
    text.and_then(parse_iso8601).filter(|time| *time >= UNIX_EPOCH)
}
