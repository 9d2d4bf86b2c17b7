//! A queue whose items are taken under a lock and leave it only when they are settled or die.
//!
//! Shared by the cloud-to-device queues and by the feedback queue. Every entry point takes `now` and first does what
//! time has done since the last call: locks that ran out put their item back, items past their expiry die. Items that
//! died lie in [`LockQueue::poll_dead`]. An item comes back to its own place, so the order of sequence numbers holds.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use thiserror::Error;

use super::clock::UnixMillis;
use super::ids::ConsumerId;
use super::random::{LockToken, Random};

/// What the queue needs to know about locks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LockRules {
    pub(crate) lock: Duration,
    pub(crate) max_delivery_count: u32,
    pub(crate) count_lock_expiry: bool,
}

/// Why an item died in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeathCause {
    DeliveryCountExceeded,
    Expired,
}

/// An item that died in the queue.
#[derive(Debug)]
pub(crate) struct Dead<T> {
    pub(crate) item: T,
    pub(crate) cause: DeathCause,
    /// When, which may be before the call that found out.
    pub(crate) at: UnixMillis,
}

/// The delivery is not locked by this token: it ran out, was settled, released or purged, or never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("412002 ErrorCode:DeviceMessageLockLost; the lock of this delivery has run out or was given back")]
pub struct LockLost;

impl LockLost {
    /// The error condition for the wire.
    #[must_use]
    pub fn condition(&self) -> &'static str {
        "com.microsoft:message-lock-lost"
    }
}

/// What giving a delivery up led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abandoned {
    Dead(DeathCause),
    Requeued { delivery_count: u32 },
}

/// An item under a new lock.
#[derive(Debug)]
pub(crate) struct Locked<'a, T> {
    pub(crate) item: &'a T,
    pub(crate) token: LockToken,
    pub(crate) sequence_number: u64,
    pub(crate) delivery_count: u32,
    pub(crate) enqueued: UnixMillis,
    pub(crate) locked_until: UnixMillis,
}

#[derive(Clone, Copy, Debug)]
struct Lock {
    token: LockToken,
    until: UnixMillis,
    consumer: ConsumerId,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    enqueued: UnixMillis,
    expires: UnixMillis,
    delivery_count: u32,
    lock: Option<Lock>,
}

impl<T> Entry<T> {
    /// What time will do to this entry next, and when.
    fn timer(&self) -> UnixMillis {
        self.lock.map_or(self.expires, |lock| lock.until)
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct LockQueue<T> {
    rules: LockRules,
    entries: BTreeMap<u64, Entry<T>>,
    waiting: BTreeSet<u64>,
    /// One timer for each entry: see [`Entry::timer`].
    timers: BTreeSet<(UnixMillis, u64)>,
    locks: HashMap<LockToken, u64>,
    last_sequence_number: u64,
    dead: VecDeque<Dead<T>>,
    became_available: bool,
}

impl<T> LockQueue<T> {
    pub(crate) fn new(rules: LockRules) -> Self {
        Self {
            rules,
            entries: BTreeMap::new(),
            waiting: BTreeSet::new(),
            timers: BTreeSet::new(),
            locks: HashMap::new(),
            last_sequence_number: 0,
            dead: VecDeque::new(),
            became_available: false,
        }
    }

    /// Items waiting or locked.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Locks that `consumer` holds.
    pub(crate) fn locks_of(&self, consumer: ConsumerId) -> usize {
        self.entries.values().filter(|entry| entry.lock.is_some_and(|lock| lock.consumer == consumer)).count()
    }

    /// The next item that died. Changed by every call that takes `now`.
    pub(crate) fn poll_dead(&mut self) -> Option<Dead<T>> {
        self.dead.pop_front()
    }

    /// Whether an item has become available since this was last asked.
    pub(crate) fn poll_available(&mut self) -> bool {
        core::mem::take(&mut self.became_available)
    }

    /// When time will next change something here.
    pub(crate) fn next_deadline(&self) -> Option<UnixMillis> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Puts an item at the end and gives its sequence number, which counts from 1.
    pub(crate) fn push(&mut self, now: UnixMillis, item: T, expires: UnixMillis) -> u64 {
        self.handle_timeout(now);
        self.last_sequence_number += 1;
        let number = self.last_sequence_number;
        self.entries.insert(number, Entry { item, enqueued: now, expires, delivery_count: 0, lock: None });
        self.waiting.insert(number);
        self.timers.insert((expires, number));
        self.became_available = true;
        number
    }

    /// Locks the item that is first in order among those that wait.
    pub(crate) fn take(&mut self, now: UnixMillis, consumer: ConsumerId, random: &mut Random) -> Option<Locked<'_, T>> {
        self.handle_timeout(now);
        let number = self.waiting.pop_first()?;
        let entry = self.entries.get_mut(&number)?;
        let token = random.lock_token();
        let until = now.after(self.rules.lock);
        self.timers.remove(&(entry.timer(), number));
        entry.lock = Some(Lock { token, until, consumer });
        self.timers.insert((until, number));
        self.locks.insert(token, number);
        Some(Locked {
            item: &entry.item,
            token,
            sequence_number: number,
            delivery_count: entry.delivery_count,
            enqueued: entry.enqueued,
            locked_until: until,
        })
    }

    /// Takes a locked item out for good.
    pub(crate) fn settle(&mut self, now: UnixMillis, token: &LockToken) -> Result<T, LockLost> {
        self.handle_timeout(now);
        let number = *self.locks.get(token).ok_or(LockLost)?;
        self.remove(number).map(|entry| entry.item).ok_or(LockLost)
    }

    /// Gives a locked item back and counts it.
    pub(crate) fn abandon(&mut self, now: UnixMillis, token: &LockToken) -> Result<Abandoned, LockLost> {
        self.handle_timeout(now);
        let number = *self.locks.get(token).ok_or(LockLost)?;
        self.unlock(number, now, true).ok_or(LockLost)
    }

    /// Gives a locked item back as if it had not been taken.
    pub(crate) fn give_back(&mut self, now: UnixMillis, token: &LockToken) -> Result<Abandoned, LockLost> {
        self.handle_timeout(now);
        let number = *self.locks.get(token).ok_or(LockLost)?;
        self.unlock(number, now, false).ok_or(LockLost)
    }

    /// Gives back, uncounted, all that `consumer` holds, and says how many that were.
    pub(crate) fn release_all(&mut self, now: UnixMillis, consumer: ConsumerId) -> usize {
        self.handle_timeout(now);
        let held = |entry: &Entry<T>| entry.lock.is_some_and(|lock| lock.consumer == consumer);
        let numbers: Vec<u64> = self.entries.iter().filter(|(_, e)| held(e)).map(|(number, _)| *number).collect();
        for number in &numbers {
            self.unlock(*number, now, false);
        }
        numbers.len()
    }

    /// Takes everything out, locked or not, in order.
    pub(crate) fn purge(&mut self, now: UnixMillis) -> Vec<T> {
        self.handle_timeout(now);
        self.waiting.clear();
        self.timers.clear();
        self.locks.clear();
        core::mem::take(&mut self.entries).into_values().map(|entry| entry.item).collect()
    }

    /// Keeps, of the items that wait, those for which `keep` says so. Locked ones stay.
    pub(crate) fn retain_waiting(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        for number in self.waiting.clone() {
            if self.entries.get_mut(&number).is_some_and(|entry| !keep(&mut entry.item)) {
                self.remove(number);
            }
        }
    }

    /// Does what time has done until `now`, in the order in which it fell due.
    pub(crate) fn handle_timeout(&mut self, now: UnixMillis) {
        while let Some((at, number)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            match self.entries.get(&number).map(|entry| entry.lock.is_some()) {
                Some(true) => {
                    self.unlock(number, at, self.rules.count_lock_expiry);
                }
                Some(false) => self.kill(number, DeathCause::Expired, at),
                None => {
                    self.timers.remove(&(at, number));
                }
            }
        }
    }

    fn unlock(&mut self, number: u64, at: UnixMillis, count: bool) -> Option<Abandoned> {
        let entry = self.entries.get_mut(&number)?;
        self.timers.remove(&(entry.timer(), number));
        if let Some(lock) = entry.lock.take() {
            self.locks.remove(&lock.token);
        }
        entry.delivery_count += u32::from(count);
        self.timers.insert((entry.expires, number));
        let delivery_count = entry.delivery_count;
        let cause = if count && delivery_count >= self.rules.max_delivery_count {
            DeathCause::DeliveryCountExceeded
        } else if entry.expires <= at {
            DeathCause::Expired
        } else {
            self.waiting.insert(number);
            self.became_available = true;
            return Some(Abandoned::Requeued { delivery_count });
        };
        self.kill(number, cause, at);
        Some(Abandoned::Dead(cause))
    }

    fn kill(&mut self, number: u64, cause: DeathCause, at: UnixMillis) {
        if let Some(entry) = self.remove(number) {
            self.dead.push_back(Dead { item: entry.item, cause, at });
        }
    }

    fn remove(&mut self, number: u64) -> Option<Entry<T>> {
        let entry = self.entries.remove(&number)?;
        self.timers.remove(&(entry.timer(), number));
        self.waiting.remove(&number);
        if let Some(lock) = entry.lock {
            self.locks.remove(&lock.token);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
