//! The peer's dispositions, and their effect (§2.6.12, §2.7.6).

use super::Connection;
use crate::{
    error::ApiMisuse,
    event::{Event, Settled, Settlement},
    link::Link,
    metadata::{Stated, is_plain},
    planted::{self, Planted},
    session::{SentDelivery, Stating, state_ends},
    store::{DeliveryKey, LinkId, SessionId},
    transaction::TxnId,
    violation::PeerMisbehaved,
};
use alloc::sync::Arc;
use amqp1_codec::{definitions::Role, messaging::DeliveryState, performative::Disposition};
use core::ops::RangeInclusive;

impl Connection {
    pub(super) fn on_disposition(&mut self, session_id: SessionId, disposition: &Disposition) {
        if self.is_errant_disposition(session_id, disposition) {
            return;
        }
        match disposition.role {
            Role::Receiver => self.on_receiver_disposition(session_id, disposition),
            Role::Sender => self.on_sender_disposition(session_id, disposition),
        }
    }

    /// The peer receives: this is about what we sent.
    fn on_receiver_disposition(&mut self, session_id: SessionId, disposition: &Disposition) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let last = disposition.last.unwrap_or(disposition.first);
        let Some(range) = session.sent.range(disposition.first, last) else { return };
        let state = disposition.state.as_ref();
        if !disposition.settled && !state.is_some_and(state_ends) {
            return;
        }
        let within = session.sent.within(range.clone());
        if planted::is(Planted::RangeWalkedIdById) {
            for id in range.clone() {
                core::hint::black_box(session.sent.get(id));
            }
        }
        let (resource, provisional) = (self.is_resource(), matches!(state, Some(DeliveryState::Transactional(_))));
        if provisional {
            self.retires_lost(session_id, range, state);
        }
        let Some(mut within) = within else { return };
        let stating = self.stating(state);
        // The provisional outcome of the deliveries before, and whether this is the same.
        let mut compared: Option<(Arc<Stated>, bool)> = None;
        loop {
            let Some(session) = self.sessions.get_mut(session_id) else { return };
            let Some(id) = within.next(&session.sent) else { return };
            let Some(delivery) = session.sent.get_mut(id) else { continue };
            match &stating {
                // §4.4.2: what was not sent within the transaction is retired within it later.
                Stating::Shared(_) if provisional && !delivery.transactional && !resource => {
                    let link = delivery.link;
                    self.link_misbehaved(link, PeerMisbehaved::TransactionUnknown);
                }
                Stating::Shared(stated) if provisional && !delivery.transactional && disposition.settled => {
                    let (link, token) = (delivery.link, delivery.token);
                    self.outbox.events.push_provisional((session_id, link), token, stated.clone(), true);
                    self.retired(link, token);
                    self.sent_is_gone(session_id, id);
                }
                Stating::Shared(stated) if provisional && !delivery.transactional => {
                    // Once, however often it is said.
                    let same = delivery.provisional.as_ref().is_some_and(|known| match &compared {
                        Some((before, same)) if Arc::ptr_eq(before, known) => *same,
                        _ => {
                            let same = known.state == stated.state;
                            compared = Some((known.clone(), same));
                            same
                        }
                    });
                    if !same {
                        delivery.provisional = Some(stated.clone());
                        let (link, token) = (delivery.link, delivery.token);
                        self.outbox.events.push_provisional((session_id, link), token, stated.clone(), false);
                        if let Some(end) = self.links.get_mut(link).and_then(Link::sending_mut) {
                            end.provisional.make().insert(token, id);
                        }
                    }
                }
                // §2.6.12, mode second: a receiver that has not settled waits for us to do so.
                stating => self.sent_is_settled(session_id, id, stating, !disposition.settled),
            }
        }
    }

    /// The state of a disposition, without the parts that would take too much.
    fn stating(&self, state: Option<&DeliveryState>) -> Stating {
        match state {
            Some(state) if !is_plain(state) => Stating::Shared(self.admit_state(state)),
            state => Stating::Own(state.cloned()),
        }
    }

    /// Reports an outcome within a transaction that comes for deliveries whose link is over.
    #[cold]
    fn retires_lost(&mut self, id: SessionId, range: RangeInclusive<u64>, state: Option<&DeliveryState>) {
        let lost = self.sessions.get(id).is_some_and(|session| session.lost.range(range).next().is_some());
        if let Some(txn) = state.filter(|_| lost).and_then(TxnId::of) {
            self.outbox.events.push_back(Event::RetirementLost(id, txn));
        }
    }

    /// A delivery that we sent is settled; with `answered` a disposition says so.
    fn sent_is_settled(&mut self, session_id: SessionId, id: u64, stating: &Stating, answered: bool) {
        let Some(mut session) = self.session_mut(session_id) else { return };
        let Some(delivery) = session.session.sent.remove(id) else { return };
        if answered {
            let (state, shared) = stating.echo(delivery.provisional.is_some());
            session.mark(Role::Sender, id, true, state, shared);
        }
        let (link, token) = (delivery.link, delivery.token);
        if planted::is(Planted::SettledTwice) {
            self.outbox.settled.push_back(Settled { link, token, settlement: Settlement::Outcome(stating.state()) });
        }
        match stating {
            Stating::Own(state) => {
                self.outbox.settled.push_back(Settled { link, token, settlement: Settlement::Outcome(state.clone()) });
            }
            Stating::Shared(stated) => self.outbox.settled.push_shared(link, token, stated.clone()),
        }
        self.forget_sent(id, delivery);
    }

    /// The receiver has settled a delivery within a transaction.
    fn sent_is_gone(&mut self, session_id: SessionId, id: u64) {
        let delivery = self.sessions.get_mut(session_id).and_then(|session| session.sent.remove(id));
        if let Some(delivery) = delivery {
            self.forget_sent(id, delivery);
        }
    }

    #[inline(always)]
    fn forget_sent(&mut self, id: u64, delivery: SentDelivery) {
        if let Some(mut link) = self.link_parts(delivery.link) {
            link.forget_sent(id, delivery);
        }
    }

    /// The peer sends: this is about what we received. Once it has settled, there is nothing to say.
    fn on_sender_disposition(&mut self, session_id: SessionId, disposition: &Disposition) {
        if !disposition.settled {
            return;
        }
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let last = disposition.last.unwrap_or(disposition.first);
        let Some(range) = session.received.range(disposition.first, last) else { return };
        let Some(mut within) = session.received.within(range) else { return };
        let stating = self.stating(disposition.state.as_ref());
        loop {
            let Some(session) = self.sessions.get_mut(session_id) else { return };
            let Some(id) = within.next(&session.received) else { return };
            let Some(delivery) = session.received.remove(id) else { continue };
            self.forget_received(delivery.link, id, delivery.tag);
            match &stating {
                Stating::Own(state) => {
                    let event = Event::SettledBySender(delivery.link, DeliveryKey(id), state.clone());
                    self.outbox.events.push_back(event);
                }
                Stating::Shared(stated) => {
                    self.outbox.events.push_settled_by_sender(delivery.link, DeliveryKey(id), stated.clone());
                }
            }
        }
    }

    /// Settles a delivery that was sent, with a state: because its time has run out, or because the transaction in
    /// which it was retired is discharged. A disposition goes to the receiver, unless that has settled the delivery
    /// already, and the delivery is reported with that state.
    ///
    /// # Errors
    ///
    /// [`ApiMisuse::WrongState`] if no delivery of this token is unsettled, or not all of it has left.
    pub(crate) fn settle_sent(
        &mut self,
        id: LinkId,
        token: u64,
        state: Option<DeliveryState>,
    ) -> Result<(), ApiMisuse> {
        let link = self.links.get(id).filter(|link| !link.state.is_over()).ok_or(ApiMisuse::UnknownLink)?;
        let session_id = link.session;
        let end = link.sending().ok_or(ApiMisuse::WrongState)?;
        if end.retired.get().is_some_and(|retired| retired.contains(&token)) {
            self.settle_retired(id, token, state);
            return Ok(());
        }
        if let Some(state) = &state {
            self.check_state(state)?;
        }
        let session = self.sessions.get_mut(session_id).ok_or(ApiMisuse::UnknownSession)?;
        let half = end.queue.front().and_then(|delivery| delivery.id);
        let of_token = |id: &u64| session.sent.get(*id).is_some_and(|delivery| delivery.token == token);
        let known = end.provisional.get().and_then(|provisional| provisional.get(&token)).copied();
        let delivery = known.or_else(|| link.unsettled.keys().find(of_token));
        let delivery = delivery.filter(|id| half != Some(*id));
        let delivery = delivery.ok_or(ApiMisuse::WrongState)?;
        self.sent_is_settled(session_id, delivery, &Stating::Own(state), true);
        Ok(())
    }
}
