//! Single values of a twin that are the identity's.

use serde_json::Value;

use super::Identity;
use crate::hub::clock::{UnixMillis, iso8601_or_never};
use crate::hub::query::{Cell, Row as _};

impl Identity {
    /// The value at a path of what [`Identity::to_twin_json`] shows.
    pub(crate) fn twin_value<'r>(&'r self, device: &'r Self, path: &[Box<str>]) -> Cell<'r> {
        let time = |at: Option<UnixMillis>| Cell::Text(iso8601_or_never(at).into());
        let [root] = path else { return self.nested_twin_value(device, path) };
        match &**root {
            "deviceId" => Cell::text(self.id.device.as_str()),
            "moduleId" => Cell::optional_text(self.id.module.as_ref().map(|module| module.as_str())),
            "deviceEtag" => Cell::text(&self.etag),
            "status" => Cell::text(device.status()),
            "statusReason" => Cell::optional_text(device.status_reason.as_deref()),
            "statusUpdateTime" => time(device.status_updated),
            "connectionState" => Cell::text(self.connection_state()),
            "lastActivityTime" => time(self.last_activity),
            "cloudToDeviceMessageCount" => Cell::count(self.cloud_to_device_messages as u64),
            "authenticationType" => Cell::text(self.authentication.type_name()),
            "deviceScope" => Cell::optional_text(self.device_scope.as_deref()),
            _ => self.nested_twin_value(device, path),
        }
    }

    fn nested_twin_value(&self, device: &Self, path: &[Box<str>]) -> Cell<'_> {
        let Some((root, rest)) = path.split_first() else { return Cell::Undefined };
        let part: Value = match &**root {
            "capabilities" if self.id.module.is_some() => return Cell::Undefined,
            "capabilities" => match rest {
                [key] if &**key == "iotEdge" => return Cell::Bool(self.iot_edge),
                _ => self.capabilities(),
            },
            "x509Thumbprint" => self.authentication.thumbprints_to_json(),
            "parentScopes" => match self.to_twin_json(device).get("parentScopes") {
                Some(scopes) => scopes.clone(),
                None => return Cell::Undefined,
            },
            _ => return Cell::Undefined,
        };
        part.value(rest).into_json().map_or(Cell::Undefined, Cell::owned)
    }
}
