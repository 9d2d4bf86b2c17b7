//! AMQP 1.0 connections, sessions and links as state machines that do no IO.
//!
//! A [`Connection`] is a function of what it is given: octets from the network, the time, and what the application
//! asks for. It answers with octets to write, a time to be woken, and [`Event`]s. The same engine serves both roles.
//!
//! Its methods come in four kinds:
//!
//! - getters;
//! - `handle_*`, for the network and the clock;
//! - commands, for the application ([`begin`](Connection::begin), [`close`](Connection::close) …);
//! - outputs: [`Connection::transmit`], [`Connection::poll_timeout`], [`Connection::poll_event`],
//!   [`Connection::poll_settled`].
//!
//! Sessions and links have commands and getters of their own: [`Connection::session`], [`Connection::link`],
//! [`Connection::sender`] and [`Connection::receiver`] look them up by their ids.
//!
//! After any `handle_*` or command, drain the outputs. Instants must not go backwards.
//!
//! What the peer does wrong is no error of these methods: the engine queues the `detach`, `end` or `close` that the
//! specification names, and reports it as an event.
//!
//! ```
//! use amqp1_codec::{EncodedMessage, messaging::{DeliveryState, Target}};
//! use amqp1_engine::{
//!     AttachReply, Connection, ConnectionConfig, Event, Instant, SendOptions, SenderConfig, ServerSasl, SessionConfig,
//!     Settlement, TransmitQueue,
//! };
//! use bytes::{Bytes, BytesMut};
//!
//! /// Carries what one engine writes to the other.
//! fn carry(from: &mut Connection, to: &mut Connection) {
//!     let mut wire = TransmitQueue::default();
//!     from.transmit(Instant::default(), usize::MAX, &mut wire);
//!     to.handle_input(Instant::default(), &mut BytesMut::from(wire.to_vec().as_slice()));
//! }
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let now = Instant::default();
//! let mut client = Connection::client(ConnectionConfig::new("client"), None, now);
//! let mut server = Connection::server(ConnectionConfig::new("server"), ServerSasl::None, now);
//!
//! // The client pipelines its open, a session and a link.
//! let session = client.begin(SessionConfig::default())?;
//! let sending = client.session(session)?.attach_sender(SenderConfig::new("link", Target::at("queue")))?;
//!
//! let mut outcome = None;
//! for _ in 0..8 {
//!     carry(&mut client, &mut server);
//!     while let Some(event) = server.poll_event() {
//!         match event {
//!             Event::SessionOffered(id) => server.session(id)?.accept(SessionConfig::default())?,
//!             Event::LinkOffered(id) => {
//!                 let mut link = server.link(id)?;
//!                 let attach = link.remote_attach().ok_or("an offered link has an attach")?;
//!                 link.accept(AttachReply::echo(&attach))?;
//!             }
//!             Event::Receivable(id) => {
//!                 let mut receiver = server.receiver(id)?;
//!                 while let Some(delivery) = receiver.recv() {
//!                     receiver.dispose(delivery.key, DeliveryState::Accepted)?;
//!                 }
//!             }
//!             _ => {}
//!         }
//!     }
//!     carry(&mut server, &mut client);
//!     while let Some(event) = client.poll_event() {
//!         if matches!(event, Event::Sendable(id) if id == sending) {
//!             // An encoded message: one data section with two octets.
//!             let message = EncodedMessage::from_parts([Bytes::from_static(b"\x00\x53\x75\xa0\x02hi")]);
//!             client.sender(sending)?.send(message, SendOptions::default())?;
//!         }
//!     }
//!     outcome = outcome.or_else(|| client.poll_settled());
//! }
//! let outcome = outcome.map(|settled| settled.settlement);
//! assert_eq!(outcome, Some(Settlement::Outcome(Some(DeliveryState::Accepted))));
//! # Ok(())
//! # }
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

extern crate alloc;

mod api;
mod config;
mod connection;
mod control;
mod debug;
mod delivery;
mod error;
mod event;
mod link;
mod metadata;
mod numbers;
mod outbox;
mod planted;
mod queue;
mod rare;
mod reply;
mod resume;
mod session;
mod steps;
mod store;
mod tags;
mod time;
mod tolerances;
pub mod transaction;
mod transmit;
mod violation;

pub use api::{Link, Receiver, Sender, Session, Unsent};
pub use config::{
    AttachReply, ConnectionConfig, Credit, DrainMode, ErrantLinks, LinkNames, ReceiverConfig, SendOptions,
    SenderConfig, ServerSasl, SessionConfig,
};
pub use connection::{Connection, ConnectionState, HandshakeStage, TransactionRole};
pub use error::{ApiMisuse, ConnectionError, SaslFailure, SendError};
pub use event::{
    Cause, Detached, Ended, Event, EventsEnd, IncomingDelivery, SaslChoice, Settled, Settlement, StreamItem,
};
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
