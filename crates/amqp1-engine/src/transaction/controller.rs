//! The end that declares transactions, works within them, and discharges them.

use super::{TXN_ID, TxnId};
use crate::{
    config::SenderConfig,
    event::Settlement,
    store::{DeliveryKey, LinkId},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};
use amqp1_codec::{
    Decode, Encode, EncodedMessage, Message, Reader, Str, Symbol, Value,
    definitions::{AmqpError, Fields, SenderSettleMode},
    messaging::{DeliveryState, Source, Target},
    performative::TargetArchetype,
    transaction::{Coordinator, Declare, Discharge, capability},
};
use core::fmt;

/// A misuse of a controller, or an error of its coordinator.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ControllerError {
    /// The link still has credit that was given within the transaction: drain it first (§4.4.3).
    CreditLeft(LinkId),
    /// The coordinator does not offer distributed transactions (§4.5.2).
    NotDistributed,
    /// The delivery belongs to another transaction (§4.4.2).
    OtherTransaction,
    /// No such transaction, or not any more.
    UnknownTransaction,
}

impl fmt::Display for ControllerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreditLeft(_) => "a link has credit left that was given within the transaction: drain it first",
            Self::NotDistributed => "the coordinator does not offer distributed transactions",
            Self::OtherTransaction => "the delivery belongs to another transaction",
            Self::UnknownTransaction => "the transaction is over, or was never declared",
        })
    }
}

impl core::error::Error for ControllerError {}

/// The result of a declare or a discharge.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// The transaction is there.
    Declared(TxnId),
    /// The transaction is over; whether its work is done.
    Discharged {
        /// Which.
        txn: TxnId,
        /// Whether it was committed, and not rolled back.
        committed: bool,
    },
    /// The declare was refused, or its outcome is not known.
    NotDeclared(Option<AmqpError>),
    /// The commit was asked for, and the control link was lost before the answer, or what came was none: it may have
    /// been done. If the coordinator has detached the link with `amqp:transaction:rollback` or
    /// `amqp:transaction:unknown-id`, and no other transaction was live on it that this may be about, it was not.
    InDoubt {
        /// Which.
        txn: TxnId,
    },
    /// The commit was refused: the transaction is rolled back.
    RolledBack {
        /// Which.
        txn: TxnId,
        /// Why, if the coordinator has said it.
        error: Option<AmqpError>,
    },
}

#[derive(Debug)]
enum Asked {
    Declare,
    Discharge { txn: TxnId, fail: bool },
}

/// Work within a transaction.
#[derive(Debug, Default)]
struct Live {
    retired: BTreeSet<(LinkId, DeliveryKey)>,
    acquiring: BTreeSet<LinkId>,
    /// Its discharge is asked for, with this token.
    discharging: Option<u64>,
}

/// The controller's end of a control link.
#[derive(Debug, Default)]
pub struct Controller {
    distributed: bool,
    asked: BTreeMap<u64, Asked>,
    live: BTreeMap<TxnId, Live>,
    /// The transaction of each delivery that was acquired or retired within one.
    owners: BTreeMap<(LinkId, DeliveryKey), TxnId>,
}

impl Controller {
    /// How a control link is attached (§4.2): to a coordinator, with deliveries that are not settled, by an end that
    /// takes a rejection for an answer. It is not resumable.
    pub fn link(name: impl Into<Str>, capabilities: impl IntoIterator<Item = Symbol>) -> SenderConfig {
        let capabilities: Vec<_> = capabilities.into_iter().collect();
        let outcomes = vec![DeliveryState::ACCEPTED, DeliveryState::DECLARED, DeliveryState::REJECTED];
        SenderConfig {
            source: Some(Source { outcomes: outcomes.into(), ..Source::default() }),
            target: Some(TargetArchetype::Coordinator(Coordinator { capabilities: capabilities.into() })),
            snd_settle_mode: SenderSettleMode::Unsettled,
            ..SenderConfig::new(name, Target::default())
        }
    }

    /// A controller whose coordinator answered the attach with this target.
    pub fn new(granted: Option<&TargetArchetype>) -> Self {
        let distributed = Symbol::from_static(capability::DISTRIBUTED_TRANSACTIONS);
        let distributed = match granted {
            Some(TargetArchetype::Coordinator(coordinator)) => coordinator.capabilities.contains(&distributed),
            _ => false,
        };
        Self { distributed, ..Self::default() }
    }

    /// The message that declares a transaction (§4.2), to be sent unsettled on the control link with this token.
    ///
    /// # Errors
    ///
    /// [`ControllerError::NotDistributed`] if a global id is given to a coordinator that does not offer them.
    pub fn declare(&mut self, token: u64, global_id: Option<Value>) -> Result<EncodedMessage, ControllerError> {
        if global_id.is_some() && !self.distributed {
            return Err(ControllerError::NotDistributed);
        }
        self.asked.insert(token, Asked::Declare);
        Ok(message(&Declare { global_id }))
    }

    /// The message that discharges a transaction (§4.3), to be sent unsettled on the control link with this token.
    /// `credit` says how much credit a link has given that is left.
    ///
    /// # Errors
    ///
    /// If there is no such transaction, or its discharge is asked for already. Also if a link that acquires within it
    /// has credit left (§4.4.3), since more could come.
    pub fn discharge(
        &mut self,
        token: u64,
        txn: &TxnId,
        fail: bool,
        credit: impl Fn(LinkId) -> u32,
    ) -> Result<EncodedMessage, ControllerError> {
        let live = self.working(txn)?;
        if let Some(link) = live.acquiring.iter().find(|link| credit(**link) > 0) {
            return Err(ControllerError::CreditLeft(*link));
        }
        self.asked.insert(token, Asked::Discharge { txn: txn.clone(), fail });
        if let Some(live) = self.live.get_mut(txn) {
            live.discharging = Some(token);
        }
        Ok(message(&Discharge { txn_id: txn.0.clone(), fail: Some(fail) }))
    }

    /// The meaning of a settlement on the control link; `None` if it is not of a message of ours.
    pub fn handle_settled(&mut self, token: u64, settlement: &Settlement) -> Option<Answer> {
        let asked = self.asked.remove(&token)?;
        let outcome = match settlement {
            Settlement::Outcome(state) => state.as_ref(),
            _ => None,
        };
        let error = match outcome {
            Some(DeliveryState::Rejected(error)) => error.as_deref().cloned(),
            _ => None,
        };
        Some(match (asked, outcome) {
            (Asked::Declare, Some(DeliveryState::Declared(declared))) => {
                let txn = TxnId::decoded(&declared.txn_id);
                // A name that is taken is no name: what is done under it would be the other's.
                if self.working(&txn).is_ok() {
                    return Some(Answer::NotDeclared(None));
                }
                // The discharge of its last bearer is answered, and the answer not looked at yet.
                self.forget(&txn);
                self.live.insert(txn.clone(), Live::default());
                Answer::Declared(txn)
            }
            (Asked::Declare, _) => Answer::NotDeclared(error),
            (Asked::Discharge { txn, fail }, Some(DeliveryState::Accepted)) => {
                self.discharged(token, &txn);
                Answer::Discharged { txn, committed: !fail }
            }
            (Asked::Discharge { txn, fail }, _) => {
                self.discharged(token, &txn);
                if fail || is_undone(settlement) { Answer::RolledBack { txn, error } } else { Answer::InDoubt { txn } }
            }
        })
    }

    /// The control link is gone: every transaction that was live is rolled back (§4.2), and is named once. Settlements
    /// of what was asked still come, as lost.
    pub fn handle_detached(&mut self) -> Vec<TxnId> {
        self.owners.clear();
        let discharging: BTreeSet<_> = self
            .asked
            .values()
            .filter_map(|asked| if let Asked::Discharge { txn, .. } = asked { Some(txn.clone()) } else { None })
            .collect();
        let live = core::mem::take(&mut self.live);
        live.into_keys().filter(|txn| !discharging.contains(txn)).collect()
    }

    /// The state with which a message is posted.
    ///
    /// # Errors
    ///
    /// If there is no such transaction.
    pub fn post(&self, txn: &TxnId) -> Result<DeliveryState, ControllerError> {
        self.working(txn).map(|_| txn.state(None))
    }

    /// The state with which a delivery is retired.
    ///
    /// # Errors
    ///
    /// If there is no such transaction, or the delivery was acquired or retired in another that is live.
    pub fn retire(
        &mut self,
        txn: &TxnId,
        link: LinkId,
        delivery: DeliveryKey,
        outcome: DeliveryState,
    ) -> Result<DeliveryState, ControllerError> {
        self.own(txn, link, delivery)?;
        Ok(txn.state(Some(outcome)))
    }

    /// A delivery came that was acquired within a transaction: its state names it.
    ///
    /// # Errors
    ///
    /// As [`retire`](Self::retire).
    pub fn acquired(&mut self, txn: &TxnId, link: LinkId, delivery: DeliveryKey) -> Result<(), ControllerError> {
        self.own(txn, link, delivery)
    }

    fn own(&mut self, txn: &TxnId, link: LinkId, delivery: DeliveryKey) -> Result<(), ControllerError> {
        self.working(txn)?;
        match self.owners.get(&(link, delivery)) {
            Some(owner) if owner != txn => return Err(ControllerError::OtherTransaction),
            _ => {}
        }
        if let Some(live) = self.live.get_mut(txn) {
            live.retired.insert((link, delivery));
        }
        self.owners.insert((link, delivery), txn.clone());
        Ok(())
    }

    /// The flow properties with which a link acquires within a transaction from now on.
    ///
    /// # Errors
    ///
    /// If there is no such transaction.
    pub fn acquire(&mut self, txn: &TxnId, link: LinkId) -> Result<Fields, ControllerError> {
        self.working(txn)?;
        if let Some(live) = self.live.get_mut(txn) {
            live.acquiring.insert(link);
        }
        let mut properties = Fields::new();
        properties.insert(Symbol::from_static(TXN_ID), txn.0.clone());
        Ok(properties)
    }

    /// The transaction, if work can be done in it: once its discharge is asked for, none can.
    fn working(&self, txn: &TxnId) -> Result<&Live, ControllerError> {
        self.live.get(txn).filter(|live| live.discharging.is_none()).ok_or(ControllerError::UnknownTransaction)
    }

    /// The request of this token is answered. The token may be another's by now.
    fn discharged(&mut self, token: u64, txn: &TxnId) {
        if self.live.get(txn).is_some_and(|live| live.discharging == Some(token)) {
            self.forget(txn);
        }
    }

    fn forget(&mut self, txn: &TxnId) {
        let Some(live) = self.live.remove(txn) else { return };
        for delivery in live.retired {
            self.owners.remove(&delivery);
        }
    }
}

/// Whether a commit that ended like this was certainly not done. A coordinator that settles it with anything else than
/// §4.3 has may have meant either.
fn is_undone(settlement: &Settlement) -> bool {
    match settlement {
        Settlement::Aborted => true,
        Settlement::Lost { sent } => !sent,
        Settlement::Sent => false,
        Settlement::Outcome(state) => {
            matches!(state, Some(DeliveryState::Rejected(_) | DeliveryState::Released | DeliveryState::Modified(_)))
        }
    }
}

/// §4.2: a message whose body is one value.
fn message(body: &impl Encode) -> EncodedMessage {
    let value = Value::decode(&mut Reader::new(&body.to_octets())).unwrap_or(Value::Null);
    Message::builder().value(value).build()
}
