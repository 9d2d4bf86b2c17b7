//! The device registry: identities, their keys, and the two forms in which they are loaded.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;
use zeroize::Zeroizing;

use super::ids::{DeviceId, IdError};
use super::key::{Key, KeyError};

/// What is known about a device before the hub has registered it.
#[derive(Clone, Debug)]
pub struct DeviceSpec {
    /// The device's id.
    pub id: DeviceId,
    /// The key that it signs with.
    pub primary_key: Key,
    /// A second key that is as good, for changing keys without a gap.
    pub secondary_key: Option<Key>,
    /// Whether it may connect and be sent to.
    pub enabled: bool,
}

impl DeviceSpec {
    /// An enabled device with one key.
    #[must_use]
    pub fn new(id: DeviceId, primary_key: Key) -> Self {
        Self { id, primary_key, secondary_key: None, enabled: true }
    }
}

/// Parses `ID=BASE64KEY`. An id that has a `=` itself can only be given in a file.
impl FromStr for DeviceSpec {
    type Err = DeviceArgumentError;

    fn from_str(text: &str) -> Result<Self, DeviceArgumentError> {
        let (id, key) = text.split_once('=').ok_or(DeviceArgumentError::NoKey)?;
        Ok(Self::new(DeviceId::new(id)?, Key::from_base64(key)?))
    }
}

/// Why a text is not `ID=BASE64KEY`. Never holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceArgumentError {
    /// No `=` in it.
    #[error("expected ID=BASE64KEY, found no =")]
    NoKey,
    /// What is before the `=` is no id.
    #[error("device id: {0}")]
    Id(#[from] IdError),
    /// What follows the `=` is no key.
    #[error("device key: {0}")]
    Key(#[from] KeyError),
}

/// Why a devices file could not be taken. Never holds a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DevicesFileError {
    /// Not JSON.
    #[error("the devices file is not JSON (line {line}, column {column})")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// JSON, but no array.
    #[error("the devices file must be a JSON array of objects")]
    NotAnArray,
    /// An entry is wrong.
    #[error("the devices file, {entry}, {field}: {reason}")]
    Entry {
        /// Which entry.
        entry: EntryName,
        /// The field's name, or `entry` for the whole of it.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Which entry of a devices file: its place, and its device id where that was readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryName {
    /// Place in the array, from 1.
    pub number: usize,
    /// The device id.
    pub device_id: Option<DeviceId>,
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}", self.number)?;
        self.device_id.as_ref().map_or(Ok(()), |id| write!(f, " ({id})"))
    }
}

/// Parses a devices file: `[{"deviceId", "primaryKey", "secondaryKey"?, "status"?: "enabled" | "disabled"}, …]`.
///
/// # Errors
/// [`DevicesFileError`] names the entry and the field. Unknown fields and repeated ids are errors.
pub fn parse_devices(json: &str) -> Result<Vec<DeviceSpec>, DevicesFileError> {
    let value: Value = serde_json::from_str(json)
        .map_err(|error| DevicesFileError::Json { line: error.line(), column: error.column() })?;
    let Value::Array(entries) = value else { return Err(DevicesFileError::NotAnArray) };
    let mut seen = BTreeMap::new();
    let mut devices = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let number = index + 1;
        let device = parse_entry(number, entry)?;
        if let Some(first) = seen.insert(device.id.clone(), number) {
            let entry = EntryName { number, device_id: Some(device.id) };
            let reason = format!("entry {first} has the same id");
            return Err(DevicesFileError::Entry { entry, field: "deviceId".into(), reason });
        }
        devices.push(device);
    }
    Ok(devices)
}

fn parse_entry(number: usize, entry: Value) -> Result<DeviceSpec, DevicesFileError> {
    let mut name = EntryName { number, device_id: None };
    let wrong = |name: &EntryName, field: &str, reason: String| DevicesFileError::Entry {
        entry: name.clone(),
        field: field.into(),
        reason,
    };
    let Value::Object(mut fields) = entry else { return Err(wrong(&name, "entry", "must be an object".into())) };
    let mut text = |name: &EntryName, field: &str| match fields.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(Zeroizing::new(text))),
        Some(_) => Err(wrong(name, field, "must be a string".into())),
    };

    let id = text(&name, "deviceId")?.ok_or_else(|| wrong(&name, "deviceId", "is missing".into()))?;
    let id = DeviceId::new(&id).map_err(|error| wrong(&name, "deviceId", error.to_string()))?;
    name.device_id = Some(id.clone());
    let key = |field: &str, text: Zeroizing<String>| {
        Key::from_base64(&text).map_err(|error| wrong(&name, field, error.to_string()))
    };
    let primary = text(&name, "primaryKey")?.ok_or_else(|| wrong(&name, "primaryKey", "is missing".into()))?;
    let primary_key = key("primaryKey", primary)?;
    let secondary_key = text(&name, "secondaryKey")?.map(|text| key("secondaryKey", text)).transpose()?;
    let enabled = match text(&name, "status")?.as_ref().map(|text| text.as_str()) {
        None | Some("enabled") => true,
        Some("disabled") => false,
        Some(_) => return Err(wrong(&name, "status", "must be \"enabled\" or \"disabled\"".into())),
    };
    match fields.keys().next() {
        Some(field) => Err(wrong(&name, field, "is not a field of a device".into())),
        None => Ok(DeviceSpec { id, primary_key, secondary_key, enabled }),
    }
}

/// A registered device.
#[derive(Clone, Debug)]
pub struct Device {
    spec: DeviceSpec,
    generation_id: Arc<str>,
}

impl Device {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &DeviceId {
        &self.spec.id
    }

    /// Tells this device from an earlier one of the same id.
    #[must_use]
    pub fn generation_id(&self) -> &Arc<str> {
        &self.generation_id
    }

    /// Whether it may connect and be sent to.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.spec.enabled
    }

    /// Its keys, the primary one first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        core::iter::once(&self.spec.primary_key).chain(&self.spec.secondary_key)
    }
}

/// A device of this id is registered already.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("409001 ErrorCode:DeviceAlreadyExists; device {0} is registered already")]
pub struct DeviceExists(
    /// The id.
    pub DeviceId,
);

/// All registered devices, in the order of their ids.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    devices: BTreeMap<DeviceId, Device>,
}

impl Registry {
    pub(crate) fn add(&mut self, spec: DeviceSpec, generation_id: &str) -> Result<(), DeviceExists> {
        if self.devices.contains_key(&spec.id) {
            return Err(DeviceExists(spec.id));
        }
        let id = spec.id.clone();
        self.devices.insert(id, Device { spec, generation_id: generation_id.into() });
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: &DeviceId) -> bool {
        self.devices.remove(id).is_some()
    }

    pub(crate) fn set_enabled(&mut self, id: &DeviceId, enabled: bool) -> bool {
        self.devices.get_mut(id).map(|device| device.spec.enabled = enabled).is_some()
    }

    pub(crate) fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id)
    }

    pub(crate) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }
}

#[cfg(test)]
mod tests;
