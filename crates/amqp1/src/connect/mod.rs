//! The two ways to a connection: connecting to a peer, and accepting a peer's connection.

pub(crate) mod acceptor;
mod attempt;
pub(crate) mod client;
mod nonce;
