//! The links of a session, and the deliveries that are not settled.

use super::{link::Link, view::View};
use crate::observe::{Observer, OutcomeKind};
use amqp1_codec::{
    SequenceNo,
    definitions::Role,
    messaging::DeliveryState,
    performative::{Attach, Disposition, Flow, Transfer},
};
use amqp1_engine::Instant;
use std::collections::HashMap;

/// Deliveries that a session follows, at most. Those beyond are counted when they are transferred, and not when they are
/// settled.
const FOLLOWED: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Session {
    links: HashMap<u64, Link>,
    next_link: u64,
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
                link.on_attach(attach, view);
                *id
            }
            None => {
                let id = self.next_link;
                self.next_link = id.wrapping_add(1);
                self.links.insert(id, Link::new(attach, sends, view));
                id
            }
        };
        if view.is_ours() { &mut self.local } else { &mut self.remote }.insert(handle, id);
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
            if deliveries.len() < FOLLOWED {
                deliveries.insert(delivery.0, Unsettled { link: id, since, outcome: OutcomeKind::None });
                if let Some(link) = self.links.get_mut(&id) {
                    link.change_unsettled(1, view.observer);
                }
            }
        }
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
        self.local.retain(|_, link| *link != id);
        self.remote.retain(|_, link| *link != id);
        let Some(link) = self.links.remove(&id) else { return };
        // A link that comes and goes does not cost what others have unsettled.
        if link.has_unsettled() {
            let deliveries = if link.sends() { &mut self.sent } else { &mut self.received };
            deliveries.retain(|_, delivery| delivery.link != id);
        }
        link.end(view.observer);
    }

    /// The session is over, and so are its links.
    pub(super) fn end(&mut self, observer: &dyn Observer) {
        let mut links: Vec<_> = self.links.drain().collect();
        links.sort_unstable_by_key(|(id, _)| *id);
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
