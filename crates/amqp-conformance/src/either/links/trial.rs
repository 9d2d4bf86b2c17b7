//! Links with a peer in either role.

use crate::{
    client::{self, ClientTrial},
    delivery::Delivery,
    judge::closes_in_peace,
    server::{self, ServerTrial, covers},
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

/// The result of a check.
pub(crate) type Checked = Result<Outcome, Stop>;

/// A trial of a server or of a client, for cases about its links.
pub(crate) trait LinkTrial {
    /// A link with the peer.
    type Link: AnyLink;

    /// `true` for a client, which sends frames by itself before the tool has.
    const SENDS_FIRST: bool;

    /// Returns `true` at `--level strict`.
    fn is_strict(&self) -> bool;

    /// A link on which the tool sends, with the peer's credit. A client is asked to receive this many messages.
    fn sending(&mut self, count: u32) -> Result<Self::Link, Stop> {
        let mut link = self.sending_with(count, |_| ())?;
        link.credited().map_err(|unexpected| Stop::set_up(&unexpected))?;
        Ok(link)
    }

    /// The same without waiting for credit, and with a change to the tool's attach.
    fn sending_with(&mut self, count: u32, change: impl FnOnce(&mut Attach)) -> Result<Self::Link, Stop>;

    /// A link on which the tool receives, without credit. The peer has this many messages to send.
    fn receiving(&mut self, count: u32) -> Result<Self::Link, Stop> {
        self.receiving_with(count, |_| ())
    }

    /// The same with a change to the tool's attach.
    fn receiving_with(&mut self, count: u32, change: impl FnOnce(&mut Attach)) -> Result<Self::Link, Stop>;

    /// Passes if the peer has taken as many messages as a client was asked for, with these texts, and nothing else; it
    /// has settled them.
    fn has_taken(&mut self, link: Self::Link, texts: &[&str]) -> Checked;

    /// Passes if the peer takes its one delivery for accepted: it is gone from a server's queue, and a client has done what
    /// it was asked for.
    fn is_settled(&mut self, link: Self::Link) -> Checked;

    /// Passes if the peer takes its one delivery for unsettled: it is in a server's queue again after the connection, and a
    /// client waits for its outcome.
    fn is_unsettled(&mut self, link: Self::Link, delivery: &Delivery) -> Checked;
}

/// A link with a peer in either role.
pub(crate) trait AnyLink {
    /// The connection.
    fn connection(&mut self) -> &mut Connection;

    /// The largest frame that the peer takes, in octets.
    fn max_frame_size(&self) -> u64;

    /// The session.
    fn session(&self) -> Session;

    /// The link; its role is the tool's.
    fn link(&self) -> &Link;

    /// The credit that the peer has given, when it has given some.
    fn credited(&mut self) -> Result<u32, Unexpected>;

    /// A flow of the link as it is now: with this much credit where the tool receives.
    fn flow(&self, credit: u32) -> Flow;

    /// The peer's next delivery on the link.
    fn delivery(&mut self) -> Result<Delivery, Unexpected>;

    /// The peer's next disposition of deliveries of the tool's.
    fn next_disposition(&mut self) -> Result<Disposition, Unexpected>;

    /// The peer's next disposition of deliveries of its own.
    fn sender_disposition(&mut self) -> Result<Disposition, Unexpected>;

    /// The peer's disposition of this delivery of the tool's. Others are passed over.
    fn disposition_of(&mut self, id: u32) -> Result<Disposition, Unexpected> {
        loop {
            let disposition = self.next_disposition()?;
            if covers(&disposition, id) {
                return Ok(disposition);
            }
        }
    }

    /// The peer's next flow of the link.
    fn link_flow(&mut self) -> Result<Flow, Unexpected>;

    /// The peer's next flow on the session, of a link or not.
    fn any_flow(&mut self) -> Result<Flow, Unexpected>;

    /// The peer's next flow of the link, and the deliveries that came on it before.
    fn deliveries_before_flow(&mut self) -> Result<(Flow, Vec<Delivery>), Unexpected>;

    /// The sender's delivery-count has become this by a drain.
    fn count_drained(&mut self, count: SequenceNo);

    /// Everything that the peer still sends: up to the end of the session, or for a client up to its close.
    fn rest(&mut self) -> Result<Vec<Got>, Unexpected>;

    /// Sends a performative on the session.
    fn send(&mut self, body: impl Into<Performative>) {
        let channel = self.session().channel;
        self.connection().send(channel, body);
    }

    /// Sends a transfer with this payload.
    fn transfer(&mut self, transfer: Transfer, payload: impl AsRef<[u8]>) {
        let channel = self.session().channel;
        self.connection().send_with(channel, transfer, payload);
    }

    /// Sends a message with this text as one transfer, unsettled.
    fn message(&mut self, id: u32, text: &'static str) {
        let transfer = frames::transfer(self.link().handle, id);
        self.transfer(transfer, frames::message(text));
    }

    /// Sets the credit that the peer has from now on.
    fn give_credit(&mut self, credit: u32) {
        let flow = self.flow(credit);
        self.send(flow);
    }

    /// Settles a delivery that was received, with this state.
    fn settle(&mut self, delivery: &Delivery, state: impl Into<Option<DeliveryState>>) {
        self.send(frames::settled(Role::Receiver, delivery.number(), state));
    }

    /// Receives this many messages and accepts each.
    fn take(&mut self, count: u32) -> Result<(), Unexpected> {
        for _ in 0..count {
            let delivery = self.delivery()?;
            self.settle(&delivery, DeliveryState::Accepted);
        }
        Ok(())
    }

    /// The peer's initial-delivery-count.
    fn initial_count(&self) -> SequenceNo {
        self.link().attach.initial_delivery_count.unwrap_or_default()
    }

    /// The peer's answer to echo: its next flow of the link. A peer that does not answer breaks a rule of its own
    /// (T-2.7.4-7), so that the case is unreachable.
    fn answer_to_echo(&mut self) -> Result<Flow, Stop> {
        self.link_flow().map_err(unanswered)
    }

    /// The same, a flow of the link or not.
    fn any_answer_to_echo(&mut self) -> Result<Flow, Stop> {
        self.any_flow().map_err(unanswered)
    }

    /// Closes the connection, and passes if the peer takes no offence at what went before.
    fn closes_in_peace(&mut self) -> Outcome;

    /// Passes if this many messages come before the peer's end, and no more.
    fn ends_after(&mut self, count: usize) -> Checked {
        let rest = self.rest()?;
        let found = transfers(&rest).len();
        if found != count {
            return Ok(Outcome::fail(format!("expected {count} more messages, got {found}")));
        }
        Ok(Outcome::pass())
    }
}

fn unanswered(unexpected: Unexpected) -> Stop {
    match *unexpected.got {
        Got::Timeout { .. } => Stop::SetUp(String::from("the peer does not answer a flow with echo")),
        _ => unexpected.into(),
    }
}

/// The transfers among these frames.
pub(crate) fn transfers(frames: &[Got]) -> Vec<&Transfer> {
    let transfer = |got| match got {
        &Got::Frame(AmqpFrame { body: Some(Performative::Transfer(ref transfer)), .. }) => Some(transfer),
        _ => None,
    };
    frames.iter().filter_map(transfer).collect()
}

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
        // What was released with the link may come to the queue after the answer.
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
        // Once it has answered this, it has had the time to send what it should not.
        let next_incoming_id = Some(self.session.begin.next_outgoing_id.plus(self.progress.transfers));
        self.connection.send(self.session.channel, Flow { next_incoming_id, echo: true, ..frames::flow() });
        let deadline = self.connection.now().saturating_add(self.connection.patience() / 5);
        let mut all = Vec::new();
        loop {
            let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
            match &got {
                Got::Timeout { .. } => break,
                Got::Frame(_) if Refusal::of(&got).is_none() => {
                    let is_answer = got.name() == "flow";
                    all.push(got);
                    if is_answer {
                        break;
                    }
                }
                _ => return Err(self.connection.unexpected("end", got)),
            }
        }
        all.extend(self.ends()?);
        Ok(all)
    }
}

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
        let mut is_closing = false;
        loop {
            let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
            let is_read = matches!(got, Got::Timeout { .. }) || got.name() == "flow";
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
            if is_read && !is_closing {
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
