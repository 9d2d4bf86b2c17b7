//! Fills and empties the queue that the server was named for the tool.

use super::{Attached, Progress, ServerTrial};
use crate::{delivery::Delivery, verdict::Stop, wire::Connection};
use amqp1_codec::{
    definitions::Role,
    messaging::DeliveryState,
    performative::{Disposition, Flow, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Body, Got, Link, Received, Session, Skip, frames};
use std::time::Duration;

/// The time after which a server that neither sends a message nor answers a drain is taken to have none.
pub(super) const SILENCE: Duration = Duration::from_millis(1000);
/// The number of messages that a purge takes at a time.
const BATCH: u32 = 100;
/// The number of messages after which a queue is taken for one that never empties.
const MOST: u32 = 100_000;

impl ServerTrial<'_> {
    /// Empties the queue: its messages are received and accepted, on a connection of its own. Returns their number.
    ///
    /// A server that cannot drain a link is asked without it, and taken to have no more when it falls silent.
    ///
    /// # Errors
    ///
    /// As said for [`receiver`](Self::receiver), and if the queue does not become empty.
    pub fn purge(&mut self) -> Result<u32, Stop> {
        let drain = self.sheet().drains;
        let Attached { mut connection, session, link, mut progress, .. } = self.receiver()?;
        let mut purged = 0u32;
        while purged < MOST {
            let flow = Flow { drain, ..progress.flow(&session, &link, BATCH) };
            connection.send(session.channel, flow);
            let taken = take_until_drained(&mut connection, &link, &mut progress)?;
            purged = purged.saturating_add(taken);
            if taken == 0 {
                close(&mut connection);
                return Ok(purged);
            }
        }
        Err(Stop::SetUp(format!("the queue is not empty after {MOST} messages")))
    }

    /// Puts messages into the queue, on a connection of its own, each accepted by the server.
    ///
    /// # Errors
    ///
    /// As said for [`sender`](Self::sender), and if the server does not accept one.
    pub fn fill(&mut self, messages: &[impl AsRef<[u8]>]) -> Result<(), Stop> {
        let Attached { mut connection, session, link, mut credit, .. } = self.sender()?;
        for (message, id) in messages.iter().zip(0u32..) {
            if credit == 0 {
                credit = connection.credited(&link).map_err(|unexpected| Stop::set_up(&unexpected))?;
            }
            credit = credit.saturating_sub(1);
            connection.send_with(session.channel, frames::transfer(link.handle, id), message);
            let answer = connection
                .expect_where(Skip::FLOWS, "disposition accepted", |answer: &Received<Disposition>| {
                    answer.state == Some(DeliveryState::Accepted)
                })
                .map_err(|unexpected| Stop::set_up(&unexpected))?;
            if !answer.settled {
                connection.send(session.channel, frames::settled(Role::Sender, id, DeliveryState::Accepted));
            }
        }
        close(&mut connection);
        Ok(())
    }
}

/// Closes a connection that has done its part. How the server ends it is the matter of other cases: some reset it.
pub(crate) fn close(connection: &mut Connection) {
    connection.send(0, frames::close());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if got.is_end() || matches!(got.name(), "close" | "nothing") {
            return;
        }
    }
}

/// A flow that gives this much credit after this many deliveries were received on a link, all of one transfer, and none
/// on other links of the session.
pub fn credit_after(session: &Session, link: &Link, received: u32, credit: u32) -> Flow {
    let begun = session.begin.next_outgoing_id;
    let initial = link.attach.initial_delivery_count.unwrap_or_default();
    Flow {
        next_incoming_id: Some(begun.plus(received)),
        delivery_count: Some(initial.plus(received)),
        ..frames::credit(link.handle, credit)
    }
}

/// Accepts what comes on a link until the sender has used up its credit, says that it has nothing more, or falls silent. Returns the
/// number of deliveries.
fn take_until_drained(connection: &mut Connection, link: &Link, progress: &mut Progress) -> Result<u32, Stop> {
    let mut taken = 0u32;
    while taken < BATCH {
        let got = connection.next_within(SILENCE);
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => {
                if let Ok(transfer) = Transfer::of(got)
                    && let Some(delivery) = progress.add(&transfer)
                {
                    taken = taken.saturating_add(1);
                    accept(connection, link, &delivery);
                }
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. }) => {
                if flow.handle == Some(link.attach.handle) && flow.link_credit == Some(0) {
                    break;
                }
            }
            Got::Frame(AmqpFrame { body: None | Some(Performative::Disposition(_)), .. }) => {}
            Got::Timeout { .. } => break,
            _ => return Err(Stop::SetUp(format!("expected the queue's messages, got {got}"))),
        }
    }
    Ok(taken)
}

fn accept(connection: &mut Connection, link: &Link, delivery: &Delivery) {
    if !delivery.is_settled() && !delivery.is_aborted() {
        let accepted = frames::settled(Role::Receiver, delivery.number(), DeliveryState::Accepted);
        connection.send(link.channel, accepted);
    }
}
