//! Links with a client.

use super::trial::{AnyLink, Checked, LinkTrial, late};
use crate::{
    client::{self, ClientTrial},
    delivery::Delivery,
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    SequenceNo,
    definitions::Role,
    performative::{Attach, Disposition, Flow, Performative},
};
use amqp1_script::{AmqpFrame, Body, Got, Link, Refusal, Session, Unexpected, frames};

impl LinkTrial for ClientTrial<'_> {
    type Link = client::Attached;

    const SENDS_FIRST: bool = true;

    fn is_strict(&self) -> bool {
        Self::is_strict(self)
    }

    fn sending_with(&mut self, count: u32, change: impl FnOnce(&mut Attach)) -> Result<Self::Link, Stop> {
        self.set_count(count);
        let mut attaching = self.link_where(client::receives_from_node)?;
        change(&mut attaching.answer);
        Ok(attaching.answered())
    }

    fn receiving_with(&mut self, count: u32, change: impl FnOnce(&mut Attach)) -> Result<Self::Link, Stop> {
        self.set_count(count);
        let mut attaching = self.link_where(client::sends_to_node)?;
        change(&mut attaching.answer);
        Ok(attaching.answered())
    }

    fn has_taken(&mut self, mut link: Self::Link, _: &[&str]) -> Checked {
        Ok(link.finishes())
    }

    fn is_settled(&mut self, mut link: Self::Link) -> Checked {
        Ok(link.finishes())
    }

    fn is_unsettled(&mut self, mut link: Self::Link, delivery: &Delivery) -> Checked {
        // A client that has its outcome goes on, and detaches the link or ends more.
        let session = link.session();
        for _ in 0..2 {
            let echo = Flow { echo: true, ..link.progress.flow(&session) };
            link.send(echo);
            let patience = link.connection.patience();
            link.connection.set_patience(patience / 5);
            let found = link.until("a flow", |_, got| {
                matches!(got.name(), "flow" | "detach" | "end" | "close").then(|| got.clone())
            });
            link.connection.set_patience(patience);
            let found = match found {
                // It does not answer echo, but does not go on either.
                Err(unexpected) if matches!(*unexpected.got, Got::Timeout { .. }) => continue,
                found => found?,
            };
            if found.name() != "flow" {
                return Ok(Outcome::fail(format!("the client takes its delivery for settled: {found}")));
            }
        }
        link.accept(delivery);
        Ok(link.finishes())
    }
}

impl AnyLink for client::Attached {
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
        Self::credited(self)
    }

    fn flow(&self, credit: u32) -> Flow {
        Self::flow(self, credit)
    }

    fn delivery(&mut self) -> Result<Delivery, Unexpected> {
        Self::delivery(self)
    }

    fn next_disposition(&mut self) -> Result<Disposition, Unexpected> {
        let channel = self.session.remote_channel;
        self.until("a disposition", |_, got| {
            let disposition = Disposition::of(got.clone()).ok()?;
            (disposition.channel == channel && disposition.role == Role::Receiver).then_some(disposition.body)
        })
    }

    fn sender_disposition(&mut self) -> Result<Disposition, Unexpected> {
        self.until("a disposition with role=sender", |_, got| {
            Disposition::of(got.clone()).ok().filter(|disposition| disposition.role == Role::Sender).map(|got| got.body)
        })
    }

    fn link_flow(&mut self) -> Result<Flow, Unexpected> {
        let handle = self.link.attach.handle;
        self.flow_where(|flow| flow.handle == Some(handle))
    }

    fn any_flow(&mut self) -> Result<Flow, Unexpected> {
        self.flow_where(|_| true)
    }

    fn deliveries_before_flow(&mut self) -> Result<(Flow, Vec<Delivery>), Unexpected> {
        let (channel, handle) = (self.session.remote_channel, self.link.attach.handle);
        let mut deliveries = Vec::new();
        loop {
            let found = self.until("a flow of the link", |progress, got| match got {
                Got::Frame(AmqpFrame { channel: on, body: Some(Performative::Flow(flow)), .. })
                    if *on == channel && flow.handle == Some(handle) =>
                {
                    Some(Ok(flow.clone()))
                }
                Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => Some(Err(progress.note(got))),
                _ => None,
            })?;
            match found {
                Ok(flow) => return Ok((flow, deliveries)),
                Err(delivery) => deliveries.extend(delivery),
            }
        }
    }

    fn count_drained(&mut self, count: SequenceNo) {
        self.progress.set_delivery_count(&self.link, count);
    }

    fn closes_in_peace(&mut self) -> Outcome {
        Self::closes_in_peace(self)
    }

    fn rest(&mut self) -> Result<Vec<Got>, Unexpected> {
        let (session, mut all) = (self.session.clone(), Vec::new());
        let echo = Flow { echo: true, ..self.progress.flow(&session) };
        self.send(echo);
        let mut deadline = self.connection.now().saturating_add(self.connection.patience() / 5);
        let (mut is_answered, mut is_closing) = (false, false);
        loop {
            let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
            let is_over = matches!(got, Got::Timeout { .. });
            if got.name() == "flow" && !is_answered && !is_closing {
                is_answered = true;
                deadline = deadline.min(self.connection.now().saturating_add(late(&self.connection)));
            }
            match &got {
                _ if Refusal::of(&got).is_some() => return Err(self.connection.unexpected("close", got)),
                Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => {
                    if !is_closing {
                        self.connection.send(0, frames::close());
                    }
                    return Ok(all);
                }
                Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => {
                    self.progress.note(&got);
                    all.push(got);
                }
                Got::Frame(_) => {
                    self.progress.answer(&mut self.connection, &got, self.open.max_frame_size);
                    all.push(got);
                }
                Got::Timeout { .. } if !is_closing => {}
                // It does not answer the close: that is for other rules to judge.
                _ if is_closing && got.is_end() => return Ok(all),
                _ => return Err(self.connection.unexpected("close", got)),
            }
            if is_over && !is_closing {
                is_closing = true;
                self.connection.send(0, frames::close());
                deadline = self.connection.now().saturating_add(self.connection.patience());
            }
        }
    }
}

impl client::Attached {
    fn flow_where(&mut self, is_wanted: impl Fn(&Flow) -> bool) -> Result<Flow, Unexpected> {
        let channel = self.session.remote_channel;
        self.until("a flow", |progress, got| {
            let flow = Flow::of(got.clone()).ok().filter(|flow| flow.channel == channel && is_wanted(flow))?;
            progress.note(got);
            Some(flow.body)
        })
    }
}
