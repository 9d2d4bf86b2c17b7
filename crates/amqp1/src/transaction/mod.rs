//! Transactions (part 4), at both ends: a [`Controller`] declares them, a [`Coordinator`] keeps them.
//!
//! ```no_run
//! # async fn example(session: amqp1::Session) -> Result<(), amqp1::Error> {
//! let controller = session.transactions().await?;
//! let orders = session.sender("orders").attach().await?;
//! let mut paid = session.receiver("paid").attach().await?;
//!
//! let transaction = controller.declare().await?;
//! if let Some(delivery) = paid.recv().await? {
//!     let order = delivery.message().data().unwrap_or_default();
//!     transaction.send(&orders, order).await?.into_result()?;
//!     transaction.accept(delivery)?;
//! }
//! // Both or neither.
//! transaction.commit().await
//! # }
//! ```
//!
//! Messages are posted (§4.4.1) and deliveries retired (§4.4.2) within a transaction.
//!
//! A [`Transaction`] that is dropped is rolled back. So is, by the coordinator, each one that is live when its
//! [`Controller`]'s control link ends (§4.2).
//!
//! An acceptor serves them with [`ServerConnection::coordinator`](crate::ServerConnection::coordinator): see
//! [`Coordinator`].

mod control;
mod control_link;
mod controller;
mod coordinator;
mod work;

pub use crate::state::transaction::table::RollbackCause;
pub use amqp1_broker::transaction::CoordinatorConfig;
pub use amqp1_codec::transaction::capability;
pub use amqp1_engine::transaction::TxnId;
pub use control_link::{Commit, ControlLink, Discharge, RolledBack};
pub use controller::Controller;
pub use coordinator::{Coordinator, Retirement};
pub use work::Transaction;
