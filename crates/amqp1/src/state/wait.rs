//! Waiting for something to change, without running anything foreign under the lock.

use crate::{
    state::{
        ids::Place,
        shared::{Shared, State},
    },
    types::error::{Error, Retry},
};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

impl Shared {
    /// Waits until `check`, called under the lock, gives something; it is called again when what stands at `place` has
    /// changed. Fails when nothing will change any more.
    pub(crate) fn wait<T, F>(&self, place: Place, check: F) -> Wait<'_, F>
    where
        F: FnMut(&mut State) -> Option<T> + Unpin,
    {
        Wait { shared: self, place, check, key: None }
    }
}

/// The future of [`Shared::wait`]. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Wait<'a, F> {
    shared: &'a Shared,
    place: Place,
    check: F,
    key: Option<u64>,
}

impl<T, F: FnMut(&mut State) -> Option<T> + Unpin> Future for Wait<'_, F> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { shared, place, check, key } = self.get_mut();
        let polled = shared.poll(cx, |state, aside| {
            if let Some(result) = check(state) {
                return Poll::Ready(Ok(result));
            }
            if state.is_dead() {
                return Poll::Ready(Err(state.failure()));
            }
            match state.list(*place) {
                Some(list) => {
                    aside.join(list, key);
                    Poll::Pending
                }
                None => Poll::Ready(Err(state.failure())),
            }
        });
        polled.map(|polled| polled.and_then(|result| result))
    }
}

impl<F> Drop for Wait<'_, F> {
    fn drop(&mut self) {
        let (Some(key), place) = (self.key, self.place) else { return };
        // The waker is dropped when the lock is released.
        let waker = self.shared.command(|state, _| state.list(place).and_then(|list| list.leave(key)));
        drop(waker);
    }
}

impl Shared {
    /// For how long nothing was heard from the peer.
    pub(crate) fn silence(&self) -> Duration {
        let heard = self.look(|state| state.engine.last_received());
        self.now() - heard
    }
}

/// Bounds a future that waits for the peer. A peer of which nothing at all was heard meanwhile is not there any more.
pub(crate) async fn within<T>(
    shared: &Shared,
    limit: Duration,
    what: &'static str,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    within_or(shared, limit, || what, future).await
}

/// As [`within`]; what took too long is asked when it has.
pub(crate) async fn within_or<T>(
    shared: &Shared,
    limit: Duration,
    what: impl FnOnce() -> &'static str,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result,
        Err(_) if shared.silence() >= limit => Err(Error::timeout(what(), limit).with_retry(Retry::ReopenConnection)),
        Err(_) => Err(Error::timeout(what(), limit)),
    }
}
