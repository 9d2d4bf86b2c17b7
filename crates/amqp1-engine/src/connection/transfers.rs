//! Deliveries in, and what this end states of them (§2.6.12, §2.7.5).

use super::Connection;
use crate::{
    link::{LinkMut, Refused},
    store::{DeliveryKey, LinkId, SessionId},
    violation::{PeerMisbehaved, Scope},
};
use amqp1_codec::{DeliveryTag, messaging::DeliveryState, performative::Transfer};
use bytes::Bytes;

impl Connection {
    /// How many deliveries have asked for receiver-settle-mode second on links of mode first, where that is tolerated
    /// ([`Tolerances::second_on_first`](crate::Tolerances)).
    pub fn second_on_first(&self) -> u64 {
        self.second_on_first
    }

    pub(super) fn on_transfer(&mut self, session_id: SessionId, transfer: &Transfer, payload: Bytes) {
        let Self { sessions, links, outbox, config, postings, meter, second_on_first, .. } = self;
        let Some(session) = sessions.get_mut(session_id) else { return };
        let id = session.incoming.get(&transfer.handle).copied();
        let link = id.and_then(|id| Some((id, links.get_mut(id)?)));
        let streamed = link.as_ref().is_some_and(|(_, link)| link.is_streamed() && link.state.stopping().is_none());
        if session.incoming_window.on_transfer(streamed).is_none() {
            postings.discarded(id, transfer, outbox);
            return self.session_misbehaved(session_id, PeerMisbehaved::WindowExceeded);
        }
        let Some((id, link)) = link else { return self.on_unattached_transfer(session_id, transfer) };
        let authenticated = self.authenticated;
        let mut link = LinkMut { id, link, session, config, outbox, postings, meter, authenticated, second_on_first };
        match link.on_transfer(transfer, payload) {
            Ok(()) => link.session().tell_window(),
            Err(refused) => {
                self.refuse_input(session_id, id, refused);
                if let Some(mut session) = self.session_mut(session_id) {
                    session.tell_window();
                }
            }
        }
    }

    /// A transfer on a handle without a link.
    #[cold]
    fn on_unattached_transfer(&mut self, session_id: SessionId, transfer: &Transfer) {
        let handle = transfer.handle;
        self.posting_discarded(None, transfer);
        if !self.is_late(session_id, transfer) {
            self.session_misbehaved(session_id, PeerMisbehaved::HandleUnattached { handle });
        } else if let Some(mut session) = self.session_mut(session_id) {
            session.tell_window();
        }
    }

    /// Deliveries that the peer has sent on a link are not taken.
    #[cold]
    pub(super) fn refuse_input(&mut self, session_id: SessionId, id: LinkId, refused: Refused) {
        match refused {
            Refused::Over => drop(self.is_errant_input(session_id, id)),
            Refused::Violation(violation) if violation.scope() == Scope::Link => self.link_misbehaved(id, violation),
            Refused::Violation(violation) => self.session_misbehaved(session_id, violation),
        }
    }

    /// A delivery has used credit and the application will not take it.
    pub(super) fn delivery_gone(&mut self, id: LinkId) {
        if let Some(mut link) = self.link_parts(id) {
            link.delivery_gone();
        }
    }

    /// States an outcome for a received delivery: see [`LinkMut::settle_received`].
    pub(super) fn settle_received(&mut self, id: LinkId, key: DeliveryKey, state: DeliveryState) -> bool {
        self.link_parts(id).is_some_and(|mut link| link.settle_received(key, state))
    }

    /// A delivery that was received is settled by the peer's word.
    pub(super) fn forget_received(&mut self, id: LinkId, delivery: u64, tag: DeliveryTag) {
        if let Some(mut link) = self.link_parts(id) {
            link.forget_unsettled(delivery, Some(tag));
        }
    }
}
