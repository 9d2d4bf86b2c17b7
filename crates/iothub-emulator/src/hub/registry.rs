//! The registry: identities in the order of their ids, each with its twin.

use core::ops::Bound;
use std::collections::BTreeMap;

use super::identity::Identity;
use super::ids::{DeviceId, IdentityId, ModuleId};
use super::service_error::{ErrorCode, ServiceError};
use super::twin::TwinState;

/// What the registry keeps of an identity.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) identity: Identity,
    pub(crate) twin: TwinState,
}

impl Record {
    pub(crate) fn new(identity: Identity) -> Self {
        Self { identity, twin: TwinState::default() }
    }
}

#[derive(Debug)]
struct Device {
    record: Record,
    modules: BTreeMap<ModuleId, Record>,
}

/// All registered identities.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    devices: BTreeMap<DeviceId, Device>,
    /// Devices and modules.
    len: usize,
}

impl Registry {
    /// Devices and modules.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Says that this is the number of devices and modules.
    #[cfg(test)]
    pub(crate) fn set_len(&mut self, len: usize) {
        self.len = len;
    }

    /// Puts an identity in the place that its id names, where none is. A module without its device is dropped.
    pub(crate) fn insert(&mut self, record: Record) {
        let IdentityId { device, module } = record.identity.id().clone();
        let replaced = match module {
            None => self.devices.insert(device, Device { record, modules: BTreeMap::new() }).is_some(),
            Some(module) => match self.devices.get_mut(&device) {
                Some(device) => device.modules.insert(module, record).is_some(),
                None => true,
            },
        };
        self.len += usize::from(!replaced);
    }

    /// Removes an identity, and the modules of a device. Gives the ids of what was removed, the device's first.
    pub(crate) fn remove(&mut self, id: &IdentityId) -> Vec<IdentityId> {
        let removed: Vec<IdentityId> = match &id.module {
            None => self.devices.remove(&id.device).map_or_else(Vec::new, |device| {
                let modules = device.modules.into_values().map(|record| record.identity.id().clone());
                core::iter::once(id.clone()).chain(modules).collect()
            }),
            Some(module) => {
                let device = self.devices.get_mut(&id.device);
                device.and_then(|device| device.modules.remove(module)).map(|_| id.clone()).into_iter().collect()
            }
        };
        self.len -= removed.len();
        removed
    }

    pub(crate) fn get(&self, id: &IdentityId) -> Option<&Record> {
        let device = self.devices.get(&id.device)?;
        match &id.module {
            None => Some(&device.record),
            Some(module) => device.modules.get(module),
        }
    }

    pub(crate) fn get_mut(&mut self, id: &IdentityId) -> Option<&mut Record> {
        let device = self.devices.get_mut(&id.device)?;
        match &id.module {
            None => Some(&mut device.record),
            Some(module) => device.modules.get_mut(module),
        }
    }

    /// # Errors
    /// *DeviceNotFound* or *ModuleNotFound*.
    pub(crate) fn find(&self, id: &IdentityId) -> Result<&Record, ServiceError> {
        self.get(id).ok_or_else(|| self.not_found(id))
    }

    /// # Errors
    /// *DeviceNotFound* or *ModuleNotFound*.
    pub(crate) fn find_mut(&mut self, id: &IdentityId) -> Result<&mut Record, ServiceError> {
        if self.get(id).is_none() {
            return Err(self.not_found(id));
        }
        self.get_mut(id).ok_or_else(|| ServiceError::new(ErrorCode::DeviceNotFound, id.device.as_str()))
    }

    pub(crate) fn not_found(&self, id: &IdentityId) -> ServiceError {
        match &id.module {
            Some(_) if self.devices.contains_key(&id.device) => {
                ServiceError::new(ErrorCode::ModuleNotFound, id.to_string())
            }
            _ => ServiceError::new(ErrorCode::DeviceNotFound, id.device.as_str()),
        }
    }

    pub(crate) fn device(&self, id: &DeviceId) -> Option<&Identity> {
        self.devices.get(id).map(|device| &device.record.identity)
    }

    pub(crate) fn devices(&self) -> impl Iterator<Item = &Record> {
        self.devices.values().map(|device| &device.record)
    }

    /// The modules of all devices, each with its device.
    pub(crate) fn all_modules(&self) -> impl Iterator<Item = (&Record, &Record)> {
        self.devices.values().flat_map(|device| device.modules.values().map(|module| (&device.record, module)))
    }

    /// The devices behind this id.
    pub(crate) fn devices_after<'r>(&'r self, id: Option<&DeviceId>) -> impl Iterator<Item = &'r Record> + use<'r> {
        let start = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.devices.range((start, Bound::Unbounded)).map(|(_, device)| &device.record)
    }

    /// The devices behind this one, or from it on, each with its modules.
    pub(crate) fn modules_from<'r>(
        &'r self,
        from: Option<(&DeviceId, bool)>,
    ) -> impl Iterator<Item = (&'r DeviceId, &'r Record, impl Iterator<Item = &'r Record> + use<'r>)> + use<'r> {
        let start = match from {
            None => Bound::Unbounded,
            Some((id, true)) => Bound::Included(id),
            Some((id, false)) => Bound::Excluded(id),
        };
        let devices = self.devices.range((start, Bound::Unbounded));
        devices.map(|(id, device)| (id, &device.record, device.modules.values()))
    }

    /// The modules of a device. `None`: there is no such device.
    pub(crate) fn modules(&self, id: &DeviceId) -> Option<impl ExactSizeIterator<Item = &Record>> {
        self.devices.get(id).map(|device| device.modules.values())
    }
}
