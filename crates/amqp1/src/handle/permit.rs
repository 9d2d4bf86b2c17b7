//! A claim on credit, and what becomes of the message that it was used for.

use crate::{
    handle::counted::LinkHandle,
    state::{
        aside::Aside,
        ids::LinkKey,
        link::Claim,
        receipts::{Expiry, Paid},
        send::{Queueing, Receipts, crowded_out, revoked},
        shared::State,
    },
    types::{
        error::{Delivered, Error, ErrorKind, Retry},
        options::SendOptions,
        outcome::Outcome,
    },
};
use amqp1_codec::{EncodedMessage, IntoMessage, messaging::DeliveryState};
use amqp1_engine::Settlement;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// A claim on credit: sends one message without waiting. Dropped, the claim goes to the next in line.
///
/// A permit that is held does not keep the receiver from draining the link (§2.6.7). When the drain is answered, the
/// permits are revoked: sending with one fails with [`ErrorKind::CreditRevoked`], and [`Sender::reserve`](crate::Sender::reserve)
/// waits for credit again. The link is as good as before.
///
/// A permit holds credit, not memory, since the size of its message is not known. Any number of permits may be held. They
/// may be used even when the connection's queue is full ([`max_queued`](crate::connection::ConnectionConfig::max_queued)), until their
/// messages add up to `max_queued` again, or that much is queued on the permit's link alone. Then sending fails in the same
/// way until there is room. A permit that is used soon after it was given does not meet this limit.
#[derive(Debug)]
#[must_use = "a permit holds credit that others may wait for"]
pub struct Permit {
    handle: Arc<LinkHandle>,
    claim: Claim,
    spent: bool,
}

impl Permit {
    pub(crate) fn new(handle: Arc<LinkHandle>, claim: Claim) -> Self {
        Self { handle, claim, spent: false }
    }

    /// Whether the credit was given up in answer to a drain: sending would fail.
    pub fn is_revoked(&self) -> bool {
        let (id, claim) = (self.handle.id, self.claim);
        self.handle.shared.look(|state| state.links.get(&id).is_some_and(|link| !link.is_good(claim)))
    }

    /// Queues a message.
    ///
    /// # Errors
    ///
    /// If the link has ended or the message is too large. [`ErrorKind::CreditRevoked`] if the permit is revoked, the
    /// receiver has taken its credit back, or far too much is queued: reserve again. Nothing was sent then. The octets
    /// of an [`EncodedMessage`] are shared by its clones, so that one may be kept for that.
    pub fn send(self, message: impl IntoMessage) -> Result<Receipt, Error> {
        self.send_with(message, SendOptions::default())
    }

    /// Queues a message as the options say.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); [`ErrorKind::Config`] if the link's settle mode does not allow the options.
    pub fn send_with(self, message: impl IntoMessage, options: SendOptions) -> Result<Receipt, Error> {
        let message = self.handle.encode(message);
        self.queue(message, options, None)
    }

    /// Queues a message, with a state of the delivery at this end if there is one.
    pub(crate) fn queue(
        self,
        message: EncodedMessage,
        options: SendOptions,
        stated: Option<DeliveryState>,
    ) -> Result<Receipt, Error> {
        let link = self.handle.clone();
        let queueing = Queueing { options, stated, receipts: Receipts::All, clock: &link.shared };
        let (handle, queued) = self.with_claim(message.len(), |state, id, usable, aside| match usable {
            Ok(()) => state.queue(id, message, queueing, aside),
            Err(error) => {
                aside.drop_later(message.into_parts());
                Err(error)
            }
        });
        Receipt::required(handle, queued?)
    }

    /// The link that it is for.
    pub(crate) fn handle(&self) -> &Arc<LinkHandle> {
        &self.handle
    }

    /// Uses the claim for a delivery of this many octets. `work` is given the error if that cannot be: what it drops is to
    /// be dropped when the lock is released.
    pub(crate) fn with_claim<T>(
        mut self,
        octets: usize,
        work: impl FnOnce(&mut State, LinkKey, Result<(), Error>, &mut Aside<'_>) -> Result<T, Error>,
    ) -> (Arc<LinkHandle>, Result<T, Error>) {
        let (id, claim) = (self.handle.id, self.claim);
        self.spent = true;
        let used = self.handle.shared.command(|state, aside| {
            // Of a link that is gone, `work` says why.
            let good = match state.links.get_mut(&id) {
                Some(link) => {
                    let good = link.detached.is_some() || link.is_good(claim);
                    link.release_permit(claim);
                    good
                }
                None => true,
            };
            let usable = match good {
                true if !state.admits_permit(id, octets) => Err(crowded_out()),
                true => Ok(()),
                false => Err(revoked()),
            };
            let used = work(state, id, usable, aside);
            if used.is_err() {
                // The claim is free again, and somebody may wait for it.
                state.feed_starved(aside);
            }
            used
        });
        (self.handle.clone(), used.unwrap_or_else(Err))
    }
}

fn give_back(state: &mut State, id: LinkKey, claim: Claim) {
    if let Some(link) = state.links.get_mut(&id) {
        link.release_permit(claim);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.spent {
            return;
        }
        let (id, claim) = (self.handle.id, self.claim);
        let _ = self.handle.shared.command(|state, aside| {
            give_back(state, id, claim);
            state.feed_starved(aside);
        });
    }
}

/// A message that was queued: a future of its [`Outcome`](crate::Outcome). If the receipt is dropped, the message is sent all
/// the same.
///
/// How long the outcome is waited for is set, from the most specific to the most general, by
///
/// - [`Sender::set_outcome_timeout`](crate::Sender::set_outcome_timeout), for what the link sends from then on;
/// - [`SenderBuilder::outcome_timeout`](crate::link::SenderBuilder::outcome_timeout), for a link that this end attaches;
/// - [`ClientBuilder::outcome_timeout`](crate::ClientBuilder::outcome_timeout), for all links of a client's connection; the
///   [operation time-out](crate::ClientBuilder::operation_timeout) unless set;
/// - [`AcceptorBuilder::outcome_timeout`](crate::acceptor::AcceptorBuilder::outcome_timeout), for all links of an acceptor's
///   connections; no limit unless set.
#[derive(Debug)]
#[must_use = "a receipt is a future of the outcome; drop it on purpose if the outcome does not matter"]
pub struct Receipt {
    handle: Arc<LinkHandle>,
    token: u64,
    done: bool,
}

/// Names a [`Receipt`] among those of its connection whose messages are not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiptId(u64);

impl ReceiptId {
    /// The receipt of a token of the engine's.
    pub(crate) fn of(state: &State, token: u64) -> Option<Self> {
        state.tokens.slot(token).map(Self)
    }
}

impl Receipt {
    pub(crate) fn new(handle: Arc<LinkHandle>, token: u64) -> Self {
        Self { handle, token, done: false }
    }

    /// The receipt of a message that was queued with one.
    pub(crate) fn required(handle: Arc<LinkHandle>, token: Option<u64>) -> Result<Self, Error> {
        let token = token.ok_or_else(|| Error::internal("a message was queued without its receipt"))?;
        Ok(Self::new(handle, token))
    }

    /// Its name, by which a [commit](crate::transaction::Commit::retirements) speaks of it.
    pub fn id(&self) -> ReceiptId {
        ReceiptId(self.token)
    }

    /// The transactional state of the message, until its transaction is discharged (§4.4.2, §4.4.3): with the provisional
    /// outcome, if the receiver has stated one. Then the receipt is pending until the discharge.
    pub fn provisional(&self) -> Option<DeliveryState> {
        let (id, slot) = (self.handle.id, self.token);
        self.handle.shared.look(|state| {
            let token = state.tokens.of(slot);
            let (txn, outcome) = state.provisional(id, token)?;
            Some(txn.state(outcome))
        })
    }
}

impl Future for Receipt {
    type Output = Result<Outcome, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (token, id) = (self.token, self.handle.id);
        if self.done {
            return Poll::Ready(Err(Error::internal("the receipt was asked again")));
        }
        let settled = self.handle.shared.poll(cx, |state, aside| {
            state.receipts.poll(token, aside).map(|settlement| match settlement {
                Paid::Settled(Settlement::Lost { sent }) => Err((sent, state.lost(id))),
                Paid::Suspended => Err((true, state.suspended(id))),
                Paid::Settled(settlement) => Ok(Ok(settlement)),
                Paid::Expired(expiry) => Ok(Err(expiry)),
            })
        });
        let Poll::Ready(settled) = settled else { return Poll::Pending };
        self.done = true;
        let lost = |sent| if sent { Delivered::Unknown } else { Delivered::No };
        Poll::Ready(match settled {
            Ok(Ok(Ok(Settlement::Outcome(state)))) => Ok(Outcome::of(state)),
            Ok(Ok(Ok(Settlement::Sent))) => Ok(Outcome::SentSettled),
            Ok(Ok(Ok(Settlement::Aborted))) => {
                Err(Error::new(ErrorKind::Aborted, "the message was given up before it was whole"))
            }
            Ok(Ok(Ok(Settlement::Lost { .. }))) => Err(Error::internal("a loss that was not explained")),
            Ok(Ok(Err(Expiry { limit, heard }))) => {
                let error = Error::timeout("waiting for the outcome", limit).with_delivered(Delivered::Unknown);
                Err(if heard { error } else { error.with_retry(Retry::ReopenConnection) })
            }
            Ok(Err((sent, error))) => Err(error.with_delivered(lost(sent))),
            Err(error) => Err(error.with_delivered(Delivered::Unknown)),
        })
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let token = self.token;
        let _ = self.handle.shared.command(|state, aside| state.receipts.forget(token, aside));
    }
}
