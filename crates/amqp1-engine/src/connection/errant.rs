//! Input for links that were detached with an error (§2.6.5): discarded, or the end of its session.

use super::Connection;
use crate::{
    config::ErrantLinks,
    session::Errant,
    store::{LinkId, SessionId},
    violation::PeerMisbehaved,
};
use amqp1_codec::{
    definitions::Role,
    performative::{Attach, Disposition},
};

impl Connection {
    /// Notes a link that both ends have attached and that this one detaches with an error. A link that is refused is
    /// one: it was attached, without a terminus.
    pub(super) fn becomes_errant(&mut self, id: LinkId) {
        if self.config.errant_links == ErrantLinks::Discard {
            return;
        }
        let Some(link) = self.links.get(id) else { return };
        let Some(session) = self.sessions.get_mut(link.session) else { return };
        let errant = &mut session.errant;
        let deliveries = errant.deliveries(link.role());
        let room = Errant::REMEMBERED.saturating_sub(deliveries.len());
        deliveries.extend(link.unsettled.keys().take(room));
        let names = errant.names(link.role());
        if names.len() < Errant::REMEMBERED {
            names.insert(link.local.name.clone());
        }
    }

    /// Whether the session was ended because of input on a link that is detached.
    pub(super) fn is_errant_input(&mut self, session_id: SessionId, id: LinkId) -> bool {
        let Some(link) = self.links.get(id).filter(|link| link.state.has_failed()) else { return false };
        let (handle, role, name) = (link.state.remote_handle().unwrap_or_default(), link.role(), &link.local.name);
        // The names that are remembered have a bound.
        let known = |session: &mut crate::session::Session| session.errant.names(role).contains(name);
        let is = self.sessions.get_mut(session_id).is_some_and(known);
        if is {
            self.session_misbehaved(session_id, PeerMisbehaved::ErrantLink { handle });
        }
        is
    }

    /// Whether the session was ended because of an attach that does not resume its link.
    pub(super) fn is_errant_attach(&mut self, session_id: SessionId, attach: &Attach) -> bool {
        let Some(session) = self.sessions.get_mut(session_id) else { return false };
        let names = session.errant.names(attach.role.opposite());
        if attach.unsettled.is_some() {
            names.remove(&attach.name);
            return false;
        }
        let is = names.contains(&attach.name);
        if is {
            self.session_misbehaved(session_id, PeerMisbehaved::ErrantLink { handle: attach.handle });
        }
        is
    }

    /// Whether the session was ended because of a disposition for deliveries whose link is detached.
    pub(super) fn is_errant_disposition(&mut self, session_id: SessionId, disposition: &Disposition) -> bool {
        let Some(session) = self.sessions.get_mut(session_id) else { return false };
        let last = disposition.last.unwrap_or(disposition.first);
        let ours = disposition.role.opposite();
        let range = match ours {
            Role::Sender => session.sent.range(disposition.first, last),
            Role::Receiver => session.received.range(disposition.first, last),
        };
        let deliveries = session.errant.deliveries(ours);
        let is = range.is_some_and(|range| deliveries.range(range).next().is_some());
        if is {
            let delivery = disposition.first.0;
            self.session_misbehaved(session_id, PeerMisbehaved::ErrantDelivery { delivery });
        }
        is
    }
}
