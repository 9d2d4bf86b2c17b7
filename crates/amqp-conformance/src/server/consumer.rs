//! A link on which the tool receives, and what came on it.

use super::{Attached, ServerTrial, queue::SILENCE};
use crate::{verdict::Stop, wire::Connection};
use amqp1_codec::{
    Message, SequenceNo, Value,
    definitions::Role,
    messaging::{DeliveryState, Header},
    performative::{Attach, Detach, Disposition, Flow, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Got, Link, Session, Skip, Unexpected, frames};
use bytes::Bytes;
use std::time::Duration;

/// A delivery as it came, all its transfers put together.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The first transfer.
    pub transfer: Transfer,
    /// The payload of all transfers.
    pub payload: Bytes,
    /// Whether the last transfer aborts it.
    pub aborted: bool,
}

impl Delivered {
    /// `delivery-id`; 0 if it is absent.
    pub fn id(&self) -> u32 {
        self.transfer.delivery_id.map_or(0, |SequenceNo(id)| id)
    }

    /// The message.
    ///
    /// # Errors
    ///
    /// [`Stop::Known`] with a failure, if it cannot be decoded.
    pub fn message(&self) -> Result<Message, Stop> {
        Message::from_bytes(self.payload.clone())
            .map_err(|error| Stop::Known(crate::Outcome::fail(format!("the message cannot be decoded: {error}"))))
    }

    /// The header; all defaults without one.
    ///
    /// # Errors
    ///
    /// As said for [`message`](Self::message).
    pub fn header(&self) -> Result<Header, Stop> {
        let header = self.message()?.header();
        Ok(header
            .map_err(|error| Stop::Known(crate::Outcome::fail(format!("the header cannot be decoded: {error}"))))?
            .unwrap_or_default())
    }

    /// A message annotation; null without one.
    ///
    /// # Errors
    ///
    /// As said for [`message`](Self::message).
    pub fn annotation(&self, key: &str) -> Result<Value, Stop> {
        let annotations = self.message()?.message_annotations().map_err(|error| {
            Stop::Known(crate::Outcome::fail(format!("the message annotations cannot be decoded: {error}")))
        })?;
        Ok(annotations.and_then(|annotations| annotations.get(key).cloned()).unwrap_or_default())
    }

    /// The data section as text; empty without one.
    pub fn text(&self) -> String {
        let message = Message::from_bytes(self.payload.clone()).ok();
        let data = message.and_then(|message| message.data()).unwrap_or_default();
        String::from_utf8_lossy(&data).into_owned()
    }
}

/// A connection whose only link is one on which the tool receives.
#[derive(Debug)]
pub struct Consumer {
    /// The connection.
    pub connection: Connection,
    /// The session.
    pub session: Session,
    /// The link.
    pub link: Link,
    drains: bool,
    transfers: u32,
    deliveries: u32,
}

impl From<Attached> for Consumer {
    fn from(Attached { connection, session, link, .. }: Attached) -> Self {
        Self::new(connection, session, link)
    }
}

impl Consumer {
    /// A link on which nothing has come, the only one of its session on which something comes.
    pub fn new(connection: Connection, session: Session, link: Link) -> Self {
        Self { connection, session, link, drains: true, transfers: 0, deliveries: 0 }
    }

    /// The flow that allows this many deliveries more than came.
    pub fn flow(&self, credit: u32) -> Flow {
        let begun = self.session.begin.next_outgoing_id;
        let initial = self.link.attach.initial_delivery_count.unwrap_or_default();
        Flow {
            next_incoming_id: Some(begun.plus(self.transfers)),
            delivery_count: Some(initial.plus(self.deliveries)),
            ..frames::credit(self.link.handle, credit)
        }
    }

    /// Allows this many deliveries.
    pub fn credit(&mut self, credit: u32) {
        let flow = self.flow(credit);
        self.connection.send(self.session.channel, flow);
    }

    /// Waits for the next delivery. Flows and dispositions before it are passed over.
    ///
    /// # Errors
    ///
    /// If something else comes, or nothing in time.
    pub fn expect_delivery(&mut self) -> Result<Delivered, Unexpected> {
        loop {
            if let Some(delivered) = self.next_before(None)? {
                return Ok(delivered);
            }
        }
    }

    /// Allows one delivery, and waits for it.
    ///
    /// # Errors
    ///
    /// As said for [`expect_delivery`](Self::expect_delivery).
    pub fn take(&mut self) -> Result<Delivered, Unexpected> {
        self.credit(1);
        self.expect_delivery()
    }

    /// Asks for up to this many deliveries and returns those that there are. A server that cannot drain a link is
    /// taken to have no more when it falls silent.
    ///
    /// # Errors
    ///
    /// If something else comes, or the server drains links and does not say that there are no more.
    pub fn drain(&mut self, credit: u32) -> Result<Vec<Delivered>, Unexpected> {
        if !self.drains {
            return self.take_until_silence(credit);
        }
        let flow = Flow { drain: true, ..self.flow(credit) };
        let limit = flow.delivery_count.map(|count| count.plus(credit));
        self.connection.send(self.session.channel, flow);
        let mut all = Vec::new();
        while all.len() < usize::try_from(credit).unwrap_or(usize::MAX) {
            match self.next_before(limit)? {
                Some(delivered) => all.push(delivered),
                None => break,
            }
        }
        Ok(all)
    }

    /// Drains the link of an empty queue. Returns whether the server says that the credit is used up.
    pub(super) fn is_drained(&mut self) -> bool {
        let flow = Flow { drain: true, ..self.flow(1) };
        let limit = flow.delivery_count.map(|count| count.plus(1));
        self.connection.send(self.session.channel, flow);
        matches!(self.next_before(limit), Ok(None))
    }

    fn take_until_silence(&mut self, credit: u32) -> Result<Vec<Delivered>, Unexpected> {
        self.credit(credit);
        let mut all = Vec::new();
        while all.len() < usize::try_from(credit).unwrap_or(usize::MAX) {
            match self.next_within(SILENCE, None) {
                Ok(Some(delivered)) => all.push(delivered),
                Ok(None) => {}
                Err(unexpected) if matches!(*unexpected.got, Got::Timeout { .. }) => break,
                Err(unexpected) => return Err(unexpected),
            }
        }
        Ok(all)
    }

    /// Sends a settled disposition for this delivery.
    pub fn settle(&mut self, delivered: &Delivered, state: impl Into<Option<DeliveryState>>) {
        self.connection.send(self.session.channel, frames::settled(Role::Receiver, delivered.id(), state));
    }

    /// Sends an unsettled disposition for this delivery.
    pub fn state(&mut self, delivered: &Delivered, state: DeliveryState) {
        let disposition = Disposition { settled: false, ..frames::settled(Role::Receiver, delivered.id(), state) };
        self.connection.send(self.session.channel, disposition);
    }

    /// Detaches the link, without closing it, and waits for the answer.
    ///
    /// # Errors
    ///
    /// If the server does not detach.
    pub fn detach(&mut self) -> Result<Detach, Unexpected> {
        self.connection.send(self.session.channel, Detach { closed: false, ..frames::detach(self.link.handle) });
        self.connection.expect_skipping::<Detach>(Skip::CHATTER).map(|detach| detach.body)
    }

    /// Attaches a link on the same session, in place of one that was detached.
    ///
    /// # Errors
    ///
    /// If the server does not attach.
    pub fn attach(&mut self, attach: Attach) -> Result<(), Unexpected> {
        self.link = self.connection.attached(&self.session, attach)?;
        self.deliveries = 0;
        Ok(())
    }

    /// Closes the connection.
    ///
    /// # Errors
    ///
    /// If the server does not close in good order.
    pub fn close(mut self) -> Result<(), Unexpected> {
        self.connection.closed().map(drop)
    }

    /// The next delivery; `None` if a flow says that the link has used up its credit to this `delivery-count`.
    fn next_before(&mut self, limit: Option<SequenceNo>) -> Result<Option<Delivered>, Unexpected> {
        self.next_within(self.connection.patience(), limit)
    }

    fn next_within(&mut self, time: Duration, limit: Option<SequenceNo>) -> Result<Option<Delivered>, Unexpected> {
        let mut begun: Option<Delivered> = None;
        let deadline = self.connection.now().saturating_add(time);
        loop {
            let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
            match &got {
                Got::Frame(AmqpFrame { body: Some(Performative::Transfer(transfer)), payload, .. }) => {
                    self.transfers = self.transfers.wrapping_add(1);
                    let mut delivered = begun.take().unwrap_or_else(|| Delivered {
                        transfer: transfer.clone(),
                        payload: Bytes::new(),
                        aborted: false,
                    });
                    delivered.payload = [&delivered.payload[..], &payload[..]].concat().into();
                    delivered.aborted = transfer.aborted;
                    if transfer.aborted || !transfer.more {
                        self.deliveries = self.deliveries.wrapping_add(1);
                        return Ok(Some(delivered));
                    }
                    begun = Some(delivered);
                }
                Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. }) => {
                    let is_drained = flow.handle == Some(self.link.attach.handle) && flow.link_credit == Some(0);
                    if let Some(limit) = limit.filter(|limit| is_drained && flow.delivery_count == Some(*limit)) {
                        let initial = self.link.attach.initial_delivery_count.unwrap_or_default();
                        self.deliveries = limit.distance_from(initial);
                        return Ok(None);
                    }
                }
                Got::Frame(AmqpFrame { body: None | Some(Performative::Disposition(_)), .. }) => {}
                _ => return Err(self.connection.unexpected("a transfer", got)),
            }
        }
    }
}

impl ServerTrial<'_> {
    /// A connection on which the tool receives from the queue, by an attach of this name.
    ///
    /// # Errors
    ///
    /// As said for [`attached`](Self::attached).
    pub fn consumer(&mut self, name: &str) -> Result<Consumer, Stop> {
        let attach = frames::attach_receiver(name, 0, self.node());
        self.consumer_with(attach)
    }

    /// The same with an attach of the case's own.
    ///
    /// # Errors
    ///
    /// As said for [`attached`](Self::attached).
    pub fn consumer_with(&mut self, attach: Attach) -> Result<Consumer, Stop> {
        let drains = self.sheet().drains;
        self.attached(attach).map(|attached| Consumer { drains, ..Consumer::from(attached) })
    }

    /// Empties the queue, and puts a message with each of these texts into it.
    ///
    /// # Errors
    ///
    /// As said for [`purge`](Self::purge) and [`fill`](Self::fill).
    pub fn queued(&mut self, texts: &[&'static str]) -> Result<(), Stop> {
        self.purge()?;
        let messages: Vec<Bytes> = texts.iter().map(|text| frames::message(*text)).collect();
        self.fill(&messages)
    }

    /// What the queue holds that is not acquired: each message is received and accepted.
    ///
    /// # Errors
    ///
    /// As said for [`consumer`](Self::consumer), and if the server does not say that there are no more.
    pub fn emptied(&mut self) -> Result<Vec<Delivered>, Stop> {
        let mut consumer = self.consumer("reader")?;
        let all = consumer.drain(100).map_err(|unexpected| Stop::set_up(&unexpected))?;
        for delivered in &all {
            consumer.settle(delivered, DeliveryState::Accepted);
        }
        consumer.close().map_err(|unexpected| Stop::set_up(&unexpected))?;
        Ok(all)
    }
}
