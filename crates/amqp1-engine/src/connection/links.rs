//! Links coming and going (§2.6), and their flow state.

use super::{Connection, FlowDue, streams::EmptiedStream};
use crate::{
    config::{Credit, LinkNames},
    event::{Cause, Detached, Event},
    link::{Link, attach_violation},
    planted::{self, Planted},
    resume::Suspended,
    store::{LinkId, SessionId},
    violation::{PeerMisbehaved, Scope},
};
use alloc::boxed::Box;
use amqp1_codec::{
    Decode, Encode, Reader,
    definitions::{AmqpError, ErrorCondition, Role},
    performative::{Attach, Detach, Flow},
};

impl Connection {
    /// Our attach, for a link that the application asked for, or in answer to the peer's.
    pub(super) fn send_attach(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let session_id = link.session;
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        if !session.begin_received {
            session.waiting.push(id);
            return;
        }
        let Some(handle) = session.handles.take(session.remote_handle_max) else {
            if link.remote.is_some() {
                session.starved.push(id);
                return self.tell_detached(id, true, Some(no_handle()), Cause::Local);
            }
            return self.drop_link(id, false, Some(no_handle()), Cause::Local);
        };
        if link.remote.is_none() {
            session.unanswered.push(id);
        }
        link.handle = Some(handle);
        link.local.handle = handle;
        self.fill_unsettled(id);
        let Some(link) = self.links.get_mut(id) else { return };
        let attach = (*link.local).clone();
        self.push_in(session_id, attach);
    }

    /// Our detach, of a link that is attached at this end.
    fn send_detach(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>) {
        let Some(link) = self.links.get_mut(id) else { return };
        let Some(handle) = link.handle else { return };
        link.detached = Some((closed, error.clone()));
        let session_id = link.session;
        self.flush_marks(session_id);
        self.push_in(session_id, Detach { handle, closed, error });
    }

    pub(super) fn on_attach(&mut self, session_id: SessionId, attach: Box<Attach>) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let handle = attach.handle;
        if handle > session.config.handle_max {
            return self.misbehaved(PeerMisbehaved::HandleOutOfRange { handle });
        }
        if session.incoming.contains_key(&handle) {
            return self.session_misbehaved(session_id, PeerMisbehaved::AttachOnHandleInUse { handle });
        }
        if self.is_errant_attach(session_id, &attach) {
            return;
        }
        let attach = Box::new(detach_attach(&attach));
        match self.awaiting_attach(session_id, &attach) {
            Some(id) => self.on_attach_answer(session_id, id, attach),
            None => self.on_attach_offer(session_id, attach),
        }
    }

    /// Our link that this attach answers. A refusal without termini may name the wrong role, as IoT Hub's does.
    fn awaiting_attach(&self, session: SessionId, attach: &Attach) -> Option<LinkId> {
        let session = self.sessions.get(session)?;
        let named = |role| {
            let answers = move |link: &Link| link.local.name == attach.name && link.role == role;
            session.unanswered.iter().copied().find(|id| self.links.get(*id).is_some_and(answers))
        };
        let empty = attach.source.is_none() && attach.target.is_none();
        named(attach.role.opposite()).or_else(|| if empty { named(attach.role) } else { None })
    }

    fn on_attach_answer(&mut self, session_id: SessionId, id: LinkId, attach: Box<Attach>) {
        let (Some(session), Some(link)) = (self.sessions.get_mut(session_id), self.links.get_mut(id)) else { return };
        session.unanswered.retain(|unanswered| *unanswered != id);
        session.incoming.insert(attach.handle, id);
        link.remote_handle = Some(attach.handle);
        let null_terminus = match link.role {
            Role::Sender => link.local.target.is_some() && attach.target.is_none(),
            Role::Receiver => link.local.source.is_some() && attach.source.is_none(),
        };
        let violation = if null_terminus { None } else { attach_violation_of_answer(&attach) };
        if link.role == Role::Receiver {
            link.delivery_count = attach.initial_delivery_count.unwrap_or_default();
        }
        link.remote = Some(attach);
        if link.detached.is_some() {
            return;
        }
        self.note_endpoint(id);
        if let Some(violation) = violation {
            return self.link_misbehaved(id, violation);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        if null_terminus {
            // §2.6.3: the detach with the reason follows.
            link.refused = true;
            return;
        }
        let policy = link.policy;
        if link.role == Role::Receiver {
            link.set_credit(policy);
            self.link_flow(id);
        }
        self.events.push_back(Event::LinkAttached(id));
        self.resume_link(id);
        self.try_detach(id);
    }

    fn on_attach_offer(&mut self, session_id: SessionId, attach: Box<Attach>) {
        if self.links.len() >= self.config.max_links {
            return self.session_misbehaved(session_id, PeerMisbehaved::LinksExceeded);
        }
        self.steal(&attach);
        let violation = attach_violation(&attach);
        let local = Attach { name: attach.name.clone(), role: attach.role.opposite(), ..Attach::default() };
        let mut link = Link::new(session_id, local, Credit::Manual(0));
        let handle = attach.handle;
        link.remote_handle = Some(handle);
        if link.role == Role::Receiver {
            link.delivery_count = attach.initial_delivery_count.unwrap_or_default();
        }
        link.remote = Some(attach);
        // What is refused at once is never offered, so nothing is told of its end either.
        link.told = violation.is_some();
        let id = self.links.insert(link);
        if let Some(session) = self.sessions.get_mut(session_id) {
            session.links.insert(id);
            session.incoming.insert(handle, id);
        }
        self.note_endpoint(id);
        match violation {
            Some(violation) => self.link_misbehaved(id, violation),
            None => self.events.push_back(Event::LinkOffered(id)),
        }
    }

    /// §2.6.1: a link that is attached elsewhere on this connection is taken from there.
    fn steal(&mut self, attach: &Attach) {
        let key = (attach.role == Role::Receiver, attach.name.clone());
        let Some(id) = self.endpoints.get(&key).copied() else { return };
        let lives = |link: &Link| link.remote_handle.is_some() && link.detached.is_none() && !link.told;
        if self.links.get(id).is_some_and(lives) {
            let error = AmqpError::new(ErrorCondition::STOLEN, "the link was attached elsewhere");
            self.detach_now(id, false, Some(error));
        }
    }

    /// The peer has attached to this endpoint: whoever attaches to the name next steals it from here.
    fn note_endpoint(&mut self, id: LinkId) {
        if self.config.link_names == LinkNames::Steal {
            if let Some(link) = self.links.get(id) {
                self.endpoints.insert((link.role == Role::Sender, link.local.name.clone()), id);
            }
        }
    }

    /// §2.6.3: attach without a terminus. A detach, with the reason, is to follow.
    fn attach_nothing(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.local.source = None;
        link.local.target = None;
        if link.role == Role::Sender {
            link.local.initial_delivery_count = Some(link.delivery_count);
        }
        self.send_attach(id);
    }

    pub(super) fn on_detach(&mut self, session_id: SessionId, detach: Detach) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let Some(id) = session.incoming.remove(&detach.handle) else {
            let violation = PeerMisbehaved::HandleUnattached { handle: detach.handle };
            return self.session_misbehaved(session_id, violation);
        };
        let starved = session.starved.contains(&id);
        let Some(link) = self.links.get_mut(id) else { return };
        link.remote_handle = None;
        if starved {
            // It is answered when there is a handle to do so.
            return;
        }
        if let Some((closed, error)) = link.detached.take() {
            link.detached = Some((closed, None));
            if detach.closed && !closed {
                return self.close_detached(id, error.or(detach.error));
            }
            return self.drop_link(id, closed, error.or(detach.error), Cause::Local);
        }
        if link.handle.is_none() {
            self.attach_nothing(id);
        }
        self.send_detach(id, detach.closed, None);
        self.drop_link(id, detach.closed, detach.error, Cause::Peer);
        self.try_end(session_id);
    }

    /// §2.6.6: we have detached, and the peer has closed: the link is attached once more, to be closed at this end too.
    fn close_detached(&mut self, id: LinkId, error: Option<AmqpError>) {
        self.tell_detached(id, true, error, Cause::Peer);
        let Some(link) = self.links.get_mut(id) else { return };
        let Some(handle) = link.handle else { return };
        let (name, role) = (link.local.name.clone(), link.role);
        let lives = |other: &Link| other.local.name == name && other.role == role && !other.told;
        if self.links.iter().any(lives) {
            // Another endpoint has taken its place, and lives.
            return self.drop_link(id, true, None, Cause::Peer);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        link.remote = None;
        link.detached = Some((true, None));
        link.local.unsettled = None;
        link.local.incomplete_unsettled = false;
        let (session_id, attach) = (link.session, (*link.local).clone());
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

    /// Detaches in peace, when everything that can be sent is sent: what lacks credit cannot.
    pub(super) fn try_detach(&mut self, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        let Some(closed) = link.detaching else { return };
        if link.detached.is_none() && !link.can_transfer() && link.remote.is_some() {
            self.detach_now(id, closed, None);
        }
    }

    /// Detaches, dropping what is queued. An error is told to the application at once.
    pub(super) fn detach_now(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>) {
        let Some(link) = self.links.get(id) else { return };
        if link.detached.is_some() {
            return;
        }
        let session_id = link.session;
        if link.handle.is_none() {
            if link.remote.is_none() {
                // Our attach has not left, so the peer knows of nothing.
                return self.drop_link(id, closed, error, Cause::Local);
            }
            self.attach_nothing(id);
        } else if error.is_some() && link.remote.is_some() {
            self.becomes_errant(id);
        }
        self.send_detach(id, closed, error.clone());
        if error.is_some() {
            self.tell_detached(id, closed, error, Cause::Local);
            self.try_end(session_id);
        }
    }

    /// Tells the application that a link is over, with what became of its deliveries. Once.
    fn tell_detached(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>, by: Cause) {
        let Some(link) = self.links.get_mut(id) else { return };
        if core::mem::replace(&mut link.told, true) {
            return;
        }
        let session_id = link.session;
        link.ready = false;
        let EmptiedStream { held, whole: mut undelivered, rest } = link.empty_stream();
        let (keeps, role) = (link.resumable && !closed, link.role);
        let suspended = match role {
            Role::Sender => self.suspend_sender(id, keeps).map(Suspended::Sender),
            Role::Receiver => self.suspend_receiver(id, keeps).map(Suspended::Receiver),
        };
        if let Some(link) = self.links.get_mut(id) {
            undelivered.extend(link.buffered.drain(..).filter(|delivery| delivery.settled));
        }
        if held > 0 {
            self.release_transfers(session_id, held);
        }
        let detached = Detached { closed, error, by, undelivered, stream_rest: rest, suspended };
        self.events.push_back(Event::LinkDetached(id, detached));
    }

    /// Takes a link away.
    pub(super) fn drop_link(&mut self, id: LinkId, closed: bool, error: Option<AmqpError>, by: Cause) {
        self.tell_detached(id, closed, error, by);
        let session = self.links.get(id).map(|link| link.session);
        self.forget_link(id);
        if let Some(session) = session {
            self.answer_starved(session);
        }
    }

    /// Refuses links that could not be answered for want of handles, now that there is one.
    fn answer_starved(&mut self, session_id: SessionId) {
        while let Some(session) = self.sessions.get_mut(session_id) {
            if session.end_sent || session.handles.lowest(session.remote_handle_max).is_none() {
                return;
            }
            let Some(id) = session.starved.pop() else { return };
            self.attach_nothing(id);
            self.send_detach(id, true, Some(no_handle()));
            if self.links.get(id).is_some_and(|link| link.remote_handle.is_none()) {
                self.forget_link(id);
            }
        }
    }

    fn forget_link(&mut self, id: LinkId) {
        let Some(link) = self.links.remove(id) else { return };
        if !self.endpoints.is_empty() {
            let key = (link.role == Role::Sender, link.local.name.clone());
            if self.endpoints.get(&key) == Some(&id) {
                self.endpoints.remove(&key);
            }
        }
        let Some(session) = self.sessions.get_mut(link.session) else { return };
        session.links.remove(&id);
        if let Some(handle) = link.remote_handle {
            session.incoming.remove(&handle);
        }
        match link.handle {
            None => session.waiting.retain(|waiting| *waiting != id),
            Some(handle) => session.handles.give_back(handle),
        }
        if link.remote.is_none() {
            session.unanswered.retain(|unanswered| *unanswered != id);
        }
        session.starved.retain(|starved| *starved != id);
    }

    /// Takes all links of a session away.
    pub(super) fn detach_all(&mut self, session: SessionId, by: Cause, error: Option<&AmqpError>) {
        let Some(session) = self.sessions.get_mut(session) else { return };
        for id in core::mem::take(&mut session.links) {
            self.tell_detached(id, false, error.cloned(), by);
            self.forget_link(id);
        }
    }

    pub(super) fn on_flow(&mut self, session_id: SessionId, flow: &Flow) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        session.on_flow(flow);
        // What they leave to others is judged anew.
        let patient = core::mem::take(&mut session.patient);
        session.ready.extend(patient);
        if !planted::is(Planted::LostWakeUp) {
            self.wake_session(session_id);
        }
        let Some(handle) = flow.handle else {
            let of_a_link = flow.link_credit.is_some() || flow.delivery_count.is_some() || flow.available.is_some();
            if of_a_link || flow.drain {
                return self.session_misbehaved(session_id, PeerMisbehaved::FlowWithoutHandle);
            }
            if flow.echo {
                self.session_flow(session_id);
            }
            return;
        };
        let id = self.sessions.get(session_id).and_then(|session| session.incoming.get(&handle).copied());
        let Some(id) = id else {
            return self.session_misbehaved(session_id, PeerMisbehaved::HandleUnattached { handle });
        };
        let Some(link) = self.links.get_mut(id) else { return };
        // A link that is offered and not answered has no credit to give yet; what the peer grants is kept.
        if link.detached.is_some() || link.refused || link.told {
            self.is_errant_input(session_id, id);
            return;
        }
        if link.remote_flow_properties != flow.properties {
            link.remote_flow_properties.clone_from(&flow.properties);
            self.events.push_back(Event::FlowProperties(id));
        }
        match link.role {
            Role::Sender => {
                if link.on_receiver_flow(flow) {
                    self.events.push_back(Event::Sendable(id));
                }
                self.wake_link(id);
                self.answer_drain(id);
                self.try_detach(id);
                self.try_end(session_id);
            }
            Role::Receiver => {
                if link.on_sender_flow(flow) {
                    self.events.push_back(Event::Drained(id));
                }
                if core::mem::take(&mut link.flow_due) {
                    self.link_flow(id);
                }
            }
        }
        if flow.echo {
            self.link_flow(id);
        }
    }

    /// §2.6.7: a sender that is to drain and has nothing left to send gives its credit up and says so.
    pub(super) fn answer_drain(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.role != Role::Sender || !link.drain_asked || link.can_transfer() || !link.is_attached() {
            return;
        }
        link.delivery_count = link.delivery_count.plus(link.credit);
        link.credit = 0;
        self.link_flow(id);
    }

    /// Asks for the link's state to be told.
    pub(super) fn link_flow(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if !core::mem::replace(&mut link.flow_queued, true) {
            self.flows.push_back(FlowDue::Link(id));
        }
    }
}

fn no_handle() -> AmqpError {
    AmqpError::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "all handles that the peer allows are in use")
}

/// What is wrong with an attach that answers ours.
fn attach_violation_of_answer(attach: &Attach) -> Option<PeerMisbehaved> {
    (attach.role == Role::Sender && attach.initial_delivery_count.is_none())
        .then_some(PeerMisbehaved::InitialDeliveryCountMissing)
}

/// An attach that keeps no read buffer alive.
fn detach_attach(attach: &Attach) -> Attach {
    let octets = attach.to_octets();
    Attach::decode(&mut Reader::new(&octets)).unwrap_or_else(|_| attach.clone())
}
