//! Deliveries in, and settlements both ways (§2.6.12, §2.7.5, §2.7.6).

use super::Connection;
use crate::{
    event::{Event, IncomingDelivery, Settled, Settlement},
    link::Assembly,
    session::ReceivedDelivery,
    settlement::{first_id, wire_id},
    store::{DeliveryKey, LinkId, SessionId},
    violation::PeerMisbehaved,
};
use alloc::vec::Vec;
use amqp1_codec::{
    DeliveryTag, Message,
    definitions::{AmqpError, ErrorCondition, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::DeliveryState,
    performative::{Disposition, Transfer},
};
use bytes::Bytes;

impl Connection {
    pub(super) fn on_transfer(&mut self, session_id: SessionId, transfer: &Transfer, payload: Bytes) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        match session.on_transfer() {
            None => return self.session_misbehaved(session_id, PeerMisbehaved::WindowExceeded),
            Some(true) => self.session_flow(session_id),
            Some(false) => {}
        }
        let handle = transfer.handle;
        let id = self.sessions.get(session_id).and_then(|session| session.incoming.get(&handle).copied());
        let Some(id) = id else {
            return self.session_misbehaved(session_id, PeerMisbehaved::HandleUnattached { handle });
        };
        let Some(link) = self.links.get_mut(id) else { return };
        // §2.6.5: after our detach, what comes is discarded until the peer's.
        if link.detached.is_some() {
            return;
        }
        if link.role == Role::Sender {
            return self.link_misbehaved(id, PeerMisbehaved::TransferFromReceiver);
        }
        let begun = match link.assembly.take() {
            Some(assembly) if assembly.continues(transfer) => Ok(assembly),
            Some(_) => Err(PeerMisbehaved::ContinuationChanged),
            None => match self.begin_delivery(session_id, id, transfer) {
                Ok(assembly) => Ok(assembly),
                Err(violation @ PeerMisbehaved::DeliveryIdRepeated { .. }) => {
                    return self.session_misbehaved(session_id, violation);
                }
                Err(violation) => Err(violation),
            },
        };
        let Some(link) = self.links.get_mut(id) else { return };
        let max = link.local.max_message_size;
        let pushed = begun.and_then(|mut assembly| {
            assembly.settled |= transfer.settled == Some(true);
            if !transfer.aborted {
                assembly.push(payload, transfer.more, max)?;
            }
            Ok(assembly)
        });
        match pushed {
            Err(violation) => self.link_misbehaved(id, violation),
            Ok(assembly) if transfer.aborted || assembly.ignored && !transfer.more => self.delivery_gone(id),
            Ok(assembly) if transfer.more => {
                link.assembly = Some(assembly);
            }
            Ok(assembly) => self.deliver(session_id, id, assembly),
        }
    }

    /// The first transfer of a delivery: it uses credit and an id.
    fn begin_delivery(
        &mut self,
        session_id: SessionId,
        id: LinkId,
        transfer: &Transfer,
    ) -> Result<Assembly, PeerMisbehaved> {
        let (Some(session), Some(link)) = (self.sessions.get_mut(session_id), self.links.get_mut(id)) else {
            return Err(PeerMisbehaved::DeliveryIncomplete);
        };
        let (Some(wire), Some(tag)) = (transfer.delivery_id, transfer.delivery_tag) else {
            return Err(PeerMisbehaved::DeliveryIncomplete);
        };
        let delivery_id = match session.received.newest() {
            None => first_id(wire),
            Some(newest) => match u64::try_from(wire.offset_from(wire_id(newest))) {
                Ok(ahead) if ahead > 0 => newest.saturating_add(ahead),
                _ => return Err(PeerMisbehaved::DeliveryIdRepeated { id: wire.0 }),
            },
        };
        link.use_credit(self.config.tolerances.credit_overrun).ok_or(PeerMisbehaved::CreditExceeded)?;
        session.received.note(delivery_id);
        // A transfer may ask for less than the link does, not for more.
        let second = link.receiver_settle_mode() == ReceiverSettleMode::Second
            && transfer.rcv_settle_mode != Some(ReceiverSettleMode::First);
        let settles_all = link.remote.as_ref().is_some_and(|r| r.snd_settle_mode == SenderSettleMode::Settled);
        let settled = transfer.settled == Some(true) || settles_all;
        if !settled && link.tags.contains(&tag) {
            return Err(PeerMisbehaved::TagRepeated);
        }
        Ok(Assembly {
            id: delivery_id,
            tag,
            message_format: transfer.message_format.unwrap_or_default(),
            settled,
            second,
            parts: Vec::new(),
            octets: 0,
            transfers: 0,
            ignored: transfer.resume,
        })
    }

    /// A delivery is whole.
    fn deliver(&mut self, session_id: SessionId, id: LinkId, assembly: Assembly) {
        let (Some(session), Some(link)) = (self.sessions.get_mut(session_id), self.links.get_mut(id)) else { return };
        if !assembly.settled {
            let tag = assembly.tag;
            let delivery = ReceivedDelivery { link: id, tag, second: assembly.second, stated: false };
            session.received.insert(assembly.id, delivery);
            link.unsettled.insert(assembly.id);
            if !self.config.tolerances.repeated_tags {
                link.tags.insert(tag);
            }
        }
        let key = DeliveryKey(assembly.id);
        let parsed = Message::from_chunks_with_limits(assembly.parts, self.config.limits);
        let message = match parsed.and_then(|message| message.validate().map(|()| message)) {
            Ok(message) => message,
            Err(error) => {
                // §3.4.3: a message that cannot be understood is rejected; one that is settled is just not there.
                let state = AmqpError::new(ErrorCondition::DECODE_ERROR, alloc::format!("{error}"));
                self.settle_received(id, key, DeliveryState::rejected(state));
                return self.delivery_gone(id);
            }
        };
        link.buffered.push_back(IncomingDelivery {
            key,
            tag: assembly.tag,
            message_format: assembly.message_format,
            settled: assembly.settled,
            message,
        });
        self.events.push_back(Event::Receivable(id));
        self.check_drained(id);
    }

    /// A delivery has used credit and the application will not take it.
    fn delivery_gone(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id) {
            link.refill();
            if core::mem::take(&mut link.flow_due) {
                self.link_flow(id);
            }
        }
        self.check_drained(id);
    }

    fn check_drained(&mut self, id: LinkId) {
        if self.links.get_mut(id).is_some_and(|link| link.drain_done()) {
            self.events.push_back(Event::Drained(id));
        }
    }

    /// States an outcome for a received delivery; whether it is settled with it follows from the mode.
    pub(super) fn settle_received(&mut self, id: LinkId, key: DeliveryKey, state: DeliveryState) {
        let Some(link) = self.links.get_mut(id).filter(|link| link.detached.is_none()) else { return };
        let session_id = link.session;
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let Some(delivery) = session.received.get_mut(key.0) else { return };
        if delivery.link != id || delivery.stated {
            return;
        }
        let settled = state.is_outcome() && !delivery.second;
        delivery.stated = state.is_outcome();
        if settled {
            link.tags.remove(&delivery.tag);
            link.unsettled.remove(&key.0);
            session.received.remove(key.0);
        }
        let fresh = session.marks.is_empty();
        session.marks.add(Role::Receiver, key.0, settled, Some(state));
        if fresh {
            self.marked.push_back(session_id);
        }
    }

    /// A delivery of a link is settled by the peer's word.
    fn forget_unsettled(&mut self, id: LinkId, delivery: u64, received: Option<DeliveryTag>) {
        if let Some(link) = self.links.get_mut(id) {
            link.unsettled.remove(&delivery);
            if let Some(tag) = received {
                link.tags.remove(&tag);
            }
        }
    }

    pub(super) fn on_disposition(&mut self, session_id: SessionId, disposition: &Disposition) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let last = disposition.last.unwrap_or(disposition.first);
        match disposition.role {
            // The peer receives: this is about what we sent.
            Role::Receiver => {
                let Some(range) = session.sent.range(disposition.first, last) else { return };
                let outcome = disposition.state.as_ref().filter(|state| state_ends(state));
                if !disposition.settled && outcome.is_none() {
                    return;
                }
                for id in session.sent.within(range) {
                    let Some(session) = self.sessions.get_mut(session_id) else { return };
                    let Some(delivery) = session.sent.remove(id) else { continue };
                    if !disposition.settled {
                        // §2.6.12, mode second: the receiver waits for us to settle.
                        if session.marks.is_empty() {
                            self.marked.push_back(session_id);
                        }
                        session.marks.add(Role::Sender, id, true, disposition.state.clone());
                    }
                    let settlement = Settlement::Outcome(disposition.state.clone());
                    self.settled.push_back(Settled { link: delivery.link, token: delivery.token, settlement });
                    self.forget_unsettled(delivery.link, id, None);
                }
            }
            // The peer sends: this is about what we received. Once it has settled, there is nothing to say.
            Role::Sender => {
                if !disposition.settled {
                    return;
                }
                let Some(range) = session.received.range(disposition.first, last) else { return };
                for id in session.received.within(range) {
                    let Some(session) = self.sessions.get_mut(session_id) else { return };
                    if let Some(delivery) = session.received.remove(id) {
                        self.forget_unsettled(delivery.link, id, Some(delivery.tag));
                    }
                }
            }
        }
    }
}

/// Whether a receiver that states this, unsettled, waits for the sender to settle. A provisional outcome of a
/// transaction does too.
fn state_ends(state: &DeliveryState) -> bool {
    state.is_outcome() || matches!(state, DeliveryState::Transactional(state) if state.outcome.is_some())
}
