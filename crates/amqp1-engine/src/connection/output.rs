//! Frames to the network, encoded when there is room for them.

use super::{Connection, ConnectionState, Ending, frame_size::shorten, share::Pace};
use crate::{
    control::{Body, Control},
    link::{Link, LinkMut, Written},
    outbox::{FlowDue, Next},
    session::{Session, SessionMut},
    store::{LinkId, SessionId},
    time::Instant,
    transmit::TransmitQueue,
};
use alloc::vec::Vec;
use amqp1_codec::{
    frame::{FrameWriter, MIN_MAX_FRAME_SIZE, write_frame},
    performative::Performative,
};
use bytes::Bytes;

impl Connection {
    /// Appends what is to be written to `out` and stops soon after `limit` octets are there.
    ///
    /// The order that the specification demands is kept: for each link, session and connection, begin before attach
    /// before flows and transfers before their dispositions before detach before end before close. Links take turns,
    /// one transfer frame each.
    pub fn transmit(&mut self, now: Instant, limit: usize, out: &mut TransmitQueue) {
        self.idle.set_now(now);
        if self.has_discarded() {
            out.keep(self.take_discarded());
        }
        let before = out.remaining();
        if !self.preamble.is_empty() {
            let preamble = self.preamble.split();
            out.write(|tail| tail.extend_from_slice(&preamble));
        }
        self.transmit_frames(limit, out);
        if self.idle.heartbeat_due && self.state.is_open_sent() && !self.outbox.is_closed() && out.remaining() == before
        {
            out.write(|tail| write_frame(0, None::<&Performative>, self.config.style, tail));
        }
        if out.remaining() > before {
            self.idle.sent();
            // Deliveries that leave before our close are worth waiting for; heartbeats are not.
            if core::mem::take(&mut self.transferred) && matches!(self.ending, Ending::Asked) {
                self.idle.restart_close(self.config.close_timeout);
            }
        }
        self.look_for_deadlines();
    }

    /// Whether there is something to [take](Self::take_discarded).
    pub fn has_discarded(&self) -> bool {
        !self.outbox.discarded.is_empty()
    }

    /// Takes the payloads that will not be sent or sent again: of messages that were given up or settled, and of links
    /// that ended. Some belong to owners whose code runs when they are dropped ([`Bytes::from_owner`]), so that a
    /// runtime takes them under its lock and drops them after. Those that are not taken come with the next
    /// [`transmit`](Self::transmit), and are dropped with what
    /// [`TransmitQueue::release`](crate::TransmitQueue::release) drops.
    pub fn take_discarded(&mut self) -> Vec<Bytes> {
        self.outbox.discarded.take()
    }

    /// Whether there is something to transmit or to poll: the driver has to be told.
    pub fn has_output(&self) -> bool {
        !self.preamble.is_empty() || self.outbox.has_events() || self.outbox.has_next() || self.can_close()
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
        let max = self.max_transfer();
        let until = self.idle.after(super::share::SHARE);
        let Self { sessions, links, outbox, config, postings, meter, second_on_first, shares, .. } = self;
        let Some(session) = sessions.get_mut(id) else { return };
        session.scheduled = false;
        if !session.state.can_send() || session.outgoing_window.left() == 0 {
            return;
        }
        let next = session.ready.pop_front().and_then(|id| Some((id, links.get_mut(id)?)));
        let Some((link_id, link)) = next else { return SessionMut { id, session, outbox }.wake() };
        self.transferred = true;
        let authenticated = self.authenticated;
        let mut link =
            LinkMut { id: link_id, link, session, config, outbox, postings, meter, authenticated, second_on_first };
        match link.write_transfer(max, Pace { shares, until }, out) {
            Written { drain: false, whole: false } => link.session().wake(),
            written => self.after_transfer(id, link_id, written),
        }
    }

    /// The frames that had to wait for a transfer.
    #[cold]
    fn after_transfer(&mut self, session: SessionId, link: LinkId, written: Written) {
        if written.drain {
            self.answer_drain(link);
        }
        if written.whole {
            self.try_detach(link);
            self.try_end(session);
            self.check_reduced(link);
        }
        self.wake_session(session);
    }

    /// Whether our close can be written cleanly: everything that can be sent is sent, or has no receiver any more.
    fn can_close(&self) -> bool {
        let waits = |session: &Session| !session.state.is_end_sent() && self.has_to_send(session);
        matches!(self.ending, Ending::Asked)
            && self.state == ConnectionState::Opened
            && !self.sessions.iter().any(waits)
    }

    /// Whether a link of this session has something to send and the credit for it. The window may have to open first.
    pub(super) fn has_to_send(&self, session: &Session) -> bool {
        session.ready.iter().chain(&session.patient).any(|id| self.links.get(*id).is_some_and(Link::can_transfer))
    }
}
