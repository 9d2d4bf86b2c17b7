//! Twins: what the hub does with them.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::authentication::{invalid, object};
use super::clock::UnixMillis;
use super::edge::check_not_system;
use super::identity::IfMatch;
use super::ids::{ConsumerId, DeviceId, IdentityId};
use super::notices::NoticeKind;
use super::registry::Record;
use super::service_error::{ErrorCode, ServiceError};
use super::twin::{DesiredChange, Limits, Twin, TwinState, merge, without_nulls};
use super::{Hub, Wake};

/// Most octets of a model id that is kept.
const MAX_MODEL_ID: usize = 1024;

/// What the service writes of a twin: each part is there or is not.
#[derive(Debug, Default)]
struct Write {
    tags: Option<Map<String, Value>>,
    desired: Option<Map<String, Value>>,
}

impl Hub {
    /// A twin.
    ///
    /// # Errors
    /// *DeviceNotFound*, *ModuleNotFound*.
    pub fn twin(&self, id: &IdentityId) -> Result<Twin<'_>, ServiceError> {
        let record = self.registry.find(id)?;
        let device = self.registry.device(&id.device).ok_or_else(|| self.registry.not_found(id))?;
        Ok(Twin { device, identity: &record.identity, state: &record.twin })
    }

    /// The twins of all devices, in the order of their ids.
    pub fn twins(&self) -> impl Iterator<Item = Twin<'_>> {
        self.registry.devices().map(|record| Twin {
            device: &record.identity,
            identity: &record.identity,
            state: &record.twin,
        })
    }

    /// The twins of all modules.
    pub fn module_twins(&self) -> impl Iterator<Item = Twin<'_>> {
        self.registry.all_modules().map(|(device, module)| Twin {
            device: &device.identity,
            identity: &module.identity,
            state: &module.twin,
        })
    }

    /// The twins of devices behind this one, in the order of their ids.
    pub(crate) fn twins_after<'h>(&'h self, id: Option<&DeviceId>) -> impl Iterator<Item = Twin<'h>> + use<'h> {
        self.registry.devices_after(id).map(|record| Twin {
            device: &record.identity,
            identity: &record.identity,
            state: &record.twin,
        })
    }

    /// The devices behind this one, or from it on, in the order of their ids, each with the twins of its modules.
    pub(crate) fn module_twins_from<'h>(
        &'h self,
        from: Option<(&DeviceId, bool)>,
    ) -> impl Iterator<Item = (&'h DeviceId, impl Iterator<Item = Twin<'h>> + use<'h>)> + use<'h> {
        self.registry.modules_from(from).map(|(id, device, modules)| {
            let twin = move |module: &'h Record| Twin {
                device: &device.identity,
                identity: &module.identity,
                state: &module.twin,
            };
            (id, modules.map(twin))
        })
    }

    /// Merges `tags` and `properties.desired` of a document into a twin; what else it holds is ignored. Those who watch
    /// the desired properties are notified.
    ///
    /// # Errors
    /// *DeviceNotFound*, *ModuleNotFound*, *PreconditionFailed*, *SystemModuleModifyUnauthorizedAccess*, *ArgumentInvalid*,
    /// *MessageTooLarge*. The twin is then as it was.
    pub fn patch_twin(
        &mut self,
        now: UnixMillis,
        id: &IdentityId,
        if_match: &IfMatch,
        document: &Value,
    ) -> Result<Twin<'_>, ServiceError> {
        let tags_raise_version = self.settings.twins.tags_raise_desired_version;
        check_not_system(&self.registry, id)?;
        let record = find(&mut self.registry, id, if_match)?;
        let twin = &mut record.twin;
        let document = object(document, "the body")?;
        let write = Write {
            tags: patch_of(document.get("tags"), &twin.tags, "tags")?,
            desired: patch_of(desired_of(document)?, twin.desired.values(), "desired")?,
        };
        if let Some(tags) = &write.tags {
            Limits::TAGS.check(&twin.tags, tags)?;
        }
        if let Some(desired) = &write.desired {
            Limits::DESIRED.check(twin.desired.values(), desired)?;
        }
        if write.tags.is_none() && write.desired.is_none() {
            return self.twin(id);
        }
        let noticed = self.settings.events.twin_changes.then(|| (write.tags.clone(), write.desired.clone()));
        twin.etag += 1;
        twin.version += 1;
        if let Some(tags) = write.tags {
            merge(&mut twin.tags, &tags);
        }
        let watched = match write.desired {
            Some(desired) => {
                twin.desired.patch(now, true, &desired);
                changed(twin, desired, false)
            }
            None if tags_raise_version => {
                twin.desired.raise();
                changed(twin, Map::new(), false)
            }
            None => false,
        };
        if watched {
            self.wakes.insert(Wake::Twin(id.clone()));
        }
        if let Some((tags, desired)) = noticed {
            self.notice_update(now, id, tags, desired, None);
        }
        self.twin(id)
    }

    /// Replaces the tags and desired properties of a twin by those of a document; a section that it lacks becomes
    /// empty. Those who watch the desired properties are sent all of them.
    ///
    /// # Errors
    /// As of [`Hub::patch_twin`].
    pub fn replace_twin(
        &mut self,
        now: UnixMillis,
        id: &IdentityId,
        if_match: &IfMatch,
        document: &Value,
    ) -> Result<Twin<'_>, ServiceError> {
        check_not_system(&self.registry, id)?;
        let record = find(&mut self.registry, id, if_match)?;
        let twin = &mut record.twin;
        let document = object(document, "the body")?;
        let section = |value: Option<&Value>, limits: Limits, name: &str| {
            let patch = patch_of(value, &Map::new(), name)?.unwrap_or_default();
            limits.check(&Map::new(), &patch)?;
            Ok::<_, ServiceError>(without_nulls(&patch))
        };
        let tags = section(document.get("tags"), Limits::TAGS, "tags")?;
        let desired = section(desired_of(document)?, Limits::DESIRED, "desired")?;
        twin.etag += 1;
        twin.version += 1;
        twin.tags = tags;
        twin.desired.replace(now, true, desired.clone());
        if changed(twin, desired, true) {
            self.wakes.insert(Wake::Twin(id.clone()));
        }
        self.notice_whole(now, id, NoticeKind::TwinReplaced);
        self.twin(id)
    }

    /// Merges a patch of the device into its reported properties and gives their new version. With `version`, or a
    /// `$version` in the patch, only if that is the current one.
    ///
    /// # Errors
    /// As of [`Hub::patch_twin`].
    pub fn patch_reported(
        &mut self,
        now: UnixMillis,
        id: &IdentityId,
        version: Option<u64>,
        patch: &Value,
    ) -> Result<u64, ServiceError> {
        let record = self.registry.find_mut(id)?;
        record.identity.last_activity = Some(now);
        let document = object(patch, "the body")?;
        let current = record.twin.reported.version();
        let in_patch = match document.get("$version") {
            None | Some(Value::Null) => None,
            Some(version) => Some(version.as_u64().ok_or_else(|| invalid("$version must be a number"))?),
        };
        if [version, in_patch].into_iter().flatten().any(|expected| expected != current) {
            let text = format!("the reported properties have version {current}");
            return Err(ServiceError::new(ErrorCode::PreconditionFailed, text));
        }
        self.merge_reported(now, id, without_system_keys(document))
    }

    /// Merges reported properties that the device does not report itself, with whatever version.
    ///
    /// # Errors
    /// As of [`Hub::patch_twin`].
    pub(super) fn import_reported(
        &mut self,
        now: UnixMillis,
        id: &IdentityId,
        reported: &Value,
    ) -> Result<(), ServiceError> {
        let values = without_system_keys(object(reported, "properties.reported")?);
        self.merge_reported(now, id, values).map(drop)
    }

    fn merge_reported(
        &mut self,
        now: UnixMillis,
        id: &IdentityId,
        patch: Map<String, Value>,
    ) -> Result<u64, ServiceError> {
        let twin = &mut self.registry.find_mut(id)?.twin;
        Limits::REPORTED.check(twin.reported.values(), &patch)?;
        twin.version += 1;
        twin.reported.patch(now, false, &patch);
        let version = twin.reported.version();
        self.notice_update(now, id, None, None, Some(patch));
        Ok(version)
    }

    /// From now on `consumer` takes the changes of desired properties. Gives their current version.
    ///
    /// # Errors
    /// *DeviceNotFound*, *ModuleNotFound*; *ThrottlingException* if 64 others watch the same twin.
    pub fn watch_desired(&mut self, id: &IdentityId, consumer: ConsumerId) -> Result<u64, ServiceError> {
        let twin = &mut self.registry.find_mut(id)?.twin;
        twin.watchers.add(consumer)?;
        Ok(twin.desired.version())
    }

    /// Ends [`Hub::watch_desired`]. Changes that were not taken are dropped.
    pub fn unwatch_desired(&mut self, id: &IdentityId, consumer: ConsumerId) {
        if let Some(record) = self.registry.get_mut(id) {
            record.twin.watchers.remove(consumer);
        }
    }

    /// The next change for one who watches. `None`: wait for [`Wake::Twin`]. Of those that wait at most
    /// [`MAX_PENDING_CHANGES`](super::MAX_PENDING_CHANGES) are kept apart; the newest is merged with those that follow.
    pub fn take_desired(&mut self, id: &IdentityId, consumer: ConsumerId) -> Option<Arc<DesiredChange>> {
        self.registry.get_mut(id)?.twin.watchers.take(consumer)
    }

    /// Sets the model that a device has named when it connected.
    pub fn set_model_id(&mut self, id: &IdentityId, model_id: &str) {
        if let Some(record) = self.registry.get_mut(id).filter(|_| model_id.len() <= MAX_MODEL_ID) {
            record.twin.model_id = Some(model_id.into());
        }
    }
}

fn find<'r>(
    registry: &'r mut super::registry::Registry,
    id: &IdentityId,
    if_match: &IfMatch,
) -> Result<&'r mut Record, ServiceError> {
    let record = registry.find_mut(id)?;
    if matches!(if_match, IfMatch::Exactly(_)) {
        if_match.check(&record.twin.etag_text())?;
    }
    Ok(record)
}

/// Adds a change of desired properties for the links that watch. `false` if there are none.
fn changed(twin: &mut TwinState, values: Map<String, Value>, replaced: bool) -> bool {
    let watched = !twin.watchers.is_empty();
    if watched {
        let change = DesiredChange { values, version: twin.desired.version(), replaced };
        twin.watchers.push(change, twin.desired.values());
    }
    watched
}

/// `properties.desired` of a document.
fn desired_of(document: &Map<String, Value>) -> Result<Option<&Value>, ServiceError> {
    match document.get("properties") {
        None | Some(Value::Null) => Ok(None),
        Some(properties) => Ok(object(properties, "properties")?.get("desired")),
    }
}

/// The patch that a section of a document means: null removes all keys, and a section without keys changes nothing.
fn patch_of(
    section: Option<&Value>,
    current: &Map<String, Value>,
    name: &str,
) -> Result<Option<Map<String, Value>>, ServiceError> {
    let patch = match section {
        None => return Ok(None),
        Some(Value::Null) => current.keys().map(|key| (key.clone(), Value::Null)).collect(),
        Some(section) => without_system_keys(object(section, name)?),
    };
    Ok(Some(patch).filter(|patch| !patch.is_empty()))
}

/// A section as it was read holds what only the hub writes.
fn without_system_keys(section: &Map<String, Value>) -> Map<String, Value> {
    let written = section.iter().filter(|(key, _)| !matches!(key.as_str(), "$version" | "$metadata" | "$etag"));
    written.map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests;
