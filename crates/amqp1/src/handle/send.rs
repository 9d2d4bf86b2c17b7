//! The one way to send: a place in the line for credit, and what is done with the credit.

use crate::{
    handle::{counted::LinkHandle, permit::Receipt, sender::Sender},
    state::{
        aside::Aside,
        ids::LinkKey,
        link::{blocked, room},
        send::{Queueing, Receipts},
        shared::State,
        wait::within_or,
    },
    types::{error::Error, options::SendOptions},
};
use amqp1_codec::{EncodedMessage, messaging::DeliveryState};
use amqp1_engine::Blocked;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Poll, ready},
};

impl Sender {
    /// Waits for credit, in line and without a limit, and calls `work` under the same lock. `work` uses the credit for one
    /// delivery, or a permit holds it; if it fails, the credit goes to the next in line.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: `work` was called and its result returned, or it was not called.
    pub(crate) async fn with_credit<T>(
        &self,
        work: impl FnOnce(&mut State, LinkKey, &mut Aside<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let handle = &**self.handle();
        let mut place = Place { handle, ticket: None };
        let mut work = Some(work);
        let done = poll_fn(|cx| {
            handle.shared.poll(cx, |state, aside| {
                ready!(state.poll_turn(handle.id, &mut place.ticket, aside))?;
                let Some(work) = work.take() else { return Poll::Ready(Err(Error::internal("the credit was used"))) };
                let done = work(state, handle.id, aside);
                if done.is_err() {
                    state.feed_starved(aside);
                }
                Poll::Ready(done)
            })
        });
        done.await?
    }

    /// Queues a message when there is credit for it, with a state of the delivery at this end if there is one.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: cancelled, nothing was queued.
    pub(crate) async fn queue(
        &self,
        message: EncodedMessage,
        options: SendOptions,
        stated: Option<DeliveryState>,
    ) -> Result<Receipt, Error> {
        let handle = self.handle();
        let queueing = Queueing { options, stated, receipts: Receipts::All, clock: &handle.shared };
        let queued = self.with_credit(|state, id, aside| state.queue(id, message, queueing, aside));
        Receipt::required(handle.clone(), queued.await?)
    }

    /// As [`queue`](Self::queue). Returns the slot of the receipt; there is none where the message is sent settled.
    pub(crate) async fn queue_for_outcome(
        &self,
        message: EncodedMessage,
        options: SendOptions,
    ) -> Result<Option<u64>, Error> {
        let handle = self.handle();
        let queueing = Queueing { options, stated: None, receipts: Receipts::Unsettled, clock: &handle.shared };
        self.with_credit(|state, id, aside| state.queue(id, message, queueing, aside)).await
    }

    /// Bounds a wait for credit by the operation time-out. The error says what else was waited for.
    pub(crate) async fn within_time<T>(&self, waiting: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut waiting = pin!(waiting);
        // Where there is credit, no timer is set.
        if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await {
            return done;
        }
        let waited_for = || match self.blocked() {
            Some(Blocked::Unsettled) => "waiting for deliveries to be settled, of which too many are not,",
            Some(Blocked::Queue) => "waiting for what is queued to be sent",
            _ => "waiting for credit",
        };
        within_or(&self.handle().shared, self.handle().timeout(), waited_for, waiting).await
    }

    /// Why nothing can be sent now: [`reserve`](Self::reserve) and [`send`](Self::send) wait. `None` if something can, or
    /// if the link is over.
    pub fn blocked(&self) -> Option<Blocked> {
        let id = self.handle().id;
        self.handle().shared.look(|state| blocked(&mut state.engine, id))
    }
}

impl State {
    /// Why nothing can be queued on a link, where that is so: no credit is left that others do not claim, if nothing else.
    pub(crate) fn fullness(&mut self, id: LinkKey) -> Blocked {
        let queue = self.awaits_room || !self.engine.has_queue_room();
        blocked(&mut self.engine, id).unwrap_or(if queue { Blocked::Queue } else { Blocked::Credit })
    }

    /// Ready when a delivery can be queued for a caller, with those served who came before. Until then the caller has a
    /// ticket.
    fn poll_turn(&mut self, id: LinkKey, ticket: &mut Option<u64>, aside: &mut Aside<'_>) -> Poll<Result<(), Error>> {
        let room = if ticket.is_some() { self.room_in_line(id) } else { self.room(id) };
        let awaits_room = room == 0 && self::room(&mut self.engine, id) > 0;
        let link = self.live_link(id)?;
        if link.poll_turn(ticket, room, aside).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if !std::mem::replace(&mut link.listed, true) {
            self.starved.push_back(id);
        }
        self.awaits_room |= awaits_room;
        if self.awaits_room {
            // There may be room for those who came before, and for this one.
            self.feed_starved(aside);
        }
        Poll::Pending
    }
}

/// A place in the line for credit, given up when it is dropped.
struct Place<'a> {
    handle: &'a LinkHandle,
    ticket: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(number) = self.ticket else { return };
        let id = self.handle.id;
        let _ = self.handle.shared.command(|state, aside| {
            let room = state.room_in_line(id);
            if let Some(link) = state.links.get_mut(&id) {
                link.leave(number, room, aside);
            }
            state.feed_starved(aside);
        });
    }
}
