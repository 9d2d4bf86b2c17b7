//! The sending end of a link.

use crate::{
    handle::{counted::LinkHandle, link::common, permit::Permit},
    state::transaction::table::Transactions,
    types::{detached::Detached, error::Error, options::SendOptions, outcome::Outcome},
};
use amqp1_codec::{IntoMessage, definitions::AmqpError, performative::Attach};
use amqp1_engine::transaction::TxnId;
use std::{future::Future, sync::Arc, time::Duration};

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
        let message = self.handle.encode(message);
        self.within_time(self.queue(message, options, None)).await?.await
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
        let claim = self.with_credit(|state, id, _| Ok(state.live_link(id)?.claim())).await?;
        Ok(Permit::new(self.handle.clone(), claim))
    }

    /// A permit, if there is credit now and nobody waits for it.
    pub fn try_reserve(&self) -> Option<Permit> {
        let id = self.handle.id;
        let reserved = self.handle.shared.command(|state, _| {
            let room = state.room(id);
            let link = state.live_link(id).ok()?;
            link.is_free(room).then(|| link.claim())
        });
        reserved.ok().flatten().map(|claim| Permit::new(self.handle.clone(), claim))
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
    pub fn acquiring(&self) -> Option<TxnId> {
        let id = self.handle.id;
        self.handle.shared.look(|state| match &state.transactions {
            Transactions::Resource(table) => table.acquires(id).cloned(),
            _ => None,
        })
    }

    /// The largest message that the receiver takes, in octets; `None` if it takes any.
    pub fn max_message_size(&self) -> Option<u64> {
        self.handle.shared.look(|state| state.max_message_size(self.handle.id))
    }

    common!("What is queued is sent first; outcomes that have not come by then do not come any more.");
}
