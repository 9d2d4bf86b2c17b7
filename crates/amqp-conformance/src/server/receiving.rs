//! Receives deliveries from the server.

use super::Attached;
use crate::delivery::{Assembly, Delivery};
use amqp1_codec::{
    definitions::Role,
    messaging::DeliveryState,
    performative::{Flow, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Body, Got, Link, Session, Unexpected, frames};

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

    /// Settles a delivery that was received, with this state.
    pub fn settle(&mut self, delivery: &Delivery, state: impl Into<Option<DeliveryState>>) {
        self.connection.send(self.session.channel, frames::settled(Role::Receiver, delivery.number(), state));
    }
}
