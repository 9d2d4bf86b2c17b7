//! Apache ActiveMQ Artemis: its addresses, and the capabilities of nodes.
//!
//! An address leads to queues. As Artemis comes, one that is not there is made: as a queue (anycast) or a topic (multicast),
//! which a capability of the source or target says:
//!
//! ```no_run
//! # async fn example(session: amqp1::Session) -> Result<(), amqp1::Error> {
//! use amqp1::{link::Filter, brokers::artemis};
//!
//! let red = Filter::selector("colour = 'red'");
//! let mut prices = session.receiver("prices").source_capability(artemis::TOPIC).filter(red).attach().await?;
//! let publisher = session.sender("prices").target_capability(artemis::TOPIC).attach().await?;
//! # Ok(()) }
//! ```
//!
//! Selectors and no-local are [`Filter::selector`](crate::link::Filter::selector) and
//! [`Filter::no_local`](crate::link::Filter::no_local).

use amqp1_codec::{Str, Symbol};

/// The capability of a queue: each message goes to one receiver.
pub const QUEUE: Symbol = Symbol::from_static("queue");

/// The capability of a topic: each message goes to each subscription.
pub const TOPIC: Symbol = Symbol::from_static("topic");

/// The capability of a subscription that several links of one container share, of a topic.
pub const SHARED: Symbol = Symbol::from_static("shared");

/// The capability of a [`SHARED`] subscription that links of several containers share.
pub const GLOBAL: Symbol = Symbol::from_static("global");

/// The address of one queue among those of an address (Artemis calls it fully qualified): `ADDRESS::QUEUE`.
///
/// ```
/// use amqp1::brokers::artemis;
///
/// assert_eq!(artemis::queue_of("orders", "orders.audit"), "orders::orders.audit");
/// ```
pub fn queue_of(address: &str, queue: &str) -> Str {
    format!("{address}::{queue}").into()
}
