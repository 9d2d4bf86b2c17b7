//! Fills and empties the queue that the server was named for the tool.

use super::{Attached, Begun, Progress, ServerTrial};
use crate::{delivery::Delivery, verdict::Stop, wire::Connection};
use amqp1_codec::{
    definitions::Role,
    messaging::DeliveryState,
    performative::{Disposition, Flow, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Body, Got, Link, Received, Session, Skip, Unexpected, frames};
use std::time::{Duration, Instant};

/// The time after which a server that neither sends a message nor answers a drain is taken to have none.
pub(super) const SILENCE: Duration = Duration::from_millis(1000);
/// The number of messages that a purge takes at a time.
const BATCH: u32 = 100;
/// The number of messages after which a queue is taken for one that never empties.
const MOST: u32 = 100_000;

/// A queue that is not empty, or that cannot be used.
#[derive(Debug)]
pub(crate) enum QueueError {
    /// No session could be begun.
    Peer(Stop),
    /// Something else came than the queue's link or its messages.
    Unexpected(Unexpected),
    /// Messages are left.
    Left(String),
}

impl From<Unexpected> for QueueError {
    fn from(unexpected: Unexpected) -> Self {
        Self::Unexpected(unexpected)
    }
}

impl From<QueueError> for Stop {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Peer(stop) => stop,
            QueueError::Unexpected(unexpected) => Self::set_up(&unexpected),
            QueueError::Left(reason) => Self::SetUp(reason),
        }
    }
}

impl ServerTrial<'_> {
    /// A connection with a link on which the tool receives from the queue.
    pub(crate) fn queue(&mut self) -> Result<Attached, QueueError> {
        let Begun { mut connection, open, session } = self.begun().map_err(QueueError::Peer)?;
        let link = connection.attached(&session, frames::attach_receiver("receiver", 0, self.node()))?;
        Ok(Attached { connection, open, session, link, credit: 0, progress: Progress::default() })
    }

    /// Empties the queue: its messages are received and accepted, on a connection of its own. Returns their number.
    ///
    /// A server that cannot drain a link is asked without it, and taken to have no more when it falls silent.
    ///
    /// # Errors
    ///
    /// As said for [`receiver`](Self::receiver), and if the queue is not empty after 100,000 messages, or at the deadline of
    /// the case or the connection.
    pub fn purge(&mut self) -> Result<u32, Stop> {
        Ok(self.purged(Duration::MAX)?)
    }

    /// The same within this time, with an error that tells what is wrong with the queue.
    pub(crate) fn purged(&mut self, limit: Duration) -> Result<u32, QueueError> {
        let start = Instant::now();
        let drain = self.sheet().drains;
        let Attached { mut connection, session, link, mut progress, .. } = self.queue()?;
        let mut purged = 0u32;
        let deadline = connection.now().saturating_add(limit).min(connection.transport().deadline());
        while purged < MOST && connection.now() < deadline {
            let flow = Flow { drain, ..progress.flow(&session, &link, BATCH) };
            connection.send(session.channel, flow);
            let Taken { count, is_all } = take_until_drained(deadline, &mut connection, &link, &mut progress)?;
            purged = purged.saturating_add(count);
            if count == 0 && is_all {
                close(&mut connection);
                return Ok(purged);
            }
        }
        let seconds = start.elapsed().as_secs();
        Err(QueueError::Left(format!("{purged} messages were removed within {seconds} s, and the queue is not empty")))
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

/// The deliveries of one batch.
struct Taken {
    count: u32,
    /// Whether the sender has no more, as far as can be told.
    is_all: bool,
}

/// Accepts what comes on a link until the sender has used up its credit, says that it has nothing more, or sends no
/// transfer for a while. Other frames do not make that longer.
fn take_until_drained(
    deadline: Duration,
    connection: &mut Connection,
    link: &Link,
    progress: &mut Progress,
) -> Result<Taken, Unexpected> {
    let silent_at = |connection: &Connection| connection.now().saturating_add(SILENCE);
    let (mut count, mut silent) = (0u32, silent_at(connection));
    while count < BATCH && connection.now() < deadline {
        let got = connection.next_within(silent.min(deadline).saturating_sub(connection.now()));
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => {
                silent = silent_at(connection);
                if let Ok(transfer) = Transfer::of(got)
                    && let Some(delivery) = progress.add(&transfer)
                {
                    count = count.saturating_add(1);
                    accept(connection, link, &delivery);
                }
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. }) => {
                if flow.handle == Some(link.attach.handle) && flow.link_credit == Some(0) {
                    return Ok(Taken { count, is_all: true });
                }
            }
            Got::Frame(AmqpFrame { body: None | Some(Performative::Disposition(_)), .. }) => {}
            Got::Timeout { .. } => return Ok(Taken { count, is_all: connection.now() < deadline }),
            _ => return Err(connection.unexpected("the queue's messages", got)),
        }
    }
    Ok(Taken { count, is_all: false })
}

fn accept(connection: &mut Connection, link: &Link, delivery: &Delivery) {
    if !delivery.is_settled() && !delivery.is_aborted() {
        let accepted = frames::settled(Role::Receiver, delivery.number(), DeliveryState::Accepted);
        connection.send(link.channel, accepted);
    }
}
