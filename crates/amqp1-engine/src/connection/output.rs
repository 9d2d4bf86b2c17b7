//! Frames to the network, encoded when there is room for them.

use super::{Connection, Layer, frame_size::shorten};
use crate::{
    control::{Body, Control},
    delivery::TRANSFER_ROOM,
    event::Settled,
    link::{DrainState, End, Link},
    outbox::{FlowDue, Next},
    planted::{self, Planted},
    session::{SentDelivery, Session, SessionMut},
    settlement::wire_id,
    store::{LinkId, SessionId},
    time::Instant,
    transmit::TransmitQueue,
};
use alloc::{boxed::Box, vec::Vec};
use amqp1_codec::{
    Encode, EncodeStyle,
    frame::{FrameWriter, MIN_MAX_FRAME_SIZE, write_frame},
    performative::{Performative, Transfer},
};
use bytes::{Buf, Bytes, BytesMut};

impl Connection {
    /// Appends what is to be written to `out` and stops soon after `limit` octets are there.
    ///
    /// The order that the specification demands is kept: for each link, session and connection, begin before attach
    /// before flows and transfers before their dispositions before detach before end before close. Links take turns,
    /// one transfer frame each.
    pub fn transmit(&mut self, now: Instant, limit: usize, out: &mut TransmitQueue) {
        self.idle.set_now(now);
        out.keep(self.take_discarded());
        let before = out.remaining();
        if !self.preamble.is_empty() {
            let preamble = self.preamble.split();
            out.write(|tail| tail.extend_from_slice(&preamble));
        }
        if !matches!(self.layer, Layer::Dead) || self.finished {
            self.transmit_frames(limit, out);
        }
        if self.idle.heartbeat_due
            && self.open_sent
            && !self.outbox.is_closed()
            && !self.finished
            && out.remaining() == before
        {
            out.write(|tail| write_frame(0, None::<&Performative>, self.config.style, tail));
        }
        if out.remaining() > before {
            self.idle.sent();
            // Deliveries that leave before our close are worth waiting for; heartbeats are not.
            if core::mem::take(&mut self.transferred) && self.closing {
                self.idle.restart_close(self.config.close_timeout);
            }
        }
    }

    /// Takes the payloads that will not be sent or sent again: of messages that were refused, given up or settled, and of
    /// links that ended. Some belong to owners whose code runs when they are dropped ([`Bytes::from_owner`]), so that a
    /// runtime takes them under its lock and drops them after. Those that are not taken come with the next
    /// [`transmit`](Self::transmit), and are dropped with what [`TransmitQueue::release`](crate::TransmitQueue::release)
    /// drops. Of calls that are refused one after the other only the last one's payload is kept.
    pub fn take_discarded(&mut self) -> Vec<Bytes> {
        self.outbox.discarded.take()
    }

    /// Whether there is something to transmit or to poll: the driver has to be told.
    pub fn has_output(&self) -> bool {
        let frames = self.outbox.has_next() || self.can_close();
        let alive = !matches!(self.layer, Layer::Dead) || self.finished;
        !self.preamble.is_empty() || self.outbox.has_events() || (alive && frames)
    }

    fn transmit_frames(&mut self, limit: usize, out: &mut TransmitQueue) {
        while out.remaining() < limit {
            match self.outbox.next() {
                Some(Next::Frame(control)) => self.write_control(control, out),
                Some(Next::Dispositions(session)) => self.flush_marks(session),
                Some(Next::Leave(leaving)) => self.try_leave(leaving),
                Some(Next::Drains(links)) => links.into_iter().for_each(|link| self.give_up_credit(link)),
                Some(Next::Flow(due)) => self.write_flow(due),
                Some(Next::Transfer(session)) => self.take_turn(session, out),
                None if self.can_close() => self.push_close(None),
                None => return,
            }
        }
    }

    fn write_control(&mut self, control: Control, out: &mut TransmitQueue) {
        let Control { channel, body } = control;
        let (style, max) = (self.config.style, self.remote_max_frame_size());
        let mut body = match body {
            Body::Performative(body) | Body::Counted(body, _) => body,
            Body::Attach(attach) => {
                return out.write(|tail| {
                    let frame = FrameWriter::begin(channel, tail);
                    tail.extend_from_slice(attach.octets());
                    frame.finish(0, tail);
                });
            }
        };
        out.write(|tail| {
            let start = tail.len();
            write_frame(channel, Some(&body), style, tail);
            // §2.7.1: what explains an error may be left out, the error may not.
            loop {
                let excess = tail.len().saturating_sub(start).saturating_sub(max);
                if excess == 0 || !shorten(&mut body, excess) {
                    debug_assert_eq!(excess, 0, "{body:?} is larger than the {max} octets that the peer takes");
                    break;
                }
                tail.truncate(start);
                write_frame(channel, Some(&body), style, tail);
            }
        });
    }

    /// The largest frame that the peer takes: until its open is there, the least of all.
    pub(super) fn remote_max_frame_size(&self) -> usize {
        let max = self.remote_open.as_ref().map_or(MIN_MAX_FRAME_SIZE, |open| open.max_frame_size);
        usize::try_from(max.max(MIN_MAX_FRAME_SIZE)).unwrap_or(usize::MAX)
    }

    /// The largest transfer frame that is written.
    pub(super) fn max_transfer(&self) -> usize {
        let cap = self.config.outgoing_frame_cap.max(MIN_MAX_FRAME_SIZE);
        usize::try_from(cap).unwrap_or(usize::MAX).min(self.remote_max_frame_size())
    }

    /// Turns the gathered settlements of a session into frames.
    pub(super) fn flush_marks(&mut self, id: SessionId) {
        if let Some(mut session) = self.session_mut(id) {
            session.flush_marks();
        }
    }

    fn write_flow(&mut self, due: FlowDue) {
        match due {
            FlowDue::Session(id) => {
                if let Some(mut session) = self.session_mut(id) {
                    session.write_flow();
                }
            }
            FlowDue::Link(id) => {
                let Self { sessions, links, outbox, .. } = self;
                let Some(link) = links.get_mut(id) else { return };
                link.flow_queued = false;
                if let Some(end) = link.receiving_mut() {
                    end.credit.take_flow_due();
                }
                if link.state.attached_handle().is_none() {
                    return;
                }
                let id = link.session;
                let Some(session) = sessions.get_mut(id) else { return };
                let mut flow = session.flow();
                link.fill_flow(&mut flow);
                SessionMut { id, session, outbox }.push(flow);
            }
        }
    }

    /// Puts a link among those that can send.
    pub(super) fn wake_link(&mut self, id: LinkId) {
        let Self { sessions, links, outbox, .. } = self;
        let Some(link) = links.get_mut(id) else { return };
        let Some(session) = sessions.get_mut(link.session) else { return };
        SessionMut { id: link.session, session, outbox }.wake_link(id, link);
    }

    /// Puts a session among those that can send, if its window and its links allow it.
    pub(super) fn wake_session(&mut self, id: SessionId) {
        if let Some(mut session) = self.session_mut(id) {
            session.wake();
        }
    }

    /// One link of a session sends one frame. Sessions take turns, and the links of each.
    fn take_turn(&mut self, id: SessionId, out: &mut TransmitQueue) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.scheduled = false;
        if !session.state.can_send() || session.outgoing_window.left() == 0 {
            return;
        }
        if let Some(link) = session.ready.pop_front() {
            self.write_transfer(link, out);
        }
        self.wake_session(id);
    }

    /// Writes one transfer of the delivery at the front of a link's queue.
    fn write_transfer(&mut self, id: LinkId, out: &mut TransmitQueue) {
        let max = self.max_transfer();
        let Some(Link { session: session_id, state, unsettled, end: End::Sending(end), .. }) = self.links.get_mut(id)
        else {
            return;
        };
        end.ready = false;
        self.transferred = true;
        let session_id = *session_id;
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        if !end.has_transfer() {
            return;
        }
        if session.outgoing_window.left() == 0 {
            return;
        }
        let waiting = end.queued;
        let (Some(handle), Some(channel)) = (state.attached_handle(), session.channel) else { return };
        let Some(delivery) = end.queue.front_mut() else { return };
        let share = session.outgoing_window.share();
        let goes_on = delivery.id.is_some() && delivery.share > 0 && !delivery.aborted;
        if goes_on && session.senders > 1 && session.outgoing_window.left() <= delivery.share {
            // The rest of the window is for the deliveries of others.
            end.ready = true;
            session.patient.push(id);
            if session.share_until.is_none() {
                self.shares.set(session_id, &mut session.share_until, Some(self.idle.after(super::share::SHARE)));
            }
            return;
        }
        if session.share_until.is_some() {
            // Those that wait go on waiting while another link uses the window.
            let waits = !session.patient.is_empty();
            let until = waits.then(|| self.idle.after(super::share::SHARE));
            self.shares.set(session_id, &mut session.share_until, until);
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
                self.outbox.discarded.message(origin.message);
            }
            end.credit.send_one();
            transfer.delivery_id = Some(wire_id(delivery_id));
            transfer.delivery_tag = Some(delivery.tag);
            transfer.message_format = Some(delivery.message_format);
            transfer.settled = Some(delivery.settled);
            transfer.resume = delivery.resume;
            transfer.state.clone_from(&delivery.state);
        } else if self.config.style == EncodeStyle::Full {
            transfer.delivery_id = delivery.id.map(wire_id);
        }
        if delivery.is_transactional() {
            // §4.4.1: on all transfers.
            transfer.state.clone_from(&delivery.state);
        }
        transfer.aborted = delivery.aborted;
        let (left, open) = (delivery.left.saturating_sub(delivery.held_back()), delivery.open);
        transfer.more = open || left > max.saturating_sub(TRANSFER_ROOM);
        let style = self.config.style;
        let payload = out.write(|tail| begin_transfer(channel, &mut transfer, left, open, max, style, tail));
        let mut left = payload;
        while left > 0 {
            let Some(part) = delivery.parts.front_mut() else { break };
            let taken = left.min(part.len());
            out.push(part.split_to(taken));
            left = left.saturating_sub(taken);
            if !part.has_remaining() {
                delivery.parts.pop_front();
            }
        }
        delivery.left = delivery.left.saturating_sub(payload);
        end.queued = end.queued.saturating_sub(payload);
        let whole = !transfer.more;
        let sent = if whole { end.queue.pop_front() } else { None };
        self.outbox.count(end);
        if let Some((token, settlement)) = sent.and_then(|sent| Some((sent.token, sent.report?))) {
            self.outbox.settled.push_back(Settled { link: id, token, settlement });
        }
        let giving_up = end.credit.drain() == DrainState::GivingUp;
        self.wake_link(id);
        self.ask_for_more(id, waiting);
        if giving_up && !whole {
            self.answer_drain(id);
        }
        if whole {
            self.answer_drain(id);
            self.try_detach(id);
            self.try_end(session_id);
            self.check_reduced(id);
        }
    }

    /// Whether our close can be written cleanly: everything that can be sent is sent, or has no receiver any more.
    fn can_close(&self) -> bool {
        let opened = self.open_sent && self.remote_open.is_some();
        let waits = |session: &Session| !session.state.is_end_sent() && self.has_to_send(session);
        self.closing && opened && !self.outbox.is_closed() && !self.sessions.iter().any(waits)
    }

    /// Whether a link of this session has something to send and the credit for it. The window may have to open first.
    pub(super) fn has_to_send(&self, session: &Session) -> bool {
        session.ready.iter().chain(&session.patient).any(|id| self.links.get(*id).is_some_and(Link::can_transfer))
    }
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
