//! Handles of connections, sessions, links and deliveries.

pub(crate) mod builders;
pub(crate) mod connection;
pub(crate) mod counted;
pub(crate) mod delivery;
mod drain;
mod flush;
pub(crate) mod granted;
pub(crate) mod incoming;
pub(crate) mod link;
pub(crate) mod offered;
pub(crate) mod permit;
pub(crate) mod receiver;
pub(crate) mod relay;
pub(crate) mod requests;
mod send;
pub(crate) mod sender;
pub(crate) mod session;
pub(crate) mod undecodable;
mod withheld;
