//! What waits for the application to poll it. A state that many deliveries share is there once, until they are polled.

use crate::{
    event::{Event, Settled, Settlement},
    metadata::{Charge, Stated},
    store::{DeliveryKey, LinkId},
};
use alloc::{collections::VecDeque, sync::Arc};

/// Events, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Events {
    queue: VecDeque<Queued>,
    /// How many were polled.
    polled: u64,
    /// What those hold of the peer's metadata, by how many must be polled before it is let go.
    held: VecDeque<(u64, Charge)>,
}

#[derive(Debug)]
enum Queued {
    Event(Event),
    SettledBySender(LinkId, DeliveryKey, Arc<Stated>),
    Provisional(LinkId, u64, Arc<Stated>),
}

impl Events {
    pub(crate) fn push_back(&mut self, event: Event) {
        self.queue.push_back(Queued::Event(event));
    }

    /// Counts until all that is queued now is polled.
    pub(crate) fn hold(&mut self, charge: Charge) {
        if self.queue.is_empty() || charge.is_empty() {
            return;
        }
        let queued = u64::try_from(self.queue.len()).unwrap_or(u64::MAX);
        self.held.push_back((self.polled.saturating_add(queued), charge));
    }

    pub(crate) fn push_settled_by_sender(&mut self, link: LinkId, key: DeliveryKey, state: Arc<Stated>) {
        self.queue.push_back(Queued::SettledBySender(link, key, state));
    }

    pub(crate) fn push_provisional(&mut self, link: LinkId, token: u64, state: Arc<Stated>) {
        self.queue.push_back(Queued::Provisional(link, token, state));
    }

    pub(crate) fn pop_front(&mut self) -> Option<Event> {
        let queued = self.queue.pop_front()?;
        self.polled = self.polled.saturating_add(1);
        while self.held.front().is_some_and(|(until, _)| *until <= self.polled) {
            self.held.pop_front();
        }
        Some(match queued {
            Queued::Event(event) => event,
            Queued::SettledBySender(link, key, stated) => Event::SettledBySender(link, key, Some(stated.state.clone())),
            Queued::Provisional(link, token, stated) => Event::Provisional(link, token, stated.state.clone()),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// Settlements, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Settlements(VecDeque<QueuedSettlement>);

#[derive(Debug)]
enum QueuedSettlement {
    Own(Settled),
    Shared { link: LinkId, token: u64, state: Arc<Stated> },
}

impl Settlements {
    pub(crate) fn push_back(&mut self, settled: Settled) {
        self.0.push_back(QueuedSettlement::Own(settled));
    }

    pub(crate) fn push_shared(&mut self, link: LinkId, token: u64, state: Arc<Stated>) {
        self.0.push_back(QueuedSettlement::Shared { link, token, state });
    }

    pub(crate) fn pop_front(&mut self) -> Option<Settled> {
        Some(match self.0.pop_front()? {
            QueuedSettlement::Own(settled) => settled,
            QueuedSettlement::Shared { link, token, state } => {
                Settled { link, token, settlement: Settlement::Outcome(Some(state.state.clone())) }
            }
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
