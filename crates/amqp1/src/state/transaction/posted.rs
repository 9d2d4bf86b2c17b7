//! Messages that were posted within a transaction, at the end that keeps it (§4.4.1).

use crate::{
    state::{
        aside::Aside,
        shared::State,
        transaction::{errors, table::Transactions},
    },
    types::error::{Error, ErrorKind},
};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition},
    messaging::DeliveryState,
};
use amqp1_engine::{DeliveryKey, IncomingDelivery, LinkId, SessionId, transaction::TxnId};

/// What is wrong with an outcome that is stated for a delivery outside of its transaction.
fn not_alone(resource: bool) -> Error {
    Error::new(
        ErrorKind::Config,
        match resource {
            true => "the message was posted within a transaction: take it with Coordinator::post",
            false => "the message was acquired within a transaction: settle it with the transaction's methods",
        },
    )
}

fn failed() -> AmqpError {
    AmqpError::new(ErrorCondition::TRANSACTION_ROLLBACK, "a message of the transaction was not accepted")
}

impl State {
    /// Whether a delivery that was received is to be handed over. One of a transaction that is not known here ends its link
    /// (§4.4.1).
    pub(crate) fn admits(&mut self, id: LinkId, delivery: &IncomingDelivery) -> bool {
        let Some(txn) = delivery.state.as_ref().and_then(TxnId::of) else { return true };
        match &self.transactions {
            Transactions::Resource(table) if table.rules.is_live(&txn) => return true,
            Transactions::Resource(_) => {}
            _ => return true,
        }
        self.engine.decide_posting(id, delivery.key);
        let text = "the transaction is over, or was never declared here";
        let error = AmqpError::new(ErrorCondition::TRANSACTION_UNKNOWN_ID, text);
        // Where the link is over already, that counts.
        let _ = self.engine.link(id).and_then(|mut link| link.detach(true, Some(error)));
        false
    }

    /// A delivery is posted, with a part of the application's that has this number.
    pub(crate) fn post(
        &mut self,
        (id, session): (LinkId, SessionId),
        key: DeliveryKey,
        settled: bool,
        txn: &TxnId,
        (number, octets): (u64, u64),
        aside: &mut Aside<'_>,
    ) -> Result<(), Error> {
        if self.is_dead() {
            return Err(errors::lost(self.failure()));
        }
        let Some(table) = self.table() else { return Err(errors::undeclared()) };
        if !table.rules.is_live(txn) {
            self.let_go(id, key, settled);
            return Err(errors::undeclared());
        }
        if let Err(error) = table.record_posted(txn, session, number, octets) {
            let refused = Error::new(ErrorKind::RolledBack, "the transaction cannot have this message, and is over");
            self.end_control(txn, error.clone(), aside);
            self.let_go(id, key, settled);
            return Err(refused.with_amqp(Some(error)));
        }
        let stated = match settled {
            true => Ok(()),
            false => self.dispose(id, key, txn.state(Some(DeliveryState::Accepted))),
        };
        if stated.is_err() {
            // The sender cannot be told: its link is over, or is about to be.
            self.spoil(txn, failed(), aside);
        }
        self.engine.decide_posting(id, key);
        self.wake_control_of(txn, aside);
        stated
    }

    /// The transaction of a delivery is over.
    fn let_go(&mut self, id: LinkId, key: DeliveryKey, settled: bool) {
        if !settled {
            // Where the link is over, there is nothing left to say.
            let _ = self.dispose(id, key, DeliveryState::Released);
        }
        self.engine.decide_posting(id, key);
    }

    /// An outcome is stated for a delivery that came within a transaction.
    pub(crate) fn dispose_within(
        &mut self,
        id: LinkId,
        key: DeliveryKey,
        settled: bool,
        txn: &TxnId,
        outcome: DeliveryState,
        aside: &mut Aside<'_>,
    ) -> Result<(), Error> {
        match &self.transactions {
            Transactions::Controller(live) if live.contains(txn) => return Err(not_alone(false)),
            Transactions::Resource(table) if table.rules.is_live(txn) => {}
            Transactions::Resource(_) => {
                self.let_go(id, key, settled);
                return Ok(());
            }
            _ if settled => return Ok(()),
            // It was acquired within a transaction that is over.
            _ if !self.engine.receiver(id).is_ok_and(|receiver| receiver.is_unsettled(key)) => {
                return Err(errors::taken_back());
            }
            _ => return self.dispose(id, key, outcome),
        }
        if outcome == DeliveryState::Accepted {
            return Err(not_alone(true));
        }
        self.spoil(txn, failed(), aside);
        let stated = match settled {
            true => Ok(()),
            false => self.dispose(id, key, txn.state(Some(outcome).filter(DeliveryState::is_outcome))),
        };
        self.engine.decide_posting(id, key);
        self.wake_control_of(txn, aside);
        stated
    }

    /// A delivery that came within a transaction is dropped: the outcome belongs to the transaction.
    pub(crate) fn abandon_within(
        &mut self,
        id: LinkId,
        key: DeliveryKey,
        settled: bool,
        txn: &TxnId,
        outcome: Option<DeliveryState>,
        aside: &mut Aside<'_>,
    ) -> Result<(), Error> {
        match &self.transactions {
            Transactions::Controller(live) if live.contains(txn) => match outcome {
                Some(outcome) if !settled => self.dispose(id, key, txn.state(Some(outcome))),
                _ => Ok(()),
            },
            Transactions::Resource(table) if outcome.is_none() && table.rules.is_live(txn) => {
                self.spoil(txn, failed(), aside);
                self.engine.decide_posting(id, key);
                self.wake_control_of(txn, aside);
                Ok(())
            }
            _ => match outcome {
                Some(outcome) => self.dispose_within(id, key, settled, txn, outcome, aside),
                None => Ok(()),
            },
        }
    }

    /// A message that comes piece by piece is not taken within a transaction: its link ends (§4.4.1).
    pub(crate) fn refuse_streamed(&mut self, id: LinkId, key: DeliveryKey, txn: &TxnId, aside: &mut Aside<'_>) {
        self.spoil(txn, failed(), aside);
        self.engine.decide_posting(id, key);
        let text = "messages are not taken within transactions on this link";
        let error = AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, text);
        // Where the link is over already, that counts.
        let _ = self.engine.link(id).and_then(|mut link| link.detach(true, Some(error)));
    }

    /// A delivery that was not taken goes back.
    pub(crate) fn give_back(&mut self, id: LinkId, delivery: &IncomingDelivery, aside: &mut Aside<'_>) {
        let (key, settled) = (delivery.key, delivery.settled);
        let released = match delivery.state.as_ref().and_then(TxnId::of) {
            Some(txn) => self.abandon_within(id, key, settled, &txn, Some(DeliveryState::Released), aside),
            None if settled => Ok(()),
            None => self.dispose(id, key, DeliveryState::Released),
        };
        // Where it cannot be said, the link is over, and the sender knows that.
        drop(released);
    }
}
