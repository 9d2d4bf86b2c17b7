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
        Ok(match changed(message, &relayed.message)? {
            Some(change) => Outcome::fail(change),
            None => Outcome::pass(),
        })
    }
}

/// Stops the case if a message was not accepted.
fn refused(disposition: &Disposition) -> Result<(), Stop> {
    match &disposition.state {
        None | Some(DeliveryState::Accepted) => Ok(()),
        Some(state) => Err(Outcome::fail(format!("the message was not accepted: {state:?}")).into()),
    }
}

/// What has become of the values of a bare message, if they are not the same. That no section is added is another rule
/// (§3.2).
///
/// # Errors
///
/// If the message that was sent is malformed.
pub(crate) fn changed(sent: &[u8], received: &[u8]) -> Result<Option<String>, Stop> {
    let sent = bare_values(sent).map_err(|flaw| Stop::SetUp(flaw.to_string()))?;
    let mut received = match bare_values(received) {
        Ok(received) => received,
        Err(flaw) => return Ok(Some(format!("the message cannot be read any more: {flaw}"))),
    };
    received.retain(|(code, _)| sent.iter().any(|(known, _)| known == code));
    Ok((sent != received).then(|| format!("the values have changed: {}", difference(&sent, &received))))
}

type Values = Vec<(u8, octets::Value)>;

fn bare_values(message: &[u8]) -> Result<Values, octets::Flaw> {
    let sections = octets::sections(message)?.into_iter();
    Ok(sections.filter(octets::Section::is_bare).map(|section| (section.code, ordered(section))).collect())
}

/// The value of a section. The order of application-properties says nothing.
fn ordered(section: octets::Section<'_>) -> octets::Value {
    const APPLICATION_PROPERTIES: u8 = 0x74;
    match section.value {
        octets::Value::Map(mut entries) if section.code == APPLICATION_PROPERTIES => {
            entries.sort_by_cached_key(|entry| format!("{entry:?}"));
            octets::Value::Map(entries)
        }
        value => value,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octets::hex;

    /// The change of a message in hexadecimal digits, as it was sent and as it came back.
    fn change(sent: &str, received: &str) -> Option<String> {
        changed(&hex(sent), &hex(received)).expect("the message that was sent is sound")
    }

    #[test]
    fn a_section_that_was_added_changes_no_value() {
        assert_eq!(change("005377a10161", "005370450053 73c00401a10162 005377a10161"), None);
        assert!(change("005377a10161", "005373c00401a10162005377a10163").is_some());
        assert!(change("005373c00401a10162005377a10161", "005377a10161").is_some());
    }

    #[test]
    fn the_order_of_application_properties_says_nothing() {
        let (sent, received) = ("005374c10904a1016141a1016242", "005374c10904a1016242a1016141");
        assert_eq!(change(sent, received), None);
        assert!(change(sent, "005374c10904a1016141a1016241").is_some());
    }
}
