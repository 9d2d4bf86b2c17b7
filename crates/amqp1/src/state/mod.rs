//! The locked state of a connection: the engine, and the tasks that wait for it.

pub(crate) mod aside;
pub(crate) mod attaching;
pub(crate) mod drain;
mod drains;
pub(crate) mod engine;
mod events;
pub(crate) mod ids;
pub(crate) mod link;
pub(crate) mod links;
pub(crate) mod receipts;
pub(crate) mod send;
mod settle;
pub(crate) mod shared;
pub(crate) mod suspended;
pub(crate) mod transaction;
pub(crate) mod unsent;
pub(crate) mod unsent_log;
pub(crate) mod wait;
