//! The links of a session, and the deliveries that are not settled.

use super::{link::Link, view::View};
use crate::observe::{LinkInfo, Observer, OutcomeKind};
use amqp1_codec::{
    SequenceNo,
    definitions::Role,
    messaging::DeliveryState,
    performative::{Attach, Disposition, Flow, Transfer},
};
use amqp1_engine::Instant;
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Session {
    links: HashMap<u64, Link>,
    next_link: u64,
    /// The octets that the links take.
    links_weight: usize,
    /// The links by the handles of this end, and by those of the peer.
    local: HashMap<u32, u64>,
    remote: HashMap<u32, u64>,
    /// Deliveries of this end, and of the peer, by their ids.
    sent: HashMap<u32, Unsettled>,
    received: HashMap<u32, Unsettled>,
}

/// A delivery that is whole and not settled.
struct Unsettled {
    link: u64,
    since: Instant,
    outcome: OutcomeKind,
}

impl Session {
    fn link(&mut self, handle: u32, view: &View<'_>) -> Option<(u64, &mut Link)> {
        let handles = if view.is_ours() { &self.local } else { &self.remote };
        let id = *handles.get(&handle)?;
        self.links.get_mut(&id).map(|link| (id, link))
    }

    pub(super) fn on_attach(&mut self, attach: Attach, view: &View<'_>) {
        let sends = view.is_ours() == (attach.role == Role::Sender);
        let handle = attach.handle;
        // The other end's attach has the same name and the other role.
        let half = self.links.iter_mut().find(|(_, link)| link.is_other_half(&attach.name, sends, view));
        let id = match half {
            Some((id, link)) => {
                self.links_weight = self.links_weight.saturating_sub(link.weight());
                link.on_attach(attach, view);
                self.links_weight = self.links_weight.saturating_add(link.weight());
                *id
            }
            None => {
                let link = Link::new(attach, sends, view);
                if link.weight() > view.room {
                    return;
                }
                self.links_weight = self.links_weight.saturating_add(link.weight());
                let id = self.next_link;
                self.next_link = id.wrapping_add(1);
                self.links.insert(id, link);
                id
            }
        };
        let handles = if view.is_ours() { &mut self.local } else { &mut self.remote };
        // A handle that was in use is an error of the peer's, which the engine answers.
        if let Some(before) = handles.insert(handle, id).filter(|before| *before != id) {
            self.forget(before, view.observer);
        }
    }

    /// A link is over at both ends.
    fn forget(&mut self, id: u64, observer: &dyn Observer) {
        self.local.retain(|_, link| *link != id);
        self.remote.retain(|_, link| *link != id);
        self.forget_deliveries(id);
        if let Some(mut link) = self.links.remove(&id) {
            self.links_weight = self.links_weight.saturating_sub(link.weight());
            link.end(observer);
        }
    }

    /// Forgets the deliveries of a link. A link without any does not cost what others have unsettled.
    fn forget_deliveries(&mut self, id: u64) {
        let Some(link) = self.links.get(&id).filter(|link| link.has_unsettled()) else { return };
        let deliveries = if link.sends() { &mut self.sent } else { &mut self.received };
        deliveries.retain(|_, delivery| delivery.link != id);
    }

    /// The octets that its links and deliveries take.
    pub(super) fn weight(&self) -> usize {
        let deliveries = self.sent.len().saturating_add(self.received.len());
        self.links_weight.saturating_add(deliveries.saturating_mul(size_of::<(u32, Unsettled)>()))
    }

    pub(super) fn on_flow(&mut self, flow: &Flow, view: &View<'_>) {
        let Some(handle) = flow.handle else { return };
        if let Some((_, link)) = self.link(handle, view) {
            link.on_flow(flow, view);
        }
    }

    pub(super) fn on_transfer(&mut self, transfer: &Transfer, payload: usize, view: &View<'_>) {
        let Some((id, link)) = self.link(transfer.handle, view) else { return };
        if let Some((delivery, since)) = link.on_transfer(transfer, payload, view) {
            let deliveries = if view.is_ours() { &mut self.sent } else { &mut self.received };
            if view.room < size_of::<(u32, Unsettled)>() {
                return;
            }
            let before = deliveries.insert(delivery.0, Unsettled { link: id, since, outcome: OutcomeKind::None });
            if let Some(link) = self.links.get_mut(&id) {
                link.change_unsettled(1, view.observer);
            }
            // An id that was in use is an error of the peer's, which the engine answers.
            if let Some(link) = before.and_then(|before| self.links.get_mut(&before.link)) {
                link.change_unsettled(-1, view.observer);
            }
        }
    }

    /// A transfer will not be written.
    pub(super) fn on_lost(&mut self, transfer: &Transfer, view: &View<'_>) {
        if let Some((_, link)) = self.link(transfer.handle, view) {
            link.on_lost(transfer, view.observer);
        }
    }

    /// The links on which this end sends, and whether they are over.
    pub(super) fn sending(&self) -> impl Iterator<Item = (&LinkInfo, bool)> {
        self.links.values().filter_map(Link::sending)
    }

    pub(super) fn on_disposition(&mut self, disposition: &Disposition, view: &View<'_>) {
        // The receiver speaks of what the other end has sent.
        let is_of_ours = view.is_ours() == (disposition.role == Role::Sender);
        let deliveries = if is_of_ours { &mut self.sent } else { &mut self.received };
        let (first, last) = (disposition.first, disposition.last.unwrap_or(disposition.first));
        let count = last.distance_from(first);
        // A range may name any number of ids.
        let ids: Vec<u32> = if usize::try_from(count).is_ok_and(|count| count < deliveries.len()) {
            (0..=count).map(|offset| first.plus(offset).0).collect()
        } else {
            let mut ids: Vec<u32> = deliveries.keys().copied().collect();
            ids.retain(|id| SequenceNo(*id).distance_from(first) <= count);
            ids
        };
        let outcome = disposition.state.as_ref().and_then(kind_of);
        for id in ids {
            let Some(delivery) = deliveries.get_mut(&id) else { continue };
            delivery.outcome = outcome.unwrap_or(delivery.outcome);
            if !disposition.settled {
                continue;
            }
            let latency = view.now - delivery.since;
            let (link, outcome) = (delivery.link, delivery.outcome);
            deliveries.remove(&id);
            if let Some(link) = self.links.get_mut(&link) {
                link.settled(outcome, latency, view.observer);
            }
        }
    }

    pub(super) fn on_detach(&mut self, handle: u32, view: &View<'_>) {
        let handles = if view.is_ours() { &mut self.local } else { &mut self.remote };
        let Some(id) = handles.remove(&handle) else { return };
        // A link that the peer has detached stays until this end has answered: messages may wait to be written.
        if view.is_ours() || !self.local.values().any(|link| *link == id) {
            return self.forget(id, view.observer);
        }
        self.forget_deliveries(id);
        if let Some(link) = self.links.get_mut(&id) {
            link.end(view.observer);
        }
    }

    /// The session is over, and so are its links.
    pub(super) fn end(&mut self, observer: &dyn Observer) {
        let mut links: Vec<_> = self.links.iter_mut().collect();
        links.sort_unstable_by_key(|(id, _)| **id);
        links.into_iter().for_each(|(_, link)| link.end(observer));
        self.sent.clear();
        self.received.clear();
    }
}

/// The outcome in a state, within a transaction or not.
fn kind_of(state: &DeliveryState) -> Option<OutcomeKind> {
    Some(match state {
        DeliveryState::Accepted => OutcomeKind::Accepted,
        DeliveryState::Rejected(_) => OutcomeKind::Rejected,
        DeliveryState::Released => OutcomeKind::Released,
        DeliveryState::Modified(_) => OutcomeKind::Modified,
        DeliveryState::Received(_) => return None,
        DeliveryState::Transactional(state) => return state.outcome.as_deref().and_then(kind_of),
        _ => OutcomeKind::Other,
    })
}
