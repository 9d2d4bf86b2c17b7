//! Links that are detached, suspended or closed (§2.6.4 to §2.6.6).

use super::Connection;
use crate::{
    event::{Cause, Detached, Event, IncomingDelivery},
    link::{Buffered, EmptiedStream, KnownBefore, Link},
    metadata::bounded_state,
    store::{LinkId, SessionId},
    violation::{PeerMisbehaved, Scope},
};
use alloc::boxed::Box;
use amqp1_codec::{
    Decode, Reader,
    definitions::{AmqpError, Role},
    performative::{Attach, Detach},
};

/// How a link ends for the application.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) closed: bool,
    pub(super) error: Option<AmqpError>,
    pub(super) by: Cause,
    /// There was no handle to attach it with.
    pub(super) no_handle: bool,
}

impl Connection {
    /// Our detach, of a link that is attached at this end.
    pub(super) fn send_detach(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>) {
        let Some(link) = self.links.get_mut(id) else { return };
        let until = link.state.end_stopping();
        let Ok(handle) = link.state.send_detach(closed, error.clone()) else { return };
        let session_id = link.session;
        self.forget_stopping(id, until);
        self.flush_marks(session_id);
        self.push_in(session_id, Detach { handle, closed, error });
    }

    pub(super) fn on_detach(&mut self, session_id: SessionId, mut detach: Detach) {
        let (error, charge) = self.admit_error(detach.error.take());
        detach.error = error;
        self.take_detach(session_id, detach);
        self.outbox.events.hold(charge);
    }

    fn take_detach(&mut self, session_id: SessionId, detach: Detach) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let Some(id) = session.incoming.remove(&detach.handle) else {
            if self.config.tolerances.detach_twice && session.was_detached(detach.handle) {
                return;
            }
            let violation = PeerMisbehaved::HandleUnattached { handle: detach.handle };
            return self.session_misbehaved(session_id, violation);
        };
        session.detached_up_to = session.detached_up_to.max(Some(detach.handle));
        self.expect_late_transfers(session_id, id, detach.handle);
        let Some(link) = self.links.get_mut(id) else { return };
        let Ok(ours) = link.state.receive_detach() else { return };
        if let Some((closed, error)) = ours {
            if detach.closed && !closed && !self.config.tolerances.closed_in_answer {
                return self.close_detached(id, error.or(detach.error));
            }
            let (role, name) = (link.role(), link.local.name.clone());
            if closed && !detach.closed {
                self.expect_close(session_id, role, name);
            }
            let by = if detach.closed && !closed { Cause::Peer } else { Cause::Local };
            return self.drop_link(id, closed || detach.closed, error.or(detach.error), by);
        }
        if link.state.handle().is_some() {
            self.send_detach(id, detach.closed, None);
        } else if link.state.awaited_handle().is_some() || !self.refuse(id, detach.closed, None) {
            return self.detach_awaiting(id, detach.closed, detach.error);
        }
        self.drop_link(id, detach.closed, detach.error, Cause::Peer);
        self.try_end(session_id);
    }

    /// §2.6.6: we have detached, and the peer has closed: the link is attached once more, to be closed at this end too.
    fn close_detached(&mut self, id: LinkId, error: Option<AmqpError>) {
        self.tell_detached(id, true, error, Cause::Peer);
        let Some(link) = self.links.get_mut(id) else { return };
        let (name, role) = (link.local.name.clone(), link.role());
        let lives = |other: &Link| other.local.name == name && other.role() == role && !other.state.is_over();
        if self.links.iter().any(lives) {
            // Another endpoint has taken its place, and lives.
            return self.drop_link(id, true, None, Cause::Peer);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        let Ok(handle) = link.state.close_again() else { return };
        link.remote = None;
        link.local.unsettled = None;
        link.local.incomplete_unsettled = false;
        let session_id = link.session;
        let known = link
            .reattach
            .as_ref()
            .and_then(|octets| Attach::decode(&mut Reader::with_limits(octets, self.config.decode_limits())).ok());
        let attach = known.unwrap_or_else(|| (*link.local).clone());
        if let Some(session) = self.sessions.get_mut(session_id) {
            session.unanswered.push(id);
        }
        self.push_in(session_id, attach);
        self.push_in(session_id, Detach { handle, closed: true, error: None });
    }

    /// The peer broke a rule whose scope is the link.
    pub(super) fn link_misbehaved(&mut self, id: LinkId, violation: PeerMisbehaved) {
        debug_assert_eq!(violation.scope(), Scope::Link, "{violation}");
        let error = AmqpError::new(violation.condition(), alloc::format!("{violation}"));
        self.detach_now(id, true, Some(error));
    }

    /// Detaches cleanly, when everything that can be sent is sent: what lacks credit cannot.
    pub(super) fn try_detach(&mut self, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        let Some(closed) = link.state.detaches_when_sent() else { return };
        if !link.can_transfer() && link.state.was_attached_by_peer() {
            self.detach_now(id, closed, None);
        }
    }

    /// Detaches, dropping what is queued. An error is reported to the application at once.
    pub(super) fn detach_now(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>) {
        let Some(link) = self.links.get(id) else { return };
        if link.state.has_detached() {
            return;
        }
        let session_id = link.session;
        if link.state.handle().is_none() {
            if !link.state.was_attached_by_peer() {
                // Our attach has not left, so the peer knows of nothing.
                return self.drop_link(id, closed, error, Cause::Local);
            }
            if !self.refuse(id, closed, error.clone()) {
                return self.tell_detached(id, closed, error, Cause::Local);
            }
        } else {
            if error.is_some() && link.state.was_attached_by_peer() {
                self.becomes_errant(id);
            }
            self.send_detach(id, closed, error.clone());
        }
        if error.is_some() {
            self.tell_detached(id, closed, error, Cause::Local);
            self.try_end(session_id);
        }
    }

    /// Reports that a link is over, with what became of its deliveries. Once.
    pub(super) fn tell_detached(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>, by: Cause) {
        self.report_end(id, Ending { closed, error, by, no_handle: false });
    }

    /// As [`tell_detached`](Self::tell_detached), of a link that may have found no handle.
    pub(super) fn report_end(&mut self, id: LinkId, ending: Ending) {
        let Ending { closed, error, by, no_handle } = ending;
        let Some(link) = self.links.get_mut(id) else { return };
        let known = link.state.end();
        if known == KnownBefore::Over {
            return;
        }
        let session_id = link.session;
        if let Some(end) = link.sending_mut() {
            end.ready = false;
        }
        if let KnownBefore::Held(until) = known {
            // The application has not heard of it, and will not.
            return self.forget_offer(id, until);
        }
        let until = link.state.end_stopping();
        self.forget_stopping(id, until);
        self.end_drain(id);
        let (limits, max_info) = (self.config.decode_limits(), self.config.max_info);
        let Some(link) = self.links.get_mut(id) else { return };
        let emptied = link.receiving_mut().map(|end| (end.stream.empty(limits, max_info), end.stream.is_released()));
        let (EmptiedStream { held, whole: mut undelivered, rest }, released) = emptied.unwrap_or_default();
        let keeps = link.resumable && !closed;
        self.postings_lost(id);
        self.retired_lost(id);
        let suspended = self.link_parts(id).and_then(|mut link| link.suspend(keeps));
        if let Some(end) = self.links.get_mut(id).and_then(Link::receiving_mut) {
            // Of a transaction, what is not settled is lost with its link, and so is the transaction.
            let takes_unsettled = end.unsettled_after_end && !end.stream.is_enabled() && !keeps;
            let handed_over =
                end.buffered.drain(..).filter(|it| it.delivery.settled || (takes_unsettled && it.state.is_none()));
            undelivered.extend(handed_over.map(|Buffered { delivery, state }| {
                let state =
                    state.and_then(|state| state.decode(limits)).map(|state| bounded_state(&state, max_info, limits));
                IncomingDelivery { state, ..delivery }
            }));
        }
        if held > 0 && !released {
            self.release_transfers(session_id, held);
        }
        let detached = Detached { closed, error, by, no_handle, undelivered, stream_rest: rest, suspended };
        self.outbox.events.push_back(Event::LinkDetached(id, Box::new(detached)));
    }

    /// Takes a link away.
    pub(super) fn drop_link(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>, by: Cause) {
        self.tell_detached(id, closed, error, by);
        let session = self.links.get(id).map(|link| link.session);
        self.forget_link(id);
        if let Some(session) = session {
            self.answer_awaiting(session);
        }
    }

    pub(super) fn forget_link(&mut self, id: LinkId) {
        self.withdraw_offer(id);
        let Some(link) = self.links.remove(id) else { return };
        if let Some(awaited) = link.state.awaited_handle() {
            self.forget_awaited(id, awaited, link.session);
        }
        if !self.endpoints.is_empty() {
            let key = (link.role() == Role::Sender, link.local.name.clone());
            if self.endpoints.get(&key) == Some(&id) {
                self.endpoints.remove(&key);
            }
        }
        let tolerant = self.config.tolerances.transfer_after_detach;
        let late = tolerant && link.receiving().is_some_and(|end| end.in_flight() > 0);
        let Some(session) = self.sessions.get_mut(link.session) else { return };
        session.remove_link(id, link.role());
        if let Some(handle) = link.state.remote_handle() {
            session.incoming.remove(&handle);
        }
        match link.state.handle() {
            None => session.waiting.retain(|waiting| *waiting != id),
            Some(handle) => session.give_back(handle, late),
        }
        if !link.state.was_attached_by_peer() {
            session.unanswered.retain(|unanswered| *unanswered != id);
        }
    }

    /// Takes all links of a session away.
    pub(super) fn detach_all(&mut self, session: SessionId, by: Cause, error: Option<&AmqpError>) {
        let Some(session) = self.sessions.get_mut(session) else { return };
        for id in core::mem::take(&mut session.links) {
            self.tell_detached(id, false, error.cloned(), by);
            self.forget_link(id);
        }
    }
}
