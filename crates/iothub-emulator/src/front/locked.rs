//! What is delivered under a lock: the cloud-to-device messages of a device or module, feedback, and file notifications.

use std::{sync::Arc, time::Duration};

use amqp1::{
    Delivered, Error, Outcome, Receipt, Sender,
    link::{DeliveryTag, SendOptions},
    message::EncodedMessage,
};
use tokio::task::JoinSet;

use super::connection::Context;
use crate::hub::{Address, ConsumerId, Hub, IdentityId, LockToken, Locks, UnixMillis, Wake};
use crate::messages;
use crate::shared::Shared;
use crate::signal::Waiter;

/// Most deliveries of one link that may wait for their settlement. Its queue holds fewer; more than this come
/// together only where locks run out again and again.
const MAX_UNSETTLED: usize = 1000;

/// Where deliveries come from.
#[derive(Clone, Debug)]
pub(super) enum Queue {
    Device(IdentityId),
    Feedback,
    FileNotifications,
}

impl Queue {
    fn waiter(&self, shared: &Shared) -> Option<Waiter> {
        match self {
            Self::Device(id) => Some(shared.waiter(Wake::DeviceQueue(id.clone()))),
            Self::Feedback => Some(shared.waiter(Wake::Feedback)),
            Self::FileNotifications => Some(shared.waiter(Wake::FileNotifications)),
        }
    }

    /// How long a delivery is locked.
    fn lock(&self, hub: &Hub) -> Duration {
        match self {
            Self::Device(_) => hub.settings().cloud_to_device.lock,
            Self::Feedback => hub.settings().feedback.lock,
            Self::FileNotifications => hub.settings().file_uploads.lock,
        }
    }

    fn take(&self, hub: &mut Hub, now: UnixMillis, consumer: ConsumerId) -> Option<(LockToken, EncodedMessage)> {
        match self {
            Self::Device(id) => {
                let delivery = hub.take_next(now, id, consumer)?;
                Some((delivery.token, messages::from_cloud(&delivery)))
            }
            Self::Feedback => {
                let delivery = hub.take_feedback(now, consumer)?;
                Some((delivery.token, messages::feedback(&delivery, hub.settings().hub_name())))
            }
            Self::FileNotifications => {
                let notification = hub.take_file_notification(now, consumer)?;
                Some((notification.token, messages::file_notification(&notification, hub.settings().hub_name())))
            }
        }
    }

    /// Does what the receiver's outcome means for the lock.
    fn settle(&self, hub: &mut Hub, now: UnixMillis, token: &LockToken, outcome: &Result<Outcome, Error>) {
        let settled = match (self, outcome) {
            (Self::Device(id), Ok(Outcome::Accepted | Outcome::SentSettled)) => hub.complete(now, id, token),
            (Self::Device(id), Ok(Outcome::Rejected(_))) => hub.reject(now, id, token),
            // Settled without a word, or in a way that the hub does not know: nothing says that it was dealt with.
            (Self::Device(id), Ok(_)) => hub.abandon(now, id, token),
            (Self::Feedback, Ok(Outcome::Accepted | Outcome::SentSettled)) => hub.complete_feedback(now, token),
            (Self::Feedback, Ok(Outcome::Rejected(_))) => hub.reject_feedback(now, token),
            (Self::Feedback, Ok(_)) => hub.abandon_feedback(now, token),
            (Self::FileNotifications, Ok(Outcome::Accepted | Outcome::SentSettled | Outcome::Rejected(_))) => {
                hub.complete_file_notification(now, token).map(|()| crate::hub::Outcome::Completed)
            }
            (Self::FileNotifications, Ok(_)) => {
                let given_up = hub.give_up_file_notification(now, token, true);
                given_up.map(|()| crate::hub::Outcome::Completed)
            }
            (_, Err(error)) if error.delivered() == Delivered::No => return self.give_back(hub, now, token),
            // The receiver may have it and be at work on it, so its lock stays until it runs out.
            (_, Err(_)) => return,
        };
        if let Err(error) = settled {
            tracing::debug!(%error, %token, "settled too late");
        }
    }

    /// Ends a lock as if it had never been taken.
    fn give_back(&self, hub: &mut Hub, now: UnixMillis, token: &LockToken) {
        let given_back = match self {
            Self::Device(id) => hub.give_back(now, id, token),
            Self::Feedback => hub.give_back_feedback(now, token),
            Self::FileNotifications => {
                let given_back = hub.give_up_file_notification(now, token, false);
                given_back.map(|()| crate::hub::Outcome::Completed)
            }
        };
        if let Err(error) = given_back {
            tracing::debug!(%error, %token, "given back too late");
        }
    }

    fn leave(&self, hub: &mut Hub, now: UnixMillis, consumer: ConsumerId) {
        let held = match self {
            Self::Device(id) => hub.leave_device(now, id, consumer, Locks::Keep),
            Self::Feedback => hub.leave_feedback(now, consumer, Locks::Keep),
            Self::FileNotifications => hub.file_notification_locks(consumer),
        };
        if held > 0 {
            tracing::debug!(held, "a receiver left; its locks stay until they run out");
        }
    }
}

/// Delivers until the link ends or may not go on.
pub(super) async fn serve(context: Arc<Context>, sender: Sender, address: Address, queue: Queue, settled: bool) {
    let shared = context.shared.clone();
    let consumer = shared.hub(|hub, _| hub.add_consumer());
    // When the lock has run out, an outcome changes nothing any more.
    sender.set_outcome_timeout(shared.hub(|hub, _| queue.lock(hub)));
    let mut settlements = JoinSet::new();
    let link = Link { shared: &shared, sender: &sender, queue: &queue, consumer, settled };
    tokio::select! {
        error = context.revoked(&address) => {
            let _ = Box::pin(sender.detach_with(Some(error), true)).await;
        }
        () = link.deliver(&mut settlements) => {}
    }
    // The link is over, so each of them is decided.
    while settlements.join_next().await.is_some() {}
    shared.hub(|hub, now| queue.leave(hub, now, consumer));
}

struct Link<'a> {
    shared: &'a Arc<Shared>,
    sender: &'a Sender,
    queue: &'a Queue,
    consumer: ConsumerId,
    settled: bool,
}

impl Link<'_> {
    /// Resolves when the link is gone.
    async fn deliver(&self, settlements: &mut JoinSet<()>) {
        let detached = self.sender.detached();
        tokio::pin!(detached);
        let Some(mut waiter) = self.queue.waiter(self.shared) else {
            detached.await;
            return;
        };
        loop {
            while settlements.try_join_next().is_some() {}
            if settlements.len() >= MAX_UNSETTLED {
                tokio::select! {
                    _ = settlements.join_next() => continue,
                    _ = &mut detached => return,
                }
            }
            let Ok(permit) = self.sender.reserve().await else { return };
            let (token, message) = loop {
                if let Some(found) = self.shared.hub(|hub, now| self.queue.take(hub, now, self.consumer)) {
                    break found;
                }
                tokio::select! {
                    () = waiter.woken() => {}
                    _ = &mut detached => return,
                }
            };
            let tag = DeliveryTag::from(*token.as_octets());
            let options = SendOptions { settled: self.settled, tag: Some(tag), message_format: 0 };
            match permit.send_with(message, options) {
                Ok(receipt) => {
                    settlements.spawn(settle(self.shared.clone(), self.queue.clone(), token, receipt));
                }
                Err(error) => {
                    // The receiver took its credit back, or is gone.
                    tracing::debug!(%error, "not delivered");
                    self.shared.hub(|hub, now| self.queue.give_back(hub, now, &token));
                }
            }
        }
    }
}

async fn settle(shared: Arc<Shared>, queue: Queue, token: LockToken, receipt: Receipt) {
    let outcome = receipt.await;
    shared.hub(|hub, now| queue.settle(hub, now, &token, &outcome));
}
