//! Work that is put off until the lock is released, so that no foreign code runs under it.

use amqp1_engine::Connection as Engine;
use bytes::Bytes;
use std::task::Waker;

/// Work for when the lock is released: wakers to be woken, values to be dropped.
#[derive(Debug, Default)]
pub(crate) struct Aside<'a> {
    /// The wakers: mostly none or one, for which nothing is allocated.
    wake: Option<Waker>,
    more: Vec<Deferred>,
    /// The task that polls.
    poller: Option<&'a Waker>,
    /// A clone of its waker, made before the lock was taken.
    own: Option<Waker>,
    /// A clone is needed.
    wants_own: bool,
}

#[derive(Debug)]
enum Deferred {
    Wake(Waker),
    Drop(#[expect(dead_code, reason = "it is here to be dropped later")] Waker),
    /// Payloads that are not needed any more.
    Discard(#[expect(dead_code, reason = "they are here to be dropped later")] Vec<Bytes>),
}

impl<'a> Aside<'a> {
    #[inline]
    pub(crate) fn polled_by(poller: &'a Waker, cloned: bool) -> Self {
        Self { poller: Some(poller), own: cloned.then(|| poller.clone()), ..Self::default() }
    }

    /// Wakes these when the lock is released.
    #[inline]
    pub(crate) fn wake(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        for waker in wakers {
            if self.wake.is_none() {
                self.wake = Some(waker);
            } else {
                self.more.push(Deferred::Wake(waker));
            }
        }
    }

    /// Drops these when the lock is released: their owners' code may run then.
    pub(crate) fn drop_later(&mut self, payloads: Vec<Bytes>) {
        self.more.push(Deferred::Discard(payloads));
    }

    /// Drops what the engine has discarded when the lock is released: its owners' code may run then.
    #[inline]
    pub(crate) fn drop_discarded(&mut self, engine: &mut Engine) {
        if engine.has_discarded() {
            self.more.push(Deferred::Discard(engine.take_discarded()));
        }
    }

    /// Drops these when the lock is released.
    pub(crate) fn trash(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        self.more.extend(wakers.into_iter().map(Deferred::Drop));
    }

    /// Puts the poller's waker into a slot, if it is not there already.
    pub(crate) fn store(&mut self, slot: &mut Option<Waker>) {
        let Some(poller) = self.poller else { return };
        if slot.as_ref().is_some_and(|waker| waker.will_wake(poller)) {
            return;
        }
        match self.own.take() {
            Some(own) => self.more.extend(slot.replace(own).map(Deferred::Drop)),
            None => self.wants_own = true,
        }
    }

    /// Puts the poller among those who wait; `key` is its place.
    pub(super) fn join(&mut self, list: &mut WaitList, key: &mut Option<u64>) {
        let Some(poller) = self.poller else { return };
        let entry = key.and_then(|key| list.waiting.iter_mut().find(|(number, _)| *number == key));
        match (entry, self.own.take()) {
            (Some((_, waker)), _) if waker.will_wake(poller) => {}
            (Some((_, waker)), Some(own)) => self.more.push(Deferred::Drop(std::mem::replace(waker, own))),
            (None, Some(own)) => {
                *key = Some(list.next);
                list.waiting.push((list.next, own));
                list.next = list.next.wrapping_add(1);
            }
            (_, None) => self.wants_own = true,
        }
    }

    /// Whether what was to be stored could not be, for want of a clone.
    pub(crate) fn is_wanting(&self) -> bool {
        self.wants_own
    }

    /// Does what was set aside. The lock is released.
    #[inline]
    pub(crate) fn finish(mut self) {
        if let Some(waker) = self.wake.take() {
            waker.wake();
        }
        if !self.more.is_empty() {
            finish_more(self.more);
        }
    }
}

#[cold]
fn finish_more(deferred: Vec<Deferred>) {
    for deferred in deferred {
        if let Deferred::Wake(waker) = deferred {
            waker.wake();
        }
    }
}

/// Those who wait for one thing to change.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    waiting: Vec<(u64, Waker)>,
    next: u64,
}

impl WaitList {
    /// Wakes them all.
    pub(crate) fn wake(&mut self, aside: &mut Aside<'_>) {
        aside.wake(self.waiting.drain(..).map(|(_, waker)| waker));
    }

    /// Gives back what it does not need.
    pub(crate) fn shrink(&mut self) {
        self.waiting.shrink_to_fit();
    }

    pub(super) fn leave(&mut self, key: u64) -> Option<Waker> {
        let place = self.waiting.iter().position(|(number, _)| *number == key)?;
        Some(self.waiting.swap_remove(place).1)
    }
}
