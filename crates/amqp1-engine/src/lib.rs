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
//! The peer's mistakes are no errors of these methods: the engine queues the `detach`, `end` or `close` that the
//! specification names, and reports it as an event.
//!
//! # Driving a connection
//!
//! A runtime does this for each connection:
//!
//! 1. Read into a buffer, and pass it to [`Connection::handle_input`]. It leaves a partial frame in the buffer. It also leaves
//!    whole frames while [`Connection::is_congested`], and while the application has to answer SASL or the open: call
//!    it again after step 3, or after the answer.
//! 2. Take all events with [`Connection::poll_event`] and all settlements with [`Connection::poll_settled`].
//! 3. Call [`Connection::transmit`] with a [`TransmitQueue`], which is a `bytes::Buf`: write its `chunk()`, then `advance`.
//!    Poll first, since some frames wait for that: a drain, for one, is answered after its event was taken.
//! 4. Wait for input, a command, or the time of [`Connection::poll_timeout`]. At that time call
//!    [`Connection::handle_timeout`].
//! 5. When the stream ends, call [`Connection::handle_eof`]. When [`Connection::is_finished`] and all octets are written,
//!    close the transport.
//!
//! [`Connection::has_output`] returns whether steps 2 and 3 have anything to do.
//!
//! # Ids
//!
//! An id becomes invalid when the engine learns that its session or link is over. Events that name it may not have been
//! polled yet: a peer can send a message and detach in one read. So a look-up for an event can fail with
//! [`ApiMisuse::UnknownLink`] or [`ApiMisuse::UnknownSession`]. That is no mistake: go on to the next event. Settled
//! deliveries that were not taken are in [`Detached::undelivered`].
//!
//! # Example
//!
//! ```
//! use amqp1_codec::{Message, messaging::{DeliveryState, Target}};
//! use amqp1_engine::{
//!     AttachReply, Connection, ConnectionConfig, Event, Instant, SendError, SendOptions, SenderConfig, ServerSasl,
//!     SessionConfig, Settlement, TransmitQueue,
//! };
//! use bytes::BytesMut;
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
//! client.session(session)?.attach_sender(SenderConfig::new("link", Target::at("queue")))?;
//!
//! let mut waiting = Some(Message::builder().data("hi").build());
//! let mut outcome = None;
//! for _ in 0..8 {
//!     carry(&mut client, &mut server);
//!     while let Some(event) = server.poll_event() {
//!         match event {
//!             // A look-up fails if the session or link is over by now.
//!             Event::SessionOffered(id) => {
//!                 let Ok(mut session) = server.session(id) else { continue };
//!                 session.accept(SessionConfig::default())?;
//!             }
//!             Event::LinkOffered(id) => {
//!                 let Ok(mut link) = server.link(id) else { continue };
//!                 let attach = link.remote_attach().ok_or("an offered link has an attach")?;
//!                 link.accept(AttachReply::echo(&attach))?;
//!             }
//!             Event::Receivable(id) => {
//!                 let Ok(mut receiver) = server.receiver(id) else { continue };
//!                 while let Some(delivery) = receiver.recv() {
//!                     receiver.dispose(delivery.key, DeliveryState::Accepted)?;
//!                 }
//!             }
//!             _ => {}
//!         }
//!     }
//!     carry(&mut server, &mut client);
//!     while let Some(event) = client.poll_event() {
//!         let Event::Sendable(id) = event else { continue };
//!         let Ok(mut sender) = client.sender(id) else { continue };
//!         let Some(message) = waiting.take() else { continue };
//!         if let Err(unsent) = sender.send(message, SendOptions::default()) {
//!             match unsent.reason() {
//!                 // The next `Sendable` tries again.
//!                 SendError::NoCredit => waiting = Some(unsent.into_inner()),
//!                 reason => return Err(reason.into()),
//!             }
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
