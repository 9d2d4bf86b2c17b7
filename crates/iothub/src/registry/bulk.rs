//! Many identities in one request.

use super::{
    RegistryClient,
    authentication::WireAuthentication,
    etag::ETag,
    http::{Call, Repeat},
    identity::{Device, IdentityId, Module},
    twin::TwinUpdate,
};
use crate::error::Error;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How many identities the hub takes in one request.
pub const MAX_BULK: usize = 100;

/// What is to be done with one identity of a bulk request.
///
/// A change that has an ETag is made only if the version is still that one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BulkOperation {
    /// Create a device, with these tags and desired properties in its twin.
    Create(Box<Device>, TwinUpdate),
    /// Create a device, or update the one that is there; with the ETag of the device, only if it is still that one.
    CreateOrUpdate(Box<Device>, Option<ETag>),
    /// Update a device.
    Update(Box<Device>, Option<ETag>),
    /// Create a module.
    CreateModule(Box<Module>, TwinUpdate),
    /// Update a module.
    UpdateModule(Box<Module>, Option<ETag>),
    /// Delete a device or a module.
    Delete(IdentityId, Option<ETag>),
    /// Merge tags and desired properties into a twin; the ETag is the twin's.
    UpdateTwin(IdentityId, TwinUpdate, Option<ETag>),
}

impl BulkOperation {
    /// Creates a device with an empty twin.
    pub fn create(device: Device) -> Self {
        Self::Create(Box::new(device), TwinUpdate::new())
    }

    /// Updates a device on the condition that it is still as it was read.
    pub fn update(device: Device) -> Self {
        let etag = device.etag.clone();
        Self::Update(Box::new(device), etag)
    }

    /// Deletes a device or a module, whatever its version is.
    pub fn delete(identity: impl Into<IdentityId>) -> Self {
        Self::Delete(identity.into(), None)
    }

    /// Merges tags and desired properties into a twin, whatever its version is.
    pub fn update_twin(identity: impl Into<IdentityId>, update: TwinUpdate) -> Self {
        Self::UpdateTwin(identity.into(), update, None)
    }

    fn to_entry(&self) -> Entry {
        match self {
            Self::Create(device, twin) => Entry::of_device(device, "create", None).with_twin(twin, None),
            Self::CreateOrUpdate(device, etag) => {
                let modes = ["createOrUpdate", "createOrUpdateIfMatchETag"];
                Entry::of_device(device, mode(modes, etag), etag.clone())
            }
            Self::Update(device, etag) => {
                Entry::of_device(device, mode(["update", "updateIfMatchETag"], etag), etag.clone())
            }
            Self::CreateModule(module, twin) => Entry::of_module(module, "create", None).with_twin(twin, None),
            Self::UpdateModule(module, etag) => {
                Entry::of_module(module, mode(["update", "updateIfMatchETag"], etag), etag.clone())
            }
            Self::Delete(identity, etag) => {
                Entry { e_tag: etag.clone(), ..Entry::new(identity, mode(["delete", "deleteIfMatchETag"], etag)) }
            }
            Self::UpdateTwin(identity, twin, etag) => {
                let entry = Entry::new(identity, mode(["updateTwin", "updateTwinIfMatchETag"], etag));
                entry.with_twin(twin, etag.clone())
            }
        }
    }
}

/// The name of an operation without and with a condition.
fn mode([any, if_match]: [&'static str; 2], etag: &Option<ETag>) -> &'static str {
    if etag.is_some() { if_match } else { any }
}

/// An entry as the hub reads it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    module_id: Option<String>,
    import_mode: &'static str,
    #[serde(rename = "eTag", skip_serializing_if = "Option::is_none")]
    e_tag: Option<ETag>,
    /// A device or a module as it is written alone; the hub's names are the same.
    #[serde(flatten)]
    identity: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication: Option<WireAuthentication>,
    #[serde(rename = "twinETag", skip_serializing_if = "Option::is_none")]
    twin_e_tag: Option<ETag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Value>,
}

impl Entry {
    fn new(identity: &IdentityId, import_mode: &'static str) -> Self {
        let IdentityId { device_id, module_id } = identity.clone();
        Self { id: device_id, module_id, import_mode, ..Self::default() }
    }

    fn of_device(device: &Device, import_mode: &'static str, e_tag: Option<ETag>) -> Self {
        let mut identity = Map::new();
        let mut set = |name: &str, value: Value| identity.insert(name.to_owned(), value);
        set("status", serde_json::to_value(device.status).unwrap_or_default());
        set("capabilities", serde_json::to_value(device.capabilities).unwrap_or_default());
        if let Some(reason) = &device.status_reason {
            set("statusReason", reason.as_str().into());
        }
        if let Some(scope) = &device.device_scope {
            set("deviceScope", scope.as_str().into());
        }
        if !device.parent_scopes.is_empty() {
            set("parentScopes", device.parent_scopes.clone().into());
        }
        let authentication = Some(WireAuthentication::from(&device.authentication));
        Self { e_tag, identity, authentication, ..Self::new(&device.into(), import_mode) }
    }

    fn of_module(module: &Module, import_mode: &'static str, e_tag: Option<ETag>) -> Self {
        let mut identity = Map::new();
        if let Some(name) = &module.managed_by {
            identity.insert("managedBy".to_owned(), name.as_str().into());
        }
        let authentication = Some(WireAuthentication::from(&module.authentication));
        Self { e_tag, identity, authentication, ..Self::new(&module.into(), import_mode) }
    }

    fn with_twin(self, twin: &TwinUpdate, twin_e_tag: Option<ETag>) -> Self {
        let [tags, desired] = twin.clone().into_parts();
        let properties = desired.map(|desired| serde_json::json!({ "desired": desired }));
        Self { tags, properties, twin_e_tag, ..self }
    }
}

/// What became of a bulk request. Entries without an error are done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BulkResult {
    /// Whether there were no errors.
    pub is_successful: bool,
    /// What was not done.
    #[serde(default, deserialize_with = "or_none")]
    pub errors: Vec<BulkError>,
    /// What was done, with a remark.
    #[serde(default, deserialize_with = "or_none")]
    pub warnings: Vec<BulkWarning>,
}

/// An entry that was not done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BulkError {
    /// The device.
    #[serde(default)]
    pub device_id: String,
    /// The module of it, if it was about one.
    #[serde(default)]
    pub module_id: Option<String>,
    /// The hub's code, as a number or as a name.
    #[serde(default)]
    pub error_code: BulkCode,
    /// The reason in words.
    #[serde(default)]
    pub error_status: Option<String>,
}

/// A remark on an entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BulkWarning {
    /// The device.
    #[serde(default)]
    pub device_id: String,
    /// The hub's code.
    #[serde(default)]
    pub warning_code: BulkCode,
    /// The remark in words.
    #[serde(default)]
    pub warning_status: Option<String>,
}

/// A code of the hub, which writes some as numbers and some as names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum BulkCode {
    /// Such as 404001.
    Number(u32),
    /// Such as `DeviceNotFound`.
    Name(String),
    /// The hub stated none.
    #[default]
    Missing,
}

fn or_none<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl RegistryClient {
    /// Creates, updates and deletes up to 100 identities in one request. An entry that fails keeps no other from being
    /// done: look at [`BulkResult::errors`].
    ///
    /// # Errors
    ///
    /// If the request as a whole is refused: [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the
    /// same identity stands in it twice, or it has more than 100; what happens to all requests.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, any of it may have been done or not.
    pub async fn bulk(&self, operations: &[BulkOperation]) -> Result<BulkResult, Error> {
        if operations.is_empty() || operations.len() > MAX_BULK {
            return Err(Error::invalid("a bulk request has 1 to 100 identities"));
        }
        let entries: Vec<_> = operations.iter().map(BulkOperation::to_entry).collect();
        let call = Call::new(Method::POST, "/devices", Repeat::UnlessDelivered).json(&entries)?;
        // The answer to a request that was done in part is a 400 with the same body as that of a success.
        self.http().send_partial(call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Authentication;
    use serde_json::json;

    fn entry(operation: BulkOperation) -> Value {
        serde_json::to_value(operation.to_entry()).expect("JSON")
    }

    #[test]
    fn entries_have_the_hubs_names() {
        let device = Device::new("d").authentication(Authentication::thumbprint("AB"));
        let twin = TwinUpdate::new().tag("t", 1).desired("p", 2);
        assert_eq!(
            entry(BulkOperation::Create(Box::new(device.clone()), twin.clone())),
            json!({"id": "d", "importMode": "create", "status": "enabled", "capabilities": {"iotEdge": false},
                   "authentication": {"type": "selfSigned",
                       "x509Thumbprint": {"primaryThumbprint": "AB", "secondaryThumbprint": null}},
                   "tags": {"t": 1}, "properties": {"desired": {"p": 2}}})
        );
        let etag = Some(ETag::new("E="));
        let twin = entry(BulkOperation::UpdateTwin(("d", "m").into(), twin, etag.clone()));
        assert_eq!((&twin["importMode"], &twin["twinETag"]), (&json!("updateTwinIfMatchETag"), &json!("E=")));
        assert_eq!((&twin["moduleId"], twin.get("eTag")), (&json!("m"), None));
        let delete = json!({"id": "d", "importMode": "deleteIfMatchETag", "eTag": "E="});
        assert_eq!(entry(BulkOperation::Delete("d".into(), etag)), delete);
        assert_eq!(entry(BulkOperation::update(device))["importMode"], "update");
    }

    #[test]
    fn codes_are_read_as_numbers_and_as_names() {
        let result: BulkResult = serde_json::from_value(json!({
            "isSuccessful": false, "warnings": null, "errors": [
                {"deviceId": "a", "errorCode": 404001, "errorStatus": "a"},
                {"deviceId": "b", "moduleId": "m", "errorCode": "ModuleNotFound"}, {}]
        }))
        .expect("a result");
        let codes: Vec<_> = result.errors.into_iter().map(|error| error.error_code).collect();
        assert_eq!(codes, [BulkCode::Number(404_001), BulkCode::Name("ModuleNotFound".to_owned()), BulkCode::Missing]);
    }
}
