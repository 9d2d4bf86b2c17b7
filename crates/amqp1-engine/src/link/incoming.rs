//! Deliveries that come on a link (§2.6.12, §2.7.5).

use super::{Buffered, End, LinkMut};
use crate::{
    connection::{message_of, undecodable},
    delivery::{Assembly, Parts},
    event::{Event, IncomingDelivery, StreamItem},
    metadata::{Charge, Kept, SMALL_STATE},
    resume::{HeldDelivery, octets_before},
    session::{ReceivedDelivery, first_id, wire_id},
    store::DeliveryKey,
    violation::{PeerMisbehaved, Scope},
};
use alloc::boxed::Box;
use amqp1_codec::{
    DecodeError, DeliveryTag, Encode,
    definitions::{AmqpError, ErrorCondition, ReceiverSettleMode, SenderSettleMode},
    messaging::DeliveryState,
    performative::Transfer,
};
use bytes::Bytes;

/// Why a transfer or a flow of a link is not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The link was detached or refused, or is over.
    Over,
    /// The peer has broken a rule.
    Violation(PeerMisbehaved),
}

impl From<PeerMisbehaved> for Refused {
    fn from(violation: PeerMisbehaved) -> Self {
        Self::Violation(violation)
    }
}

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

impl LinkMut<'_> {
    /// Takes a transfer, which is within the session's window.
    pub(crate) fn on_transfer(&mut self, transfer: &Transfer, payload: Bytes) -> Result<(), Refused> {
        let taken = self.take_transfer(transfer, payload);
        if taken.is_err() {
            self.posting_discarded(transfer);
        }
        taken
    }

    fn take_transfer(&mut self, transfer: &Transfer, payload: Bytes) -> Result<(), Refused> {
        // §2.6.5: after our detach, what comes is discarded until the peer's.
        // Of a link that was refused, and never attached, nothing is received.
        if self.link.state.is_deaf() {
            return Err(Refused::Over);
        }
        if self.link.state.stopping().is_some() {
            self.discard_stopped(transfer).ok_or(PeerMisbehaved::CreditExceeded)?;
            self.posting_discarded(transfer);
            return Ok(());
        }
        let End::Receiving(end) = &mut self.link.end else { return Err(PeerMisbehaved::TransferFromReceiver.into()) };
        let mut begun = match end.assembly.take() {
            Some(assembly) if assembly.continues(transfer) => Begun::Earlier(assembly),
            Some(_) => return Err(PeerMisbehaved::ContinuationChanged.into()),
            None => Begun::Now(self.begin_delivery(transfer)?),
        };
        if transfer.settled == Some(true) && self.may_not_settle(transfer) {
            return Err(PeerMisbehaved::SettledOnUnsettled.into());
        }
        let assembly = begun.assembly();
        assembly.settled |= transfer.settled == Some(true);
        if let Some(state) = &transfer.state {
            self.keep_transfer_state(assembly, state)?;
        }
        if !transfer.aborted {
            assembly.push(payload, transfer.more, self.link.local.max_message_size)?;
        }
        if assembly.streamed && !assembly.ignored {
            self.stream_data(assembly);
        }
        match (transfer.aborted, transfer.more) {
            (true, _) => self.aborted(assembly),
            (false, true) => {
                if let Some(end) = self.link.receiving_mut() {
                    end.assembly = Some(begun.boxed());
                }
            }
            (false, false) if assembly.ignored => self.delivery_gone(),
            (false, false) if assembly.streamed => self.stream_ends(assembly),
            (false, false) => self.deliver(begun.into_assembly()),
        }
        Ok(())
    }

    /// A transfer on a link whose sender is being stopped is discarded. `None` if it is not of a delivery that had
    /// credit.
    fn discard_stopped(&mut self, transfer: &Transfer) -> Option<()> {
        let stopping = self.link.state.stopping_mut()?;
        stopping.came = true;
        let begins = !core::mem::replace(&mut stopping.half, transfer.more && !transfer.aborted);
        if begins {
            self.link.receiving_mut()?.credit.receive_one(self.config.tolerances.credit_overrun)?;
            self.session.note_discarded(transfer);
        }
        Some(())
    }

    /// §2.7.5: a sender of mode unsettled settles no delivery by a transfer, but for those that it gives up or resumes.
    fn may_not_settle(&self, transfer: &Transfer) -> bool {
        let remote = self.link.remote.as_ref();
        let is_unsettled = remote.is_some_and(|remote| remote.snd_settle_mode == SenderSettleMode::Unsettled);
        is_unsettled && !transfer.aborted && !transfer.resume && !self.config.tolerances.settled_on_unsettled
    }

    /// §2.6.14: the sender has given a delivery up, which settles it.
    fn aborted(&mut self, assembly: &Assembly) {
        self.postings.gone(self.id, assembly.id);
        if assembly.streamed && !assembly.ignored {
            self.session.received.remove(assembly.id);
            self.forget_unsettled(assembly.id, Some(assembly.tag));
            self.stream_item(StreamItem::Aborted);
        }
        self.delivery_gone();
    }

    /// The last transfer of a streamed delivery has come.
    fn stream_ends(&mut self, assembly: &Assembly) {
        // The application lets go of pieces that were handed out.
        self.postings.is_whole(self.id, assembly);
        if assembly.settled {
            // It may have been begun unsettled.
            self.session.received.remove(assembly.id);
            self.forget_unsettled(assembly.id, Some(assembly.tag));
        }
        self.stream_item(StreamItem::End { settled: assembly.settled });
        self.check_drained();
    }

    /// The first transfer of a delivery: it uses credit and an id.
    fn begin_delivery(&mut self, transfer: &Transfer) -> Result<Assembly, PeerMisbehaved> {
        let (Some(wire), Some(tag)) = (transfer.delivery_id, transfer.delivery_tag) else {
            return Err(PeerMisbehaved::DeliveryIncomplete);
        };
        let delivery_id = match self.session.received.newest() {
            None => first_id(wire),
            Some(newest) => match u64::try_from(wire.offset_from(wire_id(newest))) {
                Ok(ahead) if ahead > 0 => newest.saturating_add(ahead),
                _ => return Err(PeerMisbehaved::DeliveryIdRepeated { id: wire.0 }),
            },
        };
        let tolerances = &self.config.tolerances;
        // A link that is offered and not answered has given no credit to run over.
        let tolerant = tolerances.credit_overrun && self.link.state.handle().is_some();
        let End::Receiving(end) = &mut self.link.end else { return Err(PeerMisbehaved::TransferFromReceiver) };
        end.credit.receive_one(tolerant).ok_or(PeerMisbehaved::CreditExceeded)?;
        self.session.received.note(delivery_id);
        let streamed = end.stream.is_enabled();
        // A transfer may ask for less than the link does, not for more.
        let second = match (self.link.local.rcv_settle_mode, transfer.rcv_settle_mode) {
            (ReceiverSettleMode::First, Some(ReceiverSettleMode::Second)) if transfer.settled != Some(true) => {
                if !tolerances.second_on_first {
                    return Err(PeerMisbehaved::SecondOnFirst);
                }
                *self.second_on_first = self.second_on_first.saturating_add(1);
                false
            }
            (mode, asked) => mode == ReceiverSettleMode::Second && asked != Some(ReceiverSettleMode::First),
        };
        let settles_all = self.link.remote.as_ref().is_some_and(|r| r.snd_settle_mode == SenderSettleMode::Settled);
        let settled = transfer.settled == Some(true) || settles_all;
        if !settled && self.link.tags.contains(&tag) {
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
            streamed,
            skip: 0,
            resumed: false,
            state: None,
            transactional: false,
        };
        if transfer.resume {
            self.resume_delivery(transfer, &mut assembly)?;
        } else if self.link.local.incomplete_unsettled {
            return Err(PeerMisbehaved::NewWhileIncomplete);
        }
        if assembly.streamed && !assembly.ignored {
            if !settled {
                self.note_received(&assembly);
            }
            if let Some(state) = &transfer.state {
                self.keep_transfer_state(&mut assembly, state)?;
            }
            self.stream_begins(&mut assembly);
        }
        Ok(assembly)
    }

    /// A delivery is to be settled.
    fn note_received(&mut self, assembly: &Assembly) {
        let tag = assembly.tag;
        let held = (self.link.resumable && !assembly.streamed && !assembly.transactional).then(|| {
            let (message_format, parts) = (assembly.message_format, assembly.parts.clone().into_vec());
            Box::new(HeldDelivery { message_format, parts, state: None })
        });
        let delivery = ReceivedDelivery { link: self.id, tag, second: assembly.second, stated: false, held };
        self.session.received.insert(assembly.id, delivery);
        self.link.unsettled.insert(assembly.id, ());
        if !self.config.tolerances.repeated_tags {
            self.link.tags.insert(tag);
        }
    }

    /// A delivery is whole.
    fn deliver(&mut self, assembly: Assembly) {
        if !assembly.settled {
            self.note_received(&assembly);
        }
        let key = DeliveryKey(assembly.id);
        if assembly.transactional && !self.postings.is_whole(self.id, &assembly) {
            if !assembly.settled {
                self.settle_received(key, DeliveryState::Released);
            }
            return self.delivery_gone();
        }
        let Some(end) = self.link.receiving_mut() else { return };
        let message = message_of(assembly.message_format, assembly.parts, self.config.decode_limits());
        if end.reject_undecodable {
            if let Some(error) = undecodable(assembly.message_format, &message) {
                return self.reject_undecodable(key, assembly.tag, error);
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
        if end.buffered.is_empty() {
            self.outbox.events.push_back(Event::Receivable(self.id));
        }
        end.buffered.push_back(Buffered { delivery, state: assembly.state });
        self.check_drained();
    }

    /// A delivery has used credit and the application will not take it.
    pub(crate) fn delivery_gone(&mut self) {
        self.refill();
        self.check_drained();
    }

    /// The application wants no such messages. One that is settled already is dropped.
    #[cold]
    fn reject_undecodable(&mut self, key: DeliveryKey, tag: DeliveryTag, error: DecodeError) {
        if let Some(end) = self.link.receiving_mut() {
            end.undecodable = end.undecodable.saturating_add(1);
        }
        self.outbox.events.push_back(Event::Undecodable(self.id, Box::new(tag), error));
        let state = AmqpError::new(ErrorCondition::DECODE_ERROR, alloc::format!("{error}"));
        let state = DeliveryState::rejected(state);
        let txn = self.postings.fail(self.id, key, self.outbox);
        let state = txn.map_or_else(|| state.clone(), |txn| txn.state(Some(state.clone())));
        self.settle_received(key, state);
        self.delivery_gone();
    }

    /// The state of a delivery that comes, instead of an earlier one. It is part of its message, and what a
    /// transaction's id takes is bounded by the credit alone: only what is beyond that counts.
    ///
    /// # Errors
    ///
    /// If it exceeds what is kept, or names a transaction where there are none.
    fn keep_transfer_state(&mut self, assembly: &mut Assembly, state: &DeliveryState) -> Result<(), PeerMisbehaved> {
        assembly.transactional = matches!(state, DeliveryState::Transactional(_));
        assembly.state = None;
        let octets = state.to_octets();
        let charge = match octets.len().checked_sub(SMALL_STATE) {
            Some(more) if more > 0 => self.charge(more),
            _ => Some(Charge::default()),
        };
        let charge = charge.ok_or(PeerMisbehaved::MetadataExceeded { scope: Scope::Link })?;
        assembly.state = Some(Box::new(Kept::new(octets, charge)));
        match state {
            DeliveryState::Transactional(state) if !assembly.ignored => {
                self.postings.on_transfer(self.id, assembly, &state.txn_id)
            }
            _ => Ok(()),
        }
    }

    /// The first transfer of a delivery that was begun at an earlier endpoint.
    fn resume_delivery(&mut self, transfer: &Transfer, assembly: &mut Assembly) -> Result<(), PeerMisbehaved> {
        let resume = self.link.receiving_mut().and_then(|end| end.resume.as_mut());
        let known = resume.and_then(|known| known.deliveries.remove(&assembly.tag));
        assembly.resumed = true;
        let Some(delivery) = known else {
            // §2.7.5: what is not known is ignored.
            assembly.ignored = true;
            return Ok(());
        };
        if transfer.aborted {
            return Ok(());
        }
        let Some(ours) = delivery.outcome else {
            let start = match &transfer.state {
                Some(DeliveryState::Received(position)) => octets_before(&delivery.parts, position),
                _ => Some(0),
            };
            let held = delivery.parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
            let start = start.ok_or(PeerMisbehaved::ResumedBeyond)?;
            assembly.skip = held.saturating_sub(start);
            assembly.octets = u64::try_from(held).unwrap_or(u64::MAX);
            assembly.parts = delivery.parts.into();
            return Ok(());
        };
        assembly.ignored = true;
        if assembly.settled {
            return Ok(());
        }
        // M-3.4.6-13: the sender's outcome is the one that counts, and is settled with; else ours is said again.
        let theirs = transfer.state.clone().filter(DeliveryState::is_outcome);
        let (state, second) = match theirs {
            Some(theirs) if theirs != ours => (theirs, false),
            _ => (ours, assembly.second),
        };
        let (link, tag, held) = (self.id, assembly.tag, None);
        self.session.received.insert(assembly.id, ReceivedDelivery { link, tag, second, stated: false, held });
        self.link.unsettled.insert(assembly.id, ());
        self.settle_received(DeliveryKey(assembly.id), state);
        Ok(())
    }

    /// A streamed delivery begins.
    fn stream_begins(&mut self, assembly: &mut Assembly) {
        let kept = assembly.state.take();
        let Some(end) = self.link.receiving_mut() else { return };
        let begin = StreamItem::Begin {
            key: DeliveryKey(assembly.id),
            tag: assembly.tag,
            message_format: assembly.message_format,
            settled: assembly.settled,
            state: None,
        };
        let reported = end.stream.is_empty() || end.credit.is_draining();
        end.stream.begin(begin, kept);
        if reported {
            self.outbox.events.push_back(Event::Receivable(self.id));
        }
    }

    /// The pieces of a streamed delivery that have come are handed on.
    fn stream_data(&mut self, assembly: &mut Assembly) {
        for octets in core::mem::take(&mut assembly.parts) {
            self.session.incoming_window.hold();
            self.stream_item(StreamItem::Data(octets));
        }
    }

    fn stream_item(&mut self, item: StreamItem) {
        let Some(end) = self.link.receiving_mut() else { return };
        // Deliveries that wait may keep a drain from being answered.
        let reported = end.stream.is_empty() || end.credit.is_draining();
        if end.stream.push(item) {
            drop(self.poll_stream());
        } else if reported {
            self.outbox.events.push_back(Event::Receivable(self.id));
        }
    }

    /// Takes the next piece of a streamed link's deliveries. Taking opens the session's window again.
    pub(crate) fn poll_stream(&mut self) -> Option<StreamItem> {
        let stream = &mut self.link.receiving_mut()?.stream;
        let (item, released) = (stream.take(self.config.decode_limits())?, stream.is_released());
        match &item {
            StreamItem::Data(_) if released => {}
            StreamItem::Data(_) => {
                self.session.incoming_window.release(1);
                self.session().tell_window();
            }
            StreamItem::End { .. } | StreamItem::Aborted => self.refill(),
            StreamItem::Begin { .. } => {}
        }
        Some(item)
    }
}
