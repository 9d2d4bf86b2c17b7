//! Frames to the network, encoded when there is room for them.

use super::{After, Connection, Control, FlowDue, Layer};
use crate::{
    event::{Settled, Settlement},
    session::SentDelivery,
    settlement::wire_id,
    store::{LinkId, SessionId},
    time::Instant,
    transmit::TransmitQueue,
};
use amqp1_codec::{
    Encode, EncodeStyle,
    frame::{FrameWriter, MIN_MAX_FRAME_SIZE, write_frame},
    performative::{Close, Flow, Performative, Transfer},
};
use bytes::{Buf, BytesMut};

/// More than the frame header and a transfer performative can take.
const TRANSFER_ROOM: usize = 128;

impl Connection {
    /// Appends what is to be written to `out` and stops soon after `limit` octets are there.
    ///
    /// The order that the specification demands is kept: for each link, session and connection, begin before attach
    /// before flows and transfers before their dispositions before detach before end before close. Links take turns,
    /// one transfer frame each.
    pub fn transmit(&mut self, now: Instant, limit: usize, out: &mut TransmitQueue) {
        self.idle.set_now(now);
        let before = out.remaining();
        if !self.preamble.is_empty() {
            let preamble = self.preamble.split();
            out.write(|tail| tail.extend_from_slice(&preamble));
        }
        if !matches!(self.layer, Layer::Dead) || self.finished {
            self.transmit_frames(limit, out);
        }
        if self.idle.heartbeat_due && self.open_sent && out.remaining() == before {
            out.write(|tail| write_frame(0, None::<&Performative>, self.config.style, tail));
        }
        if out.remaining() > before {
            self.idle.sent();
        }
    }

    fn transmit_frames(&mut self, limit: usize, out: &mut TransmitQueue) {
        while out.remaining() < limit {
            if let Some(control) = self.control.pop_front() {
                self.write_control(control, out);
            } else if let Some(session) = self.marked.pop_front() {
                self.flush_marks(session);
            } else if let Some(due) = self.flows.pop_front() {
                self.write_flow(due);
            } else if let Some(link) = self.ready.pop_front() {
                self.write_transfer(link, out);
            } else if !self.try_close() {
                return;
            }
        }
    }

    fn write_control(&mut self, control: Control, out: &mut TransmitQueue) {
        let Control { channel, body, after } = control;
        out.write(|tail| write_frame(channel, Some(&body), self.config.style, tail));
        match after {
            After::Nothing => {}
            After::Channel => {
                // The channel is free when both ends are exchanged.
                let gone = self.by_channel.get(&channel).is_some_and(|id| self.sessions.get(*id).is_none());
                if gone {
                    self.by_channel.remove(&channel);
                }
            }
            After::Handle(session, handle) => {
                if let Some(session) = self.sessions.get_mut(session)
                    && matches!(session.outgoing.get(&handle), Some(None))
                {
                    session.outgoing.remove(&handle);
                }
            }
        }
    }

    /// Turns the gathered settlements of a session into frames.
    pub(super) fn flush_marks(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let channel = session.channel;
        if session.end_sent {
            return;
        }
        for disposition in session.marks.drain() {
            self.push(channel, disposition);
        }
    }

    fn write_flow(&mut self, due: FlowDue) {
        match due {
            FlowDue::Session(id) => {
                let Some(session) = self.sessions.get(id) else { return };
                if !session.end_sent && session.begin_sent {
                    let (channel, flow) = (session.channel, session.flow());
                    self.push(channel, flow);
                }
            }
            FlowDue::Link(id) => {
                let Some(link) = self.links.get_mut(id) else { return };
                link.flow_queued = false;
                link.flow_due = false;
                if link.handle.is_none() || link.detached.is_some() {
                    return;
                }
                let Some(session) = self.sessions.get(link.session) else { return };
                if session.end_sent {
                    return;
                }
                let mut flow: Flow = session.flow();
                link.fill_flow(&mut flow);
                let channel = session.channel;
                self.push(channel, flow);
            }
        }
    }

    /// Puts a link among those that can send.
    pub(super) fn wake_link(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.ready || !link.can_transfer() || !link.is_attached() {
            return;
        }
        if self.sessions.get(link.session).is_some_and(|session| session.remote_incoming_window > 0) {
            link.ready = true;
            self.ready.push_back(id);
        }
    }

    /// The session's window was opened.
    pub(super) fn wake_session(&mut self, session: SessionId) {
        for id in self.links.keys() {
            if self.links.get(id).is_some_and(|link| link.session == session) {
                self.wake_link(id);
            }
        }
    }

    /// Writes one transfer of the delivery at the front of a link's queue.
    fn write_transfer(&mut self, id: LinkId, out: &mut TransmitQueue) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.ready = false;
        let Some(session) = self.sessions.get_mut(link.session) else { return };
        if !link.can_transfer() || session.end_sent {
            return;
        }
        let Some(window) = session.remote_incoming_window.checked_sub(1) else { return };
        let (Some(handle), Some(delivery)) = (link.handle, link.queue.front_mut()) else { return };
        session.remote_incoming_window = window;
        session.next_outgoing_id = session.next_outgoing_id.next();
        let mut transfer = Transfer { handle, ..Transfer::default() };
        if delivery.id.is_none() {
            // The entry is there before the first octet can leave, so that no answer comes too early.
            let delivery_id = session.next_delivery;
            session.next_delivery = delivery_id.saturating_add(1);
            if delivery.settled {
                session.sent.note(delivery_id);
            } else {
                session.sent.insert(delivery_id, SentDelivery { link: id, token: delivery.token });
            }
            delivery.id = Some(delivery_id);
            link.credit = link.credit.saturating_sub(1);
            link.delivery_count = link.delivery_count.next();
            transfer.delivery_id = Some(wire_id(delivery_id));
            transfer.delivery_tag = Some(delivery.tag);
            transfer.message_format = Some(delivery.message_format);
            transfer.settled = Some(delivery.settled);
        } else if self.config.style == EncodeStyle::Full {
            transfer.delivery_id = delivery.id.map(wire_id);
        }
        let remote_max = self.remote_open.as_ref().map_or(MIN_MAX_FRAME_SIZE, |open| open.max_frame_size);
        let max =
            usize::try_from(remote_max.min(self.config.outgoing_frame_cap.max(MIN_MAX_FRAME_SIZE))).unwrap_or(512);
        transfer.more = delivery.left > max.saturating_sub(TRANSFER_ROOM);
        let style = self.config.style;
        let payload = out.write(|tail| begin_transfer(session.channel, &mut transfer, delivery.left, max, style, tail));
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
        if !transfer.more {
            if let Some(done) = link.queue.pop_front()
                && done.settled
            {
                self.settled.push_back(Settled { link: id, token: done.token, settlement: Settlement::Sent });
            }
            let session_id = link.session;
            self.answer_drain(id);
            self.try_detach(id);
            self.try_end(session_id);
        }
        self.wake_link(id);
    }

    /// Closes in peace, when everything that can be sent is sent. Whether there is a close to write.
    fn try_close(&mut self) -> bool {
        if self.closing.is_none() || self.close_sent || !self.open_sent || self.remote_open.is_none() {
            return false;
        }
        for id in self.sessions.keys() {
            if self.sessions.get(id).is_some_and(|session| !session.end_sent) {
                self.flush_marks(id);
            }
        }
        let error = self.closing.clone().flatten();
        self.push(0, Close { error });
        self.close_sent = true;
        self.idle.start_close(self.config.close_timeout);
        true
    }
}

/// Appends the header of a transfer frame and says how many octets of payload belong to it.
fn begin_transfer(
    channel: u16,
    transfer: &mut Transfer,
    left: usize,
    max: usize,
    style: EncodeStyle,
    out: &mut BytesMut,
) -> usize {
    let start = out.len();
    loop {
        let frame = FrameWriter::begin(channel, out);
        transfer.encode(style, out);
        let room = max.saturating_sub(out.len().saturating_sub(start));
        // That more follows was guessed from the room that a transfer can take at most.
        if transfer.more && left <= room {
            transfer.more = false;
            out.truncate(start);
            continue;
        }
        let payload = left.min(room);
        frame.finish(payload, out);
        return payload;
    }
}
