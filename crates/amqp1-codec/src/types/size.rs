//! How much memory values take.

use super::{Array, Described, Map, Value};
use crate::{
    definitions::{AmqpError, Fields},
    messaging::DeliveryState,
};

/// An allocation's own header, and the two counts of one that is shared.
const ALLOCATION: usize = 16;

impl Value {
    /// How many octets of memory this value takes beside itself. Text and binaries count with their length, although they
    /// may share a buffer.
    pub fn heap_size(&self) -> usize {
        match self {
            Self::Binary(octets) => octets.len(),
            Self::String(text) => text.len(),
            Self::Symbol(text) => text.len(),
            Self::List(items) => {
                let own = items.capacity().saturating_mul(size_of::<Self>());
                items.iter().fold(own, |sum, item| sum.saturating_add(item.heap_size()))
            }
            Self::Map(map) => map.heap_size(),
            Self::Array(array) => array.heap_size(),
            Self::Described(described) => {
                ALLOCATION.saturating_add(size_of::<Described>()).saturating_add(described.heap_size())
            }
            _ => 0,
        }
    }
}

impl Described {
    fn heap_size(&self) -> usize {
        self.descriptor.heap_size().saturating_add(self.value.heap_size())
    }
}

impl Map {
    /// As [`Value::heap_size`].
    pub fn heap_size(&self) -> usize {
        let own = self.capacity().saturating_mul(size_of::<(Value, Value)>());
        self.iter().fold(own, |sum, (key, value)| sum.saturating_add(key.heap_size()).saturating_add(value.heap_size()))
    }
}

impl Array {
    fn heap_size(&self) -> usize {
        self.memory().saturating_add(ALLOCATION)
    }
}

impl Fields {
    /// As [`Value::heap_size`].
    pub fn heap_size(&self) -> usize {
        match self.as_map().heap_size() {
            0 => 0,
            map => map.saturating_add(size_of::<Map>()).saturating_add(ALLOCATION),
        }
    }
}

impl AmqpError {
    /// As [`Value::heap_size`].
    pub fn heap_size(&self) -> usize {
        let text = self.condition.as_str().len().saturating_add(self.description.as_ref().map_or(0, |text| text.len()));
        text.saturating_add(self.info.as_ref().map_or(0, Fields::heap_size))
    }
}

impl DeliveryState {
    /// As [`Value::heap_size`].
    pub fn heap_size(&self) -> usize {
        match self {
            Self::Accepted | Self::Released | Self::Received(_) | Self::Rejected(None) => 0,
            Self::Rejected(Some(error)) => size_of::<AmqpError>().saturating_add(error.heap_size()),
            Self::Modified(state) => {
                let annotations = state.message_annotations.as_ref().map_or(0, Fields::heap_size);
                size_of_val(&**state).saturating_add(annotations)
            }
            Self::Declared(state) => size_of_val(&**state).saturating_add(state.txn_id.len()),
            Self::Transactional(state) => {
                let outcome =
                    state.outcome.as_ref().map_or(0, |outcome| size_of::<Self>().saturating_add(outcome.heap_size()));
                size_of_val(&**state).saturating_add(state.txn_id.len()).saturating_add(outcome)
            }
            Self::Extension(state) => {
                ALLOCATION.saturating_add(size_of::<Described>()).saturating_add(state.heap_size())
            }
        }
    }
}
