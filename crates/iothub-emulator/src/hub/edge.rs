//! IoT Edge devices: the hub makes their system modules, which only the hub changes.

use super::Hub;
use super::clock::UnixMillis;
use super::identity::{Identity, IdentitySpec};
use super::ids::{DeviceId, IdentityId, ModuleId};
use super::registry::{Record, Registry};
use super::service_error::{ErrorCode, ServiceError};

/// The modules that every IoT Edge device has.
pub(super) const SYSTEM_MODULES: [&str; 2] = ["$edgeAgent", "$edgeHub"];

/// Who manages them.
const MANAGED_BY: &str = "iotEdge";

/// # Errors
/// *SystemModuleModifyUnauthorizedAccess* for a system module of an IoT Edge device. Of other devices, a module of such a
/// name is one like others.
pub(super) fn check_not_system(registry: &Registry, id: &IdentityId) -> Result<(), ServiceError> {
    if id.module.as_ref().is_some_and(is_system) && is_iot_edge(registry, &id.device) {
        let text = "Unauthorized to modify reserved module.";
        return Err(ServiceError::new(ErrorCode::SystemModuleModifyUnauthorizedAccess, text));
    }
    Ok(())
}

fn is_system(module: &ModuleId) -> bool {
    SYSTEM_MODULES.contains(&module.as_str())
}

fn is_iot_edge(registry: &Registry, device: &DeviceId) -> bool {
    registry.device(device).is_some_and(Identity::is_iot_edge)
}

/// The number of modules of a device, without its system modules. `None` if there is no such device.
pub(super) fn count_modules(registry: &Registry, device: &DeviceId) -> Option<usize> {
    let modules = registry.modules(device)?;
    let is_iot_edge = is_iot_edge(registry, device);
    let counts = |record: &&Record| !(is_iot_edge && record.identity.id().module.as_ref().is_some_and(is_system));
    Some(modules.filter(counts).count())
}

/// The number of system modules that a device lacks as an IoT Edge device.
pub(super) fn count_missing(registry: &Registry, device: &DeviceId) -> usize {
    let modules = registry.modules(device).into_iter().flatten();
    SYSTEM_MODULES.len() - modules.filter(|record| record.identity.id().module.as_ref().is_some_and(is_system)).count()
}

impl Hub {
    /// Makes the system modules that an IoT Edge device lacks. They do not count against the number of its modules.
    pub(super) fn add_system_modules(&mut self, now: UnixMillis, device: &DeviceId) -> Result<(), ServiceError> {
        if !is_iot_edge(&self.registry, device) {
            return Ok(());
        }
        for module in SYSTEM_MODULES.into_iter().filter_map(|name| ModuleId::new(name).ok()) {
            let id = IdentityId { device: device.clone(), module: Some(module) };
            if self.registry.get(&id).is_none() {
                let managed_by = Some(MANAGED_BY.to_owned());
                self.add_identity(now, IdentitySpec { managed_by, ..IdentitySpec::new(id) })?;
            }
        }
        Ok(())
    }
}
