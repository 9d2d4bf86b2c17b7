//! The coordinator of transactions (part 4), for a resource that does their work.
//!
//! A [`Coordinator`] reads the messages of a control link and keeps the work of each transaction until it is discharged.
//! The work itself (making messages visible, retiring deliveries) is the application's. The other end of the control link
//! is a [`Controller`](amqp1_engine::transaction::Controller).
//!
//! On the wire the work of a transaction is:
//!
//! - *posting* (§4.4.1): a message that is received with the transaction's state, which
//!   [`TxnId::of`](amqp1_engine::transaction::TxnId::of) reads;
//! - *retirement* (§4.4.2): an outcome within a transaction, which [`Event::Provisional`](amqp1_engine::Event::Provisional)
//!   reports; [`Sender::settle`](amqp1_engine::Sender::settle) settles the delivery when the transaction
//!   is discharged;
//! - *acquisition* (§4.4.3): flow properties, which [`Event::FlowProperties`](amqp1_engine::Event) reports; messages are
//!   sent with the transaction's state.

mod coordinator;

pub use coordinator::{Coordinator, CoordinatorConfig, Discharging, Refusal, Request};
