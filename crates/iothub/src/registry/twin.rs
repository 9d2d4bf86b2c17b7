//! Twins as the hub keeps them.

use super::{
    authentication::WireThumbprints,
    etag::ETag,
    identity::{Capabilities, ConnectionState, DeviceStatus, time},
};
use crate::error::Error;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::time::SystemTime;

/// The twin of a device or a module: what its service and itself say about it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Wire")]
#[non_exhaustive]
pub struct Twin {
    /// The device.
    pub device_id: String,
    /// The module of it, if it is the twin of one.
    pub module_id: Option<String>,
    /// The version of the twin as the service sees it.
    pub etag: Option<ETag>,
    /// The version of the identity.
    pub device_etag: Option<ETag>,
    /// Rises with every change of the twin.
    pub version: i64,
    /// What the service keeps for itself; the device does not see it.
    pub tags: Map<String, Value>,
    /// What the service wants.
    pub desired: TwinProperties,
    /// What the device says.
    pub reported: TwinProperties,
    /// Whether the device may connect.
    pub status: DeviceStatus,
    /// Why it has this status.
    pub status_reason: Option<String>,
    /// When its status changed last.
    pub status_updated: Option<SystemTime>,
    /// Whether it is connected.
    pub connection_state: ConnectionState,
    /// When it connected, or sent or received something, last.
    pub last_activity: Option<SystemTime>,
    /// How many messages wait for it.
    pub cloud_to_device_message_count: u32,
    /// How it shows who it is: `sas`, `selfSigned`, `certificateAuthority` or `none`.
    pub authentication_type: Option<String>,
    /// The thumbprints of its certificates.
    pub thumbprints: Vec<String>,
    /// Its model in the language of digital twins.
    pub model_id: Option<String>,
    /// What it is besides a device.
    pub capabilities: Capabilities,
    /// The IoT Edge gateway that it belongs to.
    pub device_scope: Option<String>,
    /// The gateways above that one.
    pub parent_scopes: Vec<String>,
}

/// One half of a twin's properties: values, their version, and when each was written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Map<String, Value>")]
pub struct TwinProperties {
    values: Map<String, Value>,
    version: i64,
    metadata: Value,
}

/// When a property was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PropertyMetadata {
    /// When it was written last.
    pub last_updated: Option<SystemTime>,
    /// The version of the properties that wrote it; desired properties have it.
    pub last_updated_version: Option<i64>,
}

impl TwinProperties {
    /// The values, without what the hub adds to them.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// The value at a path: `["fan", "speed"]`.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.values.get(*first)?, |value, key| value.get(key))
    }

    /// Rises with every change of these properties (`$version`).
    pub fn version(&self) -> i64 {
        self.version
    }

    /// When the property at a path was written, also if it was removed; of no path, when any was.
    pub fn metadata(&self, path: &[&str]) -> Option<PropertyMetadata> {
        let metadata = path.iter().try_fold(&self.metadata, |metadata, key| metadata.get(key))?;
        Some(PropertyMetadata {
            last_updated: time(metadata.get("$lastUpdated").and_then(Value::as_str)),
            last_updated_version: metadata.get("$lastUpdatedVersion").and_then(Value::as_i64),
        })
    }

    /// The metadata as the hub writes it: a tree that mirrors the values (`$metadata`).
    pub fn raw_metadata(&self) -> &Value {
        &self.metadata
    }

    /// The values as a type of the application's own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if they do not fit it.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_value(Value::Object(self.values.clone()))
            .map_err(|error| Error::invalid(format!("the properties do not fit the type: {error}")).with_source(error))
    }
}

impl From<Map<String, Value>> for TwinProperties {
    fn from(mut values: Map<String, Value>) -> Self {
        let version = values.remove("$version").and_then(|version| version.as_i64()).unwrap_or_default();
        let metadata = values.remove("$metadata").unwrap_or_default();
        Self { values, version, metadata }
    }
}

/// Twins as the hub writes them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    device_id: String,
    module_id: Option<String>,
    etag: Option<ETag>,
    device_etag: Option<ETag>,
    version: Option<i64>,
    tags: Option<Map<String, Value>>,
    properties: Option<WireProperties>,
    status: Option<DeviceStatus>,
    status_reason: Option<String>,
    // The twin's word for it, and the identity's.
    #[serde(alias = "statusUpdatedTime")]
    status_update_time: Option<String>,
    connection_state: Option<ConnectionState>,
    last_activity_time: Option<String>,
    cloud_to_device_message_count: Option<u32>,
    authentication_type: Option<String>,
    x509_thumbprint: Option<WireThumbprints>,
    model_id: Option<String>,
    capabilities: Option<Capabilities>,
    device_scope: Option<String>,
    parent_scopes: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
struct WireProperties {
    #[serde(default)]
    desired: Option<TwinProperties>,
    #[serde(default)]
    reported: Option<TwinProperties>,
}

impl From<Wire> for Twin {
    fn from(wire: Wire) -> Self {
        let properties = wire.properties.unwrap_or_default();
        let thumbprints = wire.x509_thumbprint.unwrap_or_default();
        let thumbprints = [thumbprints.primary_thumbprint, thumbprints.secondary_thumbprint];
        Self {
            device_id: wire.device_id,
            module_id: wire.module_id,
            etag: wire.etag,
            device_etag: wire.device_etag,
            version: wire.version.unwrap_or_default(),
            tags: wire.tags.unwrap_or_default(),
            desired: properties.desired.unwrap_or_default(),
            reported: properties.reported.unwrap_or_default(),
            status: wire.status.unwrap_or_default(),
            status_reason: wire.status_reason,
            status_updated: time(wire.status_update_time.as_deref()),
            connection_state: wire.connection_state.unwrap_or_default(),
            last_activity: time(wire.last_activity_time.as_deref()),
            cloud_to_device_message_count: wire.cloud_to_device_message_count.unwrap_or_default(),
            authentication_type: wire.authentication_type,
            thumbprints: thumbprints.into_iter().flatten().filter(|text| !text.is_empty()).collect(),
            model_id: wire.model_id.filter(|id| !id.is_empty()),
            capabilities: wire.capabilities.unwrap_or_default(),
            device_scope: wire.device_scope,
            parent_scopes: wire.parent_scopes.unwrap_or_default(),
        }
    }
}

/// What is written into a twin: tags and desired properties.
///
/// As a patch, objects are merged at every depth, `null` removes what is there, and arrays are replaced as a whole. As a
/// replacement, tags and desired properties become what is given, and nothing where nothing is.
///
/// ```
/// use iothub::registry::TwinUpdate;
/// use serde_json::json;
///
/// let update = TwinUpdate::new().tag("room", "kitchen").desired("fan", json!({"speed": 3})).remove_desired("lamp");
/// # let _ = update;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TwinUpdate {
    tags: Option<Map<String, Value>>,
    desired: Option<Map<String, Value>>,
}

impl TwinUpdate {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a tag.
    #[must_use]
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.tags.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// Removes a tag.
    #[must_use]
    pub fn remove_tag(self, name: impl Into<String>) -> Self {
        self.tag(name, Value::Null)
    }

    /// Sets all tags at once.
    #[must_use]
    pub fn tags(mut self, tags: Map<String, Value>) -> Self {
        self.tags = Some(tags);
        self
    }

    /// Sets a desired property.
    #[must_use]
    pub fn desired(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.desired.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// Removes a desired property.
    #[must_use]
    pub fn remove_desired(self, name: impl Into<String>) -> Self {
        self.desired(name, Value::Null)
    }

    /// Sets all desired properties at once.
    #[must_use]
    pub fn desired_properties(mut self, properties: Map<String, Value>) -> Self {
        self.desired = Some(properties);
        self
    }

    pub(super) fn to_body(&self) -> impl Serialize + use<> {
        let mut body = Map::new();
        if let Some(tags) = &self.tags {
            body.insert("tags".to_owned(), Value::Object(tags.clone()));
        }
        if let Some(desired) = &self.desired {
            body.insert("properties".to_owned(), serde_json::json!({ "desired": desired }));
        }
        body
    }

    /// Tags and desired properties.
    pub(super) fn into_parts(self) -> [Option<Map<String, Value>>; 2] {
        [self.tags, self.desired]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_iso8601;
    use serde_json::json;

    #[test]
    fn a_twin_is_read_with_versions_and_metadata() {
        let twin: Twin = serde_json::from_value(json!({
            "deviceId": "d1", "etag": "AAAAAAAAAAE=", "deviceEtag": "Nzg=", "status": "enabled",
            "statusUpdateTime": "0001-01-01T00:00:00Z", "connectionState": "Connected",
            "lastActivityTime": "2026-11-22T20:07:31.1234567Z", "cloudToDeviceMessageCount": 2,
            "authenticationType": "sas", "x509Thumbprint": {"primaryThumbprint": null, "secondaryThumbprint": null},
            "modelId": "", "version": 5, "tags": {"room": "kitchen"},
            "properties": {
                "desired": {"fan": {"speed": 3}, "$version": 4, "$metadata": {
                    "$lastUpdated": "2026-11-22T20:07:31.1234567Z", "$lastUpdatedVersion": 4,
                    "fan": {"$lastUpdated": "2026-11-22T20:07:30Z", "$lastUpdatedVersion": 3}}},
                "reported": {"$metadata": {"$lastUpdated": "0001-01-01T00:00:00Z"}, "$version": 1}
            },
            "capabilities": {"iotEdge": false}, "new": [1]
        }))
        .expect("a twin");
        assert_eq!(twin.etag, Some(ETag::new("AAAAAAAAAAE=")));
        assert_eq!((twin.version, twin.desired.version(), twin.reported.version()), (5, 4, 1));
        assert_eq!(twin.desired.get(&["fan", "speed"]), Some(&json!(3)));
        assert_eq!(twin.desired.values().len(), 1);
        let fan = twin.desired.metadata(&["fan"]).expect("metadata");
        assert_eq!(fan.last_updated, parse_iso8601("2026-11-22T20:07:30Z"));
        assert_eq!(fan.last_updated_version, Some(3));
        assert_eq!(twin.reported.metadata(&[]).expect("metadata").last_updated, None);
        assert_eq!((twin.status_updated, twin.model_id, twin.thumbprints.len()), (None, None, 0));
        assert_eq!(twin.last_activity, parse_iso8601("2026-11-22T20:07:31.123Z"));
        assert_eq!(twin.connection_state, ConnectionState::Connected);
        #[derive(Deserialize)]
        struct Wanted {
            fan: Map<String, Value>,
        }
        assert_eq!(twin.desired.deserialize::<Wanted>().expect("it fits").fan["speed"], 3);
        assert!(twin.reported.deserialize::<Wanted>().is_err());
    }

    #[test]
    fn a_twin_without_anything_is_a_twin() {
        let twin: Twin = serde_json::from_value(json!({"deviceId": "d", "moduleId": "m"})).expect("a twin");
        assert_eq!((twin.module_id.as_deref(), twin.desired.version()), (Some("m"), 0));
    }

    #[test]
    fn an_update_holds_only_what_it_was_given() {
        let body = |update: TwinUpdate| serde_json::to_value(update.to_body()).expect("JSON");
        assert_eq!(body(TwinUpdate::new()), json!({}));
        assert_eq!(body(TwinUpdate::new().remove_tag("a")), json!({"tags": {"a": null}}));
        assert_eq!(body(TwinUpdate::new().desired("b", 1)), json!({"properties": {"desired": {"b": 1}}}));
    }
}
