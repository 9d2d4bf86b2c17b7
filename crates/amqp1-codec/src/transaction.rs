//! Part 4: the types that a transaction's controller and coordinator exchange (§4.5).
//!
//! ```
//! use amqp1_codec::{Decode, Encode, Reader, transaction::Discharge};
//! use bytes::Bytes;
//!
//! let discharge = Discharge { txn_id: Bytes::from_static(b"t1"), fail: Some(true) };
//! let octets = discharge.to_octets();
//! assert_eq!(Discharge::decode(&mut Reader::new(&octets))?, discharge);
//! # Ok::<(), amqp1_codec::DecodeError>(())
//! ```

use crate::{Symbol, Value, messaging::DeliveryState};
use alloc::boxed::Box;
use bytes::Bytes;

composite! {
    /// The target at which transactions are declared and discharged (§4.5.1).
    pub struct Coordinator = 0x30, "amqp:coordinator:list" {
        /// The capabilities that the controller desires, or that the coordinator has.
        capabilities: multi Symbol,
    }

    /// Asks the coordinator for a transaction (§4.5.2); the body of a message.
    pub struct Declare = 0x31, "amqp:declare:list" {
        /// Identifies a transaction that exists outside.
        global_id: opt Value,
    }

    /// Asks the coordinator to end a transaction (§4.5.3); the body of a message.
    pub struct Discharge = 0x32, "amqp:discharge:list" {
        /// Which transaction.
        txn_id: id Bytes,
        /// Whether to roll back.
        fail: opt bool,
    }

    /// The outcome of a declare (§4.5.5).
    pub struct Declared = 0x33, "amqp:declared:list", extensible {
        /// The transaction's id, at most 32 octets.
        txn_id: id Bytes,
    }

    /// A delivery's state within a transaction (§4.5.8).
    pub struct TransactionalState = 0x34, "amqp:transactional-state:list", extensible {
        /// Which transaction.
        txn_id: id Bytes,
        /// The outcome of the delivery if the transaction succeeds.
        outcome: final Box<DeliveryState>,
    }
}

/// Capabilities of a coordinator (§4.5.7).
pub mod capability {
    /// Transactions that live on one connection.
    pub const LOCAL_TRANSACTIONS: &str = "amqp:local-transactions";
    /// Distributed transactions.
    pub const DISTRIBUTED_TRANSACTIONS: &str = "amqp:distributed-transactions";
    /// Local transactions that can become distributed ones.
    pub const PROMOTABLE_TRANSACTIONS: &str = "amqp:promotable-transactions";
    /// Several transactions at a time in one session.
    pub const MULTI_TXNS_PER_SSN: &str = "amqp:multi-txns-per-ssn";
    /// Transactions that span sessions.
    pub const MULTI_SSNS_PER_TXN: &str = "amqp:multi-ssns-per-txn";
}
