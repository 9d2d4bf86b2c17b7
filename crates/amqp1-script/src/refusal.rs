//! How a peer says that something is wrong.

use crate::got::{AmqpFrame, Got};
use amqp1_codec::{definitions::AmqpError, performative::Performative};

/// What a refusal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A link, by `detach`.
    Link,
    /// A session, by `end`.
    Session,
    /// The connection, by `close`.
    Connection,
}

/// How the peer said that something is wrong: it ended something with an error (§2.8.14).
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What it ended.
    pub scope: Scope,
    /// On which of its channels.
    pub channel: u16,
    /// Why.
    pub error: AmqpError,
}

impl Refusal {
    /// The refusal that this is, if it is one.
    pub fn of(got: &Got) -> Option<Self> {
        let Got::Frame(AmqpFrame { channel, body: Some(body), .. }) = got else { return None };
        let (scope, error) = match body {
            Performative::Detach(detach) => (Scope::Link, &detach.error),
            Performative::End(end) => (Scope::Session, &end.error),
            Performative::Close(close) => (Scope::Connection, &close.error),
            _ => return None,
        };
        Some(Self { scope, channel: *channel, error: error.clone()? })
    }
}
