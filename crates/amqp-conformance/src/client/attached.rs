//! A client's link that a case is about.

use super::{Accepted, Begun, ClientTrial, Progress};
use crate::{
    delivery::Delivery,
    judge,
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    definitions::{AmqpError, Role},
    messaging::DeliveryState,
    performative::{Attach, Detach, Disposition, Flow, Open, Performative, TargetArchetype},
};
use amqp1_script::{AmqpFrame, Body, Got, Link, Received, Session, Unexpected, frames};

/// A connection on which the client has attached a link.
///
/// Its methods answer everything else that the client does as a broker would: further sessions and links, flows with
/// `echo` or `drain`, detaches and ends, deliveries on other links. They count transfers, so that a case which sends or
/// takes a transfer itself sends its own flows too.
#[derive(Debug)]
pub struct Attached {
    /// The connection.
    pub connection: Connection,
    /// The client's open.
    pub open: Open,
    /// The session.
    pub session: Session,
    /// The link; its role is the tool's.
    pub link: Link,
    /// The credit that the client gave; 0 where the client sends.
    pub credit: u32,
    /// Everything that the client has begun and attached.
    pub progress: Progress,
}

/// A client's link of which the attach is not answered yet.
#[derive(Debug)]
pub struct Attaching {
    /// The connection.
    pub connection: Connection,
    /// The client's open.
    pub open: Open,
    /// The session.
    pub session: Session,
    /// The client's attach.
    pub attach: Attach,
    /// The answer that a broker would give: a case changes it, or sends its own.
    pub answer: Attach,
    /// Everything that the client has begun and attached.
    pub progress: Progress,
}

impl Attaching {
    /// Sends [`answer`](Self::answer).
    pub fn answered(mut self) -> Attached {
        self.connection.send(self.session.channel, self.answer.clone());
        let link = self.progress.add_link(&self.session, self.attach, &self.answer);
        let Self { connection, open, session, progress, .. } = self;
        Attached { connection, open, session, link, credit: 0, progress }
    }
}

/// Returns `true` for a link on which the client sends to a node: not to a coordinator, nor to a node of the protocol's
/// own, such as `$cbs`.
pub fn sends_to_node(attach: &Attach) -> bool {
    let target = match &attach.target {
        Some(TargetArchetype::Coordinator(_)) => return false,
        Some(TargetArchetype::Target(target)) => target.address.as_deref().unwrap_or_default(),
        None => "",
    };
    attach.role == Role::Sender && !target.starts_with('$')
}

/// Returns `true` for a link on which the client receives from a node that is not of the protocol's own.
pub fn receives_from_node(attach: &Attach) -> bool {
    let source = attach.source.as_ref().and_then(|source| source.address.as_deref()).unwrap_or_default();
    attach.role == Role::Receiver && !source.starts_with('$')
}

/// Returns `true` for a link to a coordinator of transactions.
pub fn sends_to_coordinator(attach: &Attach) -> bool {
    matches!(attach.target, Some(TargetArchetype::Coordinator(_)))
}

impl ClientTrial<'_> {
    /// The client's first attach that `is_wanted`, not answered. Links before it are answered and given credit.
    ///
    /// # Errors
    ///
    /// As said for [`opened`](Self::opened), and if the client attaches no such link.
    pub fn link_where(&mut self, is_wanted: impl Fn(&Attach) -> bool) -> Result<Attaching, Stop> {
        let accepted = self.opened()?;
        attaching(accepted, Progress::default(), is_wanted)
    }

    /// The same after an open of the case's own.
    ///
    /// # Errors
    ///
    /// As said for [`link_where`](Self::link_where).
    pub fn link_after(&mut self, open: Open, is_wanted: impl Fn(&Attach) -> bool) -> Result<Attaching, Stop> {
        let accepted = self.opened_with(open)?;
        attaching(accepted, Progress::default(), is_wanted)
    }

    /// A link on which the client sends, without credit: scenarios `send`, `request` and `transaction`.
    ///
    /// # Errors
    ///
    /// As said for [`link_where`](Self::link_where).
    pub fn sender(&mut self) -> Result<Attached, Stop> {
        self.link_where(sends_to_node).map(Attaching::answered)
    }

    /// A link on which the client receives; its credit was not waited for: scenarios `receive` and `request`.
    ///
    /// # Errors
    ///
    /// As said for [`link_where`](Self::link_where).
    pub fn receiver(&mut self) -> Result<Attached, Stop> {
        self.link_where(receives_from_node).map(Attaching::answered)
    }

    /// A link on which the client sends, with this much credit, and its first delivery, not settled: scenarios `send`,
    /// `request` and `transaction`.
    ///
    /// # Errors
    ///
    /// As said for [`link_where`](Self::link_where), and if the client sends nothing.
    pub fn receiving_from_client(&mut self, credit: u32) -> Result<(Attached, Delivery), Stop> {
        let mut attached = self.sender()?;
        attached.give_credit(credit);
        let delivery = attached.delivery().map_err(|unexpected| Stop::set_up(&unexpected))?;
        Ok((attached, delivery))
    }

    /// A link on which the client receives, after it has given credit: scenarios `receive` and `request`.
    ///
    /// # Errors
    ///
    /// As said for [`link_where`](Self::link_where), and if the client gives no credit.
    pub fn sending_to_client(&mut self) -> Result<Attached, Stop> {
        let mut attached = self.receiver()?;
        attached.credited().map_err(|unexpected| Stop::set_up(&unexpected))?;
        Ok(attached)
    }

    /// The client's link to a coordinator, with credit: scenario `transaction`.
    ///
    /// # Errors
    ///
    /// As said for [`link_where`](Self::link_where).
    pub fn coordinator(&mut self) -> Result<Attached, Stop> {
        let mut attached = self.link_where(sends_to_coordinator).map(Attaching::answered)?;
        attached.give_credit(10);
        Ok(attached)
    }
}

fn attaching(
    Accepted { mut connection, open }: Accepted,
    mut progress: Progress,
    is_wanted: impl Fn(&Attach) -> bool,
) -> Result<Attaching, Stop> {
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        match &got {
            Got::Frame(AmqpFrame { channel, body: Some(Performative::Attach(attach)), .. }) if is_wanted(attach) => {
                let Some(session) = progress.session(*channel).cloned() else {
                    return Err(Stop::set_up(&connection.unexpected("an attach on a session", got)));
                };
                let (attach, answer) = (Attach::clone(attach), progress.answer_to(&session, attach));
                return Ok(Attaching { connection, open, session, attach, answer, progress });
            }
            Got::Frame(frame) if !is_close(frame) => progress.answer(&mut connection, &got, open.max_frame_size),
            _ => return Err(Stop::set_up(&connection.unexpected("an attach", got))),
        }
    }
}

fn is_close(frame: &AmqpFrame) -> bool {
    matches!(frame.body, Some(Performative::Close(_)))
}

impl Begun {
    /// Goes on with the client's first link that `is_wanted`, not answered.
    ///
    /// # Errors
    ///
    /// If the client attaches no such link.
    pub fn link_where(self, is_wanted: impl Fn(&Attach) -> bool) -> Result<Attaching, Stop> {
        let mut progress = Progress::default();
        progress.add_session(self.session);
        attaching(Accepted { connection: self.connection, open: self.open }, progress, is_wanted)
    }
}

impl Attached {
    /// Answers the client until `find` gives something. `find` sees each frame before it is answered; a frame for which
    /// it gives something is not answered.
    ///
    /// # Errors
    ///
    /// If the client ends anything with an error, closes the connection, or nothing is found in time.
    pub fn until<T>(
        &mut self,
        wanted: &'static str,
        mut find: impl FnMut(&mut Progress, &Got) -> Option<T>,
    ) -> Result<T, Unexpected> {
        let deadline = self.connection.now().saturating_add(self.connection.patience());
        loop {
            let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
            if let Some(found) = find(&mut self.progress, &got) {
                return Ok(found);
            }
            match &got {
                Got::Frame(frame) if !is_close(frame) && amqp1_script::Refusal::of(&got).is_none() => {
                    self.progress.answer(&mut self.connection, &got, self.open.max_frame_size);
                }
                _ => return Err(self.connection.unexpected(wanted, got)),
            }
        }
    }

    /// Gives the client's sender this much credit, from now on.
    pub fn give_credit(&mut self, credit: u32) {
        let flow = self.flow(credit);
        self.connection.send(self.session.channel, flow);
    }

    /// A flow of the link as it is now: with this much credit where the client sends, and with the client's credit where
    /// the tool sends.
    pub fn flow(&self, credit: u32) -> Flow {
        self.progress.link_flow(&self.link, credit)
    }

    /// The client's next delivery on the link, whole and not settled.
    ///
    /// # Errors
    ///
    /// As said for [`until`](Self::until).
    pub fn delivery(&mut self) -> Result<Delivery, Unexpected> {
        let (channel, handle) = (self.link.remote_channel, self.link.attach.handle);
        self.next_transfers("a delivery", |got| is_transfer_on(got, channel, handle))
    }

    fn next_transfers(
        &mut self,
        wanted: &'static str,
        is_on_link: impl Fn(&Got) -> bool,
    ) -> Result<Delivery, Unexpected> {
        loop {
            let found = self.until(wanted, |progress, got| is_on_link(got).then(|| progress.note(got)))?;
            if let Some(delivery) = found {
                return Ok(delivery);
            }
        }
    }

    /// Detaches the link. The client's detach is not waited for, nor answered when it comes.
    pub fn detach(&mut self, closed: bool, error: Option<AmqpError>) {
        self.progress.detaching(&self.link);
        let detach = Detach { closed, error, ..frames::detach(self.link.handle) };
        self.connection.send(self.session.channel, detach);
    }

    /// Settles one of the client's deliveries with this state.
    pub fn settle(&mut self, delivery: &Delivery, state: impl Into<Option<DeliveryState>>) {
        self.connection.send(self.session.channel, frames::settled(Role::Receiver, delivery.number(), state));
    }

    /// Accepts one of the client's deliveries: on a coordinator's link, it declares or discharges a transaction.
    pub fn accept(&mut self, delivery: &Delivery) {
        self.progress.accept(&mut self.connection, delivery);
        self.progress.respond(&mut self.connection, self.open.max_frame_size);
    }

    /// Waits until the client has given credit on the link, if it has not. Returns the credit that is left.
    ///
    /// # Errors
    ///
    /// As said for [`until`](Self::until).
    pub fn credited(&mut self) -> Result<u32, Unexpected> {
        let link = self.link.clone();
        let credit = self.until("a flow with credit", |progress, got| {
            let is_flow = got.name() == "flow";
            if is_flow {
                progress.note(got);
            }
            Some(progress.credit(&link)).filter(|credit| *credit > 0)
        })?;
        self.credit = credit;
        Ok(credit)
    }

    /// Sends a message to the client. Returns its delivery-id.
    pub fn deliver(&mut self, message: impl AsRef<[u8]>) -> u32 {
        self.progress.deliver(&mut self.connection, &self.link, message.as_ref(), self.open.max_frame_size)
    }

    /// The client's disposition of this delivery.
    ///
    /// # Errors
    ///
    /// As said for [`until`](Self::until).
    pub fn disposition_of(&mut self, id: u32) -> Result<Received<Disposition>, Unexpected> {
        let channel = self.session.remote_channel;
        self.until("a disposition", |_, got| {
            let disposition = Disposition::of(got.clone()).ok()?;
            let last = disposition.last.unwrap_or(disposition.first);
            let is_covered = id.wrapping_sub(disposition.first.0) <= last.0.wrapping_sub(disposition.first.0);
            (disposition.channel == channel && disposition.role == Role::Receiver && is_covered).then_some(disposition)
        })
    }

    /// The next link that the client attaches and that `is_wanted`, answered.
    ///
    /// # Errors
    ///
    /// As said for [`until`](Self::until).
    pub fn next_link(&mut self, is_wanted: impl Fn(&Attach) -> bool) -> Result<Link, Unexpected> {
        if let Some(link) = self.progress.links().find(|link| is_wanted(&link.attach)) {
            return Ok(link.clone());
        }
        let attach =
            self.until("an attach", |_, got| Attach::of(got.clone()).ok().filter(|attach| is_wanted(attach)))?;
        let Some(session) = self.progress.session(attach.channel).cloned() else {
            return Ok(self.link.clone());
        };
        let answer = self.progress.answer_to(&session, &attach);
        self.connection.send(session.channel, answer.clone());
        Ok(self.progress.add_link(&session, attach.body, &answer))
    }

    /// Answers the client until it closes the connection. Passes if it ends nothing with an error.
    pub fn finishes(&mut self) -> Outcome {
        let closed = self.until("close", |_, got| (got.name() == "close").then(|| got.clone()));
        match closed {
            Ok(got) => {
                self.connection.send(0, frames::close());
                self.connection.finish();
                match amqp1_script::Refusal::of(&got) {
                    Some(refusal) => Outcome::fail(format!("close with {}", refusal.error.condition)),
                    None => Outcome::pass(),
                }
            }
            Err(unexpected) => Stop::from(unexpected).into_outcome(),
        }
    }

    /// Closes the connection, and passes if the client answers without an error, or drops the connection: the end of a
    /// case whose scenario cannot be played to its end.
    pub fn closes_in_peace(&mut self) -> Outcome {
        judge::closes_or_drops(&mut self.connection)
    }
}

fn is_transfer_on(got: &Got, channel: u16, handle: u32) -> bool {
    matches!(
        got,
        Got::Frame(AmqpFrame { channel: on, body: Some(Performative::Transfer(transfer)), .. })
            if *on == channel && transfer.handle == handle
    )
}
