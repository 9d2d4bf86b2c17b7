//! Telemetry: what the hub does with the partitions.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::clock::UnixMillis;
use super::ids::{DeviceId, IdentityId, ModuleId};
use super::partition::{
    Cursor, Event, EventOrigin, EventPosition, Partition, PartitionProperties, PositionError, partition_of,
};
use super::{Hub, Wake};

/// Why a device-to-cloud message was not taken. The device is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The device is disabled.
    #[error("403012 ErrorCode:DeviceDisabled; device {0} is disabled")]
    DeviceDisabled(DeviceId),
    /// The device is not registered any more.
    #[error("404001 ErrorCode:DeviceNotFound; device {0} is not registered")]
    DeviceNotFound(DeviceId),
    /// The message or batch is too large.
    #[error("413001 ErrorCode:MessageTooLarge; the message has {size} octets, at most {max} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
}

impl AppendError {
    /// The error condition for the wire. The description is the error's text.
    #[must_use]
    pub fn condition(&self) -> &'static str {
        match self {
            Self::DeviceDisabled(_) => "amqp:unauthorized-access",
            Self::DeviceNotFound(_) => "amqp:not-found",
            Self::TooLarge { .. } => "amqp:link:message-size-exceeded",
        }
    }
}

impl Hub {
    /// Puts a device-to-cloud message into the device's partition. `size` is what counts against the limit,
    /// `auth_method` comes from the grant of the link ([`Grant::auth_method`](super::Grant::auth_method)).
    ///
    /// # Errors
    /// [`AppendError`]: the message is to be rejected with its condition and text.
    pub fn append(
        &mut self,
        now: UnixMillis,
        device: &DeviceId,
        module: Option<&ModuleId>,
        auth_method: &Arc<str>,
        size: usize,
        payload: Bytes,
    ) -> Result<Arc<Event>, AppendError> {
        let id = IdentityId { device: device.clone(), module: module.cloned() };
        let found = self.registry.device(device).ok_or_else(|| AppendError::DeviceNotFound(device.clone()))?;
        if !found.is_enabled() {
            return Err(AppendError::DeviceDisabled(device.clone()));
        }
        let max = self.settings.telemetry.max_size;
        if size > max {
            return Err(AppendError::TooLarge { size, max });
        }
        let origin = EventOrigin {
            device: device.clone(),
            module: module.cloned(),
            auth_method: auth_method.clone(),
            generation_id: found.generation_id().clone(),
            notice: None,
        };
        self.touched(now, &id);
        let number = self.partition_of(device);
        let partition = self.partition_mut(number).ok_or_else(|| AppendError::DeviceNotFound(device.clone()))?;
        let event = partition.append(now, origin, payload);
        self.wakes.insert(Wake::Partition(number));
        Ok(event)
    }

    /// The partition that a device's telemetry goes to. Stays the same as long as the number of partitions does.
    #[must_use]
    pub fn partition_of(&self, device: &DeviceId) -> u32 {
        partition_of(device, self.settings.partitions)
    }

    /// Number of partitions; their ids are the decimal numbers from 0.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        self.settings.partitions
    }

    /// The partition that an id names, as in an address.
    #[must_use]
    pub fn partition_number(&self, id: &str) -> Option<u32> {
        let digits = !id.is_empty() && id.bytes().all(|octet| octet.is_ascii_digit());
        let number = id.parse().ok().filter(|_| digits)?;
        (number < self.settings.partitions).then_some(number)
    }

    /// A cursor that begins at `position`.
    ///
    /// # Errors
    /// [`PositionError`] says what the link is to be detached with.
    pub fn cursor(&self, partition: u32, position: EventPosition) -> Result<Cursor, PositionError> {
        self.partition(partition).ok_or(PositionError::NoPartition)?.cursor(position)
    }

    /// The next events for `cursor`, at most `max`, and moves it past them. None at all: wait for
    /// [`Wake::Partition`].
    pub fn read(&self, cursor: &mut Cursor, max: usize) -> Vec<Arc<Event>> {
        self.partition(cursor.partition()).map_or_else(Vec::new, |partition| partition.read(cursor, max))
    }

    /// What `$management` tells about a partition. `None`: there is no such partition.
    #[must_use]
    pub fn partition_properties(&self, partition: u32) -> Option<PartitionProperties> {
        self.partition(partition).map(Partition::properties)
    }

    fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(number).ok()?)
    }

    pub(super) fn partition_mut(&mut self, number: u32) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(number).ok()?)
    }
}
