//! Telling those who wait that something has changed.
//!
//! Every device has some of these, so that they are small: `tokio::sync::watch` takes several times as much.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts changes of one thing, and wakes those who wait for the next.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: AtomicU64,
    notify: Notify,
}

impl Signal {
    /// Wakes all who wait, and those who are about to.
    pub(crate) fn raise(&self) {
        self.raised.fetch_add(1, Ordering::Release);
        self.notify.notify_waiters();
    }

    fn count(&self) -> u64 {
        self.raised.load(Ordering::Acquire)
    }
}

/// Waits for a signal. It remembers what happened since it was made or last waited.
#[derive(Debug)]
pub(crate) struct Waiter<S: Deref<Target = Signal> = Arc<Signal>> {
    signal: S,
    seen: u64,
}

impl<S: Deref<Target = Signal>> Waiter<S> {
    /// One who waits for what happens from now on.
    pub(crate) fn new(signal: S) -> Self {
        let seen = signal.count();
        Self { signal, seen }
    }

    /// Resolves when the signal was raised.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub(crate) async fn woken(&mut self) {
        // Made before the count is looked at, so that nothing falls in between.
        let raised = self.signal.notify.notified();
        if self.signal.count() == self.seen {
            raised.await;
        }
        self.seen = self.signal.count();
    }

    /// Takes what has happened so far as seen.
    pub(crate) fn mark_seen(&mut self) {
        self.seen = self.signal.count();
    }

    /// Whether the signal was raised.
    #[cfg(test)]
    pub(crate) fn is_raised(&self) -> bool {
        self.signal.count() != self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[tokio::test]
    async fn what_happened_before_the_waiting_is_not_lost_and_is_told_once() {
        let signal = Signal::default();
        let mut waiter = Waiter::new(&signal);
        signal.raise();
        signal.raise();
        waiter.woken().await;
        assert!(!waiter.is_raised());
        let mut waiting = core::pin::pin!(waiter.woken());
        assert!(tokio::time::timeout(Duration::ZERO, waiting.as_mut()).await.is_err());
        signal.raise();
        waiting.await;
    }
}
