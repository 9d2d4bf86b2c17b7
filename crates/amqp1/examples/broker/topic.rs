//! Topics: each message goes to all subscriptions, of which each has a queue.

use super::queue::Queue;
use amqp1::{
    Source,
    broker::terminus::{HeldMessage, MessageFilters},
    message::Str,
};
use std::sync::{Arc, PoisonError};

/// What a consumer gets of a topic, while it is attached and, if it lasts, while it is not.
pub(crate) struct Subscription {
    pub(crate) queue: Arc<Queue>,
    pub(crate) topic: Arc<Queue>,
    /// The source as it was asked for: a subscription with another address or other filters is another one.
    pub(crate) asked: Source,
    pub(crate) filters: MessageFilters,
    /// The container that has it.
    pub(crate) subscriber: Str,
}

impl Subscription {
    fn wants(&self, message: &HeldMessage, publisher: &Str) -> bool {
        self.filters.passes(message, self.subscriber == *publisher)
    }

    /// Begins it: what is published from now on is in it.
    pub(crate) fn begin(self) -> Arc<Self> {
        let subscription = Arc::new(self);
        subscription.topic.change_subscriptions(|all| all.push(subscription.clone()));
        subscription
    }

    /// Ends it, with what waits in it.
    pub(crate) fn end(self: &Arc<Self>) {
        self.topic.change_subscriptions(|all| all.retain(|other| !Arc::ptr_eq(self, other)));
        self.queue.delete();
    }
}

impl Queue {
    fn change_subscriptions<T>(&self, change: impl FnOnce(&mut Vec<Arc<Subscription>>) -> T) -> Option<T> {
        let all = self.subscriptions.as_ref()?;
        Some(change(&mut all.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Its subscriptions; `None` if it is not a topic.
    pub(super) fn subscriptions(&self) -> Option<Vec<Arc<Subscription>>> {
        self.change_subscriptions(|all| all.clone())
    }

    /// Stores a message, here or with the subscriptions that want it.
    pub(crate) fn publish(&self, message: HeldMessage, publisher: &Str) {
        let Some(subscriptions) = self.subscriptions() else { return self.push(message, publisher.clone()) };
        for subscription in subscriptions.iter().filter(|subscription| subscription.wants(&message, publisher)) {
            subscription.queue.push(message.clone(), publisher.clone());
        }
    }

    /// Waits until another message can be published: the slowest subscription decides.
    pub(crate) async fn ready(&self) {
        match self.subscriptions() {
            None => self.room().await,
            Some(subscriptions) => {
                for subscription in subscriptions {
                    subscription.queue.room().await;
                }
            }
        }
    }

    /// How many messages can be published: the slowest subscription decides.
    pub(crate) fn free(&self) -> usize {
        let Some(subscriptions) = self.subscriptions() else { return self.room_left() };
        let rooms = subscriptions.iter().map(|subscription| subscription.queue.room_left());
        rooms.min().unwrap_or_else(|| self.room_left())
    }

    /// How many messages there are, those of subscriptions included.
    pub(crate) fn total(&self) -> usize {
        let subscriptions = self.subscriptions().unwrap_or_default();
        self.len() + subscriptions.iter().map(|subscription| subscription.queue.len()).sum::<usize>()
    }
}
