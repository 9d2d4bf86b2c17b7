//! The flow state of links (§2.6.7).

use super::Connection;
use crate::{
    event::Event,
    link::End,
    outbox::FlowDue,
    planted::{self, Planted},
    store::{LinkId, SessionId},
    violation::PeerMisbehaved,
};
use amqp1_codec::performative::Flow;

impl Connection {
    pub(super) fn on_flow(&mut self, session_id: SessionId, flow: &Flow) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        session.on_flow(flow, self.config.tolerances.flow_without_next_incoming_id);
        // What they leave to others is decided again.
        let patient = core::mem::take(&mut session.patient);
        session.ready.extend(patient);
        if !planted::is(Planted::LostWakeUp) {
            self.wake_session(session_id);
        }
        let Some(handle) = flow.handle else {
            let of_a_link = flow.link_credit.is_some() || flow.delivery_count.is_some() || flow.available.is_some();
            let counters = flow.link_credit.unwrap_or_default() == 0 && !flow.drain;
            let tolerated = counters && self.config.tolerances.link_counters_without_handle;
            if (of_a_link || flow.drain) && !tolerated {
                return self.session_misbehaved(session_id, PeerMisbehaved::FlowWithoutHandle);
            }
            if flow.echo {
                self.session_flow(session_id);
            }
            return;
        };
        let id = self.sessions.get(session_id).and_then(|session| session.incoming.get(&handle).copied());
        let Some(id) = id else {
            let session = self.sessions.get(session_id);
            if self.config.tolerances.flow_after_detach && session.is_some_and(|session| session.was_detached(handle)) {
                // What it says of the session counts, of the link there is nothing to say.
                if flow.echo {
                    self.session_flow(session_id);
                }
                return;
            }
            return self.session_misbehaved(session_id, PeerMisbehaved::HandleUnattached { handle });
        };
        let Some(link) = self.links.get_mut(id) else { return };
        if link.state.is_offer_held() {
            self.offer_now(id);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        // A link that is offered and not answered has no credit to give yet; what the peer grants is kept.
        if link.state.is_deaf() {
            self.is_errant_input(session_id, id);
            return;
        }
        if flow.properties.is_some()
            && self.links.get(id).is_some_and(|link| self.refuses_acquisition(link, flow.properties.as_ref()))
        {
            return self.link_misbehaved(id, PeerMisbehaved::TransactionalAcquisition);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        if (link.remote_flow_properties.is_some() || flow.properties.is_some())
            && !self.keep_flow_properties(id, flow.properties.as_ref())
        {
            return self.metadata_exceeded(id);
        }
        let Some(link) = self.links.get_mut(id) else { return };
        match &link.end {
            End::Sending(end) => {
                let drain = end.credit.drain();
                let more_credit = link.on_receiver_flow(flow);
                self.on_credit(session_id, id, more_credit, drain);
            }
            End::Receiving(_) => {
                if link.on_sender_flow(flow) {
                    self.outbox.events.push_back(Event::Drained(id));
                }
                if link.state.stopping().is_some() {
                    return self.on_stopped(id, flow);
                }
                if link.receiving_mut().is_some_and(|end| end.credit.take_flow_due()) {
                    self.link_flow(id);
                }
            }
        }
        if flow.echo {
            self.link_flow(id);
        }
    }

    /// Asks for the link's state to be told.
    pub(super) fn link_flow(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if !core::mem::replace(&mut link.flow_queued, true) {
            self.outbox.tell(FlowDue::Link(id));
        }
    }
}
