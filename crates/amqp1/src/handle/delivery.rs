//! A message that was received, to be settled once.

use crate::{
    handle::counted::LinkHandle,
    state::{
        aside::Aside,
        engine::{Arrival, Received},
        shared::{Shared, State},
    },
    types::{
        error::{Error, ErrorKind},
        options::OnDrop,
    },
};
use amqp1_codec::{
    DeliveryTag, Message, Symbol,
    messaging::{DeliveryState, Modified},
};
use amqp1_engine::{IncomingDelivery, transaction::TxnId};
use std::sync::Arc;

/// The means to settle a delivery, here or elsewhere.
macro_rules! outcomes {
    () => {
        /// Accepts the message: it was processed (§3.4.2). A queue removes it.
        ///
        /// # Errors
        ///
        /// If the link has ended.
        pub fn accept(self) -> Result<(), Error> {
            self.settle(DeliveryState::Accepted)
        }

        /// Rejects the message: it is invalid, and will not be processed (§3.4.3). A broker keeps it as a dead letter or
        /// drops it. The sender learns the reason: an [`AmqpError`](crate::error::AmqpError), an
        /// [`ErrorCondition`](crate::error::ErrorCondition) alone, or `None`.
        ///
        /// # Errors
        ///
        /// If the link has ended.
        pub fn reject(self, error: impl Into<Option<amqp1_codec::definitions::AmqpError>>) -> Result<(), Error> {
            self.settle(DeliveryState::Rejected(error.into().map(Box::new)))
        }

        /// Releases the message: it was not processed, and may be delivered again, here or elsewhere (§3.4.4). A queue does
        /// not count the attempt.
        ///
        /// # Errors
        ///
        /// If the link has ended.
        pub fn release(self) -> Result<(), Error> {
            self.settle(DeliveryState::Released)
        }

        /// Gives the message back as [`release`](Self::release) does, with changes (§3.4.5):
        /// [`Modified`](crate::link::Modified) says whether the attempt counts as failed (`delivery_failed`), whether the
        /// message is not to come to this link again (`undeliverable_here`), and which annotations it gets.
        ///
        /// # Errors
        ///
        /// If the link has ended.
        pub fn modify(self, modified: amqp1_codec::messaging::Modified) -> Result<(), Error> {
            self.settle(DeliveryState::Modified(Box::new(modified)))
        }
    };
}

pub(crate) use outcomes;

/// A message that was received. It is settled by one of the methods that consume it: [`accept`](Self::accept),
/// [`reject`](Self::reject), [`release`](Self::release), [`modify`](Self::modify), or [`settle`](Self::settle) for a state
/// that comes from elsewhere. They queue the settlement and never wait. It is written soon, and at the latest by
/// [`Connection::close`](crate::Connection::close).
///
/// Dropped without having been settled, it is dealt with as its receiver's [`OnDrop`] says.
#[derive(Debug)]
pub struct Delivery {
    handle: DeliveryHandle,
    tag: DeliveryTag,
    message_format: u32,
    settled: bool,
    resumed: bool,
    state: Option<Box<DeliveryState>>,
    /// The message until it is taken out.
    message: Message,
    on_drop: OnDrop,
}

impl Delivery {
    #[inline]
    pub(crate) fn new(link: Arc<LinkHandle>, arrival: Arrival, on_drop: OnDrop) -> Self {
        let name = arrival.name();
        let IncomingDelivery { tag, message_format, settled, resumed, state, message, .. } = arrival.delivery;
        let txn = state.as_ref().and_then(TxnId::of).map(Box::new);
        let handle = DeliveryHandle { link, name, open: !settled || txn.is_some(), settled, txn };
        Self { handle, tag, message_format, settled, resumed, state: state.map(Box::new), message, on_drop }
    }

    /// The message: [`text`](Message::text), [`data`](Message::data) and [`value`](Message::value) give its body,
    /// [`properties`](Message::properties) and [`application_property`](Message::application_property) what stands before
    /// it.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The sender's name for the delivery.
    pub fn tag(&self) -> DeliveryTag {
        self.tag
    }

    /// The message's format (§2.8.11).
    pub fn message_format(&self) -> u32 {
        self.message_format
    }

    /// Whether the sender had settled it: an outcome that is stated is not sent then.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether it was begun at an earlier endpoint of the link (§2.6.13). The application may have taken it there already,
    /// under the same tag.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// The state that the sender has given the delivery: a transactional state, for one (§4.5.8).
    pub fn state(&self) -> Option<&DeliveryState> {
        self.state.as_deref()
    }

    /// The transaction that the message is part of: one within which it was posted (§4.4.1), or acquired (§4.4.3).
    ///
    /// An acceptor takes a message that was posted with [`Coordinator::post`](crate::transaction::Coordinator::post), and a
    /// client one that it has acquired with the methods of [`Transaction`](crate::transaction::Transaction). Until the
    /// transaction is discharged, [`accept`](Self::accept) fails. Where an acceptor states another outcome, or drops the
    /// delivery, that outcome is part of the transaction, which cannot be committed then.
    pub fn transaction(&self) -> Option<&TxnId> {
        self.handle.txn.as_deref()
    }

    /// Whether there is something left to settle.
    pub(crate) fn is_unsettled(&self) -> bool {
        let (id, name) = (self.handle.link.id, self.handle.name);
        self.handle.link.shared.look(|state| state.engine.is_unsettled(id, name))
    }

    /// The delivery is settled elsewhere.
    pub(crate) fn close(&mut self) {
        self.handle.open = false;
    }

    outcomes!();

    /// States any outcome. Whether that settles the delivery at once follows from the link's receiver settle mode.
    ///
    /// # Errors
    ///
    /// If the link has ended. [`ErrorKind::Config`](crate::ErrorKind::Config) if the state is larger than the peer's frames,
    /// or the message belongs to a [transaction](Self::transaction).
    pub fn settle(mut self, state: DeliveryState) -> Result<(), Error> {
        self.handle.state(state)
    }

    /// Where it came, and its name there.
    pub(crate) fn place(&self) -> (&Arc<LinkHandle>, Received) {
        (&self.handle.link, self.handle.name)
    }

    /// Drops the message and returns a handle that settles the delivery later. If the handle is dropped, the delivery stays
    /// unsettled, whatever the receiver's [`OnDrop`] is, and the sender decides about it when the link ends.
    pub fn leave_unsettled(mut self) -> DeliveryHandle {
        let DeliveryHandle { name, open, settled, .. } = self.handle;
        self.handle.open = false;
        DeliveryHandle { link: self.handle.link.clone(), name, open, settled, txn: self.handle.txn.take() }
    }

    /// The message, and a handle that settles the delivery later, as of [`leave_unsettled`](Self::leave_unsettled).
    pub fn into_parts(self) -> (Message, DeliveryHandle) {
        let message = self.message.clone();
        (message, self.leave_unsettled())
    }

    /// The message alone. The delivery stays unsettled, unless the sender had settled it.
    pub fn into_message(self) -> Message {
        self.into_parts().0
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.handle.abandon(self.on_drop);
    }
}

/// States one outcome for deliveries and drops them. Those of this connection are settled under one hold of its lock.
pub(crate) fn settle_all(
    shared: &Arc<Shared>,
    deliveries: &mut Vec<Delivery>,
    outcome: &DeliveryState,
) -> Result<(), Error> {
    let mut result = Ok(());
    let settled = shared.command(|state, aside| {
        for handle in deliveries.iter_mut().map(|delivery| &mut delivery.handle) {
            if Arc::ptr_eq(&handle.link.shared, shared) && std::mem::replace(&mut handle.open, false) {
                let disposed = handle.dispose(state, outcome.clone(), aside);
                result = std::mem::replace(&mut result, Ok(())).and(disposed);
            }
        }
    });
    for mut delivery in deliveries.drain(..) {
        // One of another connection.
        if delivery.handle.open && !Arc::ptr_eq(&delivery.handle.link.shared, shared) {
            let stated = delivery.handle.state(outcome.clone());
            result = result.and(stated);
        }
    }
    settled.and(result)
}

/// A delivery without its message, to be settled later. Dropped, it leaves the delivery unsettled.
#[derive(Debug)]
pub struct DeliveryHandle {
    link: Arc<LinkHandle>,
    name: Received,
    /// There is something left to settle.
    open: bool,
    /// The sender has settled it.
    settled: bool,
    /// The transaction that it is part of.
    txn: Option<Box<TxnId>>,
}

impl DeliveryHandle {
    pub(crate) fn new(link: Arc<LinkHandle>, name: Received, open: bool) -> Self {
        Self { link, name, open, settled: !open, txn: None }
    }

    outcomes!();

    /// States any outcome. Whether that settles the delivery at once follows from the link's receiver settle mode.
    ///
    /// # Errors
    ///
    /// If the link has ended. [`ErrorKind::Config`](crate::ErrorKind::Config) if the state is larger than the peer's frames.
    pub fn settle(mut self, state: DeliveryState) -> Result<(), Error> {
        self.state(state)
    }

    /// States what becomes of a delivery that is dropped, if the source allows that outcome (§3.5.3): some brokers end
    /// the session over any other. What cannot be said is left to the sender, as when the link has ended.
    pub(crate) fn abandon(&mut self, on_drop: OnDrop) {
        if !self.open {
            return;
        }
        if on_drop == OnDrop::LeaveUnsettled {
            return self.leave();
        }
        let (id, name) = (self.link.id, self.name);
        // A delivery that the sender has settled needs no outcome; the attach is decoded only if one is needed.
        let part = self.txn.is_some();
        let attach = self.link.shared.command(|state, _| {
            let open = part || state.engine.is_unsettled(id, name);
            open.then(|| state.remote_attach(id))
        });
        let Ok(Some(attach)) = attach else {
            self.open = false;
            return;
        };
        let source = attach.and_then(|attach| attach.source);
        let allows = |outcome: &Symbol| {
            source.as_ref().is_none_or(|source| source.outcomes.is_empty() || source.outcomes.contains(outcome))
        };
        let outcome = if on_drop == OnDrop::Modify && allows(&DeliveryState::MODIFIED) {
            DeliveryState::Modified(Box::new(Modified { delivery_failed: true, ..Modified::default() }))
        } else if allows(&DeliveryState::RELEASED) {
            DeliveryState::Released
        } else {
            return self.leave();
        };
        let stated = match self.txn.clone() {
            None => self.state(outcome),
            Some(txn) => self.within(&txn, Some(outcome)),
        };
        if let Err(error) = stated {
            tracing::debug!("what became of a dropped delivery cannot be said: {error}");
        }
    }

    fn state(&mut self, outcome: DeliveryState) -> Result<(), Error> {
        if !std::mem::replace(&mut self.open, false) {
            return Ok(());
        }
        let link = self.link.clone();
        link.shared.command(|state, aside| self.dispose(state, outcome, aside))?
    }

    /// States an outcome, under the lock.
    fn dispose(&mut self, state: &mut State, outcome: DeliveryState, aside: &mut Aside<'_>) -> Result<(), Error> {
        let (id, name, settled) = (self.link.id, self.name, self.settled);
        let disposed = match &self.txn {
            None => state.dispose(id, name, outcome),
            Some(txn) => state.dispose_within(id, name, settled, txn, outcome, aside),
        };
        // An outcome that cannot be sent leaves the delivery as it is.
        self.open = disposed.as_ref().is_err_and(|error: &Error| error.kind() == ErrorKind::Config);
        disposed
    }

    /// States what becomes of a delivery that is dropped and part of a transaction; nothing, if there is no outcome.
    fn within(&mut self, txn: &TxnId, outcome: Option<DeliveryState>) -> Result<(), Error> {
        self.open = false;
        let (id, name, settled) = (self.link.id, self.name, self.settled);
        self.link.shared.command(|state, aside| state.abandon_within(id, name, settled, txn, outcome, aside))?
    }

    /// Nothing is said of the delivery. One that was posted within a transaction keeps that from being committed.
    fn leave(&mut self) {
        let Some(txn) = self.txn.take().filter(|_| self.open) else { return };
        if let Err(error) = self.within(&txn, None) {
            tracing::debug!("what became of a dropped delivery cannot be said: {error}");
        }
    }
}

impl Drop for DeliveryHandle {
    fn drop(&mut self) {
        self.leave();
    }
}
