//! Messages that were posted within a transaction, at the end that keeps it (§4.4.1).

use crate::{
    state::{
        aside::Aside,
        engine::{Arrival, Received},
        ids::{LinkKey, SessionKey},
        shared::State,
        transaction::{errors, table::Transactions},
    },
    types::error::{Error, ErrorKind},
};
use amqp1_codec::{
    definitions::{AmqpError, ErrorCondition},
    messaging::DeliveryState,
};
use amqp1_engine::transaction::TxnId;

/// The error of an outcome that is stated for a delivery outside of its transaction.
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
    pub(crate) fn admits(&mut self, id: LinkKey, arrival: &Arrival) -> bool {
        let Some(txn) = arrival.delivery.state.as_ref().and_then(TxnId::of) else { return true };
        match &self.transactions {
            Transactions::Resource(table) if table.rules.is_live(&txn) => return true,
            Transactions::Resource(_) => {}
            _ => return true,
        }
        self.engine.decide_posting(id, arrival.name());
        let text = "the transaction is over, or was never declared here";
        let error = AmqpError::new(ErrorCondition::TRANSACTION_UNKNOWN_ID, text);
        // Where the link is over already, that counts.
        let _ = self.engine.link(id).and_then(|mut link| link.detach(true, Some(error)));
        false
    }

    /// A delivery is posted, with a part of the application's that has this number.
    pub(crate) fn post(
        &mut self,
        (id, session): (LinkKey, SessionKey),
        name: Received,
        settled: bool,
        txn: &TxnId,
        (number, octets): (u64, u64),
        aside: &mut Aside<'_>,
    ) -> Result<(), Error> {
        if self.is_dead() {
            return Err(errors::lost(self.failure()));
        }
        self.check_present(name)?;
        let Some(session) = self.engine.session_id(session) else { return Err(self.link_failure(id)) };
        let Some(table) = self.table() else { return Err(errors::undeclared()) };
        if !table.rules.is_live(txn) {
            self.let_go(id, name, settled);
            return Err(errors::undeclared());
        }
        if let Err(error) = table.record_posted(txn, session, number, octets) {
            let refused = Error::new(ErrorKind::RolledBack, "the transaction cannot have this message, and is over");
            self.end_control(txn, error.clone(), aside);
            self.let_go(id, name, settled);
            return Err(refused.with_amqp(Some(error)));
        }
        let stated = match settled {
            true => Ok(()),
            false => self.dispose(id, name, txn.state(Some(DeliveryState::Accepted))),
        };
        if stated.is_err() {
            // The sender cannot be told: its link is over, or is about to be.
            self.spoil(txn, failed(), aside);
        }
        self.engine.decide_posting(id, name);
        self.wake_control_of(txn, aside);
        stated
    }

    /// The transaction of a delivery is over.
    fn let_go(&mut self, id: LinkKey, name: Received, settled: bool) {
        if !settled {
            // Where the link is over, there is nothing left to say.
            let _ = self.dispose(id, name, DeliveryState::Released);
        }
        self.engine.decide_posting(id, name);
    }

    /// An outcome is stated for a delivery that came within a transaction.
    pub(crate) fn dispose_within(
        &mut self,
        id: LinkKey,
        name: Received,
        settled: bool,
        txn: &TxnId,
        outcome: DeliveryState,
        aside: &mut Aside<'_>,
    ) -> Result<(), Error> {
        self.check_present(name)?;
        match &self.transactions {
            Transactions::Controller(live) if live.contains(txn) => return Err(not_alone(false)),
            Transactions::Resource(table) if table.rules.is_live(txn) => {}
            Transactions::Resource(_) => {
                self.let_go(id, name, settled);
                return Ok(());
            }
            _ if settled => return Ok(()),
            // It was acquired within a transaction that is over.
            _ if !self.engine.is_unsettled(id, name) => {
                return Err(errors::taken_back());
            }
            _ => return self.dispose(id, name, outcome),
        }
        if outcome == DeliveryState::Accepted {
            return Err(not_alone(true));
        }
        self.spoil(txn, failed(), aside);
        let stated = match settled {
            true => Ok(()),
            false => self.dispose(id, name, txn.state(Some(outcome).filter(DeliveryState::is_outcome))),
        };
        self.engine.decide_posting(id, name);
        self.wake_control_of(txn, aside);
        stated
    }

    /// A delivery that came within a transaction is dropped: the outcome belongs to the transaction.
    pub(crate) fn abandon_within(
        &mut self,
        id: LinkKey,
        name: Received,
        settled: bool,
        txn: &TxnId,
        outcome: Option<DeliveryState>,
        aside: &mut Aside<'_>,
    ) -> Result<(), Error> {
        self.check_present(name)?;
        match &self.transactions {
            Transactions::Controller(live) if live.contains(txn) => match outcome {
                Some(outcome) if !settled => self.dispose(id, name, txn.state(Some(outcome))),
                _ => Ok(()),
            },
            Transactions::Resource(table) if outcome.is_none() && table.rules.is_live(txn) => {
                self.spoil(txn, failed(), aside);
                self.engine.decide_posting(id, name);
                self.wake_control_of(txn, aside);
                Ok(())
            }
            _ => match outcome {
                Some(outcome) => self.dispose_within(id, name, settled, txn, outcome, aside),
                None => Ok(()),
            },
        }
    }

    /// A message that comes piece by piece is not taken within a transaction: its link ends (§4.4.1).
    pub(crate) fn refuse_streamed(&mut self, id: LinkKey, name: Received, txn: &TxnId, aside: &mut Aside<'_>) {
        self.spoil(txn, failed(), aside);
        self.engine.decide_posting(id, name);
        let text = "messages are not taken within transactions on this link";
        let error = AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, text);
        // Where the link is over already, that counts.
        let _ = self.engine.link(id).and_then(|mut link| link.detach(true, Some(error)));
    }

    /// A delivery that was not taken goes back.
    pub(crate) fn give_back(&mut self, id: LinkKey, arrival: &Arrival, aside: &mut Aside<'_>) {
        let (name, settled) = (arrival.name(), arrival.delivery.settled);
        let released = match arrival.delivery.state.as_ref().and_then(TxnId::of) {
            Some(txn) => self.abandon_within(id, name, settled, &txn, Some(DeliveryState::Released), aside),
            None if settled => Ok(()),
            None => self.dispose(id, name, DeliveryState::Released),
        };
        // Where it cannot be said, the link is over, and the sender knows that.
        drop(released);
    }
}
