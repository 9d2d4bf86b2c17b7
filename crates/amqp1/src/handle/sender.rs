//! The sending end of a link.

use crate::{
    handle::{
        link::{Detached, LinkHandle, blocked, common, room},
        permit::{Permit, Receipt, Refused, max_message_size, queue},
    },
    state::wait::within_or,
    transaction::Transactions,
    types::{error::Error, options::SendOptions, outcome::Outcome},
};
use amqp1_codec::{IntoMessage, definitions::AmqpError, performative::Attach};
use amqp1_engine::Blocked;
use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

/// The sending end of a link. Clones are handles of the same one; when the last of them and of its receipts is dropped,
/// the link is detached, what is queued first.
#[derive(Clone, Debug)]
pub struct Sender {
    handle: Arc<LinkHandle>,
}

impl Sender {
    pub(crate) fn new(handle: Arc<LinkHandle>) -> Self {
        Self { handle }
    }

    /// Sends a message and waits for its outcome.
    ///
    /// The wait for credit is bounded by the connection's operation time-out, and the wait for the outcome as the link
    /// says: see [`Receipt`].
    ///
    /// # Errors
    ///
    /// If the message cannot be sent or its outcome is not known; [`Error::delivered`] says whether the receiver may
    /// have it. An outcome that is not an acceptance is no error here.
    ///
    /// # Cancel safety
    ///
    /// Cancelled while it waits for credit, nothing was sent and no credit is used. Cancelled later, the delivery goes
    /// on.
    pub async fn send(&self, message: impl IntoMessage) -> Result<Outcome, Error> {
        self.send_with(message, SendOptions::default()).await
    }

    /// Sends a message as the options say and waits for its outcome.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn send_with(&self, message: impl IntoMessage, options: SendOptions) -> Result<Outcome, Error> {
        let mut message = self.handle.shared.encode(message);
        let (id, shared) = (self.handle.id, &self.handle.shared);
        let now = shared.now();
        loop {
            // Where there is credit, nobody is kept waiting and no timer is set.
            let queued = shared.command(|state, aside| {
                let room = state.room(id);
                match state.live_link(id) {
                    Ok(link) if !link.is_free(room) => Err(Refused::NoCredit(message)),
                    Ok(_) => queue(state, id, message, options, now, aside),
                    Err(error) => Err(Refused::Failed(error, message)),
                }
            })?;
            message = match queued {
                Ok(token) => return Receipt::new(self.handle.clone(), token).await,
                Err(Refused::Failed(error, _)) => return Err(error),
                Err(Refused::NoCredit(message) | Refused::NoRoom(message)) => message,
            };
            let permit = self.within_time(self.reserve_to_send()).await?;
            message = match permit.queue(message, options) {
                Ok(receipt) => return receipt.await,
                Err(Refused::Failed(error, _)) => return Err(error),
                // The receiver took its credit back meanwhile, or others were faster: wait for more.
                Err(Refused::NoCredit(message) | Refused::NoRoom(message)) => message,
            };
        }
    }

    /// Waits for credit, for room if messages queue up at this end, and for deliveries to be settled if too many are not.
    /// The permit that comes of it sends without waiting, whatever is queued by then. Those who wait are served in order.
    ///
    /// # Errors
    ///
    /// If the link ends. If the peer detached it without an error, this is
    /// [`LinkDetached`](crate::ErrorKind::LinkDetached) with [`amqp_error`](Error::amqp_error) `None`.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: nothing was sent and no credit is used.
    pub async fn reserve(&self) -> Result<Permit, Error> {
        self.reserve_for(false).await
    }

    /// A permit that is used at once: a drain waits for it.
    pub(crate) async fn reserve_to_send(&self) -> Result<Permit, Error> {
        self.reserve_for(true).await
    }

    async fn reserve_for(&self, sending: bool) -> Result<Permit, Error> {
        let id = self.handle.id;
        let mut waiting = Waiting { handle: &self.handle, ticket: None };
        let reserved = poll_fn(|cx| {
            self.handle.shared.poll(cx, |state, aside| {
                let room = if waiting.ticket.is_some() { state.room_in_line(id) } else { state.room(id) };
                let awaits_room = room == 0 && self::room(&mut state.engine, id) > 0;
                let link = match state.live_link(id) {
                    Ok(link) => link,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                if link.poll_permit(&mut waiting.ticket, room, aside).is_ready() {
                    return Poll::Ready(Ok(link.claim(sending)));
                }
                if !std::mem::replace(&mut link.listed, true) {
                    state.starved.push_back(id);
                }
                state.awaits_room |= awaits_room;
                if state.awaits_room {
                    // There may be room for those who came before, and for this one.
                    state.feed_starved(aside);
                }
                Poll::Pending
            })
        });
        let claim = reserved.await??;
        Ok(Permit::new(self.handle.clone(), claim))
    }

    /// A permit, if there is credit now and nobody waits for it.
    pub fn try_reserve(&self) -> Option<Permit> {
        let id = self.handle.id;
        let reserved = self.handle.shared.command(|state, aside| {
            let room = state.room(id);
            let link = state.live_link(id).ok()?;
            let free = link.is_free(room) && link.poll_permit(&mut None, room, aside).is_ready();
            free.then(|| link.claim(false))
        });
        reserved.ok().flatten().map(|claim| Permit::new(self.handle.clone(), claim))
    }

    /// Bounds a wait for credit, and says what else was waited for.
    pub(crate) async fn within_time<T>(&self, reserving: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let waited_for = || match self.blocked() {
            Some(Blocked::Unsettled) => "waiting for deliveries to be settled, of which too many are not,",
            Some(Blocked::Queue) => "waiting for what is queued to be sent",
            _ => "waiting for credit",
        };
        within_or(&self.handle.shared, self.handle.timeout(), waited_for, reserving).await
    }

    /// Why nothing can be sent now: [`reserve`](Self::reserve) and [`send`](Self::send) wait. `None` if something can, or
    /// if the link is over.
    pub fn blocked(&self) -> Option<Blocked> {
        let id = self.handle.id;
        self.handle.shared.look(|state| blocked(&mut state.engine, id))
    }

    /// How many deliveries may be sent now (§2.6.7). Permits that are held and callers that wait are not subtracted.
    pub fn credit(&self) -> u32 {
        let id = self.handle.id;
        self.handle.shared.look(|state| state.engine.sender(id).map_or(0, |sender| sender.credit()))
    }

    /// Sets how long outcomes are waited for, of what is sent from now on; `None` for no limit.
    pub fn set_outcome_timeout(&self, timeout: impl Into<Option<Duration>>) {
        let (id, limit) = (self.handle.id, timeout.into());
        // A link that is over, or whose task is gone, sends nothing more.
        let _ = self.handle.shared.command(|state, _| {
            if let Some(link) = state.links.get_mut(&id) {
                link.outcome_timeout = Some(limit);
            }
        });
    }

    /// The transaction within which the receiver acquires what is sent now (§4.4.3), if it has asked for that. An acceptor
    /// that serves a [coordinator](crate::ServerConnection::coordinator) sends as always: the library makes it part of the
    /// transaction.
    pub fn acquiring(&self) -> Option<crate::transaction::TxnId> {
        let id = self.handle.id;
        self.handle.shared.look(|state| match &state.transactions {
            Transactions::Resource(table) => table.acquires(id).cloned(),
            _ => None,
        })
    }

    /// The largest message that the receiver takes, in octets; `None` if it takes any.
    pub fn max_message_size(&self) -> Option<u64> {
        self.handle.shared.look(|state| max_message_size(state, self.handle.id))
    }

    common!("What is queued is sent first; outcomes that have not come by then do not come any more.");
}

/// A place in the line for credit, given up when it is dropped.
struct Waiting<'a> {
    handle: &'a LinkHandle,
    ticket: Option<u64>,
}

impl Drop for Waiting<'_> {
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
