//! Deliveries that leave on a link (§2.6.12): queued whole, and written frame by frame.

use super::{DrainState, End, Link, LinkMut, SendingEnd};
use crate::{
    config::SendOptions,
    connection::Pace,
    delivery::{OutgoingDelivery, TRANSFER_ROOM},
    error::SendError,
    event::{Event, Settled},
    planted::{self, Planted},
    session::{Ending, SentDelivery, wire_id},
    transmit::TransmitQueue,
};
use alloc::boxed::Box;
use amqp1_codec::{
    Encode, EncodeStyle, EncodedMessage, definitions::SenderSettleMode, frame::FrameWriter, performative::Transfer,
};
use bytes::{Bytes, BytesMut};

/// How many octets of a stream wait here when its application is asked for more.
const LOW_WATER: usize = 64 * 1024;

impl LinkMut<'_> {
    /// Checks that a delivery may be queued, its message apart.
    pub(crate) fn may_send(&mut self, options: &SendOptions) -> Result<(), SendError> {
        let link = &*self.link;
        let leaves = link.state.has_detached() || link.state.is_detaching() || self.session.ending != Ending::No;
        if link.state.is_over() || leaves {
            return Err(SendError::Detached);
        }
        let Some(end) = link.sending() else { return Err(SendError::Detached) };
        let mode = link.sender_settle_mode();
        if mode == SenderSettleMode::Unsettled && options.settled {
            return Err(SendError::SettleMode);
        }
        if end.reducing {
            return Err(SendError::Reattach);
        }
        if end.is_streaming() {
            return Err(SendError::Unfinished);
        }
        let settled = options.settled || mode == SenderSettleMode::Settled;
        if end.credit.drain() == DrainState::GivingUp || !link.is_attached() || end.lacks_credit() {
            return Err(SendError::NoCredit);
        }
        if !settled && link.unsettled_left() == 0 {
            return Err(SendError::TooManyUnsettled { max: link.max_unsettled });
        }
        if self.outbox.queued.room() == 0 && !options.admitted {
            self.outbox.queued.refuse();
            return Err(SendError::QueueFull);
        }
        Ok(())
    }

    /// Queues a delivery. A message that is not queued is left in its place.
    pub(crate) fn send(&mut self, message: &mut EncodedMessage, options: SendOptions) -> Result<(), SendError> {
        self.may_send(&options)?;
        let length = u64::try_from(message.len()).unwrap_or(u64::MAX);
        if let Some(max) = self.link.remote_max_message_size().filter(|max| length > *max) {
            return Err(SendError::TooLarge { max });
        }
        let mut delivery = self.link.outgoing(options)?;
        delivery.left = message.len();
        let message = core::mem::take(message);
        if let Some(retained) = &mut delivery.retained {
            retained.parts = Some(message.clone().into_parts());
        }
        delivery.parts = message.into();
        self.queue(delivery);
        self.wake();
        Ok(())
    }

    /// Queues a delivery whose octets are still to be written.
    pub(crate) fn begin_stream(&mut self, options: SendOptions) -> Result<(), SendError> {
        self.may_send(&options)?;
        let mut delivery = self.link.outgoing(options)?;
        delivery.open = true;
        self.queue(delivery);
        Ok(())
    }

    fn queue(&mut self, delivery: OutgoingDelivery) {
        let Some(end) = self.link.sending_mut() else { return };
        end.queued = end.queued.saturating_add(delivery.left);
        end.queue.push_back(delivery);
        self.outbox.queued.count(end);
    }

    /// Writes a piece of the delivery that was begun. Octets that are not queued are left in their place.
    pub(crate) fn write(&mut self, octets: &mut Bytes) -> Result<(), SendError> {
        if self.link.state.is_over() {
            return Err(SendError::Detached);
        }
        let max = self.link.remote_max_message_size();
        let end = self.link.sending_mut().ok_or(SendError::Detached)?;
        if end.settled_early.is_some() {
            return Err(SendError::SettledEarly);
        }
        let delivery = end.queue.back_mut().filter(|delivery| delivery.open).ok_or(SendError::Detached)?;
        let written = delivery.written.saturating_add(u64::try_from(octets.len()).unwrap_or(u64::MAX));
        if let Some(max) = max.filter(|max| written > *max) {
            return Err(SendError::TooLarge { max });
        }
        delivery.written = written;
        end.queued = end.queued.saturating_add(octets.len());
        delivery.left = delivery.left.saturating_add(octets.len());
        if !octets.is_empty() {
            delivery.parts.push(core::mem::take(octets));
        }
        self.outbox.queued.count(end);
        self.wake();
        Ok(())
    }

    /// Writes one transfer of the delivery at the front of the queue.
    pub(crate) fn write_transfer(&mut self, max: usize, pace: Pace<'_>, out: &mut TransmitQueue) -> Written {
        let Self { id, link, session, config, outbox, .. } = self;
        let id = *id;
        let Link { session: session_id, state, unsettled, end: End::Sending(end), .. } = &mut **link else {
            return Written::NOTHING;
        };
        end.ready = false;
        if !end.has_transfer() {
            return Written::NOTHING;
        }
        if session.outgoing_window.left() == 0 {
            return Written::NOTHING;
        }
        let waiting = end.queued;
        let (Some(handle), Some(channel), Some(delivery)) =
            (state.attached_handle(), session.channel, end.queue.front_mut())
        else {
            return Written::NOTHING;
        };
        let share = session.outgoing_window.share();
        let goes_on = delivery.id.is_some() && delivery.share > 0 && !delivery.aborted;
        if goes_on && session.senders > 1 && session.outgoing_window.left() <= delivery.share {
            // The rest of the window is for the deliveries of others.
            end.ready = true;
            session.patient.push(id);
            if session.share_until.is_none() {
                pace.shares.set(*session_id, &mut session.share_until, Some(pace.until));
            }
            return Written::NOTHING;
        }
        if session.share_until.is_some() {
            // Those that wait go on waiting while another link uses the window.
            let waits = !session.patient.is_empty();
            pace.shares.set(*session_id, &mut session.share_until, waits.then_some(pace.until));
        }
        if !(planted::is(Planted::WindowPerMessage) && delivery.id.is_some()) {
            session.outgoing_window.spend();
        }
        session.outgoing_window.advance();
        let mut transfer = Transfer { handle, ..Transfer::default() };
        if delivery.id.is_none() {
            // The entry is there before the first octet can leave, so that no answer comes too early.
            let delivery_id = session.next_delivery;
            session.next_delivery = delivery_id.saturating_add(1);
            if delivery.settled || delivery.aborted {
                session.sent.note(delivery_id);
            } else {
                let (token, transactional) = (delivery.token, delivery.is_transactional() && !delivery.acquired);
                let retained = delivery.retained.take();
                let tag = (delivery.named || retained.is_some()).then(|| Box::new(delivery.tag));
                session.sent.insert(
                    delivery_id,
                    SentDelivery { link: id, token, transactional, provisional: None, tag, retained },
                );
                unsettled.insert(delivery_id, ());
            }
            delivery.id = Some(delivery_id);
            delivery.share = share;
            if let Some(origin) = delivery.origin.take() {
                outbox.discarded.message(origin.message);
            }
            end.credit.send_one();
            transfer.delivery_id = Some(wire_id(delivery_id));
            transfer.delivery_tag = Some(delivery.tag);
            transfer.message_format = Some(delivery.message_format);
            transfer.settled = Some(delivery.settled);
            transfer.resume = delivery.resume;
            transfer.state.clone_from(&delivery.state);
        } else if config.style == EncodeStyle::Full {
            transfer.delivery_id = delivery.id.map(wire_id);
        }
        if delivery.is_transactional() {
            // §4.4.1: on all transfers.
            transfer.state.clone_from(&delivery.state);
        }
        transfer.aborted = delivery.aborted;
        let (left, open) = (delivery.left.saturating_sub(delivery.held_back()), delivery.open);
        transfer.more = open || left > max.saturating_sub(TRANSFER_ROOM);
        let style = config.style;
        let payload = out.write(|tail| begin_transfer(channel, &mut transfer, left, open, max, style, tail));
        let mut left = payload;
        while left > 0 {
            let Some(part) = delivery.parts.take(left) else { break };
            left = left.saturating_sub(part.len());
            out.push(part);
        }
        delivery.left = delivery.left.saturating_sub(payload);
        end.queued = end.queued.saturating_sub(payload);
        let whole = !transfer.more;
        let sent = if whole { end.queue.pop_front() } else { None };
        outbox.count(end);
        if let Some((token, settlement)) = sent.and_then(|sent| Some((sent.token, sent.report?))) {
            outbox.settled.push_back(Settled { link: id, token, settlement });
        }
        let asks = asks_for_more(end, waiting);
        let follows = Written {
            drain: if whole {
                end.credit.drain() != DrainState::None
            } else {
                end.credit.drain() == DrainState::GivingUp
            },
            whole: whole && (state.is_detaching() || session.ending != Ending::No || end.reducing),
        };
        self.wake();
        if asks {
            self.outbox.events.push_back(Event::Sendable(id));
        }
        follows
    }
}

/// The step after a transfer that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// The answer to a drain.
    pub(crate) drain: bool,
    /// The work that had to wait until a delivery is whole.
    pub(crate) whole: bool,
}

impl Written {
    const NOTHING: Self = Self { drain: false, whole: false };
}

/// Whether a stream has sent what was written, so that the application is asked for more.
fn asks_for_more(end: &SendingEnd, before: usize) -> bool {
    let open = end.queue.back().is_some_and(|delivery| delivery.open);
    let queued = end.sendable_octets();
    open && (before > LOW_WATER && queued <= LOW_WATER || queued == 0)
}

/// Appends the header of a transfer frame and says how many octets of payload belong to it.
fn begin_transfer(
    channel: u16,
    transfer: &mut Transfer,
    left: usize,
    open: bool,
    max: usize,
    style: EncodeStyle,
    out: &mut BytesMut,
) -> usize {
    let start = out.len();
    loop {
        let frame = FrameWriter::begin(channel, out);
        transfer.encode(style, out);
        let room = max.saturating_sub(out.len().saturating_sub(start));
        // That more follows, or not, was guessed from the room that a transfer without a state can take at most.
        if transfer.more != (open || left > room) {
            transfer.more = !transfer.more;
            out.truncate(start);
            continue;
        }
        let payload = left.min(room);
        frame.finish(payload, out);
        return payload;
    }
}
