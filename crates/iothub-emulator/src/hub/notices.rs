//! Events of the hub itself at the built-in endpoint: connections, identities and twins that have changed.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::clock::UnixMillis;
use super::ids::IdentityId;
use super::partition::EventOrigin;
use super::twin::Section;
use super::{Hub, Wake};

/// What an event of the hub itself is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// A device or module has connected.
    Connected,
    /// The last link of a device or module has ended.
    Disconnected,
    /// A device or module was registered.
    Created,
    /// A device or module was removed.
    Deleted,
    /// Parts of a twin have changed.
    TwinUpdated,
    /// A twin was replaced.
    TwinReplaced,
}

impl NoticeKind {
    /// `iothub-message-source`
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Self::Connected | Self::Disconnected => "deviceConnectionStateEvents",
            Self::Created | Self::Deleted => "deviceLifecycleEvents",
            Self::TwinUpdated | Self::TwinReplaced => "twinChangeEvents",
        }
    }

    /// `opType`
    #[must_use]
    pub fn operation(self) -> &'static str {
        match self {
            Self::Connected => "deviceConnected",
            Self::Disconnected => "deviceDisconnected",
            Self::Created => "createDeviceIdentity",
            Self::Deleted => "deleteDeviceIdentity",
            Self::TwinUpdated => "updateTwin",
            Self::TwinReplaced => "replaceTwin",
        }
    }

    /// `iothub-message-schema`
    #[must_use]
    pub fn schema(self) -> &'static str {
        match self {
            Self::Connected | Self::Disconnected => "deviceConnectionStateNotification",
            Self::Created | Self::Deleted => "deviceLifecycleNotification",
            Self::TwinUpdated | Self::TwinReplaced => "twinChangeNotification",
        }
    }
}

/// What the hub says of an event of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// When it happened.
    pub at: UnixMillis,
}

impl Hub {
    fn wants(&self, kind: NoticeKind) -> bool {
        let events = &self.settings.events;
        match kind {
            NoticeKind::Connected | NoticeKind::Disconnected => events.connection_state,
            NoticeKind::Created | NoticeKind::Deleted => events.lifecycle,
            NoticeKind::TwinUpdated | NoticeKind::TwinReplaced => events.twin_changes,
        }
    }

    fn put_notice(&mut self, now: UnixMillis, id: &IdentityId, kind: NoticeKind, body: &Value) {
        let Ok(generation_id) = self.identity(id).map(|identity| identity.generation_id().clone()) else { return };
        let origin = EventOrigin {
            device: id.device.clone(),
            module: id.module.clone(),
            auth_method: "".into(),
            generation_id,
            notice: Some(Notice { kind, at: now }),
        };
        let number = self.partition_of(&id.device);
        if let Some(partition) = self.partition_mut(number) {
            partition.append(now, origin, Bytes::from(body.to_string()));
            self.wakes.insert(Wake::Partition(number));
        }
    }

    /// Says that an identity has connected or disconnected.
    pub(super) fn notice_connection(&mut self, now: UnixMillis, id: &IdentityId, kind: NoticeKind) {
        if self.wants(kind) {
            self.last_notice += 1;
            let body = json!({ "sequenceNumber": format!("{:064x}", self.last_notice) });
            self.put_notice(now, id, kind, &body);
        }
    }

    /// Says with the whole twin that an identity was registered or is removed, or that its twin was replaced.
    pub(crate) fn notice_whole(&mut self, now: UnixMillis, id: &IdentityId, kind: NoticeKind) {
        if self.wants(kind)
            && let Ok(body) = self.twin(id).map(|twin| twin.to_json())
        {
            self.put_notice(now, id, kind, &body);
        }
    }

    /// Says what of a twin has changed.
    pub(super) fn notice_update(
        &mut self,
        now: UnixMillis,
        id: &IdentityId,
        tags: Option<Map<String, Value>>,
        desired: Option<Map<String, Value>>,
        reported: Option<Map<String, Value>>,
    ) {
        if !self.wants(NoticeKind::TwinUpdated) {
            return;
        }
        let Some(twin) = self.registry.get(id).map(|record| &record.twin) else { return };
        let mut body = json!({ "version": twin.version });
        if let Some(tags) = tags {
            body["tags"] = Value::Object(tags);
        }
        for (name, patch, section) in [("desired", desired, &twin.desired), ("reported", reported, &twin.reported)] {
            if let Some(patch) = patch {
                body["properties"][name] = with_metadata(patch, section);
            }
        }
        self.put_notice(now, id, NoticeKind::TwinUpdated, &body);
    }
}

/// A patch with the metadata of what it has changed.
fn with_metadata(mut patch: Map<String, Value>, section: &Section) -> Value {
    let mut whole = section.to_json();
    if let Some(metadata) = whole["$metadata"].as_object_mut() {
        metadata.retain(|key, _| key.starts_with('$') || patch.contains_key(key));
    }
    patch.insert("$metadata".into(), whole["$metadata"].take());
    patch.insert("$version".into(), section.version().into());
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{DeviceId, Event, EventPosition, IdentitySpec, IfMatch, Policies, Settings};
    use std::sync::Arc;

    const T0: UnixMillis = UnixMillis(1_000_000);

    fn hub(on: bool) -> (Hub, IdentityId) {
        let mut settings = Settings { partitions: 1, ..Settings::default() };
        settings.events.connection_state = on;
        settings.events.lifecycle = on;
        settings.events.twin_changes = on;
        (Hub::new(settings, Policies::new()).unwrap(), DeviceId::new("d1").unwrap().into())
    }

    fn all(hub: &Hub) -> Vec<(&'static str, Value)> {
        let mut cursor = hub.cursor(0, EventPosition::Start).unwrap();
        let of = |event: &Arc<Event>| {
            (event.origin.notice.as_ref().unwrap().kind.operation(), serde_json::from_slice(&event.payload).unwrap())
        };
        hub.read(&mut cursor, 100).iter().map(of).collect()
    }

    fn live(hub: &mut Hub, id: &IdentityId) {
        hub.create_identity(T0, IdentitySpec::new(id.clone())).unwrap();
        let presences = [hub.connected(T0, id).unwrap(), hub.connected(T0, id).unwrap()];
        let document = json!({ "tags": { "floor": 1 }, "properties": { "desired": { "fan": 2 } } });
        hub.patch_twin(T0, id, &IfMatch::None, &document).unwrap();
        hub.patch_reported(T0, id, None, &json!({ "fan": 1 })).unwrap();
        hub.replace_twin(T0, id, &IfMatch::None, &document).unwrap();
        for presence in presences {
            hub.disconnected(T0, presence);
        }
        hub.delete_identity(T0, &IfMatch::Any, id).unwrap();
    }

    #[test]
    fn connections_identities_and_twins_are_told_in_order_when_asked_for() {
        let (mut hub, id) = hub(true);
        live(&mut hub, &id);
        let events = all(&hub);
        let operations: Vec<_> = events.iter().map(|(operation, _)| *operation).collect();
        let expected = [
            "createDeviceIdentity",
            "deviceConnected",
            "updateTwin",
            "updateTwin",
            "replaceTwin",
            "deviceDisconnected",
            "deleteDeviceIdentity",
        ];
        assert_eq!(operations, expected);
        assert_eq!(events[0].1["deviceId"], "d1");
        let number = |place: usize| events[place].1["sequenceNumber"].as_str().unwrap().to_owned();
        assert!(number(1).len() == 64 && number(1) < number(5));
        let update = &events[2].1;
        assert_eq!(update["tags"], json!({ "floor": 1 }));
        assert_eq!((&update["version"], &update["properties"]["desired"]["fan"]), (&json!(3), &json!(2)));
        assert!(update["properties"]["desired"]["$metadata"]["fan"]["$lastUpdated"].is_string());
        assert_eq!(update["properties"]["desired"]["$version"], 2);
        assert_eq!(update["properties"].get("reported"), None);
        assert_eq!(events[3].1["properties"]["reported"]["fan"], 1);
        assert_eq!(events[4].1["tags"], json!({ "floor": 1 }));
    }

    #[test]
    fn nothing_is_told_unless_asked_for() {
        let (mut hub, id) = hub(false);
        live(&mut hub, &id);
        assert_eq!(all(&hub), []);
    }
}
