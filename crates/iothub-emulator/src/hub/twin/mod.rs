//! Twins: the documents that a device and the service share.
//!
//! A twin has tags, which only the service sees, desired properties, which the service writes, and reported properties,
//! which the device writes. Of the properties it also keeps when each part was last written ([`section`]).

mod integers;
mod limits;
mod section;
mod watchers;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::identity::Identity;
use super::ids::IdentityId;

pub(crate) use integers::check_integers;
pub(crate) use limits::Limits;
pub(crate) use section::{Section, delta, merge, size, weight, without_nulls};
pub(crate) use watchers::Watchers;
pub use watchers::{DesiredChange, MAX_PENDING_CHANGES};

/// What the hub keeps of a twin.
#[derive(Debug)]
pub(crate) struct TwinState {
    pub(crate) version: u64,
    pub(crate) etag: u64,
    pub(crate) tags: Map<String, Value>,
    pub(crate) desired: Section,
    pub(crate) reported: Section,
    pub(crate) model_id: Option<Box<str>>,
    pub(crate) watchers: Watchers,
}

/// A twin as the service makes it.
impl Default for TwinState {
    fn default() -> Self {
        Self {
            version: 2,
            etag: 1,
            tags: Map::new(),
            desired: Section::default(),
            reported: Section::default(),
            model_id: None,
            watchers: Watchers::default(),
        }
    }
}

impl TwinState {
    pub(crate) fn etag_text(&self) -> String {
        STANDARD.encode(self.etag.to_be_bytes())
    }
}

/// A twin, as it is now.
#[derive(Clone, Copy, Debug)]
pub struct Twin<'h> {
    pub(crate) device: &'h Identity,
    pub(crate) identity: &'h Identity,
    pub(crate) state: &'h TwinState,
}

impl<'h> Twin<'h> {
    /// Whose twin it is.
    #[must_use]
    pub fn id(&self) -> &'h IdentityId {
        self.identity.id()
    }

    /// The identity itself.
    #[must_use]
    pub fn identity(&self) -> &'h Identity {
        self.identity
    }

    /// The entity tag, without quotes: another one whenever the service has written the twin.
    #[must_use]
    pub fn etag(&self) -> String {
        self.state.etag_text()
    }

    /// The number that rises with every change, of whichever part.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.state.version
    }

    /// The tags.
    #[must_use]
    pub fn tags(&self) -> &'h Map<String, Value> {
        &self.state.tags
    }

    /// The desired properties, without `$version` and `$metadata`.
    #[must_use]
    pub fn desired(&self) -> &'h Map<String, Value> {
        self.state.desired.values()
    }

    /// `$version` of the desired properties.
    #[must_use]
    pub fn desired_version(&self) -> u64 {
        self.state.desired.version()
    }

    /// The reported properties, without `$version` and `$metadata`.
    #[must_use]
    pub fn reported(&self) -> &'h Map<String, Value> {
        self.state.reported.values()
    }

    /// `$version` of the reported properties.
    #[must_use]
    pub fn reported_version(&self) -> u64 {
        self.state.reported.version()
    }

    /// The model that the device has named when it connected.
    #[must_use]
    pub fn model_id(&self) -> Option<&'h str> {
        self.state.model_id.as_deref()
    }

    /// The document as the service sees it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut document = self.identity.to_twin_json(self.device);
        document["etag"] = self.etag().into();
        document["version"] = self.state.version.into();
        document["modelId"] = self.model_id().unwrap_or_default().into();
        // Some clients refuse a null here, so what is not there is left out.
        if !self.state.tags.is_empty() {
            document["tags"] = Value::Object(self.state.tags.clone());
        }
        document["properties"] = json!({
            "desired": self.state.desired.to_json(),
            "reported": self.state.reported.to_json(),
        });
        document
    }

    /// The document as the device sees it: the properties, without metadata.
    #[must_use]
    pub fn to_device_json(&self) -> Value {
        json!({
            "desired": self.state.desired.to_device_json(),
            "reported": self.state.reported.to_device_json(),
        })
    }
}
