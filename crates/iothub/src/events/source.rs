//! What the hub says about an event, in types.

use serde::Deserialize;

/// What an event is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventSource {
    /// A message of a device or a module.
    Telemetry,
    /// The hub: a twin has changed.
    TwinChange,
    /// The hub: a device or a module was created or deleted.
    DeviceLifecycle,
    /// The hub: a digital twin has changed.
    DigitalTwinChange,
    /// The hub: a device has connected or disconnected.
    ConnectionState,
    /// Something that this version does not know, by the hub's name for it.
    Other(String),
}

impl EventSource {
    pub(super) fn from_name(name: &str) -> Self {
        match name {
            "Telemetry" => Self::Telemetry,
            "twinChangeEvents" => Self::TwinChange,
            "deviceLifecycleEvents" => Self::DeviceLifecycle,
            "digitalTwinChangeEvents" => Self::DigitalTwinChange,
            "deviceConnectionStateEvents" => Self::ConnectionState,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The hub's name for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Telemetry => "Telemetry",
            Self::TwinChange => "twinChangeEvents",
            Self::DeviceLifecycle => "deviceLifecycleEvents",
            Self::DigitalTwinChange => "digitalTwinChangeEvents",
            Self::ConnectionState => "deviceConnectionStateEvents",
            Self::Other(name) => name,
        }
    }
}

/// How the sender of an event had shown who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AuthMethod {
    /// Whose key or certificate it was: `hub`, `device` or `module`.
    pub scope: String,
    /// What it was: `sas`, `symkey` or `x509`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who gave it out: `iothub` or `external`.
    pub issuer: String,
}

impl AuthMethod {
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_keep_their_names() {
        for name in ["Telemetry", "twinChangeEvents", "deviceLifecycleEvents", "digitalTwinChangeEvents"] {
            let source = EventSource::from_name(name);
            assert!(!matches!(source, EventSource::Other(_)) && source.as_str() == name, "{name}");
        }
        assert_eq!(EventSource::from_name("new").as_str(), "new");
    }

    #[test]
    fn an_auth_method_that_cannot_be_read_is_none() {
        assert_eq!(AuthMethod::parse("sas"), None);
        assert_eq!(AuthMethod::parse(r#"{"type":"x509","acceptingIpFilterRule":null}"#).expect("JSON").kind, "x509");
    }
}
