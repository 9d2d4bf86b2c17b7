//! A queue in memory: what waits in it, in order, and how much of it is out with consumers.

use super::{
    clock::Clock,
    topic::Subscription,
    waiting::{Cursor, Waiting},
};
use amqp1::{broker::terminus::HeldMessage, message::Str};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64};
use tokio::sync::Notify;

/// How many messages a consumer looks at before others have their turn.
const AT_A_TIME: u32 = 16;

/// A message in a queue.
#[derive(Clone)]
pub(crate) struct Stored {
    /// Its place: messages that come back stand where they stood.
    pub(crate) number: u64,
    pub(crate) message: HeldMessage,
    /// The container that published it.
    pub(crate) publisher: Str,
}

/// A node: a queue, or a topic, in which nothing waits.
pub(crate) struct Queue {
    pub(crate) name: Str,
    /// Those of a topic.
    pub(crate) subscriptions: Option<Mutex<Vec<Arc<Subscription>>>>,
    /// The connection that alone may receive from it: that of a temporary queue or topic (JMS). 0 if any may.
    pub(crate) owner: AtomicU64,
    clock: Clock,
    depth: usize,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: Waiting,
    next: u64,
    /// How many messages are out with consumers.
    out: usize,
    deleted: bool,
}

impl Inner {
    fn len(&self) -> usize {
        self.waiting.len() + self.out
    }
}

impl Queue {
    pub(crate) fn new(name: Str, depth: usize, clock: Clock) -> Self {
        Self {
            name,
            subscriptions: None,
            owner: AtomicU64::new(0),
            clock,
            depth,
            inner: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(crate) fn topic(name: Str, depth: usize, clock: Clock) -> Self {
        Self { subscriptions: Some(Mutex::default()), ..Self::new(name, depth, clock) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_waiters();
        changed
    }

    /// How many messages it holds, those that are out with consumers included.
    pub(crate) fn len(&self) -> usize {
        let mut inner = self.lock();
        inner.waiting.expire(self.clock.now());
        inner.len()
    }

    /// How many messages it has room for.
    pub(super) fn room_left(&self) -> usize {
        self.depth.saturating_sub(self.len())
    }

    pub(crate) fn push(&self, message: HeldMessage, publisher: Str) {
        self.change(|inner| {
            let number = inner.next;
            inner.next += 1;
            inner.waiting.insert(Stored { number, message, publisher });
        });
    }

    /// A message that was taken comes back.
    pub(crate) fn put_back(&self, stored: Stored) {
        self.change(|inner| {
            inner.out -= 1;
            inner.waiting.put_back(stored);
        });
    }

    /// A message that was taken is done with.
    pub(crate) fn retire(&self) {
        self.change(|inner| inner.out -= 1);
    }

    /// Takes the first message that is wanted. `None` when the queue was deleted.
    pub(crate) async fn take(&self, cursor: &Cursor, wanted: impl Fn(&Stored) -> bool) -> Option<Stored> {
        let take = |inner: &mut Inner, found: Arc<Stored>| {
            let number = found.number;
            // Not cloned, if nothing else looks at it.
            drop(found);
            let taken = inner.waiting.take(number)?;
            inner.out += 1;
            Some(taken)
        };
        self.find(cursor, false, wanted, take).await
    }

    /// A copy of the next message that is wanted. `None` when the queue was deleted.
    pub(crate) async fn copy(&self, cursor: &Cursor, wanted: impl Fn(&Stored) -> bool) -> Option<Stored> {
        self.find(cursor, true, wanted, |_, found| Some(Stored::clone(&found))).await
    }

    /// Waits until there is something to be found. Cancelled, it has found nothing.
    async fn find(
        &self,
        cursor: &Cursor,
        browses: bool,
        wanted: impl Fn(&Stored) -> bool,
        get: impl Fn(&mut Inner, Arc<Stored>) -> Option<Stored>,
    ) -> Option<Stored> {
        loop {
            // Before looking, so that nothing arrives unseen.
            let changed = self.changed.notified();
            let looking = cursor.look();
            for looked in 1_u32.. {
                let unseen = {
                    let mut inner = self.lock();
                    if inner.deleted {
                        return None;
                    }
                    inner.waiting.expire(self.clock.now());
                    inner.waiting.unseen(cursor, browses)
                };
                let Some(stored) = unseen else { break };
                // What a selector takes is taken from this consumer, not from those that wait for the lock.
                let is_wanted = wanted(&stored);
                cursor.pass(stored.number);
                if let Some(found) = is_wanted.then(|| get(&mut self.lock(), stored)).flatten() {
                    return Some(found);
                }
                if looked % AT_A_TIME == 0 {
                    tokio::task::yield_now().await;
                }
            }
            drop(looking);
            changed.await;
        }
    }

    /// Waits until there is room for another message. A queue that was deleted has room: what comes is refused.
    pub(crate) async fn room(&self) {
        loop {
            let changed = self.changed.notified();
            let expires = {
                let mut inner = self.lock();
                inner.waiting.expire(self.clock.now());
                if inner.len() < self.depth || inner.deleted {
                    return;
                }
                inner.waiting.expires
            };
            tokio::select! {
                () = changed => {}
                () = self.clock.until(expires) => {}
            }
        }
    }

    /// Drops the oldest message that waits if there is no room. Whether it did.
    pub(crate) fn drop_oldest(&self) -> bool {
        self.change(|inner| inner.len() >= self.depth && inner.waiting.take_first().is_some())
    }

    /// Deletes it, with what waits in it and with its subscriptions; its links end.
    pub(crate) fn delete(&self) {
        self.subscriptions().into_iter().flatten().for_each(|subscription| subscription.queue.delete());
        self.change(|inner| {
            inner.deleted = true;
            inner.waiting.clear();
        });
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.lock().deleted
    }

    /// Waits until the queue is deleted.
    pub(crate) async fn deleted(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_deleted() {
                return;
            }
            changed.await;
        }
    }
}
