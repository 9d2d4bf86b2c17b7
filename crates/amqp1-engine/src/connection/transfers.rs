//! Deliveries in, and what this end states of them (§2.6.12, §2.7.5).

use super::{
    Connection,
    dispositions::state_ends,
    undecodable::{message_of, undecodable},
};
use crate::{
    delivery::{Assembly, Parts},
    event::{Event, IncomingDelivery, StreamItem},
    link::{Buffered, End, Link},
    resume::HeldDelivery,
    session::{ReceivedDelivery, SessionMut},
    settlement::{first_id, wire_id},
    store::{DeliveryKey, LinkId, SessionId},
    violation::PeerMisbehaved,
};
use alloc::{boxed::Box, vec::Vec};
use amqp1_codec::{
    DeliveryTag,
    definitions::{ReceiverSettleMode, Role, SenderSettleMode},
    messaging::DeliveryState,
    performative::Transfer,
};
use bytes::Bytes;

/// The delivery that a transfer belongs to. It goes to the heap once, and only if it comes in several transfers.
enum Begun {
    Now(Assembly),
    Earlier(Box<Assembly>),
}

impl Begun {
    fn assembly(&mut self) -> &mut Assembly {
        match self {
            Self::Now(assembly) => assembly,
            Self::Earlier(assembly) => assembly,
        }
    }

    fn boxed(self) -> Box<Assembly> {
        match self {
            Self::Now(assembly) => Box::new(assembly),
            Self::Earlier(assembly) => assembly,
        }
    }

    fn into_assembly(self) -> Assembly {
        match self {
            Self::Now(assembly) => assembly,
            Self::Earlier(assembly) => *assembly,
        }
    }
}

impl Connection {
    /// How many deliveries have asked for receiver-settle-mode second on links of mode first, where that is tolerated
    /// ([`Tolerances::second_on_first`](crate::Tolerances)).
    pub fn second_on_first(&self) -> u64 {
        self.second_on_first
    }

    pub(super) fn on_transfer(&mut self, session_id: SessionId, transfer: &Transfer, payload: Bytes) {
        let handle = transfer.handle;
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let id = session.incoming.get(&handle).copied();
        let streamed = id
            .and_then(|id| self.links.get(id))
            .is_some_and(|link| link.is_streamed() && link.state.stopping().is_none());
        if session.incoming_window.on_transfer(streamed).is_none() {
            self.posting_discarded(id, transfer);
            return self.session_misbehaved(session_id, PeerMisbehaved::WindowExceeded);
        }
        let Some(id) = id else {
            self.posting_discarded(None, transfer);
            if !self.is_late(session_id, transfer) {
                self.session_misbehaved(session_id, PeerMisbehaved::HandleUnattached { handle });
            } else if let Some(mut session) = self.session_mut(session_id) {
                session.tell_window();
            }
            return;
        };
        self.take_transfer(session_id, id, transfer, payload);
        if let Some(mut session) = self.session_mut(session_id) {
            session.tell_window();
        }
    }

    fn take_transfer(&mut self, session_id: SessionId, id: LinkId, transfer: &Transfer, payload: Bytes) {
        let Some(link) = self.links.get_mut(id) else { return };
        // §2.6.5: after our detach, what comes is discarded until the peer's.
        // Of a link that was refused, and never attached, nothing is received.
        if link.state.is_deaf() {
            self.posting_discarded(Some(id), transfer);
            self.is_errant_input(session_id, id);
            return;
        }
        let Link { state, end: End::Receiving(end), .. } = link else {
            self.posting_discarded(Some(id), transfer);
            return self.link_misbehaved(id, PeerMisbehaved::TransferFromReceiver);
        };
        if state.stopping().is_some() {
            self.posting_discarded(Some(id), transfer);
            if self.discard_stopped(session_id, id, transfer).is_none() {
                self.link_misbehaved(id, PeerMisbehaved::CreditExceeded);
            }
            return;
        }
        let begun = match end.assembly.take() {
            Some(assembly) if assembly.continues(transfer) => Ok(Begun::Earlier(assembly)),
            Some(_) => Err(PeerMisbehaved::ContinuationChanged),
            None => match self.begin_incoming(session_id, id, transfer) {
                Ok(assembly) => Ok(Begun::Now(assembly)),
                Err(violation @ PeerMisbehaved::DeliveryIdRepeated { .. }) => {
                    self.posting_discarded(Some(id), transfer);
                    return self.session_misbehaved(session_id, violation);
                }
                Err(violation) => Err(violation),
            },
        };
        let Some(link) = self.links.get(id) else { return };
        let max = link.local.max_message_size;
        let is_forbidden = transfer.settled == Some(true) && self.may_not_settle(link, transfer);
        let pushed = begun.and_then(|mut begun| {
            if is_forbidden {
                return Err(PeerMisbehaved::SettledOnUnsettled);
            }
            let assembly = begun.assembly();
            assembly.settled |= transfer.settled == Some(true);
            if let Some(state) = &transfer.state {
                self.keep_transfer_state(id, assembly, state)?;
            }
            if !transfer.aborted {
                assembly.push(payload, transfer.more, max)?;
            }
            Ok(begun)
        });
        let mut begun = match pushed {
            Ok(begun) => begun,
            Err(violation) => {
                self.posting_discarded(Some(id), transfer);
                return self.link_misbehaved(id, violation);
            }
        };
        let assembly = begun.assembly();
        if assembly.streamed && !assembly.ignored {
            self.stream_data(session_id, id, assembly);
        }
        match (transfer.aborted, transfer.more) {
            (true, _) => self.incoming_aborted(session_id, id, assembly),
            (false, true) => {
                if let Some(end) = self.links.get_mut(id).and_then(Link::receiving_mut) {
                    end.assembly = Some(begun.boxed());
                }
            }
            (false, false) if assembly.ignored => self.delivery_gone(id),
            (false, false) if assembly.streamed => self.stream_ends(session_id, id, assembly),
            (false, false) => self.deliver(session_id, id, begun.into_assembly()),
        }
    }

    /// §2.7.5: a sender of mode unsettled settles no delivery by a transfer, but for those that it gives up or resumes.
    fn may_not_settle(&self, link: &Link, transfer: &Transfer) -> bool {
        let is_unsettled = link.remote.as_ref().is_some_and(|r| r.snd_settle_mode == SenderSettleMode::Unsettled);
        is_unsettled && !transfer.aborted && !transfer.resume && !self.config.tolerances.settled_on_unsettled
    }

    /// §2.6.14: the sender has given a delivery up, which settles it.
    fn incoming_aborted(&mut self, session_id: SessionId, id: LinkId, assembly: &Assembly) {
        self.posting_gone(id, assembly.id);
        if assembly.streamed && !assembly.ignored {
            if let Some(session) = self.sessions.get_mut(session_id) {
                session.received.remove(assembly.id);
            }
            self.forget_unsettled(id, assembly.id, Some(assembly.tag));
            self.stream_item(id, StreamItem::Aborted);
        }
        self.delivery_gone(id);
    }

    /// The last transfer of a streamed delivery has come.
    fn stream_ends(&mut self, session_id: SessionId, id: LinkId, assembly: &Assembly) {
        // What was handed out is for the application to let go of.
        self.posting_is_whole(id, assembly);
        if assembly.settled {
            // It may have been begun unsettled.
            if let Some(session) = self.sessions.get_mut(session_id) {
                session.received.remove(assembly.id);
            }
            self.forget_unsettled(id, assembly.id, Some(assembly.tag));
        }
        self.stream_item(id, StreamItem::End { settled: assembly.settled });
        self.check_drained(id);
    }

    /// The first transfer of a delivery: it uses credit and an id.
    fn begin_incoming(
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
        // A link that is offered and not answered has given no credit to run over.
        let tolerant = self.config.tolerances.credit_overrun && link.state.handle().is_some();
        let Some(end) = link.receiving_mut() else { return Err(PeerMisbehaved::TransferFromReceiver) };
        end.credit.receive_one(tolerant).ok_or(PeerMisbehaved::CreditExceeded)?;
        session.received.note(delivery_id);
        // A transfer may ask for less than the link does, not for more.
        let second = match (link.receiver_settle_mode(), transfer.rcv_settle_mode) {
            (ReceiverSettleMode::First, Some(ReceiverSettleMode::Second)) if transfer.settled != Some(true) => {
                if !self.config.tolerances.second_on_first {
                    return Err(PeerMisbehaved::SecondOnFirst);
                }
                self.second_on_first = self.second_on_first.saturating_add(1);
                false
            }
            (mode, asked) => mode == ReceiverSettleMode::Second && asked != Some(ReceiverSettleMode::First),
        };
        let settles_all = link.remote.as_ref().is_some_and(|r| r.snd_settle_mode == SenderSettleMode::Settled);
        let settled = transfer.settled == Some(true) || settles_all;
        if !settled && link.tags.contains(&tag) {
            return Err(PeerMisbehaved::TagRepeated);
        }
        let mut assembly = Assembly {
            id: delivery_id,
            tag,
            message_format: transfer.message_format.unwrap_or_default(),
            settled,
            second,
            parts: Parts::default(),
            octets: 0,
            transfers: 0,
            ignored: false,
            streamed: link.is_streamed(),
            skip: 0,
            resumed: false,
            state: None,
            transactional: false,
        };
        if transfer.resume {
            self.resume_incoming(session_id, id, transfer, &mut assembly)?;
        } else if link.local.incomplete_unsettled {
            return Err(PeerMisbehaved::NewWhileIncomplete);
        }
        if assembly.streamed && !assembly.ignored {
            if !settled {
                self.note_received(session_id, id, &assembly);
            }
            if let Some(state) = &transfer.state {
                self.keep_transfer_state(id, &mut assembly, state)?;
            }
            self.stream_begins(id, &mut assembly);
        }
        Ok(assembly)
    }

    /// A delivery is to be settled.
    fn note_received(&mut self, session_id: SessionId, id: LinkId, assembly: &Assembly) {
        let (Some(session), Some(link)) = (self.sessions.get_mut(session_id), self.links.get_mut(id)) else { return };
        let tag = assembly.tag;
        let held = (link.resumable && !assembly.streamed && !assembly.transactional).then(|| {
            let (message_format, parts) = (assembly.message_format, assembly.parts.clone().into_vec());
            Box::new(HeldDelivery { message_format, parts, state: None })
        });
        let delivery = ReceivedDelivery { link: id, tag, second: assembly.second, stated: false, held };
        session.received.insert(assembly.id, delivery);
        link.unsettled.insert(assembly.id, ());
        if !self.config.tolerances.repeated_tags {
            link.tags.insert(tag);
        }
    }

    /// A delivery is whole.
    fn deliver(&mut self, session_id: SessionId, id: LinkId, assembly: Assembly) {
        if !assembly.settled {
            self.note_received(session_id, id, &assembly);
        }
        let key = DeliveryKey(assembly.id);
        if assembly.transactional && !self.posting_is_whole(id, &assembly) {
            if !assembly.settled {
                self.settle_received(id, key, DeliveryState::Released);
            }
            return self.delivery_gone(id);
        }
        let Some(end) = self.links.get_mut(id).and_then(Link::receiving_mut) else { return };
        let message = message_of(assembly.message_format, assembly.parts, self.config.decode_limits());
        if end.reject_undecodable {
            if let Some(error) = undecodable(assembly.message_format, &message) {
                return self.reject_undecodable(id, key, assembly.tag, error);
            }
        }
        let delivery = IncomingDelivery {
            key,
            tag: assembly.tag,
            message_format: assembly.message_format,
            settled: assembly.settled,
            resumed: assembly.resumed,
            state: None,
            message,
        };
        end.buffered.push_back(Buffered { delivery, state: assembly.state });
        self.outbox.events.push_back(Event::Receivable(id));
        self.check_drained(id);
    }

    /// A delivery has used credit and the application will not take it.
    pub(super) fn delivery_gone(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id) {
            link.refill();
        }
        self.tell_credit(id);
        self.check_drained(id);
    }

    /// Tells the peer of credit that was given, and the application of credit that was not.
    pub(super) fn tell_credit(&mut self, id: LinkId) {
        let Some(end) = self.links.get_mut(id).and_then(Link::receiving_mut) else { return };
        if end.credit.take_withheld() {
            self.outbox.events.push_back(Event::CreditWithheld(id));
        }
        if end.credit.take_flow_due() {
            self.link_flow(id);
        }
    }

    fn check_drained(&mut self, id: LinkId) {
        if self.links.get_mut(id).and_then(Link::receiving_mut).is_some_and(|end| end.credit.drain_done()) {
            self.outbox.events.push_back(Event::Drained(id));
        }
    }

    /// States an outcome for a received delivery; whether it is settled with it follows from the mode. `false` if nothing
    /// can be said on the link any more. A delivery that is not known was settled before.
    pub(super) fn settle_received(&mut self, id: LinkId, key: DeliveryKey, state: DeliveryState) -> bool {
        let Some(link) = self.links.get_mut(id).filter(|link| !link.state.has_detached()) else { return false };
        let session_id = link.session;
        let Some(session) = self.sessions.get_mut(session_id).filter(|session| !session.state.is_end_sent()) else {
            return false;
        };
        let Some(delivery) = session.received.get_mut(key.0) else { return true };
        if delivery.link != id || delivery.stated {
            return true;
        }
        // §2.8.3: a receiver of mode first settles with its outcome, also with one that is provisional (§4.4.4).
        let ends = state_ends(&state);
        let settled = ends && !delivery.second;
        delivery.stated = state.is_outcome();
        if let Some(held) = &mut delivery.held {
            if state.is_outcome() {
                // What is decided needs no octets.
                held.parts = Vec::new();
            }
            held.state = Some(state.clone());
        }
        let held_back = settled && link.is_credit_withheld();
        if settled {
            link.tags.remove(&delivery.tag);
            link.unsettled.remove(key.0);
            session.received.remove(key.0);
        }
        let mut session = SessionMut { id: session_id, session, outbox: &mut self.outbox };
        session.mark(Role::Receiver, key.0, settled, Some(state), None);
        if ends {
            self.posting_gone(id, key.0);
        }
        if held_back {
            if let Some(link) = self.links.get_mut(id) {
                link.refill();
            }
            self.tell_credit(id);
        }
        true
    }

    /// A delivery of a link is settled by the peer's word.
    pub(super) fn forget_unsettled(&mut self, id: LinkId, delivery: u64, received: Option<DeliveryTag>) {
        if let Some(link) = self.links.get_mut(id) {
            let full = link.sending().is_some() && link.unsettled_left() == 0;
            link.unsettled.remove(delivery);
            if let Some(tag) = received {
                link.tags.remove(&tag);
            }
            if full && link.sendable() > 0 {
                self.outbox.events.push_back(Event::Sendable(id));
            }
            let half = link.sending_mut().and_then(|end| end.settled_half(delivery));
            if link.is_credit_withheld() {
                link.refill();
                self.tell_credit(id);
            }
            if let Some(rest) = half {
                self.outbox.discarded.payloads(rest);
                self.abort_rest(id);
            }
        }
    }
}
