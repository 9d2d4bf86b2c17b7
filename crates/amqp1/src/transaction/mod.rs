//! Transactions (part 4), as a client uses them.
//!
//! ```no_run
//! # async fn example(session: amqp1::Session) -> Result<(), amqp1::Error> {
//! let controller = session.transactions().await?;
//! let orders = session.sender("orders").attach().await?;
//! let mut paid = session.receiver("paid").attach().await?;
//!
//! let transaction = controller.declare().await?;
//! if let Some(delivery) = paid.recv().await? {
//!     let order = delivery.message().to_contiguous().unwrap_or_default();
//!     transaction.send(&orders, order).await?.accepted()?;
//!     transaction.accept(delivery)?;
//! }
//! // Both or neither.
//! transaction.commit().await
//! # }
//! ```
//!
//! Messages are posted (§4.4.1) and deliveries retired (§4.4.2) within a transaction. Acquisition (§4.4.3) is in the
//! [engine](amqp1_engine::transaction) only, as is the coordinator.
//!
//! A [`Transaction`] that is dropped is rolled back. So is, by the coordinator, each one that is live when its
//! [`Controller`]'s control link ends (§4.2).

mod control;
mod controller;
mod errors;
mod work;

pub use amqp1_codec::transaction::capability;
pub use amqp1_engine::transaction::TxnId;
pub use controller::Controller;
pub use work::Transaction;
