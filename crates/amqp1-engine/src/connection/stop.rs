//! Streamed receivers that stop their sender before they are detached, what still comes on a handle that the peer has
//! detached, and ends that the peer does not answer.
//!
//! RabbitMQ 3.10 keeps deliveries that its session's window has no room for. It sends them although their link is
//! detached, and its session dies, without an end, when the last transfer of one has left. So a streamed receiver,
//! whose window is narrow, takes its credit back and lets come what was sent on it, as long as something comes.

use super::Connection;
use crate::{
    event::Event,
    link::{End, Link},
    session::{LateTransfers, Session, first_id, wire_id},
    store::{LinkId, SessionId},
    time::Instant,
};
use alloc::collections::BTreeSet;
use amqp1_codec::performative::{Flow, Transfer};
use core::time::Duration;

/// How long the sender's answer is waited for.
const ANSWER: Duration = Duration::from_secs(1);

/// How long a receiver lets come what is sent, in all.
const LIMIT: Duration = Duration::from_secs(10);

/// Receivers that stop their senders and sessions that wait for the peer's end, by their deadlines.
#[derive(Debug, Default)]
pub(super) struct Stops {
    receivers: BTreeSet<(Instant, LinkId)>,
    sessions: BTreeSet<(Instant, SessionId)>,
}

impl Stops {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let receiver = self.receivers.first().map(|(deadline, _)| *deadline);
        let session = self.sessions.first().map(|(deadline, _)| *deadline);
        receiver.into_iter().chain(session).min()
    }

    pub(super) fn clear(&mut self) {
        self.receivers.clear();
        self.sessions.clear();
    }
}

impl Connection {
    /// A receiver is to be detached: whether its sender has to be stopped first.
    pub(super) fn stop_sender(&mut self, id: LinkId) -> bool {
        if !self.config.tolerances.transfer_after_detach {
            return false;
        }
        let (until, limit) = (self.idle.after(ANSWER), self.idle.after(LIMIT));
        let Some(link) = self.links.get_mut(id) else { return false };
        if link.state.stopping().is_some() {
            return true;
        }
        let Link { state, end: End::Receiving(end), .. } = link else { return false };
        if !end.stream.is_enabled() || !state.is_attached() || end.in_flight() == 0 {
            return false;
        }
        let half = end.assembly.is_some();
        if state.stop(until, limit, half).is_err() {
            return false;
        }
        end.credit.take_back();
        end.assembly = None;
        let data = end.stream.release();
        self.stops.receivers.insert((until, id));
        let session_id = link.session;
        // Deliveries that wait here will not be taken, so they hold nothing back.
        self.release_transfers(session_id, data);
        self.link_flow(id);
        true
    }

    /// The sender has told its state: when it has heard that the credit is gone and nothing came since it was asked,
    /// the link is detached; else it is asked again.
    pub(super) fn on_stopped(&mut self, id: LinkId, flow: &Flow) {
        let until = self.idle.after(ANSWER);
        let Some(Link { state, end: End::Receiving(end), .. }) = self.links.get_mut(id) else { return };
        let count = end.credit.delivery_count();
        // RabbitMQ counts what it has not sent yet as credit that is left: what tells is where the credit ends.
        let last = flow.delivery_count.unwrap_or(count).plus(flow.link_credit.unwrap_or(0));
        if last.offset_from(count) > 0 {
            return;
        }
        let Some(stopping) = state.stopping_mut() else { return };
        if !core::mem::take(&mut stopping.came) {
            return self.stopped(id);
        }
        let earlier = core::mem::replace(&mut stopping.until, until.min(stopping.limit));
        let until = stopping.until;
        self.stops.receivers.remove(&(earlier, id));
        self.stops.receivers.insert((until, id));
        self.link_flow(id);
    }

    /// The sender has stopped, or has had its time.
    fn stopped(&mut self, id: LinkId) {
        let stopping = self.links.get(id).and_then(|link| link.state.stopping());
        let Some(closed) = stopping.map(|stopping| stopping.closed) else { return };
        self.detach_now(id, closed, None);
    }

    /// The link is detached, or gone: its sender was waited for until this time.
    pub(super) fn forget_stopping(&mut self, id: LinkId, until: Option<Instant>) {
        if let Some(until) = until {
            self.stops.receivers.remove(&(until, id));
        }
    }

    /// The peer has detached a receiver of ours: transfers that had credit may still come.
    pub(super) fn expect_late_transfers(&mut self, session_id: SessionId, id: LinkId, handle: u32) {
        if !self.config.tolerances.transfer_after_detach {
            return;
        }
        let Some(end) = self.links.get(id).and_then(Link::receiving) else { return };
        let deliveries = end.in_flight();
        let last = end.assembly.as_ref().map(|assembly| wire_id(assembly.id));
        if let Some(session) = self.sessions.get_mut(session_id) {
            session.expect_late(handle, LateTransfers { deliveries, last });
        }
    }

    /// A transfer on a handle that the peer has detached. Whether it was to be expected; then it is discarded.
    pub(super) fn is_late(&mut self, session_id: SessionId, transfer: &Transfer) -> bool {
        let Some(session) = self.sessions.get_mut(session_id) else { return false };
        let Some(late) = session.late.get_mut(transfer.handle) else { return false };
        let begins = transfer.delivery_id.is_some() && transfer.delivery_id != late.last;
        if begins {
            let Some(left) = late.deliveries.checked_sub(1) else { return false };
            late.deliveries = left;
            late.last = transfer.delivery_id;
            session.note_discarded(transfer);
        }
        true
    }

    /// Our end has left.
    pub(super) fn await_end(&mut self, id: SessionId) {
        let deadline = self.idle.after(self.config.close_timeout);
        if let Some(session) = self.sessions.get_mut(id) {
            session.end_deadline = Some(deadline);
            self.stops.sessions.insert((deadline, id));
        }
    }

    /// The session is gone.
    pub(super) fn end_answered(&mut self, id: SessionId, deadline: Option<Instant>) {
        if let Some(deadline) = deadline {
            self.stops.sessions.remove(&(deadline, id));
        }
    }

    /// Gives up what has had its time.
    pub(super) fn stop_waiting(&mut self, now: Instant) {
        while let Some((_, id)) = self.stops.receivers.first().copied().filter(|(until, _)| *until <= now) {
            self.stops.receivers.pop_first();
            self.stopped(id);
        }
        while let Some((_, id)) = self.stops.sessions.first().copied().filter(|(until, _)| *until <= now) {
            self.stops.sessions.pop_first();
            self.outbox.events.push_back(Event::EndUnanswered(id));
        }
    }
}

impl Session {
    /// A delivery that is discarded has used its id all the same.
    pub(crate) fn note_discarded(&mut self, transfer: &Transfer) {
        let Some(wire) = transfer.delivery_id else { return };
        let id = match self.received.newest() {
            None => Some(first_id(wire)),
            Some(newest) => {
                let ahead = u64::try_from(wire.offset_from(wire_id(newest))).ok().filter(|ahead| *ahead > 0);
                ahead.map(|ahead| newest.saturating_add(ahead))
            }
        };
        if let Some(id) = id {
            self.received.note(id);
        }
    }
}
