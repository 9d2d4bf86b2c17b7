//! Feedback: what became of cloud-to-device messages, gathered in batches for the service.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::clock::UnixMillis;
use super::ids::{ConsumerId, IdentityId};
use super::lock_queue::{LockLost, LockQueue, LockRules};
use super::queue::{Finished, Outcome};
use super::random::{LockToken, Random};
use super::settings::FeedbackSettings;

/// The content-type of a feedback message.
pub const FEEDBACK_CONTENT_TYPE: &str = "application/vnd.microsoft.iothub.feedback.json";

/// How a cloud-to-device message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FeedbackStatus {
    /// The device completed it.
    Success,
    /// Its time ran out.
    Expired,
    /// The device gave it up too often.
    DeliveryCountExceeded,
    /// The device rejected it.
    Rejected,
    /// It was purged.
    Purged,
}

impl FeedbackStatus {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Expired => "Expired",
            Self::DeliveryCountExceeded => "DeliveryCountExceeded",
            Self::Rejected => "Rejected",
            Self::Purged => "Purged",
        }
    }
}

/// One record of a batch.
#[derive(Clone, Debug)]
struct Record {
    original_message_id: String,
    status: FeedbackStatus,
    id: IdentityId,
    generation_id: Arc<str>,
    at: UnixMillis,
}

/// A record as it is in the body; the order of fields is that of the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordJson<'a> {
    original_message_id: &'a str,
    status_code: &'static str,
    description: &'static str,
    device_id: &'a str,
    device_generation_id: &'a str,
    enqueued_time_utc: String,
}

/// The body of a batch: a JSON array of records.
fn body_of(records: &[Record]) -> Bytes {
    let array: Vec<_> = records
        .iter()
        .map(|record| RecordJson {
            original_message_id: &record.original_message_id,
            status_code: record.status.as_str(),
            description: record.status.as_str(),
            device_id: record.id.device.as_str(),
            device_generation_id: &record.generation_id,
            enqueued_time_utc: record.at.to_iso8601().to_string(),
        })
        .collect();
    // Strings only, no map with other keys: there is nothing that could fail.
    serde_json::to_vec(&array).map(Bytes::from).unwrap_or_default()
}

/// A batch under the lock of the receiver that took it.
#[derive(Clone, Debug)]
pub struct FeedbackDelivery {
    /// The delivery-tag, and `x-opt-lock-token`.
    pub token: LockToken,
    /// Number of the batch, from 1.
    pub sequence_number: u64,
    /// How often the batch was given up before.
    pub delivery_count: u32,
    /// `iothub-enqueuedtime`: when the batch closed.
    pub enqueued: UnixMillis,
    /// When the lock ends.
    pub locked_until: UnixMillis,
    /// Number of records in the body.
    pub records: usize,
    /// The body: a JSON array, for one Data section. Its content-type is [`FEEDBACK_CONTENT_TYPE`].
    pub body: Bytes,
}

/// The open batch and the closed ones.
#[derive(Debug)]
pub(crate) struct Feedback {
    settings: FeedbackSettings,
    open: Vec<Record>,
    opened: UnixMillis,
    batches: LockQueue<Vec<Record>>,
}

impl Feedback {
    pub(crate) fn new(settings: &FeedbackSettings) -> Self {
        let rules = LockRules {
            lock: settings.lock,
            max_delivery_count: settings.max_delivery_count,
            count_lock_expiry: false,
        };
        Self {
            settings: settings.clone(),
            open: Vec::new(),
            opened: UnixMillis::default(),
            batches: LockQueue::new(rules),
        }
    }

    /// Records that wait in the open batch, and closed batches.
    pub(crate) fn pending(&self) -> (usize, usize) {
        (self.open.len(), self.batches.len())
    }

    pub(crate) fn poll_available(&mut self) -> bool {
        self.batches.poll_available()
    }

    pub(crate) fn next_deadline(&self) -> Option<UnixMillis> {
        let closing = (!self.open.is_empty()).then(|| self.opened.after(self.settings.batch_delay));
        closing.into_iter().chain(self.batches.next_deadline()).min()
    }

    /// Adds a record, if the message asked for one and can be named in it.
    pub(crate) fn record(&mut self, now: UnixMillis, id: &IdentityId, generation_id: &Arc<str>, finished: Finished) {
        self.handle_timeout(now);
        let Some(original_message_id) = finished.message_id.filter(|_| finished.ack.wants(finished.status)) else {
            return;
        };
        if self.open.is_empty() {
            self.opened = now;
        }
        self.open.push(Record {
            original_message_id,
            status: finished.status,
            id: id.clone(),
            generation_id: generation_id.clone(),
            at: finished.at,
        });
        if self.open.len() >= self.settings.batch_records {
            self.close_batch(now);
        }
    }

    /// Closes the open batch if it has records.
    pub(crate) fn close_batch(&mut self, now: UnixMillis) {
        if !self.open.is_empty() {
            let batch = core::mem::take(&mut self.open);
            self.batches.push(now, batch, now.after(self.settings.ttl));
        }
    }

    pub(crate) fn take(
        &mut self,
        now: UnixMillis,
        consumer: ConsumerId,
        random: &mut Random,
    ) -> Option<FeedbackDelivery> {
        self.handle_timeout(now);
        let locked = self.batches.take(now, consumer, random)?;
        Some(FeedbackDelivery {
            token: locked.token,
            sequence_number: locked.sequence_number,
            delivery_count: locked.delivery_count,
            enqueued: locked.enqueued,
            locked_until: locked.locked_until,
            records: locked.item.len(),
            body: body_of(locked.item),
        })
    }

    pub(crate) fn complete(&mut self, now: UnixMillis, token: &LockToken) -> Result<Outcome, LockLost> {
        self.handle_timeout(now);
        self.batches.settle(now, token).map(|_| Outcome::Completed)
    }

    pub(crate) fn reject(&mut self, now: UnixMillis, token: &LockToken) -> Result<Outcome, LockLost> {
        self.handle_timeout(now);
        self.batches.settle(now, token).map(|_| Outcome::Rejected)
    }

    pub(crate) fn abandon(&mut self, now: UnixMillis, token: &LockToken) -> Result<Outcome, LockLost> {
        self.handle_timeout(now);
        let abandoned = self.batches.abandon(now, token)?;
        self.drop_dead();
        Ok(abandoned.into())
    }

    pub(crate) fn give_back(&mut self, now: UnixMillis, token: &LockToken) -> Result<Outcome, LockLost> {
        self.handle_timeout(now);
        let given_back = self.batches.give_back(now, token)?;
        self.drop_dead();
        Ok(given_back.into())
    }

    pub(crate) fn locks_of(&self, consumer: ConsumerId) -> usize {
        self.batches.locks_of(consumer)
    }

    pub(crate) fn release_all(&mut self, now: UnixMillis, consumer: ConsumerId) -> usize {
        self.handle_timeout(now);
        let released = self.batches.release_all(now, consumer);
        self.drop_dead();
        released
    }

    /// Drops the records of a deleted identity, except those in a batch that a receiver holds.
    pub(crate) fn forget(&mut self, id: &IdentityId) {
        self.open.retain(|record| record.id != *id);
        self.batches.retain_waiting(|batch| {
            batch.retain(|record| record.id != *id);
            !batch.is_empty()
        });
    }

    pub(crate) fn handle_timeout(&mut self, now: UnixMillis) {
        let closing = self.opened.after(self.settings.batch_delay);
        if !self.open.is_empty() && closing <= now {
            self.close_batch(closing);
        }
        self.batches.handle_timeout(now);
        self.drop_dead();
    }

    /// An expired batch is dropped without a record.
    fn drop_dead(&mut self) {
        while self.batches.poll_dead().is_some() {}
    }
}

#[cfg(test)]
mod tests;
