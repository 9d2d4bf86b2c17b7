//! The end that keeps transactions, for a resource that does their work.

#![allow(clippy::arithmetic_side_effects, reason = "instants saturate")]

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use amqp1_codec::{
    Symbol,
    definitions::{AmqpError, ErrorCondition},
    message::Body,
    messaging::{DeliveryState, Source},
    transaction::{Coordinator as Target, Declare, Declared, Discharge, capability},
};
use amqp1_engine::{IncomingDelivery, Instant, LinkId, SessionId, transaction::TxnId};
use bytes::Bytes;
use core::time::Duration;

/// The limits and features of a coordinator.
#[derive(Clone, Debug)]
pub struct CoordinatorConfig {
    /// Whether a session may take part in several transactions at a time.
    pub multi_txns_per_ssn: bool,
    /// Whether a transaction may span sessions.
    pub multi_ssns_per_txn: bool,
    /// How long a transaction may live before it is rolled back.
    pub timeout: Option<Duration>,
    /// How many there may be at a time.
    pub max: usize,
    /// How many pieces of work may be recorded in one.
    pub max_work: usize,
    /// How many octets of messages may be posted within all that are live. A [`Coordinator`] does not know them:
    /// the caller who [records](Coordinator::record) work keeps to it, as `amqp1` does. 64 MiB unless set.
    pub max_octets: u64,
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        let timeout = Some(Duration::from_secs(60));
        Self {
            multi_txns_per_ssn: true,
            multi_ssns_per_txn: true,
            timeout,
            max: 1024,
            max_work: 65536,
            max_octets: 64 * 1024 * 1024,
        }
    }
}

/// A message of a control link is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Why.
    pub error: AmqpError,
    /// Whether the control link is detached with the error, because its source does not allow `rejected`, or what was
    /// done cannot be mended.
    pub detach: bool,
}

impl Refusal {
    /// The state with which the message is rejected, where it is not answered by a detach.
    pub fn state(&self) -> DeliveryState {
        DeliveryState::rejected(self.error.clone())
    }
}

/// The request in a message of a control link.
#[derive(Debug, PartialEq)]
pub enum Request<W> {
    /// A transaction was declared: answer with this outcome.
    Declared(TxnId, DeliveryState),
    /// A transaction is to be discharged: do or undo its work, then answer as [`Discharging::answer`] says.
    Discharge(Discharging<W>),
}

/// A transaction that is to be discharged.
#[derive(Debug, PartialEq)]
pub struct Discharging<W> {
    /// Which.
    pub txn: TxnId,
    /// Whether the controller wants its work undone.
    pub fail: bool,
    /// Why it cannot be committed, if a part of its work could not be done.
    pub spoilt: Option<AmqpError>,
    /// Its work, in the order in which it came.
    pub work: Vec<W>,
}

#[derive(Debug)]
struct Txn<W> {
    control: LinkId,
    work: Vec<W>,
    sessions: BTreeSet<SessionId>,
    /// Deliveries that are posted and not whole yet.
    partial: BTreeSet<(LinkId, u64)>,
    /// Why it cannot be committed any more.
    spoilt: Option<AmqpError>,
    deadline: Option<Instant>,
}

/// Transactions that are live, with the work of each. `W` is what the resource has to do or to undo.
///
/// It is for one connection: links and sessions of different connections may have the same ids, and the names that it
/// gives to transactions can be guessed.
#[derive(Debug)]
pub struct Coordinator<W> {
    config: CoordinatorConfig,
    live: BTreeMap<TxnId, Txn<W>>,
    /// Those that ran out of time, until their control link asks for them.
    expired: BTreeMap<TxnId, LinkId>,
    /// The transaction of each delivery that was acquired or retired within one.
    owners: BTreeMap<(LinkId, u64), TxnId>,
    next: u64,
}

fn error(condition: ErrorCondition, text: &'static str) -> AmqpError {
    AmqpError::new(condition, text)
}

fn unknown_id() -> AmqpError {
    error(ErrorCondition::TRANSACTION_UNKNOWN_ID, "the transaction is over, or was never declared")
}

/// A source that names no outcomes, not even a default one, is taken to allow those of the standard (§3.4), as on other
/// links. §3.5.3 has accepted alone there, but then a failure would cost the control link and all of its transactions.
fn allows_rejected(source: Option<&Source>) -> bool {
    source.is_some_and(|source| match &source.default_outcome {
        None if source.outcomes.is_empty() => true,
        default => {
            source.outcomes.contains(&DeliveryState::REJECTED) || matches!(default, Some(DeliveryState::Rejected(_)))
        }
    })
}

impl<W> Coordinator<W> {
    /// A coordinator of no transactions.
    pub fn new(config: CoordinatorConfig) -> Self {
        let (live, expired, owners) = Default::default();
        Self { config, live, expired, owners, next: 0 }
    }

    /// The target with which the attach of a control link is answered: what is really offered (§4.5.1).
    pub fn target(&self) -> Target {
        let offered = [
            (true, capability::LOCAL_TRANSACTIONS),
            (self.config.multi_txns_per_ssn, capability::MULTI_TXNS_PER_SSN),
            (self.config.multi_ssns_per_txn, capability::MULTI_SSNS_PER_TXN),
        ];
        let offered: Vec<_> =
            offered.into_iter().filter(|(there, _)| *there).map(|(_, name)| Symbol::from_static(name)).collect();
        Target { capabilities: offered.into() }
    }

    /// How many transactions are live.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// A message came on a control link, whose source is this one.
    ///
    /// # Errors
    ///
    /// Why it is refused, and how that is said.
    pub fn handle(
        &mut self,
        control: LinkId,
        source: Option<&Source>,
        delivery: &IncomingDelivery,
        now: Instant,
    ) -> Result<Request<W>, Refusal> {
        let rejects = allows_rejected(source);
        let refuse = |error| Refusal { error, detach: !rejects };
        if delivery.settled {
            let error = error(ErrorCondition::ILLEGAL_STATE, "a declare or a discharge must not be settled");
            return Err(Refusal { error, detach: true });
        }
        // §4.2: sections other than the body mean nothing.
        let Body::Value(body) = delivery.message.body() else {
            return Err(refuse(error(ErrorCondition::NOT_ALLOWED, "only declare and discharge go to a coordinator")));
        };
        if let Ok(declare) = body.decode::<Declare>() {
            return self.declare(control, &declare, now).map_err(refuse);
        }
        match body.decode::<Discharge>() {
            Ok(discharge) => self.discharge(control, &discharge, rejects),
            Err(_) => Err(refuse(error(ErrorCondition::NOT_ALLOWED, "only declare and discharge go to a coordinator"))),
        }
    }

    fn declare(&mut self, control: LinkId, declare: &Declare, now: Instant) -> Result<Request<W>, AmqpError> {
        if declare.global_id.is_some() {
            return Err(error(ErrorCondition::NOT_IMPLEMENTED, "distributed transactions are not offered"));
        }
        if self.live.len() >= self.config.max {
            return Err(error(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "too many transactions are live"));
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        let Some(txn) = TxnId::new(&number.to_be_bytes()) else { return Err(unknown_id()) };
        let live = Txn {
            control,
            work: Vec::new(),
            sessions: BTreeSet::new(),
            partial: BTreeSet::new(),
            spoilt: None,
            deadline: self.config.timeout.map(|timeout| now + timeout),
        };
        self.live.insert(txn.clone(), live);
        let state = DeliveryState::Declared(Box::new(Declared { txn_id: Bytes::copy_from_slice(txn.as_slice()) }));
        Ok(Request::Declared(txn, state))
    }

    fn discharge(&mut self, control: LinkId, discharge: &Discharge, rejects: bool) -> Result<Request<W>, Refusal> {
        let refuse = |error, detach| Err(Refusal { error, detach: detach || !rejects });
        let Some(txn) = TxnId::new(&discharge.txn_id) else { return refuse(unknown_id(), false) };
        if self.expired.get(&txn) == Some(&control) {
            self.expired.remove(&txn);
            let error = error(ErrorCondition::TRANSACTION_TIMEOUT, "the transaction took too long and was rolled back");
            return refuse(error, false);
        }
        let Some(live) = self.live.get(&txn).filter(|live| live.control == control) else {
            return refuse(unknown_id(), false);
        };
        let fail = discharge.fail == Some(true);
        if !fail && !live.partial.is_empty() {
            // §4.4.1: the control link ends, and with it the transaction.
            let error = error(ErrorCondition::TRANSACTION_ROLLBACK, "a delivery that is posted is not whole");
            return refuse(error, true);
        }
        let Some(live) = self.take(&txn) else { return refuse(unknown_id(), false) };
        Ok(Request::Discharge(Discharging { txn, fail, spoilt: live.spoilt, work: live.work }))
    }

    fn take(&mut self, txn: &TxnId) -> Option<Txn<W>> {
        self.owners.retain(|_, owner| owner != txn);
        self.live.remove(txn)
    }

    /// The control link of a transaction that is live.
    pub fn control_of(&self, txn: &TxnId) -> Option<LinkId> {
        self.live.get(txn).map(|live| live.control)
    }

    /// The transaction that a message of a control link wants to discharge, and whether it wants it rolled back; `None`
    /// if it is not a discharge. A resource looks at it before [`handle`](Self::handle), to do first what was posted
    /// earlier.
    pub fn discharge_of(delivery: &IncomingDelivery) -> Option<(TxnId, bool)> {
        let Body::Value(body) = delivery.message.body() else { return None };
        let discharge = body.decode::<Discharge>().ok()?;
        Some((TxnId::new(&discharge.txn_id)?, discharge.fail == Some(true)))
    }

    /// The transactions that [`handle_timeout`](Self::handle_timeout) will roll back.
    pub fn expiring(&self, now: Instant) -> Vec<TxnId> {
        let due = |live: &Txn<W>| live.deadline.is_some_and(|deadline| deadline <= now);
        self.live.iter().filter(|(_, live)| due(live)).map(|(txn, _)| txn.clone()).collect()
    }

    /// Whether a transaction is live.
    pub fn is_live(&self, txn: &TxnId) -> bool {
        self.live.contains_key(txn)
    }

    /// Work is done within a transaction, on this session: it is kept until the discharge.
    ///
    /// # Errors
    ///
    /// With what the link, or the control link, is to be detached (§4.4): `amqp:transaction:unknown-id`, or that the
    /// session or the transaction is in use otherwise and that is not offered. `amqp:resource-limit-exceeded` beyond
    /// [`CoordinatorConfig::max_work`]; the transaction cannot be committed any more then, also if nothing is detached.
    pub fn record(&mut self, txn: &TxnId, session: SessionId, work: W) -> Result<(), AmqpError> {
        let max = self.config.max_work;
        let live = self.join(txn, session)?;
        if live.work.len() >= max {
            let error = error(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "too much is done in the transaction");
            live.spoilt.get_or_insert_with(|| error.clone());
            return Err(error);
        }
        live.work.push(work);
        Ok(())
    }

    fn join(&mut self, txn: &TxnId, session: SessionId) -> Result<&mut Txn<W>, AmqpError> {
        let elsewhere = |(other, live): (&TxnId, &Txn<W>)| other != txn && live.sessions.contains(&session);
        if !self.config.multi_txns_per_ssn && self.live.iter().any(elsewhere) {
            return Err(error(ErrorCondition::NOT_ALLOWED, "the session takes part in another transaction"));
        }
        let live = self.live.get_mut(txn).ok_or_else(unknown_id)?;
        let others = live.sessions.iter().any(|other| *other != session);
        if !self.config.multi_ssns_per_txn && others {
            return Err(error(ErrorCondition::NOT_ALLOWED, "the transaction belongs to another session"));
        }
        live.sessions.insert(session);
        Ok(live)
    }

    /// A delivery is being posted and is not whole yet: a commit now is an error (§4.4.1).
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub fn posting(&mut self, txn: &TxnId, session: SessionId, link: LinkId, delivery: u64) -> Result<(), AmqpError> {
        self.join(txn, session)?.partial.insert((link, delivery));
        Ok(())
    }

    /// The delivery is whole, or aborted.
    pub fn posted(&mut self, txn: &TxnId, link: LinkId, delivery: u64) {
        if let Some(live) = self.live.get_mut(txn) {
            live.partial.remove(&(link, delivery));
        }
    }

    /// A part of a transaction's work cannot be done: it must not be committed (§4.4.1). The first reason counts.
    pub fn spoil(&mut self, txn: &TxnId, why: AmqpError) {
        if let Some(live) = self.live.get_mut(txn) {
            live.spoilt.get_or_insert(why);
        }
    }

    /// A delivery that this end has sent is acquired or retired within a transaction.
    ///
    /// # Errors
    ///
    /// With what the control link is to be detached: the delivery belongs to another transaction (§4.4.2), or there is
    /// no such transaction.
    pub fn own(&mut self, txn: &TxnId, link: LinkId, delivery: u64) -> Result<(), AmqpError> {
        if !self.is_live(txn) {
            return Err(unknown_id());
        }
        match self.owners.get(&(link, delivery)) {
            Some(owner) if owner != txn => {
                let text = "the delivery belongs to another transaction";
                return Err(error(ErrorCondition::TRANSACTION_ROLLBACK, text));
            }
            _ => {}
        }
        self.owners.insert((link, delivery), txn.clone());
        Ok(())
    }

    /// The control link is gone: its transactions are rolled back (§4.2). Their work is to be undone.
    pub fn handle_detached(&mut self, control: LinkId) -> Vec<(TxnId, Vec<W>)> {
        self.expired.retain(|_, link| *link != control);
        let gone: Vec<_> =
            self.live.iter().filter(|(_, live)| live.control == control).map(|(txn, _)| txn.clone()).collect();
        gone.into_iter().filter_map(|txn| self.take(&txn).map(|live| (txn, live.work))).collect()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.live.values().filter_map(|live| live.deadline).min()
    }

    /// Rolls back what has taken too long: its work is to be undone. Its discharge is answered with
    /// `amqp:transaction:timeout`.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<(TxnId, Vec<W>)> {
        let mut undone = Vec::new();
        for txn in self.expiring(now) {
            let Some(live) = self.take(&txn) else { continue };
            if self.expired.len() < self.config.max {
                self.expired.insert(txn.clone(), live.control);
            }
            undone.push((txn, live.work));
        }
        undone
    }
}

impl<W> Discharging<W> {
    /// Whether the work is to be done: it is undone otherwise.
    pub fn commits(&self) -> bool {
        !self.fail && self.spoilt.is_none()
    }

    /// How the discharge is answered, once its work is done or undone.
    ///
    /// # Errors
    ///
    /// Where a commit did not succeed: the transaction was rolled back, and this is how that is said. A rollback
    /// always succeeds (§4.3).
    pub fn answer(&self, source: Option<&Source>, done: Result<(), AmqpError>) -> Result<DeliveryState, Refusal> {
        if self.fail {
            return Ok(DeliveryState::Accepted);
        }
        let why = match (&self.spoilt, done) {
            (None, Ok(())) => return Ok(DeliveryState::Accepted),
            (Some(why), _) => why.clone(),
            (None, Err(why)) => why,
        };
        let text = why.description.as_ref().map_or("its work could not be done", |text| text.as_str());
        let error = AmqpError::new(ErrorCondition::TRANSACTION_ROLLBACK, alloc::format!("rolled back: {text}"));
        Err(Refusal { error, detach: !allows_rejected(source) })
    }
}
