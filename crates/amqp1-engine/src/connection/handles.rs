//! Links of the peer that are answered only when a handle is free: it allows us as many as its handle-max says (§2.7.2).

use super::{Connection, frame_size::too_large};
use crate::{
    event::{Cause, Event},
    link::{Answer, AwaitedHandle, End},
    store::{LinkId, SessionId},
    time::Instant,
};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition},
    performative::Attach,
};

impl Connection {
    /// Refuses a link that was offered (§2.6.3): attach without a terminus, and detach. Whether that was said at once; if
    /// no handle is free it is said later.
    pub(super) fn refuse(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>) -> bool {
        if !self.has_handle(id) {
            self.await_handle(id, Answer::Refuse { closed, error });
            return false;
        }
        self.refuse_now(id, closed, error);
        true
    }

    /// Attach without a terminus, and detach with the reason. If not even that fits the peer's frames, its name being too
    /// long, the session ends.
    fn refuse_now(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>) {
        let Some(link) = self.links.get_mut(id) else { return };
        let initial_delivery_count = link.sending().map(|end| end.credit.delivery_count());
        let (name, role, session) = (link.local.name.clone(), link.role(), link.session);
        *link.local = Attach { name, role, initial_delivery_count, ..Attach::default() };
        if self.links.get(id).is_some_and(|link| self.check_attach(&link.local).is_err()) {
            return self.end_now(session, Some(too_large()));
        }
        self.send_attach(id);
        if error.is_some() {
            self.becomes_errant(id);
        }
        self.send_detach(id, closed, error);
    }

    /// Whether a link can be answered now.
    pub(super) fn has_handle(&self, id: LinkId) -> bool {
        let session = self.links.get(id).and_then(|link| self.sessions.get(link.session));
        session.is_some_and(|session| session.handles.lowest(session.remote_handle_max).is_some())
    }

    /// A link waits for a handle with this answer, until the time is up that it had from the first answer on.
    pub(super) fn await_handle(&mut self, id: LinkId, answer: Answer) {
        let until = self.idle.after(self.config.handle_timeout);
        let style = self.config.style;
        let Some(link) = self.links.get_mut(id) else { return };
        if matches!(answer, Answer::Accept) {
            link.pack_local(style);
        }
        if !matches!(link.state.await_handle(until, answer), Ok(true)) {
            return;
        }
        let is_unknown = link.state.is_over() || link.state.is_offer_held();
        if let Some(session) = self.sessions.get_mut(link.session) {
            session.awaiting_handle.push_back(id);
        }
        self.awaited_handles.insert((until, id));
        if !is_unknown {
            self.outbox.events.push_back(Event::HandleAwaited(id));
        }
    }

    /// Answers the links that wait for a handle, as far as there are handles.
    pub(super) fn answer_awaiting(&mut self, session_id: SessionId) {
        while let Some(session) = self.sessions.get_mut(session_id) {
            if session.state.is_end_sent() || session.handles.lowest(session.remote_handle_max).is_none() {
                return;
            }
            let Some(id) = session.awaiting_handle.pop_front() else { return };
            let Some(link) = self.links.get_mut(id) else { continue };
            let Ok(AwaitedHandle { until, answer }) = link.state.take_awaited() else { continue };
            self.awaited_handles.remove(&(until, id));
            match answer {
                Answer::Accept => {
                    link.unpack_local(self.config.decode_limits());
                    self.answer_link(id);
                }
                Answer::Refuse { closed, error } => {
                    self.refuse_now(id, closed, error);
                    if self.links.get(id).is_some_and(|link| link.state.remote_handle().is_none()) {
                        // The peer has detached it already.
                        self.forget_link(id);
                    }
                }
            }
        }
    }

    /// A link that is forgotten waits for nothing.
    pub(super) fn forget_awaited(&mut self, id: LinkId, awaited: &AwaitedHandle, session: SessionId) {
        self.awaited_handles.remove(&(awaited.until, id));
        if let Some(session) = self.sessions.get_mut(session) {
            session.awaiting_handle.retain(|awaiting| *awaiting != id);
        }
    }

    /// When the first link that waits for a handle has waited for long enough.
    pub(super) fn handle_deadline(&self) -> Option<Instant> {
        self.awaited_handles.first().map(|(until, _)| *until)
    }

    /// Ends the sessions of links that have waited for too long: there is no way to refuse a link without a handle.
    pub(super) fn end_awaiting(&mut self, now: Instant) {
        while let Some(&(until, id)) = self.awaited_handles.first() {
            if until > now {
                return;
            }
            self.awaited_handles.pop_first();
            if let Some(session) = self.links.get(id).map(|link| link.session) {
                self.end_now(session, Some(no_handle()));
            }
        }
    }

    /// Our attach is written, in answer to the peer's: what follows from that.
    pub(super) fn answer_link(&mut self, id: LinkId) {
        self.send_attach(id);
        self.resume_link(id);
        if self.links.get(id).is_some_and(|link| link.forgets) {
            self.forget_attach(id);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        if let End::Receiving(end) = &link.end {
            link.set_credit(end.credit.policy());
            if link.receiving().is_some_and(|end| end.credit.left() > 0) {
                self.link_flow(id);
            }
        } else {
            if link.sendable() > 0 {
                self.outbox.events.push_back(Event::Sendable(id));
            }
            self.begin_drain(id);
        }
    }

    /// The peer detaches a link that waits for a handle: it is refused when there is one. This is reported now.
    pub(super) fn detach_awaiting(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>) {
        let Some(link) = self.links.get(id) else { return };
        if link.state.awaited_handle().is_some_and(|awaited| matches!(awaited.answer, Answer::Accept)) {
            self.await_handle(id, Answer::Refuse { closed, error: None });
        }
        self.tell_detached(id, closed, error, Cause::Peer);
    }
}

pub(super) fn no_handle() -> AmqpError {
    AmqpError::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "all handles that the peer allows are in use")
}
