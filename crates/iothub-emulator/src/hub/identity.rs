//! Identities: the registered devices and modules, and the documents that describe them.

mod columns;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::authentication::{Authentication, AuthenticationSpec, invalid, object, text};
use super::clock::{UnixMillis, iso8601_or_never};
use super::ids::{DeviceId, IdentityId, ModuleId};
use super::key::Key;
use super::service_error::{ErrorCode, ServiceError};

/// Most characters of a status reason.
const MAX_STATUS_REASON: usize = 128;
/// Most octets of the other texts that are kept with an identity.
const MAX_TEXT: usize = 1024;
/// Most parent scopes that are kept.
const MAX_PARENT_SCOPES: usize = 32;

/// The condition under which an identity or a twin is changed: the header `If-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// No header: an identity must not exist yet, a twin may be in any state.
    None,
    /// `*`: whatever its state is.
    Any,
    /// Only in the state that has this entity tag, given without quotes.
    Exactly(String),
}

impl IfMatch {
    /// # Errors
    /// *PreconditionFailed* if `etag` is another one.
    pub(crate) fn check(&self, etag: &str) -> Result<(), ServiceError> {
        match self {
            Self::Exactly(wanted) if wanted != etag => {
                Err(ServiceError::new(ErrorCode::PreconditionFailed, "the entity tag is not the current one"))
            }
            _ => Ok(()),
        }
    }
}

/// What is known about a device or module before the hub has registered it.
#[derive(Clone, Debug)]
pub struct IdentitySpec {
    /// Its id.
    pub id: IdentityId,
    /// How it authenticates. `None`: by new keys if it is created, as before if it is updated.
    pub authentication: Option<AuthenticationSpec>,
    /// Whether it may connect and be sent to. A module follows its device.
    pub enabled: bool,
    /// Why it is enabled or disabled, as free text.
    pub status_reason: Option<String>,
    /// Whether it is an IoT Edge device.
    pub iot_edge: bool,
    /// The scope of an IoT Edge device or of one of its children. An IoT Edge device gets one that is its own.
    pub device_scope: Option<String>,
    /// The scopes of the parents of an IoT Edge device.
    pub parent_scopes: Vec<String>,
    /// Who manages a module.
    pub managed_by: Option<String>,
}

impl IdentitySpec {
    /// An enabled identity with keys that the hub makes.
    #[must_use]
    pub fn new(id: impl Into<IdentityId>) -> Self {
        Self {
            id: id.into(),
            authentication: None,
            enabled: true,
            status_reason: None,
            iot_edge: false,
            device_scope: None,
            parent_scopes: Vec::new(),
            managed_by: None,
        }
    }

    /// Reads the document that a client sends for the identity `id`, and leaves out what only the hub says: entity
    /// tag, generation id, times, connection state.
    ///
    /// # Errors
    /// *ArgumentInvalid* names the field that is wrong. A `deviceId` or `moduleId` must be that of `id`.
    pub fn parse(id: IdentityId, document: &Value) -> Result<Self, ServiceError> {
        let document = object(document, "the body")?;
        let expected = [("deviceId", Some(id.device.as_str())), ("moduleId", id.module.as_ref().map(ModuleId::as_str))];
        for (name, expected) in expected {
            if text(document, &[name])?.is_some_and(|given| Some(given) != expected) {
                return Err(invalid(format!("{name} is not the id in the path")));
            }
        }
        let authentication = match document.get("authentication") {
            None | Some(Value::Null) => None,
            Some(authentication) => Some(AuthenticationSpec::parse(authentication)?),
        };
        let enabled = match text(document, &["status"])? {
            None => true,
            Some(word) if word.eq_ignore_ascii_case("enabled") => true,
            Some(word) if word.eq_ignore_ascii_case("disabled") => false,
            Some(_) => return Err(invalid("status must be enabled or disabled")),
        };
        let status_reason = text(document, &["statusReason"])?;
        if status_reason.is_some_and(|reason| reason.chars().count() > MAX_STATUS_REASON) {
            return Err(invalid(format!("statusReason has at most {MAX_STATUS_REASON} characters")));
        }
        let iot_edge = match document.get("capabilities") {
            None | Some(Value::Null) => false,
            Some(capabilities) => match object(capabilities, "capabilities")?.get("iotEdge") {
                None | Some(Value::Null) => false,
                Some(value) => value.as_bool().ok_or_else(|| invalid("iotEdge must be true or false"))?,
            },
        };
        let short = |name: &str| match text(document, &[name])? {
            Some(text) if text.len() > MAX_TEXT => Err(invalid(format!("{name} has at most {MAX_TEXT} octets"))),
            text => Ok(text.map(str::to_owned)),
        };
        Ok(Self {
            authentication,
            enabled,
            status_reason: status_reason.map(str::to_owned),
            iot_edge,
            device_scope: short("deviceScope")?,
            parent_scopes: parent_scopes(document)?,
            managed_by: short("managedBy")?,
            id,
        })
    }
}

fn parent_scopes(document: &Map<String, Value>) -> Result<Vec<String>, ServiceError> {
    let scopes = match document.get("parentScopes") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(scopes)) if scopes.len() <= MAX_PARENT_SCOPES => scopes,
        Some(_) => return Err(invalid(format!("parentScopes must be at most {MAX_PARENT_SCOPES} strings"))),
    };
    let scope = |scope: &Value| match scope {
        Value::String(scope) if scope.len() <= MAX_TEXT => Ok(scope.clone()),
        _ => Err(invalid(format!("a parent scope is a string of at most {MAX_TEXT} octets"))),
    };
    scopes.iter().map(scope).collect()
}

/// A registered device or module.
#[derive(Clone, Debug)]
pub struct Identity {
    id: IdentityId,
    generation_id: Arc<str>,
    etag: Arc<str>,
    authentication: Authentication,
    enabled: bool,
    status_reason: Option<String>,
    status_updated: Option<UnixMillis>,
    iot_edge: bool,
    device_scope: Option<String>,
    parent_scopes: Vec<String>,
    managed_by: Option<String>,
    pub(crate) live_links: usize,
    pub(crate) connection_updated: Option<UnixMillis>,
    pub(crate) last_activity: Option<UnixMillis>,
    pub(crate) cloud_to_device_messages: usize,
}

impl Identity {
    pub(crate) fn new(spec: IdentitySpec, generation_id: &str, etag: Arc<str>) -> Result<Self, ServiceError> {
        let authentication = spec.authentication.unwrap_or_default().complete()?;
        let mut identity = Self {
            id: spec.id,
            generation_id: generation_id.into(),
            etag,
            authentication,
            enabled: spec.enabled,
            status_reason: spec.status_reason,
            status_updated: None,
            iot_edge: spec.iot_edge,
            device_scope: spec.device_scope,
            parent_scopes: spec.parent_scopes,
            managed_by: spec.managed_by,
            live_links: 0,
            connection_updated: None,
            last_activity: None,
            cloud_to_device_messages: 0,
        };
        identity.set_own_scope();
        Ok(identity)
    }

    pub(crate) fn update(&mut self, now: UnixMillis, spec: IdentitySpec, etag: Arc<str>) -> Result<(), ServiceError> {
        if let Some(authentication) = spec.authentication {
            self.authentication = authentication.complete()?;
        }
        self.set_enabled(now, spec.enabled, etag);
        self.status_reason = spec.status_reason;
        self.iot_edge = spec.iot_edge;
        self.device_scope = spec.device_scope;
        self.parent_scopes = spec.parent_scopes;
        self.managed_by = spec.managed_by;
        self.set_own_scope();
        Ok(())
    }

    pub(crate) fn set_enabled(&mut self, now: UnixMillis, enabled: bool, etag: Arc<str>) {
        if self.enabled != enabled {
            self.enabled = enabled;
            self.status_updated = Some(now);
        }
        self.etag = etag;
    }

    /// An IoT Edge device is the root of a scope of its own unless another one is given.
    fn set_own_scope(&mut self) {
        if self.iot_edge && self.device_scope.is_none() {
            self.device_scope = Some(format!("ms-azure-iot-edge://{}-{}", self.id.device, self.generation_id));
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &IdentityId {
        &self.id
    }

    /// The device that it is, or that it belongs to.
    #[must_use]
    pub fn device_id(&self) -> &DeviceId {
        &self.id.device
    }

    /// Tells it from an earlier one of the same id.
    #[must_use]
    pub fn generation_id(&self) -> &Arc<str> {
        &self.generation_id
    }

    /// Its entity tag, without quotes. Another one than its twin's.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// How it authenticates.
    #[must_use]
    pub fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// Its keys, the primary one first. None unless it authenticates by keys.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.authentication.keys()
    }

    /// Whether it may connect and be sent to. Always `true` for a module, which follows its device.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled || self.id.module.is_some()
    }

    /// Whether it is an IoT Edge device.
    #[must_use]
    pub fn is_iot_edge(&self) -> bool {
        self.iot_edge
    }

    /// Whether a link of it is attached.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.live_links > 0
    }

    /// When it last sent, took or asked for something.
    #[must_use]
    pub fn last_activity(&self) -> Option<UnixMillis> {
        self.last_activity
    }

    /// Cloud-to-device messages that wait for it or are locked.
    #[must_use]
    pub fn cloud_to_device_messages(&self) -> usize {
        self.cloud_to_device_messages
    }

    /// The document as the registry shows it, keys included.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut document = json!({
            "deviceId": self.id.device.as_str(),
            "generationId": &*self.generation_id,
            "etag": &*self.etag,
            "connectionState": self.connection_state(),
            "connectionStateUpdatedTime": iso8601_or_never(self.connection_updated),
            "lastActivityTime": iso8601_or_never(self.last_activity),
            "cloudToDeviceMessageCount": self.cloud_to_device_messages,
            "authentication": self.authentication.to_json(),
        });
        let mut set = |name: &str, value: Value| document[name] = value;
        match &self.id.module {
            Some(module) => {
                set("moduleId", module.as_str().into());
                set("managedBy", self.managed_by.as_deref().into());
            }
            None => {
                set("status", self.status().into());
                set("statusReason", self.status_reason.as_deref().into());
                set("statusUpdatedTime", iso8601_or_never(self.status_updated).into());
                set("capabilities", self.capabilities());
            }
        }
        self.scopes_into(&mut document);
        document
    }

    fn connection_state(&self) -> &'static str {
        if self.is_connected() { "Connected" } else { "Disconnected" }
    }

    fn status(&self) -> &'static str {
        if self.enabled { "enabled" } else { "disabled" }
    }

    fn capabilities(&self) -> Value {
        json!({ "iotEdge": self.iot_edge })
    }

    /// Some clients refuse a null here, so what is not there is left out.
    fn scopes_into(&self, document: &mut Value) {
        if let Some(scope) = &self.device_scope {
            document["deviceScope"] = scope.as_str().into();
        }
        if self.iot_edge || !self.parent_scopes.is_empty() {
            document["parentScopes"] = self.parent_scopes.as_slice().into();
        }
    }

    /// What a twin's document says about the identity. `device` is the device that it is or belongs to.
    pub(crate) fn to_twin_json(&self, device: &Self) -> Value {
        let mut document = json!({
            "deviceId": self.id.device.as_str(),
            "deviceEtag": &*self.etag,
            "status": device.status(),
            "statusUpdateTime": iso8601_or_never(device.status_updated),
            "connectionState": self.connection_state(),
            "lastActivityTime": iso8601_or_never(self.last_activity),
            "cloudToDeviceMessageCount": self.cloud_to_device_messages,
            "authenticationType": self.authentication.type_name(),
            "x509Thumbprint": self.authentication.thumbprints_to_json(),
        });
        if let Some(module) = &self.id.module {
            document["moduleId"] = module.as_str().into();
        }
        if let Some(reason) = &device.status_reason {
            document["statusReason"] = reason.as_str().into();
        }
        if self.id.module.is_none() {
            document["capabilities"] = self.capabilities();
        }
        self.scopes_into(&mut document);
        document
    }
}

#[cfg(test)]
mod tests;
