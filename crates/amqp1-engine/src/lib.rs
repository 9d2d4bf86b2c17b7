//! AMQP 1.0 connections, sessions and links as state machines that do no IO.
//!
//! A [`Connection`] is a function of what it is given: octets from the network, the time, and what the application
//! asks for. It answers with octets to write, a time to be woken, and [`Event`]s. The same engine serves both roles.
//!
//! Its methods come in four kinds:
//!
//! - getters;
//! - `handle_*`, for the network and the clock;
//! - commands, for the application (`begin`, `attach_sender`, `send`, `dispose` …);
//! - outputs: [`Connection::transmit`], [`Connection::poll_timeout`], [`Connection::poll_event`],
//!   [`Connection::poll_settled`].
//!
//! After any `handle_*` or command, drain the outputs. Instants must not go backwards.
//!
//! What the peer does wrong is no error of these methods: the engine queues the `detach`, `end` or `close` that the
//! specification names, and reports it as an event.
//!
//! ```
//! use amqp1_engine::{Connection, ConnectionConfig, Event, Instant, ServerSasl, TransmitQueue};
//! use bytes::BytesMut;
//!
//! let now = Instant::default();
//! let mut client = Connection::client(ConnectionConfig::new("client"), None, now);
//! let mut server = Connection::server(ConnectionConfig::new("server"), ServerSasl::None, now);
//! for _ in 0..4 {
//!     for (from, to) in [(0, 1), (1, 0)] {
//!         let ends = [&mut client, &mut server];
//!         let mut wire = TransmitQueue::default();
//!         let [a, b] = ends;
//!         let (from, to) = if (from, to) == (0, 1) { (a, b) } else { (b, a) };
//!         from.transmit(now, usize::MAX, &mut wire);
//!         to.handle_input(now, &mut BytesMut::from(wire.to_vec().as_slice()));
//!     }
//! }
//! assert!(matches!(client.poll_event(), Some(Event::Opened)));
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

extern crate alloc;

mod ascending;
mod config;
mod connection;
mod control;
mod debug;
mod delivery;
mod errant;
mod error;
mod event;
mod late;
mod link;
mod metadata;
mod numbers;
mod outbox;
mod planted;
mod queue;
mod rare;
mod resume;
mod session;
mod settlement;
mod steps;
mod store;
pub mod terminus;
mod time;
mod tolerances;
pub mod transaction;
mod transmit;
mod violation;

pub use config::{
    AttachReply, ConnectionConfig, Credit, DrainMode, ErrantLinks, LinkNames, ReceiverConfig, SendOptions,
    SenderConfig, ServerSasl, SessionConfig,
};
pub use connection::{Connection, HandshakeStage, TransactionRole};
pub use error::{ApiMisuse, ConnectionError, SaslFailure, SendError};
pub use event::{Cause, Detached, Ended, Event, EventsEnd, IncomingDelivery, Settled, Settlement, StreamItem};
pub use metadata::ANNOTATIONS_LEFT_OUT;
#[cfg(amqp1_planted)]
#[doc(hidden)]
pub use planted::{Planted, plant};
pub use queue::Blocked;
pub use resume::{ReceivedSoFar, SentSoFar, Suspended, SuspendedReceiver, SuspendedSender};
pub use store::{DeliveryKey, LinkId, SessionId};
pub use time::Instant;
pub use tolerances::Tolerances;
pub use transmit::TransmitQueue;
pub use violation::{PeerMisbehaved, Scope};
