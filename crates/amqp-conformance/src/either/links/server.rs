//! Links with a server.

use super::trial::{AnyLink, Checked, LinkTrial, late};
use crate::{
    delivery::Delivery,
    judge::closes_in_peace,
    server::{self, ServerTrial},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    SequenceNo,
    definitions::Role,
    messaging::DeliveryState,
    performative::{Attach, Disposition, Flow, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Body, Got, Link, Refusal, Session, Unexpected, frames};

/// The texts of the messages that a server's queue is filled with.
const TEXTS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];

impl LinkTrial for ServerTrial<'_> {
    type Link = server::Attached;

    const SENDS_FIRST: bool = false;

    fn is_strict(&self) -> bool {
        Self::is_strict(self)
    }

    fn sending_with(&mut self, _: u32, change: impl FnOnce(&mut Attach)) -> Result<Self::Link, Stop> {
        let mut attach = frames::attach_sender("sender", 0, self.node());
        change(&mut attach);
        self.attached(attach)
    }

    fn receiving_with(&mut self, count: u32, change: impl FnOnce(&mut Attach)) -> Result<Self::Link, Stop> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.queued(TEXTS.get(..count).unwrap_or(&TEXTS))?;
        let mut attach = frames::attach_receiver("receiver", 0, self.node());
        change(&mut attach);
        self.attached(attach)
    }

    fn has_taken(&mut self, mut link: Self::Link, texts: &[&str]) -> Checked {
        link.connection.closed().map_err(|unexpected| Stop::set_up(&unexpected))?;
        let mut found: Vec<String> = self.emptied()?.iter().map(server::Delivered::text).collect();
        let mut wanted: Vec<String> = texts.iter().map(|text| String::from(*text)).collect();
        found.sort();
        wanted.sort();
        if found != wanted {
            return Ok(Outcome::fail(format!("the queue holds {found:?}, expected {wanted:?}")));
        }
        Ok(Outcome::pass())
    }

    fn is_settled(&mut self, mut link: Self::Link) -> Checked {
        link.ends()?;
        self.has_taken(link, &[])
    }

    fn is_unsettled(&mut self, mut link: Self::Link, _: &Delivery) -> Checked {
        link.ends()?;
        link.connection.closed().map_err(|unexpected| Stop::set_up(&unexpected))?;
        // A message that was released with the link may return to the queue after the answer.
        let mut consumer = self.consumer("reader")?;
        let delivered = match consumer.take() {
            Ok(delivered) => delivered,
            Err(unexpected) => {
                return Ok(Outcome::fail(format!("the message is not in the queue: {}", unexpected.got)));
            }
        };
        consumer.settle(&delivered, DeliveryState::Accepted);
        consumer.close().map_err(|unexpected| Stop::set_up(&unexpected))?;
        Ok(Outcome::pass())
    }
}

impl AnyLink for server::Attached {
    fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn max_frame_size(&self) -> u64 {
        u64::from(self.open.max_frame_size)
    }

    fn session(&self) -> Session {
        self.session.clone()
    }

    fn link(&self) -> &Link {
        &self.link
    }

    fn credited(&mut self) -> Result<u32, Unexpected> {
        self.credit = self.connection.credited(&self.link)?;
        Ok(self.credit)
    }

    fn flow(&self, credit: u32) -> Flow {
        Self::flow(self, credit)
    }

    fn delivery(&mut self) -> Result<Delivery, Unexpected> {
        Self::delivery(self)
    }

    fn next_disposition(&mut self) -> Result<Disposition, Unexpected> {
        Self::next_disposition(self)
    }

    fn sender_disposition(&mut self) -> Result<Disposition, Unexpected> {
        let is_senders = |disposition: &amqp1_script::Received<Disposition>| disposition.role == Role::Sender;
        let wanted = "a disposition with role=sender";
        self.connection.expect_where(amqp1_script::Skip::FLOWS, wanted, is_senders).map(|received| received.body)
    }

    fn link_flow(&mut self) -> Result<Flow, Unexpected> {
        Self::link_flow(self)
    }

    fn any_flow(&mut self) -> Result<Flow, Unexpected> {
        let skip = amqp1_script::Skip { dispositions: true, ..amqp1_script::Skip::EMPTY };
        self.connection.expect_skipping::<Flow>(skip).map(|flow| flow.body)
    }

    fn deliveries_before_flow(&mut self) -> Result<(Flow, Vec<Delivery>), Unexpected> {
        let handle = self.link.attach.handle;
        let deadline = self.connection.now().saturating_add(self.connection.patience());
        let mut deliveries = Vec::new();
        loop {
            let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
            match &got {
                Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. }) if flow.handle == Some(handle) => {
                    return Ok((flow.clone(), deliveries));
                }
                Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => {
                    if let Ok(transfer) = Transfer::of(got) {
                        deliveries.extend(self.progress.add(&transfer));
                    }
                }
                Got::Frame(AmqpFrame {
                    body: None | Some(Performative::Flow(_) | Performative::Disposition(_)),
                    ..
                }) => {}
                _ => return Err(self.connection.unexpected("a flow of the link", got)),
            }
        }
    }

    fn count_drained(&mut self, count: SequenceNo) {
        self.progress.deliveries = count.distance_from(self.initial_count());
    }

    fn closes_in_peace(&mut self) -> Outcome {
        closes_in_peace(&mut self.connection)
    }

    fn rest(&mut self) -> Result<Vec<Got>, Unexpected> {
        // Once it has answered this, it has read all, and what it should not send follows at once.
        let next_incoming_id = Some(self.session.begin.next_outgoing_id.plus(self.progress.transfers));
        self.connection.send(self.session.channel, Flow { next_incoming_id, echo: true, ..frames::flow() });
        let mut deadline = self.connection.now().saturating_add(self.connection.patience() / 5);
        let mut all = Vec::new();
        loop {
            let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
            match &got {
                Got::Timeout { .. } => break,
                Got::Frame(_) if Refusal::of(&got).is_none() => {
                    if got.name() == "flow" {
                        deadline = deadline.min(self.connection.now().saturating_add(late(&self.connection)));
                    }
                    all.push(got);
                }
                _ => return Err(self.connection.unexpected("end", got)),
            }
        }
        all.extend(self.ends()?);
        Ok(all)
    }
}
