//! The locked state of a connection: the engine, and the tasks that wait for it.

pub(crate) mod drain;
mod events;
pub(crate) mod ids;
pub(crate) mod receipts;
pub(crate) mod send;
pub(crate) mod shared;
pub(crate) mod wait;
