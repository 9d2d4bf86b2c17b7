//! The parts of an AMQP 1.0 server that is a broker, without IO.
//!
//! A connection of [`amqp1_engine`] carries links, and leaves to the application what their sources and targets are.
//! For an application that has nodes, this crate answers what the specification demands of them:
//!
//! - [`terminus`]: which of a peer's wishes are granted ([`Support`](terminus::Support)), what the end that asked finds
//!   missing ([`differences`](terminus::differences)), what outlives a link
//!   ([`TerminusStore`](terminus::TerminusStore)), and the messages at a node ([`HeldMessage`](terminus::HeldMessage));
//! - [`transaction`]: the coordinator, which keeps the work of transactions until they are discharged.
//!
//! Time is an argument, as in the engine.
//!
//! ```
//! use amqp1_broker::terminus::{Difference, Support, differences};
//! use amqp1_codec::{
//!     definitions::Role,
//!     messaging::{Source, TerminusExpiryPolicy},
//!     performative::Attach,
//! };
//!
//! // A receiver asks for a source that is kept for an hour after the connection is closed.
//! let asked = Source {
//!     expiry_policy: TerminusExpiryPolicy::ConnectionClose,
//!     timeout: 3600,
//!     ..Source::at("queue")
//! };
//! let attach = Attach {
//!     name: "link".into(),
//!     role: Role::Receiver,
//!     source: Some(Box::new(asked.clone())),
//!     ..Attach::default()
//! };
//!
//! // The node keeps it for a minute.
//! let node = Support { outlives_connections: true, timeout: 60, ..Support::default() };
//! // `Link::accept` takes the reply, `Link::reject` the error.
//! let reply = node.reply(&attach, None).expect("a reply");
//! let granted = reply.source.expect("a source");
//! assert_eq!(granted.timeout, 60);
//!
//! // The receiver finds out.
//! assert_eq!(differences(&asked, &granted), [Difference::ExpiresSooner]);
//! ```
//!
//! The [example broker](https://github.com/amqp1/amqp1/tree/main/crates/amqp1/examples/broker) puts all of it to use.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

extern crate alloc;

pub mod terminus;
pub mod transaction;

/// The README's examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
