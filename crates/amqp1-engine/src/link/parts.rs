//! A link that was found, with its session and what both write to.

use super::Link;
use crate::{
    config::ConnectionConfig,
    connection::Postings,
    event::Event,
    metadata::{Charge, Meter},
    outbox::{FlowDue, Outbox},
    session::{Session, SessionMut},
    store::LinkId,
};
use amqp1_codec::performative::Transfer;

/// A link, the session that it is on, and what both write to. A frame or a call looks them up once.
#[derive(Debug)]
pub(crate) struct LinkMut<'a> {
    pub(crate) id: LinkId,
    pub(crate) link: &'a mut Link,
    pub(crate) session: &'a mut Session,
    pub(crate) config: &'a ConnectionConfig,
    pub(crate) outbox: &'a mut Outbox,
    /// The transactional work of the connection.
    pub(crate) postings: &'a mut Postings,
    /// The peer's metadata that is kept.
    pub(crate) meter: &'a Meter,
    /// Whether the peer is authenticated.
    pub(crate) authenticated: bool,
    /// Deliveries that have asked for mode second on links of mode first.
    pub(crate) second_on_first: &'a mut u64,
}

impl LinkMut<'_> {
    /// The session and what it writes to.
    pub(crate) fn session(&mut self) -> SessionMut<'_> {
        SessionMut { id: self.link.session, session: self.session, outbox: self.outbox }
    }

    /// Counts octets of the peer's metadata, if they stay within the limit.
    pub(crate) fn charge(&self, octets: usize) -> Option<Charge> {
        self.meter.charge(octets, self.config.metadata_limit(self.authenticated))
    }

    /// Puts the link among those that can send, if it can.
    pub(crate) fn wake(&mut self) {
        SessionMut { id: self.link.session, session: self.session, outbox: self.outbox }.wake_link(self.id, self.link);
    }

    /// The link's state is to be told.
    pub(crate) fn tell(&mut self) {
        self.link.queue_flow(self.id, self.outbox);
    }

    /// Gives credit where the policy says so, and tells of it.
    pub(crate) fn refill(&mut self) {
        self.link.refill();
        self.link.tell_credit(self.id, self.outbox);
    }

    /// Reports that a drain is done, if it is.
    pub(crate) fn check_drained(&mut self) {
        if self.link.receiving_mut().is_some_and(|end| end.credit.drain_done()) {
            self.outbox.events.push_back(Event::Drained(self.id));
        }
    }

    /// A transfer of the link is thrown away.
    #[cold]
    pub(crate) fn posting_discarded(&mut self, transfer: &Transfer) {
        self.postings.discarded(Some(self.id), transfer, self.outbox);
    }

    /// Less waits on the link than before: there may be room again for what was refused.
    pub(crate) fn count_queued(&mut self) {
        if let Some(end) = self.link.sending_mut() {
            self.outbox.count(end);
        }
    }

    /// Reports once that everything was said that can be said on this endpoint.
    pub(crate) fn check_reduced(&mut self) {
        let unsettled = self.link.unsettled.is_empty();
        let Some(end) = self.link.sending_mut() else { return };
        let done = end.reducing && end.queue.is_empty() && unsettled;
        if done && !core::mem::replace(&mut end.reattach_reported, true) {
            self.outbox.events.push_back(Event::Reattach(self.id));
        }
    }
}

impl Link {
    /// The link's state is to be told.
    pub(crate) fn queue_flow(&mut self, id: LinkId, outbox: &mut Outbox) {
        if !core::mem::replace(&mut self.flow_queued, true) {
            outbox.tell(FlowDue::Link(id));
        }
    }

    /// Tells the peer of credit that was given, and the application of credit that was not.
    pub(crate) fn tell_credit(&mut self, id: LinkId, outbox: &mut Outbox) {
        let Some(end) = self.receiving_mut() else { return };
        if end.credit.take_withheld() {
            outbox.events.push_back(Event::CreditWithheld(id));
        }
        if end.credit.take_flow_due() {
            self.queue_flow(id, outbox);
        }
    }
}
