//! Sends messages through the queue, and compares what comes back.

use super::{Attached, Progress, ServerTrial, queue::close};
use crate::{
    case::Need,
    octets,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    definitions::Role,
    messaging::DeliveryState,
    performative::{Disposition, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Body, Got, Skip, frames};
use bytes::Bytes;

/// The outcome of a message that was sent, and the message that was received.
#[derive(Debug)]
pub struct Relayed {
    /// The octets that were received, of all transfers together.
    pub message: Bytes,
    /// The transfer with which they began.
    pub transfer: Transfer,
}

impl ServerTrial<'_> {
    /// Sends a message to the queue, which is empty, and receives it on another link of the same session. Both
    /// deliveries are settled.
    ///
    /// # Errors
    ///
    /// As said for [`sender`](Self::sender). It is a failure of the case if the message is
    /// not accepted, or does not come back.
    pub fn relayed(&mut self, message: &[u8]) -> Result<Relayed, Stop> {
        let Attached { mut connection, open, session, link, .. } = self.sender()?;
        if message.len().saturating_add(64) > usize::try_from(open.max_frame_size).unwrap_or(usize::MAX) {
            return Err(Stop::SetUp(String::from("the message does not fit into a frame of the server's")));
        }
        let receiver = connection
            .attached_receiver(&session, 1, "relay", self.node())
            .map_err(|unexpected| Stop::set_up(&unexpected))?;
        let mut progress = Progress::default();
        connection.send(session.channel, progress.flow(&session, &receiver, 1));
        connection.send_with(session.channel, frames::transfer(link.handle, 0), message);
        let deadline = connection.now().saturating_add(connection.patience());
        let (mut accepted, mut delivered) = (false, None);
        while !accepted || delivered.is_none() {
            let got = connection.next_within(deadline.saturating_sub(connection.now()));
            match &got {
                Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => {
                    if let Ok(transfer) = Transfer::of(got) {
                        delivered = progress.add(&transfer).or(delivered);
                    }
                }
                Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. })
                    if disposition.role == Role::Receiver =>
                {
                    accepted = true;
                    refused(disposition)?;
                    if !disposition.settled {
                        connection.send(session.channel, frames::settled(Role::Sender, 0, DeliveryState::Accepted));
                    }
                }
                Got::Frame(AmqpFrame {
                    body: None | Some(Performative::Flow(_) | Performative::Disposition(_)),
                    ..
                }) => {}
                _ => {
                    let wanted = if accepted { "the message" } else { "the message's outcome" };
                    return Err(connection.unexpected(wanted, got).into());
                }
            }
        }
        let Some(delivery) = delivered else { return Err(Stop::SetUp(String::from("no delivery"))) };
        connection.send(session.channel, frames::settled(Role::Receiver, delivery.number(), DeliveryState::Accepted));
        close(&mut connection);
        let transfer = delivery.transfers.into_iter().next().unwrap_or_default();
        Ok(Relayed { message: delivery.message, transfer })
    }

    /// Sends a message to the node.
    ///
    /// # Errors
    ///
    /// As said for [`sender`](Self::sender). It is a failure of the case if the message is not accepted.
    pub fn accepted(&mut self, message: &[u8]) -> Result<(), Stop> {
        let Attached { mut connection, session, link, .. } = self.sender()?;
        connection.send_with(session.channel, frames::transfer(link.handle, 0), message);
        let disposition = connection.expect_skipping::<Disposition>(Skip::FLOWS)?;
        refused(&disposition)?;
        if !disposition.settled {
            connection.send(session.channel, frames::settled(Role::Sender, 0, DeliveryState::Accepted));
        }
        close(&mut connection);
        Ok(())
    }

    /// Sends a message through the queue. Passes if its bare message comes back with the same values; that the octets
    /// are the same as well is another rule (§3.2). A server without a queue has to accept it.
    ///
    /// # Errors
    ///
    /// As said for [`relayed`](Self::relayed).
    pub fn relays_values(&mut self, message: &[u8]) -> Result<Outcome, Stop> {
        if !self.sheet().has(Need::Queue) {
            self.accepted(message)?;
            return Ok(Outcome::pass_with("accepted; the server keeps no messages to be compared"));
        }
        let relayed = self.relayed(message)?;
        let sent = bare_values(message).map_err(|flaw| Stop::SetUp(flaw.to_string()))?;
        let received = match bare_values(&relayed.message) {
            Ok(received) => received,
            Err(flaw) => return Ok(Outcome::fail(format!("the message cannot be read any more: {flaw}"))),
        };
        if sent == received {
            return Ok(Outcome::pass());
        }
        Ok(Outcome::fail(format!("the values have changed: {}", difference(&sent, &received))))
    }
}

/// Stops the case if a message was not accepted.
fn refused(disposition: &Disposition) -> Result<(), Stop> {
    match &disposition.state {
        None | Some(DeliveryState::Accepted) => Ok(()),
        Some(state) => Err(Outcome::fail(format!("the message was not accepted: {state:?}")).into()),
    }
}

type Values = Vec<(u8, octets::Value)>;

fn bare_values(message: &[u8]) -> Result<Values, octets::Flaw> {
    let sections = octets::sections(message)?.into_iter();
    Ok(sections.filter(octets::Section::is_bare).map(|section| (section.code, section.value)).collect())
}

/// The first value that was sent and has not come back.
fn difference(sent: &Values, received: &Values) -> String {
    for (index, (code, value)) in sent.iter().enumerate() {
        match received.get(index) {
            Some((other, _)) if other != code => return format!("section {code:#x} became {other:#x}"),
            Some((_, other)) if other != value => return octets::difference(value, other),
            Some(_) => {}
            None => return format!("section {code:#x} is missing"),
        }
    }
    String::from("a section was added")
}
