//! A queue in memory: what waits in it, in order, and how much of it is out with consumers.

use super::{clock::Clock, topic::Subscription};
use amqp1::{
    Str,
    engine::{Instant, terminus::HeldMessage},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::sync::Notify;

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

/// How far a consumer has looked: what it did not want before is not looked at again.
#[derive(Default)]
pub(crate) struct Cursor {
    place: AtomicU64,
    returned: AtomicU64,
}

#[derive(Default)]
struct Inner {
    waiting: BTreeMap<u64, Stored>,
    next: u64,
    /// How many messages are out with consumers.
    out: usize,
    /// How many have come back.
    returned: u64,
    /// Nothing expires before this.
    expires: Option<Instant>,
    deleted: bool,
}

impl Inner {
    fn insert(&mut self, stored: Stored) {
        self.expires = self.expires.into_iter().chain(stored.message.expiry()).min();
        self.waiting.insert(stored.number, stored);
    }

    /// Drops what has expired (§3.2.1).
    fn expire(&mut self, now: Instant) {
        if self.expires.is_some_and(|at| at <= now) {
            self.waiting.retain(|_, stored| !stored.message.is_expired(now));
            self.expires = self.waiting.values().filter_map(|stored| stored.message.expiry()).min();
        }
    }

    /// The place of the first message that is wanted.
    fn look(&self, cursor: &Cursor, wanted: impl Fn(&Stored) -> bool) -> Option<u64> {
        let found = self.waiting.range(cursor.place.load(Relaxed)..).find(|(_, stored)| wanted(stored));
        let found = found.map(|(number, _)| *number);
        cursor.place.store(found.unwrap_or(self.next), Relaxed);
        found
    }

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
        inner.expire(self.clock.now());
        inner.len()
    }

    pub(crate) fn push(&self, message: HeldMessage, publisher: Str) {
        self.change(|inner| {
            let number = inner.next;
            inner.next += 1;
            inner.insert(Stored { number, message, publisher });
        });
    }

    /// A message that was taken comes back.
    pub(crate) fn put_back(&self, stored: Stored) {
        self.change(|inner| {
            inner.out -= 1;
            inner.returned += 1;
            inner.insert(stored);
        });
    }

    /// A message that was taken is done with.
    pub(crate) fn retire(&self) {
        self.change(|inner| inner.out -= 1);
    }

    /// Takes the first message that is wanted. `None` when the queue was deleted.
    pub(crate) async fn take(&self, cursor: &Cursor, wanted: impl Fn(&Stored) -> bool) -> Option<Stored> {
        self.find(|inner| {
            if cursor.returned.swap(inner.returned, Relaxed) != inner.returned {
                cursor.place.store(0, Relaxed);
            }
            let number = inner.look(cursor, &wanted)?;
            inner.out += 1;
            inner.waiting.remove(&number)
        })
        .await
    }

    /// A copy of the next message that is wanted. `None` when the queue was deleted.
    pub(crate) async fn copy(&self, cursor: &Cursor, wanted: impl Fn(&Stored) -> bool) -> Option<Stored> {
        self.find(|inner| {
            let number = inner.look(cursor, &wanted)?;
            cursor.place.store(number + 1, Relaxed);
            inner.waiting.get(&number).cloned()
        })
        .await
    }

    /// Waits until there is something to be found. Cancelled, it has found nothing.
    async fn find(&self, mut find: impl FnMut(&mut Inner) -> Option<Stored>) -> Option<Stored> {
        loop {
            // Before looking, so that nothing arrives unseen.
            let changed = self.changed.notified();
            {
                let mut inner = self.lock();
                if inner.deleted {
                    return None;
                }
                inner.expire(self.clock.now());
                if let Some(found) = find(&mut inner) {
                    return Some(found);
                }
            }
            changed.await;
        }
    }

    /// Waits until there is room for another message. A queue that was deleted has room: what comes is refused.
    pub(crate) async fn room(&self) {
        loop {
            let changed = self.changed.notified();
            let expires = {
                let mut inner = self.lock();
                inner.expire(self.clock.now());
                if inner.len() < self.depth || inner.deleted {
                    return;
                }
                inner.expires
            };
            tokio::select! {
                () = changed => {}
                () = self.clock.until(expires) => {}
            }
        }
    }

    /// Drops the oldest message that waits if there is no room. Whether it did.
    pub(crate) fn drop_oldest(&self) -> bool {
        self.change(|inner| inner.len() >= self.depth && inner.waiting.pop_first().is_some())
    }

    /// Deletes it, with what waits in it; its links end.
    pub(crate) fn delete(&self) {
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
