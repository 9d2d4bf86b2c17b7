//! Cloud-to-device messages and their feedback: what the hub does with the queues.

use super::address::Address;
use super::clock::UnixMillis;
use super::feedback::{Feedback, FeedbackDelivery};
use super::ids::{ConsumerId, IdentityId};
use super::lock_queue::LockLost;
use super::queue::{CloudToDevice, CloudToDeviceDelivery, DeviceQueue, EnqueueError, Enqueued, Outcome};
use super::random::{LockToken, Random};
use super::{Hub, Wake};

/// What becomes of the locks of a receiver that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locks {
    /// They stay until they run out, as on the real hub.
    Keep,
    /// They end now; the deliveries are not counted.
    Release,
}

impl Hub {
    /// The device or module that a cloud-to-device message is for, from its `to` property.
    ///
    /// # Errors
    /// [`EnqueueError::BadDestination`]. Whether it exists is not asked.
    pub fn destination(to: Option<&str>) -> Result<IdentityId, EnqueueError> {
        match to.map(Address::parse) {
            Some(Address::DeviceBound { device, module }) => Ok(IdentityId { device, module }),
            _ => Err(EnqueueError::BadDestination),
        }
    }

    /// Puts a message into the queue of a device or module.
    ///
    /// # Errors
    /// [`EnqueueError`]: the message is to be rejected with its condition and text.
    pub fn enqueue(
        &mut self,
        now: UnixMillis,
        to: impl Into<IdentityId>,
        message: CloudToDevice,
    ) -> Result<Enqueued, EnqueueError> {
        let id = to.into();
        match self.registry.device(&id.device) {
            None => return Err(EnqueueError::DeviceNotFound(id.device)),
            Some(found) if !found.is_enabled() => return Err(EnqueueError::DeviceDisabled(id.device)),
            Some(_) if self.registry.get(&id).is_none() => return Err(EnqueueError::ModuleNotFound(id.device)),
            Some(_) => {}
        }
        if !self.queues.contains_key(&id) {
            let queue = DeviceQueue::new(id.clone(), &self.settings.cloud_to_device);
            self.queues.insert(id.clone(), queue);
        }
        let result = self.with_queue(now, &id, |queue, _| queue.enqueue(now, message));
        result.unwrap_or(Err(EnqueueError::DeviceNotFound(id.device)))
    }

    /// Locks the next message of a device or module for `consumer`. `None`: wait for [`Wake::DeviceQueue`].
    pub fn take_next(
        &mut self,
        now: UnixMillis,
        of: impl Into<IdentityId>,
        consumer: ConsumerId,
    ) -> Option<CloudToDeviceDelivery> {
        self.with_queue(now, &of.into(), |queue, random| queue.take(now, consumer, random))?
    }

    /// The device is done with a message (outcome *accepted*).
    ///
    /// # Errors
    /// [`LockLost`] if `token` locks nothing in this queue.
    pub fn complete(
        &mut self,
        now: UnixMillis,
        of: impl Into<IdentityId>,
        token: &LockToken,
    ) -> Result<Outcome, LockLost> {
        let id = of.into();
        self.touched(now, &id);
        self.settle(now, &id, |queue| queue.complete(now, token))
    }

    /// The device refuses a message (outcome *rejected*).
    ///
    /// # Errors
    /// [`LockLost`] if `token` locks nothing in this queue.
    pub fn reject(
        &mut self,
        now: UnixMillis,
        of: impl Into<IdentityId>,
        token: &LockToken,
    ) -> Result<Outcome, LockLost> {
        let id = of.into();
        self.touched(now, &id);
        self.settle(now, &id, |queue| queue.reject(now, token))
    }

    /// The device gives a message back (outcome *released*): counted, and at its old place again unless that was once
    /// too often or the message has expired.
    ///
    /// # Errors
    /// [`LockLost`] if `token` locks nothing in this queue.
    pub fn abandon(
        &mut self,
        now: UnixMillis,
        of: impl Into<IdentityId>,
        token: &LockToken,
    ) -> Result<Outcome, LockLost> {
        let id = of.into();
        self.touched(now, &id);
        self.settle(now, &id, |queue| queue.abandon(now, token))
    }

    /// A message was taken and never sent: it is at its old place again, uncounted, unless it has expired.
    ///
    /// # Errors
    /// [`LockLost`] if `token` locks nothing in this queue.
    pub fn give_back(
        &mut self,
        now: UnixMillis,
        of: impl Into<IdentityId>,
        token: &LockToken,
    ) -> Result<Outcome, LockLost> {
        self.settle(now, &of.into(), |queue| queue.give_back(now, token))
    }

    /// A receiver of a device or module is gone. Says how many locks it held.
    pub fn leave_device(
        &mut self,
        now: UnixMillis,
        of: impl Into<IdentityId>,
        consumer: ConsumerId,
        locks: Locks,
    ) -> usize {
        let held = self.with_queue(now, &of.into(), |queue, _| match locks {
            Locks::Keep => {
                queue.handle_timeout(now);
                queue.locks_of(consumer)
            }
            Locks::Release => queue.release_all(now, consumer),
        });
        held.unwrap_or(0)
    }

    /// Ends all messages of a device or module, locked ones too, and says how many.
    pub fn purge(&mut self, now: UnixMillis, of: impl Into<IdentityId>) -> usize {
        self.with_queue(now, &of.into(), |queue, _| queue.purge(now)).unwrap_or(0)
    }

    /// How many messages of a device or module are waiting or locked. Does not look at the time.
    #[must_use]
    pub fn queue_depth(&self, of: impl Into<IdentityId>) -> usize {
        self.queues.get(&of.into()).map_or(0, DeviceQueue::depth)
    }

    /// Locks the next feedback batch for `consumer`. `None`: wait for [`Wake::Feedback`].
    pub fn take_feedback(&mut self, now: UnixMillis, consumer: ConsumerId) -> Option<FeedbackDelivery> {
        let delivery = self.feedback.take(now, consumer, &mut self.random);
        self.wake_feedback();
        delivery
    }

    /// A receiver is done with a batch (outcome *accepted*).
    ///
    /// # Errors
    /// [`LockLost`] if `token` locks no batch.
    pub fn complete_feedback(&mut self, now: UnixMillis, token: &LockToken) -> Result<Outcome, LockLost> {
        self.settle_feedback(|feedback| feedback.complete(now, token))
    }

    /// A receiver refuses a batch (outcome *rejected*): it is dropped.
    ///
    /// # Errors
    /// [`LockLost`] if `token` locks no batch.
    pub fn reject_feedback(&mut self, now: UnixMillis, token: &LockToken) -> Result<Outcome, LockLost> {
        self.settle_feedback(|feedback| feedback.reject(now, token))
    }

    /// A receiver gives a batch back (outcome *released*): counted, and dropped if that was once too often.
    ///
    /// # Errors
    /// [`LockLost`] if `token` locks no batch.
    pub fn abandon_feedback(&mut self, now: UnixMillis, token: &LockToken) -> Result<Outcome, LockLost> {
        self.settle_feedback(|feedback| feedback.abandon(now, token))
    }

    /// A batch was taken and never sent: it is at its old place again, uncounted, unless it has expired.
    ///
    /// # Errors
    /// [`LockLost`] if `token` locks no batch.
    pub fn give_back_feedback(&mut self, now: UnixMillis, token: &LockToken) -> Result<Outcome, LockLost> {
        self.settle_feedback(|feedback| feedback.give_back(now, token))
    }

    /// A feedback receiver is gone. Says how many locks it held.
    pub fn leave_feedback(&mut self, now: UnixMillis, consumer: ConsumerId, locks: Locks) -> usize {
        self.feedback.handle_timeout(now);
        let held = match locks {
            Locks::Keep => self.feedback.locks_of(consumer),
            Locks::Release => self.feedback.release_all(now, consumer),
        };
        self.wake_feedback();
        held
    }

    /// Closes the open feedback batch without waiting for its time or its number of records.
    pub fn flush_feedback(&mut self, now: UnixMillis) {
        self.feedback.handle_timeout(now);
        self.feedback.close_batch(now);
        self.wake_feedback();
    }

    /// Records in the open batch, and closed batches that are waiting or locked. Does not look at the time.
    #[must_use]
    pub fn feedback_pending(&self) -> (usize, usize) {
        self.feedback.pending()
    }

    /// Has a queue settle a message that it may not have.
    fn settle(
        &mut self,
        now: UnixMillis,
        id: &IdentityId,
        work: impl FnOnce(&mut DeviceQueue) -> Result<Outcome, LockLost>,
    ) -> Result<Outcome, LockLost> {
        self.with_queue(now, id, |queue, _| work(queue)).unwrap_or(Err(LockLost))
    }

    /// Settles a batch of feedback, then wakes those who wait for one.
    fn settle_feedback(
        &mut self,
        work: impl FnOnce(&mut Feedback) -> Result<Outcome, LockLost>,
    ) -> Result<Outcome, LockLost> {
        let result = work(&mut self.feedback);
        self.wake_feedback();
        result
    }

    /// Works on a queue, then does what follows from it: feedback, wake-ups, the next deadline.
    pub(super) fn with_queue<R>(
        &mut self,
        now: UnixMillis,
        id: &IdentityId,
        work: impl FnOnce(&mut DeviceQueue, &mut Random) -> R,
    ) -> Option<R> {
        let queue = self.queues.get_mut(id)?;
        let result = work(queue, &mut self.random);
        let finished = queue.take_finished();
        if queue.poll_available() {
            self.wakes.insert(Wake::DeviceQueue(id.clone()));
        }
        self.deadlines.set(id, queue.next_deadline());
        if let Some(record) = self.registry.get_mut(id) {
            record.identity.cloud_to_device_messages = queue.depth();
            for finished in finished {
                self.feedback.record(now, id, record.identity.generation_id(), finished);
            }
        }
        self.wake_feedback();
        Some(result)
    }

    pub(super) fn wake_feedback(&mut self) {
        if self.feedback.poll_available() {
            self.wakes.insert(Wake::Feedback);
        }
    }
}
