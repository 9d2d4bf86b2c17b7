//! Work that the peer does within transactions (§4.4), seen from the connection: who may ask for it, and which messages
//! posted within one are not decided yet.

use super::Connection;
use crate::{
    delivery::{Assembly, OutgoingDelivery},
    event::{Event, Settled, Settlement},
    link::{Buffered, Link},
    outbox::Outbox,
    store::{DeliveryKey, LinkId},
    transaction::TxnId,
    violation::PeerMisbehaved,
};
use alloc::{collections::BTreeMap, vec::Vec};
use amqp1_codec::{
    definitions::{Fields, Role},
    messaging::DeliveryState,
    performative::Transfer,
};
use bytes::Bytes;

/// The role of this end in the transactions of a connection (§4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionRole {
    /// No transactions are known here: a transactional state ends its link with `amqp:transaction:unknown-id`, and a
    /// flow that acquires within a transaction ends it with `amqp:not-implemented` (§4.4.3).
    #[default]
    None,
    /// This end declares transactions, and the peer states what it has done within them.
    Controller,
    /// This end does the work of transactions, and a coordinator (that of `amqp1-broker`) keeps them. Messages
    /// that are posted within one are watched: see [`Connection::undecided_postings`].
    Resource,
}

/// A message that is posted within a transaction and not decided yet.
#[derive(Debug)]
struct Posting {
    txn: TxnId,
    whole: bool,
    settled: bool,
    /// Its transaction is over: when it is whole, it is released.
    void: bool,
}

/// The transactional work of a connection.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    role: TransactionRole,
    open: BTreeMap<(LinkId, u64), Posting>,
}

impl Postings {
    /// The peer's transactional state on a transfer. Where this end is the resource, the delivery is watched.
    pub(crate) fn on_transfer(&mut self, id: LinkId, assembly: &Assembly, txn: &Bytes) -> Result<(), PeerMisbehaved> {
        match self.role {
            TransactionRole::None => return Err(PeerMisbehaved::TransactionUnknown),
            TransactionRole::Controller => return Ok(()),
            TransactionRole::Resource => {}
        }
        let (txn, settled) = (TxnId::decoded(txn), assembly.settled);
        let begun = || Posting { txn: txn.clone(), whole: false, settled, void: false };
        let posting = self.open.entry((id, assembly.id)).or_insert_with(begun);
        // §4.4.1: all frames of a delivery are of the same transaction.
        if posting.txn == txn { Ok(()) } else { Err(PeerMisbehaved::ContinuationChanged) }
    }

    /// A delivery that was posted within a transaction is whole. `false` if its transaction was rolled back meanwhile,
    /// so that it is not handed over.
    pub(crate) fn is_whole(&mut self, id: LinkId, assembly: &Assembly) -> bool {
        let Some(posting) = self.open.get_mut(&(id, assembly.id)) else { return true };
        posting.whole = true;
        posting.settled = assembly.settled;
        if posting.void {
            self.open.remove(&(id, assembly.id));
            return false;
        }
        true
    }

    /// A delivery that may have been posted within a transaction is decided, or given up by its sender.
    #[inline]
    pub(crate) fn gone(&mut self, id: LinkId, delivery: u64) {
        if !self.open.is_empty() {
            self.open.remove(&(id, delivery));
        }
    }

    /// A delivery is rejected here: if it was posted within a transaction, that cannot be committed any more (§4.4.4).
    pub(crate) fn fail(&mut self, id: LinkId, key: DeliveryKey, outbox: &mut Outbox) -> Option<TxnId> {
        let posting = self.open.remove(&(id, key.0))?;
        outbox.events.push_back(Event::PostingLost(Some(id), posting.txn.clone()));
        Some(posting.txn)
    }

    /// A transfer is thrown away, whatever the reason: a message that it posts within a transaction will not be there,
    /// so that the transaction must not be committed (§4.4.4.1). The sender may have settled it, and not wait for an
    /// answer.
    #[cold]
    pub(crate) fn discarded(&self, id: Option<LinkId>, transfer: &Transfer, outbox: &mut Outbox) {
        if !self.is_resource() || transfer.aborted {
            return;
        }
        if let Some(txn) = transfer.state.as_ref().and_then(TxnId::of) {
            outbox.events.push_back(Event::PostingLost(id, txn));
        }
    }

    /// The properties of a flow: whether they ask for messages to be acquired within a transaction, which is not
    /// possible here (§4.4.3).
    pub(crate) fn refuses_acquisition(&self, role: Role, properties: Option<&Fields>) -> bool {
        let acquires = || properties.is_some_and(|properties| properties.get(crate::transaction::TXN_ID).is_some());
        role == Role::Sender && !self.is_resource() && acquires()
    }

    /// Whether the peer may state outcomes within transactions that this end has not declared.
    pub(crate) fn is_resource(&self) -> bool {
        self.role == TransactionRole::Resource
    }
}

impl Connection {
    /// Sets what this end is in transactions. Without it, transactional states of the peer are refused.
    pub fn set_transaction_role(&mut self, role: TransactionRole) {
        self.postings.role = role;
    }

    /// Whether a provisional outcome waits to be polled. A delivery that is lost later is settled with
    /// [`poll_settled`](Self::poll_settled): who applies the outcome nevertheless, at the discharge, polls the event
    /// first.
    pub fn has_provisional(&self) -> bool {
        self.outbox.events.has_provisional()
    }

    /// How many deliveries that were posted within a transaction are not decided yet: no outcome was stated for them
    /// with [`dispose`](crate::Receiver::dispose), nor were they [decided](Self::decide_posting) in another way. The
    /// discharge of their transaction waits for them (§4.4.1).
    pub fn undecided_postings(&self, txn: &TxnId) -> usize {
        self.postings.open.values().filter(|posting| !posting.void && posting.txn == *txn).count()
    }

    /// Whether only a part has come of a delivery that is posted within a transaction: to discharge it now is an error
    /// (§4.4.1).
    pub fn is_half_posted(&self, txn: &TxnId) -> bool {
        self.postings.open.values().any(|posting| !posting.void && !posting.whole && posting.txn == *txn)
    }

    /// The application has decided about a delivery that was posted within a transaction and that the sender had
    /// settled, so that no outcome is stated for it. Returns whether it was not decided before.
    pub fn decide_posting(&mut self, id: LinkId, key: DeliveryKey) -> bool {
        self.postings.open.remove(&(id, key.0)).is_some()
    }

    /// A transaction is rolled back: messages that were posted within it and are not taken yet are not handed over any
    /// more, but released. Those that were taken are for the application to let go of.
    pub fn void_postings(&mut self, txn: &TxnId) {
        let mut waiting = Vec::new();
        self.postings.open.retain(|place, posting| {
            if posting.txn != *txn {
                return true;
            }
            posting.void = true;
            if posting.whole {
                waiting.push(*place);
            }
            !posting.whole
        });
        for (id, key) in waiting {
            let Some(end) = self.links.get_mut(id).and_then(Link::receiving_mut) else { continue };
            let place = end.buffered.iter().position(|buffered| buffered.delivery.key.0 == key);
            let Some(buffered) = place.and_then(|place| end.buffered.remove(place)) else { continue };
            if !buffered.delivery.settled {
                self.settle_received(id, DeliveryKey(key), DeliveryState::Released);
            }
            self.delivery_gone(id);
        }
    }

    /// A transfer is thrown away, whatever the reason: see [`Postings::discarded`].
    #[cold]
    pub(super) fn posting_discarded(&mut self, id: Option<LinkId>, transfer: &Transfer) {
        self.postings.discarded(id, transfer, &mut self.outbox);
    }

    /// A link is over: its deliveries that are not settled cannot be decided any more, so that their transactions
    /// cannot be committed (§4.4.4). Those that the sender had settled still can.
    pub(super) fn postings_lost(&mut self, id: LinkId) {
        if self.postings.open.is_empty() {
            return;
        }
        let mut lost = Vec::new();
        self.postings.open.retain(|(link, _), posting| {
            let stays = *link != id || posting.whole && posting.settled;
            if !stays && !posting.void {
                lost.push(posting.txn.clone());
            }
            stays
        });
        for txn in lost {
            self.outbox.events.push_back(Event::PostingLost(Some(id), txn));
        }
    }

    /// Whether the peer may state outcomes within transactions that this end has not declared.
    pub(super) fn is_resource(&self) -> bool {
        self.postings.is_resource()
    }

    /// Forgets what the peer's flow has said in its properties, so that the next one that has any is reported: for the
    /// id of a transaction, which is cleared when that is discharged (§4.4.3).
    pub(crate) fn forget_flow_properties(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id) {
            link.remote_flow_properties = None;
        }
    }

    /// The properties of this end's flows of the link.
    pub(crate) fn flow_properties(&self, id: LinkId) -> Option<&Fields> {
        self.links.get(id)?.flow_properties.as_deref()
    }

    /// Leaves out the properties of this end's flows from the next one on, and does not tell it now.
    ///
    /// A controller does so with the id of a transaction whose discharge it asks for.
    pub(crate) fn clear_flow_properties(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id) {
            link.flow_properties = None;
        }
    }

    /// Whether a delivery that was received is not settled.
    pub(crate) fn is_unsettled(&self, id: LinkId, key: DeliveryKey) -> bool {
        self.links.get(id).is_some_and(|link| link.unsettled.contains(key.0))
    }

    /// A delivery that waits to be sent is not part of a transaction any more, since that was committed: it is sent
    /// without its state. One that has left in part keeps it.
    pub(crate) fn forget_state(&mut self, id: LinkId, token: u64) {
        let Some(end) = self.links.get_mut(id).and_then(Link::sending_mut) else { return };
        let waits = |delivery: &&mut OutgoingDelivery| delivery.token == token && delivery.id.is_none();
        if let Some(delivery) = end.queue.iter_mut().find(waits) {
            delivery.state = None;
        }
    }

    /// Whether a delivery was given up that has left in part, and the transfer that says so has not left yet. A
    /// resource answers the discharge of the transaction after it (§4.4.3).
    pub(crate) fn is_aborting(&self, id: LinkId) -> bool {
        let front = self.links.get(id).and_then(Link::sending).and_then(|end| end.queue.front());
        front.is_some_and(|delivery| delivery.aborted && delivery.id.is_some())
    }

    /// How many deliveries a receiving link still allows.
    pub(crate) fn allowed(&self, id: LinkId) -> u32 {
        self.links.get(id).and_then(Link::receiving).map_or(0, |end| end.credit.left())
    }

    /// Drops the deliveries of a link that wait to be taken and were acquired within this transaction, which is rolled
    /// back: they are the source's again (§4.4.4). Returns how many there were.
    pub(crate) fn drop_acquired(&mut self, id: LinkId, txn: &TxnId) -> usize {
        let limits = self.config.decode_limits();
        let Some(end) = self.links.get_mut(id).and_then(Link::receiving_mut) else { return 0 };
        let before = end.buffered.len();
        let of_txn = |buffered: &Buffered| {
            let state = buffered.state.as_ref().and_then(|state| state.decode(limits));
            state.as_ref().and_then(TxnId::of).is_some_and(|of| of == *txn)
        };
        end.buffered.retain(|buffered| !of_txn(buffered));
        before.saturating_sub(end.buffered.len())
    }

    /// The receiver has settled a delivery with an outcome that is provisional until its transaction is discharged.
    pub(super) fn retired(&mut self, id: LinkId, token: u64) {
        if let Some(end) = self.links.get_mut(id).and_then(Link::sending_mut) {
            end.retired.make().insert(token);
        }
    }

    /// The application has decided what becomes of a delivery that the receiver has settled within a transaction.
    /// `false` if there is none of this token.
    pub(super) fn settle_retired(&mut self, id: LinkId, token: u64, state: Option<DeliveryState>) -> bool {
        let Some(link) = self.links.get_mut(id) else { return false };
        let full = link.unsettled_left() == 0;
        let retired = link.sending_mut().and_then(|end| end.retired.get_mut());
        let known = retired.is_some_and(|retired| retired.remove(&token));
        if known {
            if full && link.sendable() > 0 {
                self.outbox.events.push_back(Event::Sendable(id));
            }
            self.outbox.settled.push_back(Settled { link: id, token, settlement: Settlement::Outcome(state) });
        }
        known
    }

    /// A link is over, with deliveries on it that the receiver has settled within transactions.
    pub(super) fn retired_lost(&mut self, id: LinkId) {
        let Some(end) = self.links.get_mut(id).and_then(Link::sending_mut) else { return };
        for token in end.retired.take() {
            self.outbox.settled.push_back(Settled { link: id, token, settlement: Settlement::Lost { sent: true } });
        }
    }
}
