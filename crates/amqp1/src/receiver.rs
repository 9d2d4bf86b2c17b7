//! The receiving end of a link.

use crate::{
    delivery::Delivery,
    error::Error,
    link::{Detached, LinkHandle, gone, within},
    options::OnDrop,
    shared::{Aside, State},
};
use amqp1_codec::{definitions::AmqpError, performative::Attach};
use amqp1_engine::{Cause, Credit, IncomingDelivery};
use futures_core::Stream;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// The receiving end of a link: one consumer. Deliveries can be settled elsewhere.
#[derive(Debug)]
pub struct Receiver {
    handle: Arc<LinkHandle>,
    on_drop: OnDrop,
}

impl Receiver {
    pub(crate) fn new(handle: Arc<LinkHandle>, on_drop: OnDrop) -> Self {
        Self { handle, on_drop }
    }

    /// Waits for the next delivery; `None` when the link has ended without an error.
    ///
    /// # Errors
    ///
    /// If the link, its session or the connection ended with an error.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: no delivery is lost.
    pub async fn recv(&mut self) -> Result<Option<Delivery>, Error> {
        let id = self.handle.id;
        let next = self.handle.shared.wait(|state, aside| poll_next(state, aside, id)).await?;
        Ok(next?.map(|delivery| self.delivery(delivery)))
    }

    /// The next delivery, if it is there.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        let id = self.handle.id;
        let delivery = self.handle.shared.command(|state, _| take(state, id)).ok().flatten()?;
        Some(self.delivery(delivery))
    }

    fn delivery(&self, delivery: IncomingDelivery) -> Delivery {
        Delivery::new(self.handle.clone(), delivery, self.on_drop)
    }

    /// Sets how many deliveries are allowed from now on.
    ///
    /// # Errors
    ///
    /// If the link has ended.
    pub fn set_credit(&mut self, credit: Credit) -> Result<(), Error> {
        let id = self.handle.id;
        self.handle.shared.command(|state, _| state.engine.set_credit(id, credit))?.map_err(Into::into)
    }

    /// Asks the sender to use up its credit or give it up, and waits until it has. What it sent is there to be
    /// received; credit is not given again until [`set_credit`](Self::set_credit).
    ///
    /// # Errors
    ///
    /// If the link ends, or the sender does not answer in time.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the drain goes on.
    pub async fn drain(&mut self) -> Result<(), Error> {
        let id = self.handle.id;
        self.handle.shared.command(|state, _| {
            if let Some(link) = state.links.get_mut(&id) {
                link.drained = false;
            }
            state.engine.drain(id)
        })??;
        let drained = self.handle.shared.wait(|state, aside| {
            let closed = state.closed_error();
            let Some(link) = state.links.get_mut(&id) else { return Poll::Ready(Err(gone())) };
            if let Some(detached) = &link.detached {
                return Poll::Ready(Err(closed.unwrap_or_else(|| Error::detached(detached))));
            }
            if link.drained {
                return Poll::Ready(Ok(()));
            }
            aside.join(&mut link.waiting);
            Poll::Pending
        });
        within(self.handle.timeout, "the sender did not answer the drain", async { drained.await? }).await
    }

    /// What the peer has attached the link with.
    pub fn remote_attach(&self) -> Attach {
        self.handle.remote_attach()
    }

    /// Detaches the link, which may be attached again. Settlements that are queued are written first.
    ///
    /// # Errors
    ///
    /// If the peer does not answer in time, or has detached with an error.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on by itself.
    pub async fn detach(&self) -> Result<(), Error> {
        self.handle.detach(false, None).await
    }

    /// Closes the link. Settlements that are queued are written first.
    ///
    /// # Errors
    ///
    /// As [`detach`](Self::detach).
    ///
    /// # Cancel safety
    ///
    /// As [`detach`](Self::detach).
    pub async fn close(&self) -> Result<(), Error> {
        self.handle.detach(true, None).await
    }

    /// Detaches the link, or closes it, and tells the peer why.
    ///
    /// # Errors
    ///
    /// As [`detach`](Self::detach).
    ///
    /// # Cancel safety
    ///
    /// As [`detach`](Self::detach).
    pub async fn detach_with(&self, closed: bool, error: Option<AmqpError>) -> Result<(), Error> {
        self.handle.detach(closed, error).await
    }

    /// Waits until the link is over, for whatever reason. Does not borrow the receiver, so that it can be waited for
    /// beside `recv`.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub fn detached(&self) -> impl Future<Output = Detached> + Send + use<> {
        let handle = self.handle.clone();
        async move { handle.detached().await }
    }
}

/// The next delivery; those that the sender had settled are there even when the link is not any more.
fn take(state: &mut State, id: amqp1_engine::LinkId) -> Option<IncomingDelivery> {
    state.engine.recv(id).or_else(|| state.links.get_mut(&id)?.undelivered.pop_front())
}

fn poll_next(
    state: &mut State,
    aside: &mut Aside,
    id: amqp1_engine::LinkId,
) -> Poll<Result<Option<IncomingDelivery>, Error>> {
    if let Some(delivery) = take(state, id) {
        // Taking one may give credit anew.
        state.wake_driver(aside);
        return Poll::Ready(Ok(Some(delivery)));
    }
    let closed = state.closed_error();
    let Some(link) = state.links.get_mut(&id) else { return Poll::Ready(Err(closed.unwrap_or_else(gone))) };
    match &link.detached {
        None => {
            aside.store(&mut link.receiver);
            Poll::Pending
        }
        Some(Detached { error: None, by: Cause::Peer | Cause::Local, .. }) => Poll::Ready(Ok(None)),
        Some(detached) => Poll::Ready(Err(closed.unwrap_or_else(|| Error::detached(detached)))),
    }
}

impl Stream for Receiver {
    type Item = Result<Delivery, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let id = self.handle.id;
        let next = self.handle.shared.poll(cx, |state, aside| poll_next(state, aside, id));
        next.map(|next| match next {
            Ok(Ok(Some(delivery))) => Some(Ok(self.delivery(delivery))),
            Ok(Ok(None)) => None,
            Ok(Err(error)) | Err(error) => Some(Err(error)),
        })
    }
}
