//! Inputs of modules: messages that wait for their module.
//!
//! At an IoT Edge device a router sends the outputs of modules to the inputs of others. A hub has no such router: its modules
//! get the inputs that [`Hub::send_input`] is given.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::ids::IdentityId;
use super::service_error::{ErrorCode, ServiceError};
use super::{Hub, Wake};

/// Most messages that wait at the inputs of one module.
pub const MAX_WAITING_INPUTS: usize = 100;

/// A message for an input of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleInput {
    /// The input's name: `x-opt-input-name`.
    pub name: Arc<str>,
    /// The message as the front encoded it; the model never looks inside.
    pub payload: Bytes,
}

/// What waits, by module.
pub(super) type Inputs = BTreeMap<IdentityId, VecDeque<ModuleInput>>;

impl Hub {
    /// Puts a message at an input of a module, where it waits for the module.
    ///
    /// # Errors
    /// *DeviceNotFound*, *ModuleNotFound*; *ArgumentInvalid* for a device or an empty name;
    /// *DeviceMaximumQueueDepthExceeded*, *MessageTooLarge*.
    pub fn send_input(&mut self, id: &IdentityId, input: ModuleInput) -> Result<(), ServiceError> {
        self.registry.find(id)?;
        if id.module.is_none() || input.name.is_empty() {
            return Err(ServiceError::new(ErrorCode::ArgumentInvalid, "an input has a name, and belongs to a module"));
        }
        let max = self.settings.telemetry.max_size;
        if input.payload.len() > max {
            let text = format!("the message has {} octets, at most {max} are allowed", input.payload.len());
            return Err(ServiceError::new(ErrorCode::MessageTooLarge, text));
        }
        let waiting = self.inputs.entry(id.clone()).or_default();
        if waiting.len() >= MAX_WAITING_INPUTS {
            let text = format!("{MAX_WAITING_INPUTS} messages wait at the inputs of {id}, which is the most");
            return Err(ServiceError::new(ErrorCode::DeviceMaximumQueueDepthExceeded, text));
        }
        waiting.push_back(input);
        self.wakes.insert(Wake::Inputs(id.clone()));
        Ok(())
    }

    /// The next message for a module. `None`: wait for [`Wake::Inputs`].
    pub fn take_input(&mut self, id: &IdentityId) -> Option<ModuleInput> {
        let waiting = self.inputs.get_mut(id)?;
        let next = waiting.pop_front();
        if waiting.is_empty() {
            self.inputs.remove(id);
        }
        next
    }

    /// A message that was taken has not been dealt with: it is the next one again.
    pub fn give_back_input(&mut self, id: &IdentityId, input: ModuleInput) {
        if self.registry.get(id).is_some() {
            self.inputs.entry(id.clone()).or_default().push_front(input);
            self.wakes.insert(Wake::Inputs(id.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{DeviceId, IdentitySpec, ModuleId, Policies, Settings, UnixMillis};

    fn input(name: &str) -> ModuleInput {
        ModuleInput { name: name.into(), payload: Bytes::from_static(b"message") }
    }

    #[test]
    fn inputs_wait_in_order_and_are_bounded() {
        let mut hub = Hub::new(Settings::default(), Policies::new()).unwrap();
        hub.add_device("d1=c2VjcmV0".parse().unwrap()).unwrap();
        let device = DeviceId::new("d1").unwrap();
        let module = IdentityId::of_module(device.clone(), ModuleId::new("m").unwrap());
        let code = |result: Result<(), ServiceError>| result.unwrap_err().code();
        assert_eq!(code(hub.send_input(&module, input("a"))), ErrorCode::ModuleNotFound);
        hub.create_identity(UnixMillis(1), IdentitySpec::new(module.clone())).unwrap();
        assert_eq!(code(hub.send_input(&device.clone().into(), input("a"))), ErrorCode::ArgumentInvalid);
        assert_eq!(code(hub.send_input(&module, input(""))), ErrorCode::ArgumentInvalid);
        hub.send_input(&module, input("a")).unwrap();
        hub.send_input(&module, input("b")).unwrap();
        assert!(hub.take_wakes().contains(&Wake::Inputs(module.clone())));
        let first = hub.take_input(&module).unwrap();
        assert_eq!(&*first.name, "a");
        hub.give_back_input(&module, first);
        assert_eq!(hub.take_input(&module), Some(input("a")));
        for _ in 1..MAX_WAITING_INPUTS {
            hub.send_input(&module, input("c")).unwrap();
        }
        assert_eq!(code(hub.send_input(&module, input("d"))), ErrorCode::DeviceMaximumQueueDepthExceeded);
        hub.remove_device(&device);
        assert_eq!(hub.take_input(&module), None);
    }
}
