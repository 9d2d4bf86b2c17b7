//! Receives deliveries from the server.

use super::Attached;
use crate::delivery::{Assembly, Delivery};
use amqp1_codec::{
    definitions::Role,
    messaging::DeliveryState,
    performative::{Disposition, Flow, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Body, Got, Link, Refusal, Session, Unexpected, frames};

/// The transfers and deliveries of a session that were received so far.
#[derive(Debug, Default)]
pub struct Progress {
    /// The number of transfers on the session.
    pub transfers: u32,
    /// The number of deliveries on the link, aborted ones included.
    pub deliveries: u32,
    assembly: Assembly,
}

impl Progress {
    /// A link on a session on which this many transfers came on other links.
    pub fn after(transfers: u32) -> Self {
        Self { transfers, ..Self::default() }
    }

    /// A flow of the session and the link as they are now, with this much credit.
    pub fn flow(&self, session: &Session, link: &Link, credit: u32) -> Flow {
        let initial = link.attach.initial_delivery_count.unwrap_or_default();
        Flow {
            next_incoming_id: Some(session.begin.next_outgoing_id.plus(self.transfers)),
            delivery_count: Some(initial.plus(self.deliveries)),
            ..frames::credit(link.handle, credit)
        }
    }

    /// Counts a transfer. Returns the delivery that it completes.
    pub fn add(&mut self, transfer: &amqp1_script::Received<Transfer>) -> Option<Delivery> {
        self.transfers = self.transfers.wrapping_add(1);
        let delivery = self.assembly.add(transfer)?;
        self.deliveries = self.deliveries.wrapping_add(1);
        Some(delivery)
    }
}

impl Attached {
    /// Sets the link's credit: the server may send this many deliveries from now on.
    pub fn give_credit(&mut self, credit: u32) {
        let flow = self.flow(credit);
        self.connection.send(self.session.channel, flow);
    }

    /// A flow of the session and the link as they are now, with this much credit.
    pub fn flow(&self, credit: u32) -> Flow {
        self.progress.flow(&self.session, &self.link, credit)
    }

    /// The next delivery on the link, whole. Flows, dispositions and empty frames before it are passed over.
    ///
    /// # Errors
    ///
    /// If something else comes, or nothing.
    pub fn delivery(&mut self) -> Result<Delivery, Unexpected> {
        let deadline = self.connection.now().saturating_add(self.connection.patience());
        loop {
            let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
            match &got {
                Got::Frame(AmqpFrame { body: Some(Performative::Transfer(transfer)), channel, .. })
                    if transfer.handle == self.link.attach.handle && *channel == self.session.remote_channel =>
                {
                    if let Ok(transfer) = Transfer::of(got)
                        && let Some(delivery) = self.progress.add(&transfer)
                    {
                        return Ok(delivery);
                    }
                }
                Got::Frame(AmqpFrame {
                    body: None | Some(Performative::Flow(_) | Performative::Disposition(_)),
                    ..
                }) => {}
                _ => return Err(self.connection.unexpected("a delivery", got)),
            }
        }
    }

    /// The server's next disposition of deliveries of the tool's. Flows, other dispositions and empty frames are passed
    /// over.
    ///
    /// # Errors
    ///
    /// If something else comes, or nothing.
    pub fn next_disposition(&mut self) -> Result<Disposition, Unexpected> {
        let channel = self.session.remote_channel;
        let deadline = self.connection.now().saturating_add(self.connection.patience());
        loop {
            let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
            match &got {
                Got::Frame(AmqpFrame { channel: on, body: Some(Performative::Disposition(disposition)), .. })
                    if *on == channel && disposition.role == Role::Receiver =>
                {
                    return Ok(disposition.clone());
                }
                Got::Frame(AmqpFrame {
                    body: None | Some(Performative::Flow(_) | Performative::Disposition(_)),
                    ..
                }) => {}
                _ => return Err(self.connection.unexpected("a disposition", got)),
            }
        }
    }

    /// The server's disposition of this delivery of the tool's; others are passed over.
    ///
    /// # Errors
    ///
    /// As said for [`next_disposition`](Self::next_disposition).
    pub fn disposition_of(&mut self, id: u32) -> Result<Disposition, Unexpected> {
        loop {
            let disposition = self.next_disposition()?;
            if covers(&disposition, id) {
                return Ok(disposition);
            }
        }
    }

    /// The server's next flow of the link. Dispositions, other flows and empty frames are passed over.
    ///
    /// # Errors
    ///
    /// If something else comes, or nothing.
    pub fn link_flow(&mut self) -> Result<Flow, Unexpected> {
        let (channel, handle) = (self.session.remote_channel, self.link.attach.handle);
        let deadline = self.connection.now().saturating_add(self.connection.patience());
        loop {
            let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
            match &got {
                Got::Frame(AmqpFrame { channel: on, body: Some(Performative::Flow(flow)), .. })
                    if *on == channel && flow.handle == Some(handle) =>
                {
                    return Ok(flow.clone());
                }
                Got::Frame(AmqpFrame {
                    body: None | Some(Performative::Flow(_) | Performative::Disposition(_)),
                    ..
                }) => {}
                _ => return Err(self.connection.unexpected("a flow of the link", got)),
            }
        }
    }

    /// Ends the session. Returns everything that the server has sent before its own end.
    ///
    /// # Errors
    ///
    /// If the server refuses something, or does not end the session.
    pub fn ends(&mut self) -> Result<Vec<Got>, Unexpected> {
        self.connection.send(self.session.channel, frames::end());
        let deadline = self.connection.now().saturating_add(self.connection.patience());
        let mut before = Vec::new();
        loop {
            let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
            match &got {
                _ if Refusal::of(&got).is_some() => return Err(self.connection.unexpected("end", got)),
                Got::Frame(AmqpFrame { channel, body: Some(Performative::End(_)), .. })
                    if *channel == self.session.remote_channel =>
                {
                    return Ok(before);
                }
                Got::Frame(_) => before.push(got),
                _ => return Err(self.connection.unexpected("end", got)),
            }
        }
    }

    /// Settles a delivery that was received, with this state.
    pub fn settle(&mut self, delivery: &Delivery, state: impl Into<Option<DeliveryState>>) {
        self.connection.send(self.session.channel, frames::settled(Role::Receiver, delivery.number(), state));
    }
}

/// Returns `true` if the range of a disposition holds this delivery-id.
pub fn covers(disposition: &Disposition, id: u32) -> bool {
    let first = disposition.first.0;
    let last = disposition.last.unwrap_or(disposition.first).0;
    id.wrapping_sub(first) <= last.wrapping_sub(first)
}
