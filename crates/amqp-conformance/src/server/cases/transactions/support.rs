//! A controller: a control link, and links that work in its transactions, on one session.

use crate::{
    case::{Check, Twin},
    judge::closes_in_peace,
    server::{Begun, Delivered, ServerTrial},
    verdict::{Outcome, Stop, Verdict},
    wire::Connection,
};
use amqp1_codec::{
    SequenceNo,
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::{DeliveryState, Source},
    performative::{Attach, Disposition, Flow, Handle, Performative, TargetArchetype, Transfer},
    transaction::{Coordinator, TransactionalState},
};
use amqp1_script::{AmqpFrame, Got, Link, Refusal, Scope, Session, Unexpected, frames};
use bytes::Bytes;
use std::time::Duration;

/// `declare` without fields, in an `amqp-value` section.
pub(super) const DECLARE: &[u8] = b"\0\x53\x77\0\x53\x31\x45";

/// `discharge` with this id, in an `amqp-value` section.
pub(super) fn discharge(txn: &[u8], fail: bool) -> Vec<u8> {
    let length = u8::try_from(txn.len()).unwrap_or(u8::MAX);
    let fail = if fail { 0x41 } else { 0x42 };
    [&b"\0\x53\x77\0\x53\x32\xc0"[..], &[length.saturating_add(4), 2, 0xa0, length], txn, &[fail]].concat()
}

/// A transaction's id that no coordinator has given, it is hoped.
pub(super) const UNKNOWN: &[u8] = b"amqp-conformance: no such id";

pub(super) static UNKNOWN_ID: [ErrorCondition; 1] = [ErrorCondition::TRANSACTION_UNKNOWN_ID];
pub(super) static ROLLBACK: [ErrorCondition; 1] = [ErrorCondition::TRANSACTION_ROLLBACK];
pub(super) static NOT_IMPLEMENTED: [ErrorCondition; 1] = [ErrorCondition::NOT_IMPLEMENTED];
pub(super) static ILLEGAL_STATE: [ErrorCondition; 1] = [ErrorCondition::ILLEGAL_STATE];

/// A transaction is declared and committed.
pub(super) static COMMIT: Twin = Twin { name: "commit", check: Check::Server(commit) };

fn commit(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let txn = controller.declared()?;
    match controller.discharge(&txn, false)? {
        Answer::State(DeliveryState::Accepted) => Ok(closes_in_peace(&mut controller.connection)),
        answer => Ok(Outcome::fail(format!("expected accepted, got {answer}"))),
    }
}

/// A connection with a control link on handle 0 of a session on channel 0.
#[derive(Debug)]
pub(super) struct Controller {
    pub(super) connection: Connection,
    pub(super) session: Session,
    pub(super) control: Link,
    credit: u32,
    commands: u32,
    sent: u32,
    received: u32,
}

/// The answer to a transfer or a disposition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// A disposition.
    State(DeliveryState),
    /// A settled disposition without a state.
    Settled,
    /// Something ended with an error.
    Refused(Refusal),
    /// The stream has ended.
    Dropped,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::State(DeliveryState::Rejected(Some(error))) => write!(f, "rejected with {}", error.condition),
            Self::State(DeliveryState::Rejected(None)) => write!(f, "rejected without an error"),
            Self::State(DeliveryState::Accepted) => write!(f, "accepted"),
            Self::State(DeliveryState::Released) => write!(f, "released"),
            Self::State(DeliveryState::Transactional(state)) => match &state.outcome {
                Some(outcome) => write!(f, "{} in a transaction", Self::State(outcome.as_ref().clone())),
                None => write!(f, "a transactional-state without an outcome"),
            },
            Self::State(DeliveryState::Declared(_)) => write!(f, "declared"),
            Self::State(_) => write!(f, "another state"),
            Self::Settled => write!(f, "settled without a state"),
            Self::Refused(refusal) => write!(f, "{:?} ended with {}", refusal.scope, refusal.error.condition),
            Self::Dropped => write!(f, "the end of the stream"),
        }
    }
}

impl Answer {
    /// Judges the refusal of a command: `rejected`, or the end of a link, with one of these conditions.
    pub(super) fn judge(&self, conditions: &[ErrorCondition], is_strict: bool) -> Outcome {
        match self {
            Self::State(DeliveryState::Rejected(Some(error))) => named(self, error, conditions, is_strict),
            Self::State(DeliveryState::Transactional(state)) => match state.outcome.as_deref() {
                Some(DeliveryState::Rejected(Some(error))) => named(self, error, conditions, is_strict),
                _ => Outcome::fail(format!("expected a refusal, got {self}")),
            },
            Self::Refused(refusal) => {
                let outcome = named(self, &refusal.error, conditions, is_strict);
                if refusal.scope == Scope::Link || outcome.verdict != Verdict::Pass {
                    outcome
                } else {
                    Outcome::new(Verdict::PassWider, outcome.reason)
                }
            }
            Self::Dropped => Outcome::new(Verdict::PassWider, "the connection was dropped without close"),
            Self::State(_) | Self::Settled => Outcome::fail(format!("expected a refusal, got {self}")),
        }
    }
}

fn named(answer: &Answer, error: &AmqpError, conditions: &[ErrorCondition], is_strict: bool) -> Outcome {
    if conditions.is_empty() || conditions.contains(&error.condition) {
        return Outcome::pass_with(answer.to_string());
    }
    let wanted: Vec<String> = conditions.iter().map(ToString::to_string).collect();
    let remark = format!("{answer}, where the text names {}", wanted.join(" or "));
    if is_strict { Outcome::fail(remark) } else { Outcome::pass_with(remark) }
}

/// The attach of a control link.
pub(super) fn control() -> Attach {
    Attach {
        target: Some(TargetArchetype::Coordinator(Coordinator::default())),
        ..frames::attach_sender("control", 0, "")
    }
}

/// A source that allows these outcomes.
pub(super) fn outcomes(names: &[&'static str]) -> Source {
    let outcomes = names.iter().map(|name| amqp1_codec::Symbol::from_static(name)).collect();
    Source { outcomes, ..Source::default() }
}

impl Controller {
    /// A control link with credit.
    pub(super) fn new(trial: &mut ServerTrial<'_>) -> Result<Self, Stop> {
        Self::with(trial, control())
    }

    /// The same with an attach of the case's own.
    pub(super) fn with(trial: &mut ServerTrial<'_>, attach: Attach) -> Result<Self, Stop> {
        let Begun { connection, session, .. } = trial.begun()?;
        Self::attached(connection, session, attach)
    }

    /// A control link with credit on a session of the case's own, on channel 0.
    pub(super) fn on(connection: Connection, session: Session) -> Result<Self, Stop> {
        Self::attached(connection, session, control())
    }

    fn attached(mut connection: Connection, session: Session, attach: Attach) -> Result<Self, Stop> {
        let control = set_up(connection.attached(&session, attach))?;
        let credit = set_up(connection.credited(&control))?;
        Ok(Self { connection, session, control, credit, commands: 0, sent: 0, received: 0 })
    }

    /// The transfer that comes next on a link.
    pub(super) fn transfer(&mut self, handle: Handle) -> Transfer {
        let transfer = frames::transfer(handle, self.sent);
        self.sent = self.sent.saturating_add(1);
        transfer
    }

    /// The next thing that comes. Flows of the control link are noted.
    pub(super) fn next_within(&mut self, deadline: Duration) -> Got {
        let got = self.connection.next_within(deadline.saturating_sub(self.connection.now()));
        if let Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. }) = &got
            && flow.handle == Some(self.control.attach.handle)
        {
            let limit = flow.delivery_count.unwrap_or_default().plus(flow.link_credit.unwrap_or_default());
            self.credit = limit.0.wrapping_sub(self.commands);
        }
        got
    }

    /// The time until which an answer is waited for.
    pub(super) fn deadline(&self) -> Duration {
        self.connection.now().saturating_add(self.connection.patience())
    }

    /// Waits until the control link has credit.
    fn credited(&mut self) -> Result<(), Stop> {
        let deadline = self.deadline();
        while self.credit == 0 {
            let got = self.next_within(deadline);
            if !matches!(got.name(), "flow" | "empty" | "disposition") {
                return Err(Stop::set_up(&self.connection.unexpected("flow with credit", got)));
            }
        }
        Ok(())
    }

    /// Sends a command on the control link, and returns its delivery-id.
    pub(super) fn command(&mut self, body: &[u8]) -> Result<u32, Stop> {
        self.credited()?;
        self.credit = self.credit.saturating_sub(1);
        self.commands = self.commands.wrapping_add(1);
        let transfer = self.transfer(self.control.handle);
        let id = id_of(&transfer);
        self.connection.send_with(self.session.channel, transfer, body);
        Ok(id)
    }

    /// Waits for the state of a delivery that was sent, and settles it if the server has not.
    pub(super) fn answer(&mut self, id: u32) -> Result<Answer, Unexpected> {
        let deadline = self.deadline();
        loop {
            let got = self.next_within(deadline);
            if let Some(refusal) = Refusal::of(&got) {
                return Ok(Answer::Refused(refusal));
            }
            if got.is_end() {
                return Ok(Answer::Dropped);
            }
            match &got {
                Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. }) => {
                    if !covers(disposition, id) {
                        continue;
                    }
                    let Some(state) = disposition.state.clone() else {
                        if disposition.settled {
                            return Ok(Answer::Settled);
                        }
                        continue;
                    };
                    let is_whole = matches!(&state, DeliveryState::Transactional(_)) || state.is_outcome();
                    if is_whole {
                        if !disposition.settled && !matches!(&state, DeliveryState::Transactional(_)) {
                            let settled = frames::settled(Role::Sender, id, state.clone());
                            self.connection.send(self.session.channel, settled);
                        }
                        return Ok(Answer::State(state));
                    }
                }
                Got::Frame(AmqpFrame { body: None | Some(Performative::Flow(_)), .. }) => {}
                _ => return Err(self.connection.unexpected(format!("the state of delivery {id}"), got)),
            }
        }
    }

    /// Declares a transaction, as a set-up.
    pub(super) fn declared(&mut self) -> Result<Bytes, Stop> {
        let id = self.command(DECLARE)?;
        match set_up(self.answer(id))? {
            Answer::State(DeliveryState::Declared(declared)) => Ok(declared.txn_id),
            answer => Err(Stop::SetUp(format!("expected declared, got {answer}"))),
        }
    }

    /// Discharges a transaction.
    pub(super) fn discharge(&mut self, txn: &[u8], fail: bool) -> Result<Answer, Stop> {
        let id = self.command(&discharge(txn, fail))?;
        Ok(self.answer(id)?)
    }

    /// Discharges a transaction, as a set-up.
    pub(super) fn discharged(&mut self, txn: &[u8], fail: bool) -> Result<(), Stop> {
        match self.discharge(txn, fail)? {
            Answer::State(DeliveryState::Accepted) => Ok(()),
            answer => Err(Stop::SetUp(format!("the discharge was not accepted, but {answer}"))),
        }
    }

    /// A link to the queue on handle 1, with credit.
    pub(super) fn sender(&mut self, trial: &ServerTrial<'_>) -> Result<Link, Stop> {
        self.sender_with(frames::attach_sender("sender", 1, trial.node()))
    }

    /// The same with an attach of the case's own.
    pub(super) fn sender_with(&mut self, attach: Attach) -> Result<Link, Stop> {
        let link = set_up(self.connection.attached(&self.session, attach))?;
        set_up(self.connection.credited(&link))?;
        Ok(link)
    }

    /// Posts a message in a transaction, and returns its delivery-id.
    pub(super) fn post(&mut self, link: &Link, txn: &[u8], text: &'static str) -> u32 {
        let transfer = Transfer { state: Some(in_txn(txn, None)), ..self.transfer(link.handle) };
        let id = id_of(&transfer);
        self.connection.send_with(self.session.channel, transfer, frames::message(text));
        id
    }

    /// Posts a message in a transaction, and waits for its provisional outcome, as a set-up.
    pub(super) fn posted(&mut self, link: &Link, txn: &[u8], text: &'static str) -> Result<(), Stop> {
        let id = self.post(link, txn, text);
        match set_up(self.answer(id))? {
            Answer::State(DeliveryState::Transactional(state))
                if state.outcome.as_deref() == Some(&DeliveryState::Accepted) =>
            {
                Ok(())
            }
            answer => Err(Stop::SetUp(format!("expected accepted in the transaction, got {answer}"))),
        }
    }

    /// A link from the queue on handle 2.
    pub(super) fn receiver(&mut self, attach: Attach) -> Result<Link, Stop> {
        set_up(self.connection.attached(&self.session, attach))
    }

    /// The flow that allows this many deliveries more on the only link that receives, after this many came on it.
    pub(super) fn flow(&self, link: &Link, came: u32, credit: u32) -> Flow {
        let initial = link.attach.initial_delivery_count.unwrap_or_default();
        Flow {
            next_incoming_id: Some(self.session.begin.next_outgoing_id.plus(self.received)),
            next_outgoing_id: SequenceNo(self.sent),
            delivery_count: Some(initial.plus(came)),
            ..frames::credit(link.handle, credit)
        }
    }

    /// Waits for a delivery of one transfer.
    pub(super) fn delivery(&mut self) -> Result<Delivered, Unexpected> {
        let deadline = self.deadline();
        loop {
            let got = self.next_within(deadline);
            match got {
                Got::Frame(AmqpFrame { body: Some(Performative::Transfer(transfer)), payload, .. }) => {
                    self.received = self.received.saturating_add(1);
                    return Ok(Delivered { aborted: transfer.aborted, payload, transfer });
                }
                got if matches!(got.name(), "flow" | "empty" | "disposition") => {}
                got => return Err(self.connection.unexpected("transfer", got)),
            }
        }
    }

    /// Takes one delivery, as a set-up.
    pub(super) fn taken(&mut self, link: &Link, came: u32) -> Result<Delivered, Stop> {
        let flow = self.flow(link, came, 1);
        self.connection.send(self.session.channel, flow);
        set_up(self.delivery())
    }

    /// Sends the state of a delivery that was received.
    pub(super) fn dispose(&mut self, delivered: &Delivered, settled: bool, state: DeliveryState) {
        let disposition = Disposition { settled, ..frames::settled(Role::Receiver, delivered.id(), state) };
        self.connection.send(self.session.channel, disposition);
    }
}

/// `transactional-state`.
pub(super) fn in_txn(txn: &[u8], outcome: Option<DeliveryState>) -> DeliveryState {
    let txn_id = Bytes::copy_from_slice(txn);
    DeliveryState::Transactional(Box::new(TransactionalState { txn_id, outcome: outcome.map(Box::new) }))
}

pub(super) fn set_up<V>(result: Result<V, Unexpected>) -> Result<V, Stop> {
    result.map_err(|unexpected| Stop::set_up(&unexpected))
}

pub(super) fn id_of(transfer: &Transfer) -> u32 {
    transfer.delivery_id.map_or(0, |SequenceNo(id)| id)
}

/// Whether a disposition of the receiver's is about this delivery.
pub(super) fn covers(disposition: &Disposition, id: u32) -> bool {
    let last = disposition.last.unwrap_or(disposition.first);
    disposition.role == Role::Receiver
        && SequenceNo(id).offset_from(disposition.first) >= 0
        && SequenceNo(id).offset_from(last) <= 0
}
