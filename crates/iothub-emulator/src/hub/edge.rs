//! IoT Edge devices: the hub makes their system modules, which only the hub changes.

use super::Hub;
use super::clock::UnixMillis;
use super::identity::IdentitySpec;
use super::ids::{DeviceId, IdentityId, ModuleId};
use super::registry::Registry;
use super::service_error::{ErrorCode, ServiceError};

/// The modules that every IoT Edge device has.
pub(super) const SYSTEM_MODULES: [&str; 2] = ["$edgeAgent", "$edgeHub"];

/// Who manages them.
const MANAGED_BY: &str = "iotEdge";

/// # Errors
/// *SystemModuleModifyUnauthorizedAccess* for a system module of an IoT Edge device. Of other devices, a module of such a
/// name is one like others.
pub(super) fn check_not_system(registry: &Registry, id: &IdentityId) -> Result<(), ServiceError> {
    let is_system = id.module.as_ref().is_some_and(|module| SYSTEM_MODULES.contains(&module.as_str()));
    if is_system && registry.device(&id.device).is_some_and(|device| device.is_iot_edge()) {
        let text = "Unauthorized to modify reserved module.";
        return Err(ServiceError::new(ErrorCode::SystemModuleModifyUnauthorizedAccess, text));
    }
    Ok(())
}

impl Hub {
    /// Makes the system modules that an IoT Edge device lacks. They do not count against the number of its modules.
    pub(super) fn add_system_modules(&mut self, now: UnixMillis, device: &DeviceId) -> Result<(), ServiceError> {
        if !self.registry.device(device).is_some_and(|device| device.is_iot_edge()) {
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
