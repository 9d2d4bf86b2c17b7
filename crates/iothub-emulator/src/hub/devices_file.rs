//! Devices as they are given before a hub starts: by an argument, or in a file.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;
use zeroize::Zeroizing;

use super::authentication::{AuthenticationSpec, ThumbprintError};
use super::identity::IdentitySpec;
use super::ids::{DeviceId, IdError, IdentityId, ModuleId};
use super::key::{Key, KeyError};

/// A device as it is given before the hub has registered it.
#[derive(Clone, Debug)]
pub struct DeviceSpec {
    /// The device's id.
    pub id: DeviceId,
    /// How it authenticates.
    pub authentication: AuthenticationSpec,
    /// Whether it may connect and be sent to.
    pub enabled: bool,
    /// Its modules, and how they authenticate.
    pub modules: Vec<(ModuleId, AuthenticationSpec)>,
}

impl DeviceSpec {
    /// An enabled device with one key that is known.
    #[must_use]
    pub fn new(id: DeviceId, primary: Key) -> Self {
        Self::with_authentication(id, AuthenticationSpec::SymmetricKey { primary: Some(primary), secondary: None })
    }

    /// An enabled device without modules.
    #[must_use]
    pub fn with_authentication(id: DeviceId, authentication: AuthenticationSpec) -> Self {
        Self { id, authentication, enabled: true, modules: Vec::new() }
    }

    /// The identities: the device, then its modules.
    pub(crate) fn into_identities(self) -> impl Iterator<Item = IdentitySpec> {
        let device = IdentitySpec {
            authentication: Some(self.authentication),
            enabled: self.enabled,
            ..IdentitySpec::new(&self.id)
        };
        let modules = self.modules.into_iter().map(move |(module, authentication)| IdentitySpec {
            authentication: Some(authentication),
            ..IdentitySpec::new(IdentityId::of_module(self.id.clone(), module))
        });
        core::iter::once(device).chain(modules)
    }
}

/// Parses `ID=BASE64KEY`; for a device with a certificate `ID=x509:THUMBPRINT`, `ID=x509:THUMBPRINT,THUMBPRINT2` or, where
/// an authority issues it, `ID=x509:ca`. An id that has a `=` itself can only be given in a file.
impl FromStr for DeviceSpec {
    type Err = DeviceArgumentError;

    fn from_str(text: &str) -> Result<Self, DeviceArgumentError> {
        let (id, key) = text.split_once('=').ok_or(DeviceArgumentError::NoKey)?;
        if let Some(certificate) = key.strip_prefix("x509:") {
            let authentication = match certificate {
                "ca" => AuthenticationSpec::CertificateAuthority,
                thumbprints => {
                    let (first, second) = match thumbprints.split_once(',') {
                        Some((first, second)) => (first, Some(second.parse()?)),
                        None => (thumbprints, None),
                    };
                    AuthenticationSpec::SelfSigned { primary: Some(first.parse()?), secondary: second }
                }
            };
            return Ok(Self::with_authentication(DeviceId::new(id)?, authentication));
        }
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
    /// What follows `x509:` is neither `ca` nor one or two thumbprints.
    #[error("device certificate: expected ca, THUMBPRINT or THUMBPRINT,THUMBPRINT: {0}")]
    Thumbprint(#[from] ThumbprintError),
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

/// Parses a devices file: a JSON array of objects with these fields.
///
/// | field | |
/// |---|---|
/// | `deviceId` | |
/// | `primaryKey`, `secondaryKey` | base64; the secondary one is made if it is missing |
/// | `authentication` | instead of the keys: the object of the service's REST interface, with `symmetricKey` or `x509Thumbprint` and `type` |
/// | `status` | `enabled`, unless it is `disabled` |
/// | `modules` | an array of objects with `moduleId` and the same fields for keys |
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
        let mut name = EntryName { number, device_id: None };
        let device = parse_entry(&mut name, entry).map_err(|(field, reason)| DevicesFileError::Entry {
            entry: name.clone(),
            field,
            reason,
        })?;
        if let Some(first) = seen.insert(device.id.clone(), number) {
            let reason = format!("entry {first} has the same id");
            return Err(DevicesFileError::Entry { entry: name, field: "deviceId".into(), reason });
        }
        devices.push(device);
    }
    Ok(devices)
}

/// The field that is wrong, and what is wrong with it.
type Wrong = (String, String);

fn parse_entry(name: &mut EntryName, entry: Value) -> Result<DeviceSpec, Wrong> {
    let mut fields = Fields::of(entry)?;
    let id = fields.text("deviceId")?.ok_or_else(|| wrong("deviceId", "is missing"))?;
    let id = DeviceId::new(&id).map_err(|error| wrong("deviceId", error))?;
    name.device_id = Some(id.clone());
    let authentication = fields.authentication()?;
    let enabled = match fields.text("status")?.as_ref().map(|text| text.as_str()) {
        None | Some("enabled") => true,
        Some("disabled") => false,
        Some(_) => return Err(wrong("status", "must be \"enabled\" or \"disabled\"")),
    };
    let modules = match fields.0.remove("modules") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(modules)) => modules.into_iter().map(parse_module).collect::<Result<_, _>>()?,
        Some(_) => return Err(wrong("modules", "must be an array")),
    };
    fields.end("a device")?;
    Ok(DeviceSpec { id, authentication, enabled, modules })
}

fn parse_module(entry: Value) -> Result<(ModuleId, AuthenticationSpec), Wrong> {
    let mut fields = Fields::of(entry).map_err(|(_, reason)| wrong("modules", reason))?;
    let id = fields.text("moduleId")?.ok_or_else(|| wrong("moduleId", "is missing"))?;
    let id = ModuleId::new(&id).map_err(|error| wrong("moduleId", error))?;
    let authentication = fields.authentication()?;
    fields.end("a module")?;
    Ok((id, authentication))
}

/// The fields of an entry that have not been read yet.
struct Fields(Map<String, Value>);

impl Fields {
    fn of(entry: Value) -> Result<Self, Wrong> {
        match entry {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(wrong("entry", "must be an object")),
        }
    }

    fn text(&mut self, field: &str) -> Result<Option<Zeroizing<String>>, Wrong> {
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(Zeroizing::new(text))),
            Some(_) => Err(wrong(field, "must be a string")),
        }
    }

    fn key(&mut self, field: &str) -> Result<Option<Key>, Wrong> {
        let text = self.text(field)?;
        text.map(|text| Key::from_base64(&text).map_err(|error| wrong(field, error))).transpose()
    }

    fn authentication(&mut self) -> Result<AuthenticationSpec, Wrong> {
        let (primary, secondary) = (self.key("primaryKey")?, self.key("secondaryKey")?);
        match (self.0.remove("authentication"), primary) {
            (None | Some(Value::Null), Some(primary)) => {
                Ok(AuthenticationSpec::SymmetricKey { primary: Some(primary), secondary })
            }
            (None | Some(Value::Null), None) => Err(wrong("primaryKey", "is missing")),
            (Some(document), None) if secondary.is_none() => {
                AuthenticationSpec::parse(&document).map_err(|error| wrong("authentication", error.text()))
            }
            _ => Err(wrong("authentication", "takes the place of primaryKey and secondaryKey")),
        }
    }

    fn end(self, what: &str) -> Result<(), Wrong> {
        match self.0.keys().next() {
            Some(field) => Err(wrong(field, format!("is not a field of {what}"))),
            None => Ok(()),
        }
    }
}

fn wrong(field: &str, reason: impl fmt::Display) -> Wrong {
    (field.to_owned(), reason.to_string())
}

#[cfg(test)]
mod tests;
