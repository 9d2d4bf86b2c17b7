//! The sending end of a link.

use crate::{
    handle::{
        counted::LinkHandle,
        link::common,
        permit::{Permit, Receipt},
    },
    state::{
        send::{Queueing, Receipts},
        transaction::table::Transactions,
    },
    types::{
        detached::Detached,
        error::Error,
        options::SendOptions,
        outcome::Outcome,
        unready::{EnqueueError, TryReserveError},
    },
};
use amqp1_codec::{EncodedMessage, IntoMessage, definitions::AmqpError, performative::Attach};
use amqp1_engine::transaction::TxnId;
use std::{future::Future, sync::Arc, time::Duration};

/// The sending end of a link. [`send`](Self::send) waits for the outcome of each message; to have many in flight, send from
/// several tasks, or [`enqueue`](Self::enqueue) them and await their receipts later.
///
/// Clones are handles of the same link. When the last of them and of their receipts is dropped, what is queued is sent and
/// the link ends.
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
    /// A message that is sent [settled](SendOptions::settled) has none: this returns [`Outcome::SentSettled`] as soon as the
    /// message is queued. It arrives at most once, and what becomes of it is not reported. [`flush`](Self::flush) waits
    /// until such messages are written; a [`Receipt`] says of each whether it was sent.
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
    /// Cancelled while it waits for credit, or for its turn on the runtime, nothing was sent and no credit is used. Cancelled
    /// later, the delivery goes on.
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
        // A settled send does not wait, and a loop of them would keep the connection's task from its turn.
        tokio::task::coop::consume_budget().await;
        let message = self.handle.encode(message);
        // Where there is credit, nothing is set up to wait for it.
        let token = match self.queue_now(message, options, Receipts::Unsettled)? {
            Ok(token) => token,
            Err(refused) if refused.is_full() => {
                self.within_time(self.queue_for_outcome(refused.into_message(), options)).await?
            }
            Err(refused) => return Err(refused.into()),
        };
        match token {
            Some(token) => Receipt::new(self.handle.clone(), token).await,
            None => Ok(Outcome::SentSettled),
        }
    }

    /// Waits, without a limit, for credit, for room if messages queue up at this end, and for deliveries to be settled if
    /// too many are not. [`send`](Self::send) waits no longer than the operation time-out.
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

    /// A permit, if there is credit now that others do not wait for.
    ///
    /// # Errors
    ///
    /// [`TryReserveError::Full`] if nothing can be queued now; [`TryReserveError::Failed`] if the link has ended.
    pub fn try_reserve(&self) -> Result<Permit, TryReserveError> {
        let id = self.handle.id;
        let reserved = self.handle.shared.command(|state, _| {
            let room = state.room(id);
            let link = state.live_link(id).map_err(TryReserveError::Failed)?;
            if link.is_free(room) {
                return Ok(link.claim());
            }
            Err(TryReserveError::Full(state.fullness(id)))
        });
        let claim = reserved.unwrap_or_else(|error| Err(TryReserveError::Failed(error)))?;
        Ok(Permit::new(self.handle.clone(), claim))
    }

    /// Queues a message now, or fails and gives it back. It never waits.
    ///
    /// # Errors
    ///
    /// [`TryReserveError::Full`] if nothing can be queued now, or others wait for credit: queue it later, or
    /// [`reserve`](Self::reserve). [`TryReserveError::Failed`] if the link has ended or the message is too large.
    ///
    /// ```no_run
    /// # async fn example(sender: amqp1::Sender) -> Result<(), amqp1::Error> {
    /// use amqp1::Outcome;
    ///
    /// let mut receipts = Vec::new();
    /// for number in 0..100 {
    ///     let receipt = match sender.enqueue(format!("message {number}")) {
    ///         Ok(receipt) => receipt,
    ///         Err(refused) if refused.is_full() => sender.reserve().await?.send(refused.into_message())?,
    ///         Err(refused) => return Err(refused.into()),
    ///     };
    ///     receipts.push(receipt);
    /// }
    /// for receipt in receipts {
    ///     receipt.await?.into_result()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn enqueue(&self, message: impl IntoMessage) -> Result<Receipt, EnqueueError> {
        self.enqueue_with(message, SendOptions::default())
    }

    /// Queues a message now as the options say, or fails and gives it back.
    ///
    /// # Errors
    ///
    /// As [`enqueue`](Self::enqueue); [`ErrorKind::Config`](crate::ErrorKind::Config) if the link's settle mode does not
    /// allow the options.
    pub fn enqueue_with(&self, message: impl IntoMessage, options: SendOptions) -> Result<Receipt, EnqueueError> {
        let message = self.handle.encode(message);
        let failed = |error| EnqueueError::new(TryReserveError::Failed(error), EncodedMessage::default());
        let token = self.queue_now(message, options, Receipts::All).unwrap_or_else(|error| Err(failed(error)))?;
        Receipt::required(self.handle.clone(), token).map_err(failed)
    }

    /// Queues a message if there is credit for it and for everyone who came before. Returns the slot of its receipt, if it
    /// has one. The outer error is that of a connection whose task has panicked.
    fn queue_now(
        &self,
        message: EncodedMessage,
        options: SendOptions,
        receipts: Receipts,
    ) -> Result<Result<Option<u64>, EnqueueError>, Error> {
        let (id, shared) = (self.handle.id, &self.handle.shared);
        let queueing = Queueing { options, stated: None, receipts, clock: shared };
        shared.command(|state, aside| {
            let room = state.room(id);
            match state.live_link(id) {
                Ok(link) if link.is_free(room) => {
                    let queued = state.queue_or_return(id, message, queueing, aside);
                    queued.map_err(|(error, message)| EnqueueError::new(TryReserveError::Failed(error), message))
                }
                Ok(_) => Err(EnqueueError::new(TryReserveError::Full(state.fullness(id)), message)),
                Err(error) => Err(EnqueueError::new(TryReserveError::Failed(error), message)),
            }
        })
    }

    /// Whether nothing can be queued now: [`try_reserve`](Self::try_reserve) and [`enqueue`](Self::enqueue) fail. For callers
    /// who poll; [`reserve`](Self::reserve) waits.
    pub fn is_full(&self) -> bool {
        let id = self.handle.id;
        self.handle.shared.look(|state| {
            let room = state.room(id);
            state.live_link(id).map_or(true, |link| !link.is_free(room))
        })
    }

    /// Whether the link has ended: nothing can be sent on it any more.
    pub fn is_detached(&self) -> bool {
        self.handle.is_over()
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
