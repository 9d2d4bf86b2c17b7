//! Links that are attached (§2.6.3).

use super::{Connection, detach::Ending, frame_size::too_large, handles::no_handle};
use crate::{
    config::{Credit, DrainMode, LinkNames},
    control::Body,
    event::{Cause, Event},
    link::{End, Link, LinkState, ReceivingEnd, SendingEnd, attach_violation, count_missing},
    metadata::{Kept, RemoteAttach},
    store::{LinkId, SessionId},
    violation::{PeerMisbehaved, Scope},
};
use alloc::boxed::Box;
use amqp1_codec::{
    SequenceNo,
    definitions::{AmqpError, ErrorCondition, Role},
    performative::Attach,
};

impl Connection {
    /// Our attach, for a link that the application asked for, or in answer to the peer's if there is a handle for that.
    pub(super) fn send_attach(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let session_id = link.session;
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        if !session.state.is_begin_received() {
            session.waiting.push(id);
            return;
        }
        if self.attach_too_large(id) {
            return self.drop_link(id, false, Some(too_large()), Cause::Local);
        }
        let (Some(session), Some(link)) = (self.sessions.get_mut(session_id), self.links.get_mut(id)) else { return };
        let Some(handle) = session.handles.take(session.remote_handle_max) else {
            let ending = Ending { closed: false, error: Some(no_handle()), by: Cause::Local, no_handle: true };
            self.report_end(id, ending);
            return self.drop_link(id, false, None, Cause::Local);
        };
        session.reclaim();
        if !link.state.was_attached_by_peer() {
            session.unanswered.push(id);
            // The answer to this attach need not resume the link.
            session.errant.names(link.role()).remove(&link.local.name);
        }
        if link.state.send_attach(handle).is_err() {
            return;
        }
        link.local.handle = handle;
        let max = self.remote_max_frame_size();
        let Some(link) = self.links.get_mut(id) else { return };
        link.fill_unsettled(max, self.config.style);
        if !link.state.was_attached_by_peer() {
            let attach = (*link.local).clone();
            return self.push_in(session_id, attach);
        }
        // It may say what the peer has said, which is kept as octets here too.
        let (style, refused) = (self.config.style, link.is_refused());
        let attach = link.pack_local(style);
        if refused {
            link.reattach = None;
            link.forget_remote();
        }
        let charge = self.meter.count(attach.len());
        self.push_body_in(session_id, Body::Attach(Kept::new(attach, charge)));
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
        // Fields that are missing from an attach that cannot be read may have been there.
        let unreadable = self.unreadable_attach.take().map(PeerMisbehaved::AttachUnreadable);
        if unreadable.is_none() && self.is_errant_attach(session_id, &attach) {
            return;
        }
        match self.awaiting_attach(session_id, &attach, unreadable.is_none()) {
            Some(id) => self.on_attach_answer(session_id, id, &attach, unreadable),
            None => self.on_attach_offer(session_id, &attach, unreadable),
        }
    }

    /// Our link that this attach answers. A refusal without termini may name the wrong role, as IoT Hub's does.
    fn awaiting_attach(&self, session: SessionId, attach: &Attach, readable: bool) -> Option<LinkId> {
        let session = self.sessions.get(session)?;
        let named = |role| {
            let answers = move |link: &Link| link.local.name == attach.name && link.role() == role;
            session.unanswered.iter().copied().find(|id| self.links.get(*id).is_some_and(answers))
        };
        let empty = readable && attach.source.is_none() && attach.target.is_none();
        named(attach.role.opposite()).or_else(|| if empty { named(attach.role) } else { None })
    }

    fn on_attach_answer(
        &mut self,
        session_id: SessionId,
        id: LinkId,
        attach: &Attach,
        unreadable: Option<PeerMisbehaved>,
    ) {
        let kept = self.keep(attach, 0);
        let exceeded = kept.is_none();
        let (Some(session), Some(link)) = (self.sessions.get_mut(session_id), self.links.get_mut(id)) else { return };
        session.unanswered.retain(|unanswered| *unanswered != id);
        session.late.remove(attach.handle);
        session.incoming.insert(attach.handle, id);
        // A terminus that was asked for is not granted, or the one that the link's name is to have does not exist.
        let null_terminus = unreadable.is_none()
            && match link.role() {
                Role::Sender => attach.target.is_none(),
                Role::Receiver => attach.source.is_none(),
            };
        let missing = if null_terminus { None } else { count_missing(attach, &self.config.tolerances) };
        let violation = unreadable.or(missing);
        if link.state.receive_attach(attach.handle, !null_terminus).is_err() {
            return;
        }
        if let End::Receiving(end) = &mut link.end {
            end.credit.count_from(attach.initial_delivery_count.unwrap_or_default());
        }
        let mut remote = RemoteAttach::new(attach, kept);
        if null_terminus {
            remote.kept = None;
        }
        link.remote = Some(Box::new(remote));
        if link.state.has_detached() {
            // From here on the link is attached at both ends.
            if link.state.has_failed() {
                self.becomes_errant(id);
            }
            return;
        }
        self.note_endpoint(id);
        if exceeded && !null_terminus {
            return self.metadata_exceeded(id);
        }
        if let Some(violation) = violation {
            return self.link_misbehaved(id, violation);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        if null_terminus {
            // §2.6.3: the detach with the reason follows.
            return;
        }
        if let End::Receiving(end) = &link.end {
            link.set_credit(end.credit.policy());
            self.link_flow(id);
        }
        self.outbox.events.push_back(Event::LinkAttached(id));
        self.resume_link(id);
        self.try_detach(id);
    }

    fn on_attach_offer(&mut self, session_id: SessionId, attach: &Attach, unreadable: Option<PeerMisbehaved>) {
        if self.links.len() >= self.config.max_links {
            return self.session_misbehaved(session_id, PeerMisbehaved::LinksExceeded);
        }
        // A link that is refused is there until the peer detaches it.
        let Some(charge) = self.charge_link(&attach.name) else {
            let violation = PeerMisbehaved::MetadataExceeded { scope: Scope::Session };
            return self.session_misbehaved(session_id, violation);
        };
        self.steal(attach);
        let kept = self.keep(attach, 0);
        let exceeded = PeerMisbehaved::MetadataExceeded { scope: Scope::Link };
        let violation = unreadable.or_else(|| attach_violation(attach, &self.config.tolerances));
        let violation = violation.or_else(|| kept.is_none().then_some(exceeded));
        let local = Attach { name: attach.name.to_detached(), role: attach.role.opposite(), ..Attach::default() };
        let end = match local.role {
            Role::Sender => End::Sending(SendingEnd::new(SequenceNo::default(), DrainMode::Automatic)),
            Role::Receiver => {
                let mut end = ReceivingEnd::new(Credit::Manual(0));
                end.credit.count_from(attach.initial_delivery_count.unwrap_or_default());
                End::Receiving(end)
            }
        };
        let handle = attach.handle;
        let mut link = Link::new(session_id, local, end, LinkState::offered(handle));
        link.remote = Some(Box::new(RemoteAttach::new(attach, kept)));
        link.charge = charge;
        // A link that is refused at once is never offered, so its end is not reported either.
        if violation.is_some() {
            link.state.end();
        }
        let role = link.role();
        let id = self.links.insert(link);
        if let Some(session) = self.sessions.get_mut(session_id) {
            session.add_link(id, role);
            session.late.remove(handle);
            session.incoming.insert(handle, id);
        }
        self.note_endpoint(id);
        match violation {
            Some(violation) => self.link_misbehaved(id, violation),
            None => self.offer(session_id, id),
        }
    }

    /// §2.6.1: a link that is attached elsewhere on this connection is taken from there.
    fn steal(&mut self, attach: &Attach) {
        let key = (attach.role == Role::Receiver, attach.name.clone());
        let Some(id) = self.endpoints.get(&key).copied() else { return };
        let lives =
            |link: &Link| link.state.remote_handle().is_some() && !link.state.has_detached() && !link.state.is_over();
        if self.links.get(id).is_some_and(lives) {
            let error = AmqpError::new(ErrorCondition::STOLEN, "the link was attached elsewhere");
            self.detach_now(id, false, Some(error));
        }
    }

    /// The peer has attached to this endpoint: the next attach of that name steals it from here.
    fn note_endpoint(&mut self, id: LinkId) {
        if self.config.link_names == LinkNames::Steal {
            if let Some(link) = self.links.get(id) {
                self.endpoints.insert((link.role() == Role::Sender, link.local.name.clone()), id);
            }
        }
    }
}
