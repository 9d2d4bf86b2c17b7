//! The identity registry and the state of connections: what the hub does with identities.

use std::sync::Arc;

use super::clock::UnixMillis;
use super::devices_file::DeviceSpec;
use super::edge::{SYSTEM_MODULES, check_not_system, count_missing, count_modules};
use super::identity::{Identity, IdentitySpec, IfMatch};
use super::ids::{DeviceId, IdentityId};
use super::notices::NoticeKind;
use super::registry::Record;
use super::service_error::{ErrorCode, ServiceError};
use super::{Hub, Wake};

/// Most modules of one device.
pub const MAX_MODULES: usize = 50;

/// Most devices and modules of a hub.
pub const MAX_IDENTITIES: usize = 1_000_000;

/// A link of an identity that is attached: see [`Hub::connected`].
#[derive(Debug)]
#[must_use = "give it to Hub::disconnected when the link ends"]
pub struct Presence {
    id: IdentityId,
    generation_id: Arc<str>,
}

impl Presence {
    /// Whose link it is.
    #[must_use]
    pub fn id(&self) -> &IdentityId {
        &self.id
    }
}

impl Hub {
    /// Registers a device or module, and the system modules of an IoT Edge device.
    ///
    /// # Errors
    /// *DeviceAlreadyExists*, *ModuleAlreadyExistsOnDevice*, *TooManyModulesOnDevice*, *TooManyDevices*; for a module
    /// *DeviceNotFound*.
    pub fn create_identity(&mut self, now: UnixMillis, spec: IdentitySpec) -> Result<&Identity, ServiceError> {
        let id = spec.id.clone();
        if self.registry.get(&id).is_some() {
            return Err(match &id.module {
                None => ServiceError::new(ErrorCode::DeviceAlreadyExists, id.to_string()),
                Some(_) => ServiceError::new(ErrorCode::ModuleAlreadyExistsOnDevice, id.to_string()),
            });
        }
        if id.module.is_some() {
            let modules = count_modules(&self.registry, &id.device).ok_or_else(|| self.registry.not_found(&id))?;
            if modules >= MAX_MODULES {
                let text = format!("device {} has {modules} modules, which is the most", id.device);
                return Err(ServiceError::new(ErrorCode::TooManyModulesOnDevice, text));
            }
        }
        let added = if spec.iot_edge { 1 + SYSTEM_MODULES.len() } else { 1 };
        self.check_room(added)?;
        self.add_identity(now, spec)?;
        if id.module.is_none() {
            self.add_system_modules(now, &id.device)?;
        }
        self.identity(&id)
    }

    /// # Errors
    /// *TooManyDevices* if there is no room for that many devices and modules more.
    fn check_room(&self, added: usize) -> Result<(), ServiceError> {
        if self.registry.len() + added > MAX_IDENTITIES {
            let text =
                format!("the hub has room for {MAX_IDENTITIES} devices and modules, and has {}", self.registry.len());
            return Err(ServiceError::new(ErrorCode::TooManyDevices, text));
        }
        Ok(())
    }

    /// Puts an identity where none is, without looking at how many there are.
    pub(super) fn add_identity(&mut self, now: UnixMillis, spec: IdentitySpec) -> Result<(), ServiceError> {
        let id = spec.id.clone();
        let (generation_id, etag) = (self.random.generation_id(), self.random.etag(""));
        self.registry.insert(Record::new(Identity::new(spec, &generation_id, etag)?));
        // What is there from the start was not created.
        if now != UnixMillis::default() {
            self.notice_whole(now, &id, NoticeKind::Created);
        }
        Ok(())
    }

    /// Replaces what a client says about an identity. Its links are looked at again: those of a disabled device end.
    ///
    /// # Errors
    /// *DeviceNotFound*, *ModuleNotFound*, *PreconditionFailed*, *SystemModuleModifyUnauthorizedAccess*, *TooManyDevices* if
    /// there is no room for the system modules of a device that becomes one of IoT Edge.
    pub fn update_identity(
        &mut self,
        now: UnixMillis,
        if_match: &IfMatch,
        spec: IdentitySpec,
    ) -> Result<&Identity, ServiceError> {
        let id = spec.id.clone();
        check_not_system(&self.registry, &id)?;
        let identity = self.identity(&id)?;
        if_match.check(identity.etag())?;
        if id.module.is_none() && spec.iot_edge && !identity.is_iot_edge() {
            self.check_room(count_missing(&self.registry, &id.device))?;
        }
        let record = self.registry.find_mut(&id)?;
        let etag = self.random.etag(record.identity.etag());
        record.identity.update(now, spec, etag)?;
        if id.module.is_none() {
            self.add_system_modules(now, &id.device)?;
        }
        self.wakes.insert(Wake::Device(id.device.clone()));
        self.identity(&id)
    }

    /// Removes an identity with its twin, its cloud-to-device messages, their feedback that is pending, and for a device
    /// with its modules. Its links end.
    ///
    /// # Errors
    /// *DeviceNotFound*, *ModuleNotFound*, *PreconditionFailed*, *SystemModuleModifyUnauthorizedAccess*.
    pub fn delete_identity(
        &mut self,
        now: UnixMillis,
        if_match: &IfMatch,
        id: &IdentityId,
    ) -> Result<(), ServiceError> {
        check_not_system(&self.registry, id)?;
        if_match.check(self.registry.find(id)?.identity.etag())?;
        if now != UnixMillis::default() {
            self.notice_whole(now, id, NoticeKind::Deleted);
        }
        for removed in self.registry.remove(id) {
            self.forget(&removed);
        }
        self.wakes.insert(Wake::Device(id.device.clone()));
        Ok(())
    }

    fn forget(&mut self, id: &IdentityId) {
        self.queues.remove(id);
        self.deadlines.set(id, None);
        self.feedback.forget(id);
        self.forget_methods(id);
        self.inputs.remove(id);
        self.uploads.forget(id);
    }

    /// An identity.
    ///
    /// # Errors
    /// *DeviceNotFound*, *ModuleNotFound*.
    pub fn identity(&self, id: &IdentityId) -> Result<&Identity, ServiceError> {
        self.registry.find(id).map(|record| &record.identity)
    }

    /// The modules of a device, in the order of their ids.
    ///
    /// # Errors
    /// *DeviceNotFound*.
    pub fn modules(&self, device: &DeviceId) -> Result<impl Iterator<Item = &Identity>, ServiceError> {
        let modules = self.registry.modules(device).ok_or_else(|| self.registry.not_found(&device.into()))?;
        Ok(modules.map(|record| &record.identity))
    }

    /// All devices, in the order of their ids.
    pub fn devices(&self) -> impl Iterator<Item = &Identity> {
        self.registry.devices().map(|record| &record.identity)
    }

    /// All devices and modules: devices in the order of their ids, then the modules.
    pub fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.devices().chain(self.registry.all_modules().map(|(_, module)| &module.identity))
    }

    /// The device of this id.
    #[must_use]
    pub fn device(&self, id: &DeviceId) -> Option<&Identity> {
        self.registry.device(id)
    }

    /// Registers a device with its modules, or nothing of it.
    ///
    /// # Errors
    /// As of [`Hub::create_identity`].
    pub fn add_device(&mut self, spec: DeviceSpec) -> Result<(), ServiceError> {
        let device = spec.id.clone();
        for (place, identity) in spec.into_identities().enumerate() {
            if let Err(error) = self.create_identity(UnixMillis::default(), identity) {
                if place > 0 {
                    self.remove_device(&device);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Removes a device as [`Hub::delete_identity`] does. `false`: there was none.
    pub fn remove_device(&mut self, id: &DeviceId) -> bool {
        self.delete_identity(UnixMillis::default(), &IfMatch::Any, &id.into()).is_ok()
    }

    /// Enables or disables a device, and with it its modules. Its queue stays. `false` if there is no such device.
    pub fn set_device_enabled(&mut self, now: UnixMillis, id: &DeviceId, enabled: bool) -> bool {
        let Some(record) = self.registry.get_mut(&id.into()) else { return false };
        let etag = self.random.etag(record.identity.etag());
        record.identity.set_enabled(now, enabled, etag);
        if !enabled {
            self.wakes.insert(Wake::Device(id.clone()));
        }
        true
    }

    /// A link of an identity has been attached: it counts as connected until the last of them has ended.
    ///
    /// `None`: there is no such identity, so nothing is counted.
    pub fn connected(&mut self, now: UnixMillis, id: &IdentityId) -> Option<Presence> {
        let identity = &mut self.registry.get_mut(id)?.identity;
        identity.live_links += 1;
        identity.last_activity = Some(now);
        if identity.live_links == 1 {
            identity.connection_updated = Some(now);
        }
        let first = identity.live_links == 1;
        let presence = Presence { id: id.clone(), generation_id: identity.generation_id().clone() };
        if first {
            self.notice_connection(now, id, NoticeKind::Connected);
        }
        Some(presence)
    }

    /// A link of an identity has ended. One of an identity that was deleted meanwhile, and perhaps created again, does
    /// not count.
    pub fn disconnected(&mut self, now: UnixMillis, presence: Presence) {
        let Some(record) = self.registry.get_mut(&presence.id) else { return };
        let identity = &mut record.identity;
        if *identity.generation_id() != presence.generation_id || identity.live_links == 0 {
            return;
        }
        identity.live_links -= 1;
        if identity.live_links == 0 {
            identity.connection_updated = Some(now);
            self.notice_connection(now, &presence.id, NoticeKind::Disconnected);
        }
    }

    /// An identity has sent, taken or asked for something.
    pub fn touched(&mut self, now: UnixMillis, id: &IdentityId) {
        if let Some(record) = self.registry.get_mut(id) {
            record.identity.last_activity = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
