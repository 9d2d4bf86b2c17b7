//! Links with a peer in either role.

use crate::{
    delivery::Delivery,
    server::covers,
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    SequenceNo,
    definitions::Role,
    messaging::DeliveryState,
    performative::{Attach, Disposition, Flow, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Got, Link, Session, Unexpected, frames};
use std::time::Duration;

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

/// The time after the answer to echo in which a transfer may still come that should not. On a busy machine a sender of
/// its own task writes later than the answer.
pub(super) fn late(connection: &Connection) -> Duration {
    connection.patience() / 10
}
