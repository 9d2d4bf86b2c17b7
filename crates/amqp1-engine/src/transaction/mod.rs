//! Transactions (part 4), at the end that controls them.
//!
//! A [`Controller`] makes the messages that are sent on the control link and reads their outcomes. The other end, which
//! keeps the work of each transaction, is the `Coordinator` of the crate `amqp1-broker`.
//!
//! On the wire the work of a transaction is:
//!
//! - *posting* (§4.4.1): a message sent with [`SendOptions::state`](crate::SendOptions) as [`Controller::post`] says;
//! - *retirement* (§4.4.2): an outcome stated with [`Receiver::dispose`](crate::Receiver::dispose) as
//!   [`Controller::retire`] says; the resource sees [`Event::Provisional`](crate::Event::Provisional), and settles with
//!   [`Sender::settle`](crate::Sender::settle) when the transaction is discharged;
//! - *acquisition* (§4.4.3): flow properties as [`Controller::acquire`] says; the resource sees
//!   [`Event::FlowProperties`](crate::Event) and sends with that state.

mod controller;

pub use controller::{Answer, Controller, ControllerError};

use alloc::boxed::Box;
use amqp1_codec::{definitions::Fields, messaging::DeliveryState, transaction::TransactionalState};
use bytes::Bytes;

/// The name of a transaction: at most 32 octets that the coordinator has chosen (§4.5.4). Some coordinators choose longer
/// ones: see [`Tolerances::long_transaction_ids`](crate::Tolerances::long_transaction_ids).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(Bytes);

impl TxnId {
    /// The longest that the specification allows, in octets.
    pub const MAX: usize = 32;

    /// The transaction of this name; `None` if that is too long.
    pub fn new(octets: &[u8]) -> Option<Self> {
        (octets.len() <= Self::MAX).then(|| Self(Bytes::copy_from_slice(octets)))
    }

    /// The transaction of a name that was decoded, where one that is too long for the limits is refused.
    pub(crate) fn decoded(octets: &Bytes) -> Self {
        Self(Bytes::copy_from_slice(octets))
    }

    /// The octets.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The transaction that a state is part of.
    pub fn of(state: &DeliveryState) -> Option<Self> {
        match state {
            DeliveryState::Transactional(state) => Some(Self::decoded(&state.txn_id)),
            _ => None,
        }
    }

    /// The transaction that the properties of a flow name (§4.4.3).
    pub fn of_flow(properties: &Fields) -> Option<Self> {
        match properties.get(TXN_ID) {
            Some(amqp1_codec::Value::Binary(octets)) => Self::new(octets),
            _ => None,
        }
    }

    /// A state of a delivery within this transaction, with an outcome that is provisional until it is discharged.
    pub fn state(&self, outcome: Option<DeliveryState>) -> DeliveryState {
        let outcome = outcome.map(Box::new);
        DeliveryState::Transactional(Box::new(TransactionalState { txn_id: self.0.clone(), outcome }))
    }
}

/// The key under which a flow's properties name a transaction.
pub(crate) const TXN_ID: &str = "txn-id";
