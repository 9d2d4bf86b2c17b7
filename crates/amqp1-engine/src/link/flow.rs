//! The flow state of a link (§2.6.7).

use super::{DrainState, End, LinkMut, incoming::Refused};
use crate::{
    event::Event,
    metadata::Kept,
    session::Ending,
    violation::{PeerMisbehaved, Scope},
};
use alloc::boxed::Box;
use amqp1_codec::{Encode, definitions::Fields, performative::Flow};

/// The steps after a flow that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterFlow {
    /// Nothing, or the answer that the flow asks for.
    Nothing,
    /// The link is offered now, and takes the flow then.
    Offer,
    /// A drain begins, goes on or ends, or what was to wait for credit may be done. It had come so far before.
    Credit(DrainState),
    /// The sender of a receiver that is to be detached has told its state.
    Stopping,
}

impl LinkMut<'_> {
    /// Takes the link's part of a flow.
    pub(crate) fn on_flow(&mut self, flow: &Flow) -> Result<AfterFlow, Refused> {
        if self.link.state.is_offer_held() {
            return Ok(AfterFlow::Offer);
        }
        // A link that is offered and not answered has no credit to give yet; what the peer grants is kept.
        if self.link.state.is_deaf() {
            return Err(Refused::Over);
        }
        if flow.properties.is_some() || self.link.remote_flow_properties.is_some() {
            if self.postings.refuses_acquisition(self.link.role(), flow.properties.as_ref()) {
                return Err(PeerMisbehaved::TransactionalAcquisition.into());
            }
            self.keep_flow_properties(flow.properties.as_ref())?;
        }
        match &self.link.end {
            End::Sending(end) => {
                let asked_before = end.credit.drain();
                if self.link.on_receiver_flow(flow) {
                    self.outbox.events.push_back(Event::Sendable(self.id));
                }
                self.wake();
                let drains = |end: &super::SendingEnd| end.credit.drain() != DrainState::None;
                let waits = self.link.state.is_detaching() || self.session.ending != Ending::No;
                if waits || asked_before != DrainState::None || self.link.sending().is_some_and(drains) {
                    return Ok(AfterFlow::Credit(asked_before));
                }
            }
            End::Receiving(_) => {
                if self.link.on_sender_flow(flow) {
                    self.outbox.events.push_back(Event::Drained(self.id));
                }
                if self.link.state.stopping().is_some() {
                    return Ok(AfterFlow::Stopping);
                }
                if self.link.receiving_mut().is_some_and(|end| end.credit.take_flow_due()) {
                    self.tell();
                }
            }
        }
        Ok(AfterFlow::Nothing)
    }

    /// Keeps the properties of the peer's flow, and reports it if they have changed.
    fn keep_flow_properties(&mut self, properties: Option<&Fields>) -> Result<(), PeerMisbehaved> {
        let octets = properties.map(Encode::to_octets);
        if self.link.remote_flow_properties.as_deref().map(Kept::octets) == octets.as_ref() {
            return Ok(());
        }
        self.link.remote_flow_properties = None;
        if let Some(octets) = octets {
            let charge = self.charge(octets.len());
            let charge = charge.ok_or(PeerMisbehaved::MetadataExceeded { scope: Scope::Link })?;
            self.link.remote_flow_properties = Some(Box::new(Kept::new(octets, charge)));
        }
        self.outbox.events.push_back(Event::FlowProperties(self.id));
        Ok(())
    }
}
