//! The wall clock, which can be one's own.
//!
//! Locks, expiries and the validity of tokens follow it. Idle time-outs and TLS do not: they follow the machine's.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use crate::hub::UnixMillis;

pub use amqp1::acceptor::BoxFuture;

/// Tells the time, and waits for it.
pub trait Clock: Send + Sync + 'static {
    /// Now. Called often, and never under a lock of the emulator.
    fn now(&self) -> UnixMillis;

    /// Resolves when it is `at` or later.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    fn sleep_until(&self, at: UnixMillis) -> BoxFuture<'_, ()>;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The clock may be set meanwhile, so nothing sleeps longer than this without looking at it again.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixMillis::default().after(since)
    }

    fn sleep_until(&self, at: UnixMillis) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let left = at.since(self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
            }
        })
    }
}

/// A clock that stands still until it is moved, for tests. Clones are the same clock.
#[derive(Clone)]
pub struct ManualClock(Arc<watch::Sender<UnixMillis>>);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: UnixMillis) -> Self {
        Self(Arc::new(watch::Sender::new(now)))
    }

    /// Moves the clock to `now`, forwards or back, and wakes those whose time has come.
    pub fn set(&self, now: UnixMillis) {
        self.0.send_replace(now);
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        self.0.send_modify(|now| *now = now.after(span));
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&*self.0.borrow()).finish()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        *self.0.borrow()
    }

    fn sleep_until(&self, at: UnixMillis) -> BoxFuture<'_, ()> {
        let mut shown = self.0.subscribe();
        Box::pin(async move {
            // An error would mean that the clock is gone; it lives as long as `self`.
            let _ = shown.wait_for(|now| *now >= at).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_when_it_is_moved_far_enough() {
        let clock = ManualClock::new(UnixMillis(1000));
        let sleeper = clock.clone();
        let task = tokio::spawn(async move { sleeper.sleep_until(UnixMillis(3000)).await });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_millis(1999));
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        clock.advance(Duration::from_millis(1));
        task.await.unwrap();
        assert_eq!(clock.now(), UnixMillis(3000));
        clock.sleep_until(UnixMillis(0)).await;
    }
}
