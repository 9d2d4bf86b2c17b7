//! The transactions of a connection, as its state knows them.

use crate::{
    state::{
        engine::{Arrival, Received},
        ids::LinkKey,
    },
    types::outcome::or_default,
};
use amqp1_broker::transaction::{Coordinator as Rules, CoordinatorConfig};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition},
    messaging::DeliveryState,
};
use amqp1_engine::{EventsEnd, SessionId, Settlement, transaction::TxnId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The role of this end in the transactions of its connection.
#[derive(Debug, Default)]
pub(crate) enum Transactions {
    /// There are none.
    #[default]
    None,
    /// Those that this end has declared and not discharged.
    Controller(BTreeSet<TxnId>),
    /// Those that this end keeps.
    Resource(Box<Table>),
}

/// The transactions that this end keeps.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) rules: Rules<Work>,
    pub(crate) controls: BTreeMap<LinkKey, ControlState>,
    /// Deliveries that this end has sent, and that are acquired or retired within a transaction.
    pub(super) sent: BTreeMap<(LinkKey, u64), SentWork>,
    /// Links whose flow says that they acquire within a transaction.
    pub(super) acquiring: BTreeMap<LinkKey, TxnId>,
    /// Octets of messages that were posted within transactions that are live, and how many there may be.
    pub(super) octets: u64,
    pub(super) max_octets: u64,
    /// Links on which a delivery was given up by the rollback that is being answered.
    pub(super) aborted: Vec<LinkKey>,
    /// Answers that follow what was given up.
    pub(super) held_answers: Vec<HeldAnswer>,
}

/// The answer to a discharge that waits until what was given up has left (§4.4.3).
#[derive(Debug)]
pub(super) struct HeldAnswer {
    pub(super) control: LinkKey,
    pub(super) delivery: Received,
    pub(super) state: DeliveryState,
    pub(super) links: Vec<LinkKey>,
}

/// A piece of work, to be done or undone at the discharge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A message of this many octets, the second one, was posted; the application's part has the first number.
    Posted(u64, u64),
    /// A delivery of this link and token was acquired or retired.
    Sent(LinkKey, u64),
}

/// A control link.
#[derive(Debug, Default)]
pub(crate) struct ControlState {
    /// Transactions that were rolled back, and that the application does not know of yet.
    pub(crate) rolled_back: VecDeque<Undone>,
    /// A discharge that waits until what came before it is known, up to this, and what was posted is decided.
    pub(crate) held: Option<(Arrival, EventsEnd)>,
    /// The application has a commit in hand.
    pub(crate) committing: bool,
}

/// A transaction that was rolled back.
#[derive(Debug)]
pub(crate) struct Undone {
    pub(crate) txn: TxnId,
    /// The numbers of the application's parts.
    pub(crate) posted: Vec<u64>,
    pub(crate) cause: RollbackCause,
}

/// Why a transaction was rolled back.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RollbackCause {
    /// The controller has asked for it.
    Controller,
    /// The control link, its session or the connection has ended (§4.2).
    ControlLinkEnded,
    /// A part of its work had failed, so that a commit was refused with this error.
    Failed(AmqpError),
    /// It was not discharged in time.
    TimedOut,
}

/// A delivery that this end has sent, with what a transaction has to do with it.
#[derive(Debug)]
pub(super) struct SentWork {
    pub(super) txn: TxnId,
    /// It was sent within the transaction.
    pub(super) acquired: bool,
    /// The outcome if the transaction is committed.
    pub(super) outcome: Option<DeliveryState>,
    /// The receiver has settled it.
    pub(super) settled: bool,
    /// Its link is over, and whether any of it had left.
    pub(super) lost: Option<bool>,
    /// The application has the commit in hand.
    pub(super) committing: bool,
}

impl Table {
    pub(crate) fn new(config: CoordinatorConfig) -> Self {
        let (controls, sent, acquiring) = Default::default();
        let max_octets = config.max_octets;
        let (aborted, held_answers) = Default::default();
        Self { rules: Rules::new(config), controls, sent, acquiring, octets: 0, max_octets, aborted, held_answers }
    }

    /// The provisional outcome of a delivery that was sent with this token.
    pub(crate) fn provisional(&self, id: LinkKey, token: u64) -> Option<(TxnId, Option<DeliveryState>)> {
        let work = self.sent.get(&(id, token))?;
        Some((work.txn.clone(), work.outcome.clone()))
    }

    pub(crate) fn acquires(&self, id: LinkKey) -> Option<&TxnId> {
        self.acquiring.get(&id)
    }

    /// Takes the engine's report of a delivery that is acquired or retired. Returns whether it is held
    /// until the discharge.
    pub(super) fn holds(
        &mut self,
        id: LinkKey,
        token: u64,
        settlement: &Settlement,
        default: Option<&DeliveryState>,
    ) -> bool {
        let Some(work) = self.sent.get_mut(&(id, token)) else { return false };
        match settlement {
            Settlement::Lost { sent } if work.outcome.is_some() || work.committing => work.lost = Some(*sent),
            // The application was told what it comes to, and decides.
            Settlement::Outcome(_) if work.committing && work.outcome.is_some() => work.settled = true,
            // §4.4.4: before the discharge, an outcome of what was acquired belongs to the transaction, also the default one
            // of a delivery that is settled without a state.
            Settlement::Outcome(state) if work.acquired => {
                let outcome = or_default(state.clone(), default).unwrap_or(DeliveryState::Released);
                (work.outcome, work.settled) = (Some(outcome), true);
            }
            _ => {
                self.sent.remove(&(id, token));
                return false;
            }
        }
        true
    }

    /// Takes out what the transaction has to do with a delivery. It has nothing to do with one that was settled outside of
    /// it.
    pub(super) fn take_sent(&mut self, id: LinkKey, token: u64, txn: &TxnId) -> Option<SentWork> {
        self.sent.get(&(id, token)).filter(|sent| sent.txn == *txn)?;
        self.sent.remove(&(id, token))
    }

    /// A message is posted, with a part of the application's that has this number.
    ///
    /// # Errors
    ///
    /// If the transaction cannot have it, or there are too many octets.
    pub(crate) fn record_posted(
        &mut self,
        txn: &TxnId,
        session: SessionId,
        number: u64,
        octets: u64,
    ) -> Result<(), AmqpError> {
        let sum = self.octets.saturating_add(octets);
        if sum > self.max_octets {
            let text = "too many octets are posted within transactions";
            return Err(AmqpError::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, text));
        }
        self.rules.record(txn, session, Work::Posted(number, octets))?;
        self.octets = sum;
        Ok(())
    }

    /// A transaction is over.
    pub(super) fn forget_octets(&mut self, work: &[Work]) {
        let posted = work.iter().map(|work| if let Work::Posted(_, octets) = work { *octets } else { 0 });
        self.octets = self.octets.saturating_sub(posted.sum());
    }

    /// The deliveries of a transaction that is to be committed, with their outcomes: from now on they wait for the
    /// application.
    pub(crate) fn commit_begins(&mut self, txn: &TxnId, work: &[Work]) -> Vec<(LinkKey, u64, DeliveryState)> {
        self.forget_octets(work);
        let mut retired = Vec::new();
        for work in work {
            let Work::Sent(id, token) = *work else { continue };
            let Some(sent) = self.sent.get_mut(&(id, token)).filter(|sent| sent.txn == *txn) else { continue };
            sent.committing = true;
            retired.extend(sent.outcome.clone().map(|outcome| (id, token, outcome)));
        }
        retired
    }
}
