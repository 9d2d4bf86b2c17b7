use crate::error::Error;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What a device sees of its twin.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DeviceTwin {
    /// What services want.
    pub desired: Properties,
    /// What the device has reported.
    pub reported: Properties,
}

/// One half of a twin's properties, and their version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    values: Map<String, Value>,
    version: i64,
}

impl Properties {
    /// The values.
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

    /// The values as a type of the application's own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if they do not fit it.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_value(Value::Object(self.values.clone()))
            .map_err(|error| Error::invalid(format!("the properties do not fit the type: {error}")).with_source(error))
    }

    /// Properties without their version: `None` if the version is missing.
    pub(super) fn split(mut object: Map<String, Value>) -> (Map<String, Value>, Option<i64>) {
        let version = object.remove("$version").as_ref().and_then(Value::as_i64);
        object.retain(|key, _| !key.starts_with('$'));
        (object, version)
    }
}

impl DeviceTwin {
    /// The answer to a read.
    pub(super) fn parse(octets: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::protocol("the hub did not keep to the protocol: the twin is not the JSON of a twin");
        let document: Value = serde_json::from_slice(octets).map_err(|error| malformed().with_source(error))?;
        let Value::Object(mut document) = document else { return Err(malformed()) };
        let mut section = |name: &str| match document.remove(name) {
            Some(Value::Object(object)) => {
                let (values, version) = Properties::split(object);
                Ok(Properties { values, version: version.unwrap_or_default() })
            }
            None => Ok(Properties::default()),
            Some(_) => Err(malformed()),
        };
        Ok(Self { desired: section("desired")?, reported: section("reported")? })
    }
}

/// A change of the desired properties.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DesiredChange {
    /// All desired properties, as they were read: the first ones, and those after a gap in the notifications, as after a
    /// reconnection.
    All(Properties),
    /// What a service has changed. A value that is `null` was removed; an object holds what has changed in it.
    Patch(Properties),
}

impl DesiredChange {
    /// The properties: all of them, or those that have changed.
    pub fn properties(&self) -> &Properties {
        match self {
            Self::All(properties) | Self::Patch(properties) => properties,
        }
    }

    /// The version that the desired properties have with this change.
    pub fn version(&self) -> i64 {
        self.properties().version
    }

    pub(super) fn patch(values: Map<String, Value>, version: i64) -> Self {
        Self::Patch(Properties { values, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_is_two_sections_with_versions() {
        let twin = DeviceTwin::parse(br#"{"desired":{"fan":{"speed":2},"$version":3},"reported":{"$version":7}}"#);
        let twin = twin.expect("a twin");
        assert_eq!((twin.desired.version(), twin.reported.version()), (3, 7));
        assert_eq!(twin.desired.get(&["fan", "speed"]), Some(&2.into()));
        assert!(twin.reported.values().is_empty());
    }

    #[test]
    fn what_is_not_a_twin_is_an_error_of_the_hub() {
        for wrong in ["", "[]", "{", r#"{"desired":3}"#] {
            let error = DeviceTwin::parse(wrong.as_bytes()).expect_err(wrong);
            assert_eq!(error.kind(), crate::ErrorKind::Protocol);
        }
        assert_eq!(DeviceTwin::parse(b"{}").expect("empty sections"), DeviceTwin::default());
    }
}
