//! The flow state of links (§2.6.7).

use super::Connection;
use crate::{
    link::AfterFlow,
    planted::{self, Planted},
    store::{LinkId, SessionId},
    violation::PeerMisbehaved,
};
use amqp1_codec::performative::{Flow, Handle};

impl Connection {
    pub(super) fn on_flow(&mut self, session_id: SessionId, flow: &Flow) {
        let lax = self.config.tolerances.flow_without_next_incoming_id;
        let Some(mut session) = self.session_mut(session_id) else { return };
        session.session.on_flow(flow, lax);
        // The share that they leave to others is decided again.
        let patient = core::mem::take(&mut session.session.patient);
        session.session.ready.extend(patient);
        if !planted::is(Planted::LostWakeUp) {
            session.wake();
        }
        let id = flow.handle.and_then(|handle| session.session.incoming.get(&handle).copied());
        let Some(handle) = flow.handle else {
            let of_a_link = flow.link_credit.is_some()
                || flow.delivery_count.is_some()
                || flow.available.is_some()
                || flow.properties.is_some();
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
        match id {
            Some(id) => self.on_link_flow(session_id, id, flow),
            None => self.on_unattached_flow(session_id, handle, flow.echo),
        }
    }

    fn on_link_flow(&mut self, session_id: SessionId, id: LinkId, flow: &Flow) {
        let Some(mut link) = self.link_parts(id) else { return };
        match link.on_flow(flow) {
            Ok(AfterFlow::Nothing) if flow.echo => link.tell(),
            Ok(AfterFlow::Nothing) => {}
            Ok(AfterFlow::Offer) => {
                self.offer_now(id);
                self.on_link_flow(session_id, id, flow);
            }
            Ok(AfterFlow::Credit(asked_before)) => {
                self.on_credit(session_id, id, asked_before);
                if flow.echo {
                    self.link_flow(id);
                }
            }
            Ok(AfterFlow::Stopping) => self.on_stopped(id, flow),
            Err(refused) => self.refuse_input(session_id, id, refused),
        }
    }

    /// A flow on a handle without a link.
    #[cold]
    fn on_unattached_flow(&mut self, session_id: SessionId, handle: Handle, echo: bool) {
        let session = self.sessions.get(session_id);
        if self.config.tolerances.flow_after_detach && session.is_some_and(|session| session.was_detached(handle)) {
            // Its fields of the session count; there are none of a link.
            if echo {
                self.session_flow(session_id);
            }
            return;
        }
        self.session_misbehaved(session_id, PeerMisbehaved::HandleUnattached { handle });
    }

    /// Asks for the link's state to be told.
    pub(super) fn link_flow(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(id) {
            link.queue_flow(id, &mut self.outbox);
        }
    }
}
