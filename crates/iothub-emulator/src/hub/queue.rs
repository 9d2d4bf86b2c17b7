//! The cloud-to-device queue of one device or module.

use core::str::FromStr;

use bytes::Bytes;
use thiserror::Error;

use super::clock::UnixMillis;
use super::feedback::FeedbackStatus;
use super::ids::{ConsumerId, DeviceId, IdError, IdentityId, check_id};
use super::lock_queue::{Abandoned, DeathCause, LockLost, LockQueue, LockRules};
use super::random::{LockToken, Random};
use super::settings::CloudToDeviceSettings;

/// Which outcomes of a message the sender wants to hear of: the application-property `iothub-ack`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckMode {
    /// None. The default.
    #[default]
    None,
    /// Completion only.
    Positive,
    /// Everything but completion.
    Negative,
    /// Every outcome.
    Full,
}

impl AckMode {
    /// Whether a message with this mode asks for feedback on `status`.
    #[must_use]
    pub fn wants(self, status: FeedbackStatus) -> bool {
        match self {
            Self::None => false,
            Self::Positive => status == FeedbackStatus::Success,
            Self::Negative => status != FeedbackStatus::Success,
            Self::Full => true,
        }
    }
}

/// Parses `none`, `positive`, `negative` or `full`, in any case.
impl FromStr for AckMode {
    type Err = EnqueueError;

    fn from_str(text: &str) -> Result<Self, EnqueueError> {
        let modes =
            [("none", Self::None), ("positive", Self::Positive), ("negative", Self::Negative), ("full", Self::Full)];
        let found = modes.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, mode)| mode).ok_or(EnqueueError::BadAck)
    }
}

/// A cloud-to-device message, as the hub needs to know it.
#[derive(Clone, Debug)]
pub struct CloudToDevice {
    /// The message-id as text (a UUID or number printed); without one there is no feedback.
    pub message_id: Option<String>,
    /// `iothub-ack`.
    pub ack: AckMode,
    /// `absolute-expiry-time`; without one the default time to live counts.
    pub expiry: Option<UnixMillis>,
    /// What counts against the size limit: body, system property values, user property names and values.
    pub size: usize,
    /// The message as the front encoded it; the model never looks inside.
    pub payload: Bytes,
}

/// A message that the queue has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// Its sequence number in the device's queue, from 1.
    pub sequence_number: u64,
    /// When it was enqueued.
    pub enqueued: UnixMillis,
    /// When it will expire unless it is completed before.
    pub expires: UnixMillis,
}

/// Why a cloud-to-device message was not taken. The sender is at fault unless the queue is full.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// `iothub-ack` is not one of the four words.
    #[error("400004 ErrorCode:ArgumentInvalid; iothub-ack must be none, positive, negative or full")]
    BadAck,
    /// The `to` property is missing, or names no device's queue.
    #[error(
        "400004 ErrorCode:ArgumentInvalid; to must be /devices/{{deviceId}}/messages/devicebound, or that of a module"
    )]
    BadDestination,
    /// `absolute-expiry-time` is past, or further away than the hub keeps messages.
    #[error("403009 ErrorCode:InvalidMessageExpiryTime; absolute-expiry-time is past or more than {} s ahead", max.as_secs())]
    BadExpiry {
        /// The longest time to live.
        max: core::time::Duration,
    },
    /// The message-id is longer than 128 characters or has a character outside the documented set.
    #[error("400004 ErrorCode:ArgumentInvalid; message-id: {0}")]
    BadMessageId(#[source] IdError),
    /// The device is disabled.
    #[error("404001 ErrorCode:DeviceNotFound; device {0} is disabled")]
    DeviceDisabled(DeviceId),
    /// No such device.
    #[error("404001 ErrorCode:DeviceNotFound; device {0} is not registered")]
    DeviceNotFound(DeviceId),
    /// No such module.
    #[error("404010 ErrorCode:ModuleNotFound; device {0} has no such module")]
    ModuleNotFound(DeviceId),
    /// The device or module has as many messages as it may have. Try again when it has completed some.
    #[error("403004 ErrorCode:DeviceMaximumQueueDepthExceeded; {id} has {depth} messages in its queue")]
    QueueFull {
        /// Whose queue.
        id: IdentityId,
        /// How many it holds.
        depth: usize,
    },
    /// The message is too large.
    #[error("413001 ErrorCode:MessageTooLarge; the message has {size} octets, at most {max} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
}

impl EnqueueError {
    /// The error condition for the *rejected* outcome. The description is the error's text.
    #[must_use]
    pub fn condition(&self) -> &'static str {
        match self {
            Self::BadAck | Self::BadDestination | Self::BadExpiry { .. } | Self::BadMessageId(_) => {
                "com.microsoft:argument-error"
            }
            Self::DeviceDisabled(_) | Self::DeviceNotFound(_) | Self::ModuleNotFound(_) => "amqp:not-found",
            Self::QueueFull { .. } => "amqp:resource-limit-exceeded",
            Self::TooLarge { .. } => "amqp:link:message-size-exceeded",
        }
    }
}

/// A message under the lock of the one who took it.
#[derive(Clone, Debug)]
pub struct CloudToDeviceDelivery {
    /// The delivery-tag, and `x-opt-lock-token`.
    pub token: LockToken,
    /// `x-opt-sequence-number`.
    pub sequence_number: u64,
    /// `iothub-deliverycount`: how often the message was given up before, so 0 the first time.
    pub delivery_count: u32,
    /// `iothub-enqueuedtime`.
    pub enqueued: UnixMillis,
    /// When the lock ends; from then on settling fails with [`LockLost`].
    pub locked_until: UnixMillis,
    /// The message as it was enqueued.
    pub payload: Bytes,
}

/// What a device's settlement, or the lack of it, did to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Done with.
    Completed,
    /// Dead-lettered: given up too often.
    DeliveryCountExceeded,
    /// Dead-lettered: given back after its expiry.
    Expired,
    /// Dead-lettered: the device refused it.
    Rejected,
    /// At its old place in the queue.
    Requeued {
        /// The delivery count from now on.
        delivery_count: u32,
    },
}

impl From<Abandoned> for Outcome {
    fn from(abandoned: Abandoned) -> Self {
        match abandoned {
            Abandoned::Dead(DeathCause::DeliveryCountExceeded) => Self::DeliveryCountExceeded,
            Abandoned::Dead(DeathCause::Expired) => Self::Expired,
            Abandoned::Requeued { delivery_count } => Self::Requeued { delivery_count },
        }
    }
}

/// A message that is over, and how. What feedback is made of.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) message_id: Option<String>,
    pub(crate) ack: AckMode,
    pub(crate) status: FeedbackStatus,
    pub(crate) at: UnixMillis,
}

/// The queue of one device or module.
#[derive(Debug)]
pub(crate) struct DeviceQueue {
    id: IdentityId,
    settings: CloudToDeviceSettings,
    messages: LockQueue<CloudToDevice>,
    finished: Vec<Finished>,
}

impl DeviceQueue {
    pub(crate) fn new(id: IdentityId, settings: &CloudToDeviceSettings) -> Self {
        let rules = LockRules {
            lock: settings.lock,
            max_delivery_count: settings.max_delivery_count,
            count_lock_expiry: settings.count_lock_expiry,
        };
        Self { id, settings: settings.clone(), messages: LockQueue::new(rules), finished: Vec::new() }
    }

    pub(crate) fn depth(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn locks_of(&self, consumer: ConsumerId) -> usize {
        self.messages.locks_of(consumer)
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixMillis> {
        self.messages.next_deadline()
    }

    pub(crate) fn poll_available(&mut self) -> bool {
        self.messages.poll_available()
    }

    /// All messages that are over since this was last asked, in order.
    pub(crate) fn take_finished(&mut self) -> Vec<Finished> {
        while let Some(dead) = self.messages.poll_dead() {
            let status = match dead.cause {
                DeathCause::DeliveryCountExceeded => FeedbackStatus::DeliveryCountExceeded,
                DeathCause::Expired => FeedbackStatus::Expired,
            };
            self.finish(dead.item, status, dead.at);
        }
        core::mem::take(&mut self.finished)
    }

    pub(crate) fn enqueue(&mut self, now: UnixMillis, message: CloudToDevice) -> Result<Enqueued, EnqueueError> {
        self.messages.handle_timeout(now);
        let max = self.settings.max_size;
        if message.size > max {
            return Err(EnqueueError::TooLarge { size: message.size, max });
        }
        if let Some(id) = &message.message_id {
            check_id(id).map_err(EnqueueError::BadMessageId)?;
        }
        let expires = message.expiry.unwrap_or_else(|| now.after(self.settings.default_ttl));
        if expires <= now || expires > now.after(self.settings.max_ttl) {
            return Err(EnqueueError::BadExpiry { max: self.settings.max_ttl });
        }
        let depth = self.depth();
        if depth >= self.settings.max_depth {
            return Err(EnqueueError::QueueFull { id: self.id.clone(), depth });
        }
        let sequence_number = self.messages.push(now, message, expires);
        Ok(Enqueued { sequence_number, enqueued: now, expires })
    }

    pub(crate) fn take(
        &mut self,
        now: UnixMillis,
        consumer: ConsumerId,
        random: &mut Random,
    ) -> Option<CloudToDeviceDelivery> {
        let locked = self.messages.take(now, consumer, random)?;
        Some(CloudToDeviceDelivery {
            token: locked.token,
            sequence_number: locked.sequence_number,
            delivery_count: locked.delivery_count,
            enqueued: locked.enqueued,
            locked_until: locked.locked_until,
            payload: locked.item.payload.clone(),
        })
    }

    pub(crate) fn complete(&mut self, now: UnixMillis, token: &LockToken) -> Result<Outcome, LockLost> {
        let message = self.messages.settle(now, token)?;
        self.finish(message, FeedbackStatus::Success, now);
        Ok(Outcome::Completed)
    }

    pub(crate) fn reject(&mut self, now: UnixMillis, token: &LockToken) -> Result<Outcome, LockLost> {
        let message = self.messages.settle(now, token)?;
        self.finish(message, FeedbackStatus::Rejected, now);
        Ok(Outcome::Rejected)
    }

    pub(crate) fn abandon(&mut self, now: UnixMillis, token: &LockToken) -> Result<Outcome, LockLost> {
        self.messages.abandon(now, token).map(Outcome::from)
    }

    pub(crate) fn give_back(&mut self, now: UnixMillis, token: &LockToken) -> Result<Outcome, LockLost> {
        self.messages.give_back(now, token).map(Outcome::from)
    }

    pub(crate) fn release_all(&mut self, now: UnixMillis, consumer: ConsumerId) -> usize {
        self.messages.release_all(now, consumer)
    }

    pub(crate) fn purge(&mut self, now: UnixMillis) -> usize {
        let messages = self.messages.purge(now);
        let count = messages.len();
        for message in messages {
            self.finish(message, FeedbackStatus::Purged, now);
        }
        count
    }

    pub(crate) fn handle_timeout(&mut self, now: UnixMillis) {
        self.messages.handle_timeout(now);
    }

    fn finish(&mut self, message: CloudToDevice, status: FeedbackStatus, at: UnixMillis) {
        self.finished.push(Finished { message_id: message.message_id, ack: message.ack, status, at });
    }
}

#[cfg(test)]
mod tests;
