//! What waits in a queue, in order, and which of it a consumer has looked at.

use super::queue::Stored;
use amqp1::engine::Instant;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
};

#[derive(Default)]
pub(crate) struct Waiting {
    messages: BTreeMap<u64, Place>,
    /// Those that have come back, in the order in which they have.
    returned: BTreeMap<u64, u64>,
    returns: u64,
    /// Nothing expires before this.
    pub(crate) expires: Option<Instant>,
}

struct Place {
    stored: Arc<Stored>,
    /// Its key among those that have come back.
    returned: Option<u64>,
}

/// How far a consumer has looked: what it did not want is looked at again only if it comes back.
#[derive(Default)]
pub(crate) struct Cursor {
    seen: Mutex<Seen>,
    looking: AtomicBool,
}

#[derive(Default)]
struct Seen {
    /// All before this.
    place: u64,
    /// All that had come back before this.
    returned: u64,
    /// Except these, which have come back.
    again: BTreeSet<u64>,
}

impl Waiting {
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn insert(&mut self, stored: Stored) {
        self.place(stored, None);
    }

    pub(crate) fn put_back(&mut self, stored: Stored) {
        self.returned.insert(self.returns, stored.number);
        self.place(stored, Some(self.returns));
        self.returns += 1;
    }

    fn place(&mut self, stored: Stored, returned: Option<u64>) {
        self.expires = self.expires.into_iter().chain(stored.message.expiry()).min();
        self.messages.insert(stored.number, Place { stored: Arc::new(stored), returned });
    }

    pub(crate) fn take(&mut self, number: u64) -> Option<Stored> {
        let place = self.messages.remove(&number)?;
        if let Some(returned) = place.returned {
            self.returned.remove(&returned);
        }
        Some(Arc::unwrap_or_clone(place.stored))
    }

    pub(crate) fn take_first(&mut self) -> Option<Stored> {
        let (first, _) = self.messages.first_key_value()?;
        self.take(*first)
    }

    pub(crate) fn clear(&mut self) {
        self.messages.clear();
        self.returned.clear();
    }

    /// Drops what has expired (§3.2.1).
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.expires.is_some_and(|at| at <= now) {
            let expired = |(number, place): (&u64, &Place)| place.stored.message.is_expired(now).then_some(*number);
            let expired: Vec<_> = self.messages.iter().filter_map(expired).collect();
            expired.into_iter().for_each(|number| drop(self.take(number)));
            self.expires = self.messages.values().filter_map(|place| place.stored.message.expiry()).min();
        }
    }

    /// The first message that a consumer has not looked at. A browser has seen what comes back.
    pub(crate) fn unseen(&self, cursor: &Cursor, browses: bool) -> Option<Arc<Stored>> {
        let mut seen = cursor.seen();
        let Seen { place, returned, again } = &mut *seen;
        if !browses {
            again.extend(self.returned.range(*returned..).map(|(_, number)| number).filter(|number| *number < place));
            *returned = self.returns;
        }
        while let Some(number) = again.first() {
            match self.messages.get(number) {
                Some(place) => return Some(place.stored.clone()),
                None => drop(again.pop_first()),
            }
        }
        self.messages.range(*place..).next().map(|(_, place)| place.stored.clone())
    }
}

impl Cursor {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The consumer has looked at this one.
    pub(crate) fn pass(&self, number: u64) {
        let mut seen = self.seen();
        if !seen.again.remove(&number) {
            seen.place = number + 1;
        }
    }

    /// The consumer looks at what there is, until this is dropped.
    pub(crate) fn look(&self) -> Looking<'_> {
        self.looking.store(true, Relaxed);
        Looking(self)
    }

    /// Waits until the consumer has looked at all that there is. For the task of the consumer alone.
    pub(crate) async fn has_looked(&self) {
        std::future::poll_fn(|_| if self.looking.load(Relaxed) { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}

pub(crate) struct Looking<'a>(&'a Cursor);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.looking.store(false, Relaxed);
    }
}
