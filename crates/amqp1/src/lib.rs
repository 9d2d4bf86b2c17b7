//! AMQP 1.0 for tokio: a [`Client`] that connects, an [`Acceptor`] that is connected to.
//!
//! # The five words
//!
//! - A **container** is a program that speaks AMQP. It has a name, the container-id, and any number of connections
//!   ([`Connection`]), each over one transport.
//! - A **session** ([`Session`]) is a conversation on a connection. It orders what its links carry, and its windows bound
//!   how much is under way. One session is enough for most programs.
//! - A **link** carries messages in one direction between a *source* and a *target*, the nodes at its ends. Each end has a
//!   handle for it: a [`Sender`] at one, a [`Receiver`] at the other. An address names a node, for example a queue.
//! - **Credit** is how many messages a receiver is ready to take. A sender waits until it has some. By default a
//!   [`Receiver`] grants more as its deliveries are received, settled or not; see [`Credit`]. To bound how many are worked on
//!   at a time, set [`max_unsettled`](link::ReceiverBuilder::max_unsettled).
//! - **Settlement** ends the life of a delivery. The receiver says what became of the message, its outcome
//!   ([`Delivery::accept`], [`reject`](Delivery::reject), [`release`](Delivery::release),
//!   [`modify`](Delivery::modify)), and both ends forget the delivery. The sender learns it as an [`Outcome`]. A
//!   message that is sent *settled* has no outcome: it arrives at most once.
//!
//! # A client
//!
//! ```no_run
//! # async fn example() -> Result<(), amqp1::Error> {
//! use amqp1::Client;
//!
//! let connection = Client::builder("amqp://localhost").connect().await?;
//! let session = connection.begin().await?;
//!
//! let sender = session.sender("queue").attach().await?;
//! sender.send("hello").await?.into_result()?;
//!
//! let mut receiver = session.receiver("queue").attach().await?;
//! if let Some(delivery) = receiver.recv().await? {
//!     println!("{:?}", delivery.message().text());
//!     delivery.accept()?;
//! }
//! connection.close().await
//! # }
//! ```
//!
//! # An acceptor
//!
//! ```no_run
//! # async fn example(stream: tokio::net::TcpStream) -> Result<(), amqp1::Error> {
//! use amqp1::{AcceptedLink, Acceptor};
//!
//! let acceptor = Acceptor::builder().build();
//! let mut connection = acceptor.accept(stream).await?.accept().await?;
//! while let Some(link) = connection.next_link().await {
//!     // The peer sends, so this end receives.
//!     if let AcceptedLink::Receiver(mut receiver) = link.accept_default()? {
//!         tokio::spawn(async move {
//!             while let Some(delivery) = receiver.recv().await? {
//!                 delivery.accept()?;
//!             }
//!             Ok::<(), amqp1::Error>(())
//!         });
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The examples are whole programs: `cargo run -p amqp1 --example broker`, then `cargo run -p amqp1 --example client`. For
//! programs that use a broker there are `worker`, which takes jobs from a queue, `service` and `caller`, which answer
//! requests and make them, and `copy`, which moves messages from one broker to another. `listener`, `requests` and
//! `streams` need no broker.
//!
//! # Messages
//!
//! [`Sender::send`] takes texts, octets, values, and what [`Message::builder`] builds. Of a message that was received,
//! [`Delivery::message`] has the sections and the body:
//!
//! | to send | to read | |
//! |---|---|---|
//! | `"text"`, `vec![1, 2, 3]`, [`data`](MessageBuilder::data) | [`Message::text`], [`Message::data`] | octets |
//! | [`value`](MessageBuilder::value) | [`Message::value`], [`Message::text`] | a value of any AMQP type |
//! | `json` and `serialized`, with the feature `serde` | `json::<T>()`, `value_as::<T>()` | a type of one's own |
//! | [`sequence`](MessageBuilder::sequence) | [`Message::body`] | lists of values |
//! | [`subject`](MessageBuilder::subject), [`message_id`](MessageBuilder::message_id), … | [`Message::subject`], [`Message::properties`] | properties |
//! | [`application_property`](MessageBuilder::application_property) | [`Message::application_property`] | properties of the application |
//! | [`durable`](MessageBuilder::durable), [`ttl`](MessageBuilder::ttl), … | [`Message::header`] | how the message is to be treated |
//!
//! ```
//! use amqp1::Message;
//! use std::time::{Duration, SystemTime};
//!
//! # fn main() -> Result<(), amqp1::Error> {
//! let message = Message::builder()
//!     .durable(true)
//!     .ttl(Duration::from_secs(60))
//!     .message_id("m1")
//!     .content_type("text/plain")
//!     .creation_time(SystemTime::now())
//!     .application_property("colour", "green")
//!     .data("hello");
//! # let received = Message::from_chunks(message.build().into_parts())?;
//!
//! // After `sender.send(message)`, at the other end:
//! assert_eq!(received.text()?.as_deref(), Some("hello"));
//! assert_eq!(received.content_type()?, Some("text/plain"));
//! # Ok(()) }
//! ```
//!
//! # Modules
//!
//! | module | |
//! |---|---|
//! | [`message`] | sections of messages, and the values in them |
//! | [`link`] | how links are attached, and what is sent and received on them |
//! | [`connection`] | the configuration of connections and sessions, and how they end |
//! | [`acceptor`] | authentication, and the links that a client asks for |
//! | [`error`] | error conditions, causes and redirects |
//! | [`tls`] | TLS for both ends |
//! | [`stream`] | messages of any size, in pieces |
//! | [`request`] | requests and answers |
//! | [`transaction`] | work that is done as a whole or not at all |
//! | [`resume`] | links that outlive their connection |
//! | [`cbs`] | tokens put to `$cbs` |
//! | [`management`] | the management node of a broker |
//! | [`brokers`] | addresses and filters of RabbitMQ, Artemis, Service Bus and Event Hubs |
//! | [`observe`] | spans, frames in the log, and counters |
//! | [`azure`] | what Azure's services have in common |
//! | [`codec`], [`engine`], [`auth`], [`broker`] | the layers below, which work without tokio |
//!
//! # How it works
//!
//! One task per connection reads and writes; it is the only one that touches the socket. Handles talk to the protocol
//! engine under a short lock. There is no channel per frame and no task per link; a [`Requester`](request::Requester) has one that hands its
//! answers out.
//!
//! # What is bounded
//!
//! Bounded by time-outs of their own:
//!
//! - connecting, by [`ClientBuilder::connect_timeout`]; an acceptor's handshake, by [`AcceptorBuilder::handshake_timeout`](acceptor::AcceptorBuilder::handshake_timeout);
//! - beginning, attaching, waiting for credit in `send`, writing a stream, draining, flushing, detaching, ending and
//!   closing, each by the operation time-out ([`ClientBuilder::operation_timeout`], [`AcceptorBuilder::operation_timeout`](acceptor::AcceptorBuilder::operation_timeout));
//! - an answer to a request, by the operation time-out unless the request or its [`Requester`](request::Requester) has another;
//! - an outcome at a client, by the operation time-out unless an `outcome_timeout` says otherwise (see [`Receipt`]).
//!
//! Not bounded, unless by the end of the link or the connection:
//!
//! - an outcome at an acceptor, unless an `outcome_timeout` is set: its client works on a message for as long as it has to;
//! - waiting for what the peer may or may not do: [`Receiver::recv`], [`Sender::reserve`], `next_link`, `detached`, `closed`.
//!
//! A peer that says nothing is noticed within the idle time-out, and its connection ends. Without an idle time-out
//! ([`ClientBuilder::idle_timeout`]), what is not bounded may wait forever.
//!
//! # Defaults
//!
//! | what | default | set by |
//! |---|---|---|
//! | a delivery that is dropped | modified, its delivery having failed | [`ReceiverBuilder::on_drop`](link::ReceiverBuilder::on_drop) |
//! | a receiver or sender that is dropped | its link is closed; a link whose source or target is durable or never expires is detached | [`Receiver::detach`], [`Receiver::close`] |
//! | the last handle of a connection that is dropped | the connection is closed | [`Connection::close`] waits for it |
//! | credit | a window of 200 deliveries | [`ReceiverBuilder::credit`](link::ReceiverBuilder::credit) |
//! | deliveries that are not settled, of a link | 65,536 | [`ReceiverBuilder::max_unsettled`](link::ReceiverBuilder::max_unsettled), [`SenderBuilder::max_unsettled`](link::SenderBuilder::max_unsettled) |
//! | the largest message that is received | 64 MiB ([`DEFAULT_MAX_MESSAGE_SIZE`](link::DEFAULT_MAX_MESSAGE_SIZE)), any on streamed links | [`ReceiverBuilder::max_message_size`](link::ReceiverBuilder::max_message_size) |
//! | messages that wait to be sent | 16 MiB on a connection, 1 MiB of them on a link | [`ConnectionConfig::max_queued`](connection::ConnectionConfig::max_queued) |
//! | settle modes | the sender mixed, the receiver first | [`SenderBuilder::settle_mode`](link::SenderBuilder::settle_mode), [`ReceiverBuilder::receiver_settle_mode`](link::ReceiverBuilder::receiver_settle_mode) |
//! | largest frame | 64 KiB | [`ConnectionConfig::max_frame_size`](connection::ConnectionConfig::max_frame_size) |
//! | a session's incoming window | 5000 transfers; 4 MiB of those of streamed links | [`SessionConfig`](connection::SessionConfig) |
//! | a session's outgoing window | as large as it can be | [`SessionConfig`](connection::SessionConfig) |
//! | heartbeats | a peer that is silent for 60 s is given up; half of it is announced | [`ClientBuilder::idle_timeout`] |
//! | connecting; other operations | 30 s; 60 s | [`ClientBuilder::connect_timeout`], [`ClientBuilder::operation_timeout`] |
//! | `recv`, `reserve` | wait without a limit | a time-out of your own: both are cancel-safe |
//! | a message that cannot be decoded | is handed over, and its accessors fail | [`ReceiverBuilder::reject_undecodable`](link::ReceiverBuilder::reject_undecodable) |
//! | a link without what it asked for | is detached, with [`NotGranted`](ErrorKind::NotGranted) | [`ReceiverBuilder::allow_differences`](link::ReceiverBuilder::allow_differences) |
//!
//! The table of [`Retry`] says what may help after an error.
//!
//! # Features
//!
//! `tls` (on) with a crypto provider, `ring` (on, builds fastest) or `aws-lc-rs` (taken if both are there); `cbs` (on) for
//! tokens put to `$cbs`; `metrics` (off) for [`observe::Metrics`](observe); `serde` (off) for types of one's own as bodies of messages, as AMQP values
//! (`MessageBuilder::serialized`, `Message::value_as`) and as JSON (`MessageBuilder::json`,
//! `Message::json`).
//!
//! # Leaving
//!
//! Settlements are queued, and so are messages that are sent settled. [`Connection::close`] writes them before it returns; a
//! `main` that returns without it may lose the last ones. [`Sender::flush`] and [`Connection::flush`] write them while the
//! connection lives. How a receiver is stopped with everything settled is shown at [`Receiver`].
#![forbid(unsafe_code)]

pub mod brokers;
#[cfg(feature = "cbs")]
pub mod cbs;
mod connect;
mod driver;
mod handle;
pub mod management;
pub mod observe;
pub mod request;
pub mod resume;
mod state;
pub mod stream;
pub mod transaction;
mod types;

pub use amqp1_auth as auth;
pub use amqp1_broker as broker;
pub use amqp1_codec as codec;

/// The engine ([`amqp1_engine`]), together with what brokers need ([`broker`]).
pub mod engine {
    pub use amqp1_broker::terminus;
    pub use amqp1_engine::*;

    /// Transactions (part 4): both ends of the control link.
    pub mod transaction {
        pub use amqp1_broker::transaction::*;
        pub use amqp1_engine::transaction::*;
    }
}

/// The README's examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples of the pages about brokers are compiled.
#[cfg(all(doctest, feature = "cbs"))]
mod pages {
    #[doc = include_str!("../../../docs/artemis.md")]
    struct Artemis;
    #[doc = include_str!("../../../docs/event-hubs.md")]
    struct EventHubs;
    #[doc = include_str!("../../../docs/rabbitmq-3.md")]
    struct RabbitMq3;
    #[doc = include_str!("../../../docs/rabbitmq-4.md")]
    struct RabbitMq4;
    #[doc = include_str!("../../../docs/service-bus.md")]
    struct ServiceBus;
}

pub use amqp1_codec::{
    Message, MessageBuilder, Symbol, Value,
    messaging::{Source, Target},
};
pub use amqp1_engine::Credit;
pub use connect::{
    acceptor::Acceptor,
    client::{Client, ClientBuilder},
};
pub use handle::{
    connection::Connection,
    delivery::Delivery,
    incoming::ServerConnection,
    permit::{Permit, Receipt},
    receiver::Receiver,
    requests::{AcceptedLink, IncomingLink},
    sender::Sender,
    session::Session,
};
pub use types::{
    azure,
    error::{Delivered, Error, ErrorKind, Retry},
    outcome::Outcome,
};

/// Sections of messages (§3.2), and the values in them (§1.6).
pub mod message {
    pub use amqp1_codec::{
        EncodeStyle, EncodedMessage, IntoMessage, Str, Timestamp, Uuid,
        definitions::Fields,
        message::Body,
        messaging::{Annotations, ApplicationProperties, Header, MessageId, Properties},
    };
}

/// How links are attached, and what is sent and received on them (§2.6).
pub mod link {
    pub use crate::{
        handle::{
            builders::{ReceiverBuilder, SenderBuilder},
            delivery::DeliveryHandle,
            permit::ReceiptId,
        },
        types::{
            capability,
            detached::Detached,
            filter::Filter,
            options::{DEFAULT_MAX_MESSAGE_SIZE, OnDrop, SendOptions},
            unready::{EnqueueError, TryRecvError, TryReserveError},
        },
    };
    pub use amqp1_codec::{
        DeliveryTag,
        definitions::{ReceiverSettleMode, Role, SenderSettleMode},
        messaging::{DeliveryState, FilterSet, Modified},
        performative::{Attach, TargetArchetype},
    };
    pub use amqp1_engine::{Blocked, DrainMode};
}

/// The configuration of connections and sessions, and how they end (§2.4, §2.5).
pub mod connection {
    pub use amqp1_codec::performative::Open;
    pub use amqp1_engine::{ConnectionConfig, Ended, SessionConfig, Tolerances};
}

/// How an [`Acceptor`] authenticates its clients (§5.3), and answers the links that they ask for.
pub mod acceptor {
    pub use crate::{
        connect::acceptor::{AcceptorBuilder, Authenticator, SaslAttempt, SaslDecision},
        handle::{
            incoming::IncomingConnection,
            requests::{CoordinatorRequest, ReceiverRequest, SenderRequest},
        },
        types::future::BoxFuture,
    };
    pub use amqp1_auth::sasl::scram::{ScramHash, StoredCredential};
    pub use amqp1_codec::sasl::SaslCode;
}

/// Error conditions (§2.8), causes and redirects.
pub mod error {
    pub use crate::types::error::Redirect;
    pub use amqp1_codec::definitions::{AmqpError, ErrorCondition};
    pub use amqp1_engine::{Cause, ConnectionError};
}

/// TLS for both ends (§5.2).
#[cfg(feature = "tls")]
pub mod tls {
    pub use crate::driver::transport::{TlsClient, TlsServer};
}
