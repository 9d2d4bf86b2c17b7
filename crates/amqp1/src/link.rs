//! What both kinds of link have in common.

use crate::{
    error::{Error, ErrorKind},
    session::SessionHandle,
    shared::{Aside, Shared},
};
use amqp1_codec::{definitions::AmqpError, performative::Attach};
use amqp1_engine::{Cause, IncomingDelivery, LinkId};
use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

/// How a link ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Detached {
    /// Whether it was closed for good.
    pub closed: bool,
    /// Why.
    pub error: Option<AmqpError>,
    /// By whom.
    pub by: Cause,
}

impl Detached {
    pub(crate) fn new(detached: &amqp1_engine::Detached) -> Self {
        Self { closed: detached.closed, error: detached.error.clone(), by: detached.by }
    }
}

/// Somebody who waits for credit.
#[derive(Debug)]
pub(crate) struct Ticket {
    number: u64,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
pub(crate) struct LinkState {
    pub(crate) attached: bool,
    pub(crate) detached: Option<Detached>,
    pub(crate) undelivered: VecDeque<IncomingDelivery>,
    pub(crate) drained: bool,
    pub(crate) waiting: Vec<Waker>,
    pub(crate) receiver: Option<Waker>,
    /// Those who wait for credit, in the order in which they came.
    tickets: VecDeque<Ticket>,
    next_ticket: u64,
    /// Permits that were given and not used.
    pub(crate) permits: u32,
}

impl LinkState {
    pub(crate) fn wake_all(&mut self, aside: &mut Aside) {
        aside.wake(self.waiting.drain(..));
        aside.wake(self.receiver.take());
        aside.wake(self.tickets.iter_mut().filter_map(|ticket| ticket.waker.take()));
    }

    pub(crate) fn wake_senders(&mut self, credit: u32, aside: &mut Aside) {
        let free = usize::try_from(credit.saturating_sub(self.permits)).unwrap_or(usize::MAX);
        aside.wake(self.tickets.iter_mut().take(free).filter_map(|ticket| ticket.waker.take()));
    }

    /// Takes a permit if there is credit for everyone who came before; otherwise waits in line.
    pub(crate) fn poll_permit(&mut self, ticket: &mut Option<u64>, credit: u32, aside: &mut Aside) -> Poll<()> {
        let free = usize::try_from(credit.saturating_sub(self.permits)).unwrap_or(usize::MAX);
        let place = match *ticket {
            None => self.tickets.len(),
            Some(number) => {
                self.tickets.iter().position(|ticket| ticket.number == number).unwrap_or(self.tickets.len())
            }
        };
        if place < free {
            if ticket.take().is_some() {
                self.tickets.remove(place);
            }
            self.permits = self.permits.saturating_add(1);
            return Poll::Ready(());
        }
        if ticket.is_none() {
            *ticket = Some(self.next_ticket);
            self.tickets.push_back(Ticket { number: self.next_ticket, waker: None });
            self.next_ticket = self.next_ticket.wrapping_add(1);
        }
        if let Some(ticket) = self.tickets.get_mut(place) {
            aside.store(&mut ticket.waker);
        }
        Poll::Pending
    }

    /// Leaves the line; those behind move up.
    pub(crate) fn leave(&mut self, number: u64, credit: u32, aside: &mut Aside) {
        if let Some(place) = self.tickets.iter().position(|ticket| ticket.number == number) {
            aside.wake(self.tickets.remove(place).and_then(|ticket| ticket.waker));
            self.wake_senders(credit, aside);
        }
    }
}

/// A link as its handles hold it; the last one detaches it.
#[derive(Debug)]
pub(crate) struct LinkHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: LinkId,
    pub(crate) session: Arc<SessionHandle>,
    pub(crate) timeout: Duration,
    /// Whether dropping the last handle closes the link, or only detaches it.
    pub(crate) close_on_drop: bool,
}

impl LinkHandle {
    pub(crate) fn remote_attach(&self) -> Attach {
        self.shared.look(|state| state.engine.remote_attach(self.id).cloned()).unwrap_or_default()
    }

    /// Waits for the peer's answer to our attach.
    pub(crate) async fn attached(&self) -> Result<(), Error> {
        let id = self.id;
        let attached = self.shared.wait(|state, aside| {
            let closed = state.closed_error();
            let Some(link) = state.links.get_mut(&id) else { return Poll::Ready(Err(gone())) };
            if let Some(detached) = &link.detached {
                return Poll::Ready(Err(closed.unwrap_or_else(|| Error::refused(detached))));
            }
            if link.attached {
                return Poll::Ready(Ok(()));
            }
            aside.join(&mut link.waiting);
            Poll::Pending
        });
        within(self.timeout, "the peer did not answer the attach", attached).await?
    }

    /// Waits until the link is over, for whatever reason.
    pub(crate) async fn detached(&self) -> Detached {
        let id = self.id;
        let gone = || Detached { closed: true, error: None, by: Cause::Connection };
        let detached = self.shared.wait(|state, aside| {
            let Some(link) = state.links.get_mut(&id) else { return Poll::Ready(gone()) };
            if let Some(detached) = &link.detached {
                return Poll::Ready(detached.clone());
            }
            aside.join(&mut link.waiting);
            Poll::Pending
        });
        detached.await.unwrap_or_else(|_| gone())
    }

    /// Detaches and waits for the peer's answer.
    pub(crate) async fn detach(&self, closed: bool, error: Option<AmqpError>) -> Result<(), Error> {
        let _ = self.shared.command(|state, _| state.engine.detach(self.id, closed, error))?;
        let detached = within(self.timeout, "the peer did not answer the detach", async { Ok(self.detached().await) });
        let detached = detached.await?;
        match (detached.by, detached.error) {
            (Cause::Peer, Some(error)) => Err(Error::new(ErrorKind::LinkDetached, "the peer detached the link").with_amqp(Some(error))),
            _ => Ok(()),
        }
    }
}

impl Drop for LinkHandle {
    fn drop(&mut self) {
        let (id, closed) = (self.id, self.close_on_drop);
        let _ = self.shared.command(|state, _| {
            let _ = state.engine.detach(id, closed, None);
            state.links.remove(&id);
        });
    }
}

pub(crate) fn gone() -> Error {
    Error::new(ErrorKind::LinkDetached, "the link is gone")
}

/// Bounds a future.
pub(crate) async fn within<T>(
    limit: Duration,
    what: &'static str,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(ErrorKind::Timeout, format!("{what} within {} s", limit.as_secs_f32()))),
    }
}
