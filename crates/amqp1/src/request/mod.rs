//! Requests and their answers, over a link each way.
//!
//! AMQP has messages that go one way. A request is one that names itself (message-id) and says where its answer is
//! wanted (reply-to); the answer names the request in turn (correlation-id, §3.2.4).
//!
//! ```no_run
//! # async fn example(session: &amqp1::Session) -> Result<(), amqp1::Error> {
//! use amqp1::Message;
//!
//! let prices = session.requester("prices").attach().await?;
//! let (tea, milk) = tokio::join!(
//!     prices.request(Message::builder().data("tea")),
//!     prices.request(Message::builder().data("milk")),
//! );
//! println!("{:?} {:?}", tea?.data(), milk?.data());
//! # Ok(()) }
//! ```
//!
//! The other end of it is a [`Responder`], which a [`Pairing`] makes of the links that a client attaches. Links for
//! answers often have no address, being to nodes that are to be made for them: those go to the pairing as well.
//!
//! ```no_run
//! # async fn example(mut connection: amqp1::ServerConnection) -> Result<(), amqp1::Error> {
//! use amqp1::{error::{AmqpError, ErrorCondition}, Message, request::Pairing};
//!
//! let mut pairing = Pairing::new();
//! while let Some(link) = connection.next_link().await {
//!     if !matches!(link.address(), Some("prices") | None) {
//!         link.reject(AmqpError::new(ErrorCondition::NOT_FOUND, "here are prices only"));
//!     } else if let Some(mut responder) = pairing.accept(link)? {
//!         tokio::spawn(async move {
//!             while let Some(request) = responder.next().await? {
//!                 request.answer(Message::builder().data("4.50")).await?;
//!             }
//!             Ok::<_, amqp1::Error>(())
//!         });
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! A service behind a broker takes its requests from a queue, as a client, and sends each answer to its reply-to:
//!
//! ```no_run
//! # async fn example(session: &amqp1::Session) -> Result<(), amqp1::Error> {
//! use amqp1::{Message, request::Responder};
//!
//! let requests = session.receiver("prices").attach().await?;
//! let mut responder = Responder::new(requests, session.anonymous_sender().attach().await?);
//! while let Some(request) = responder.next().await? {
//!     let answer = match request.message().text()?.as_deref() {
//!         Some("tea") => Message::builder().data("4.50"),
//!         // The broker has taken the request: the caller hears of an answer, and of nothing else.
//!         _ => Message::builder().application_property("error", "not-found").data("no such item"),
//!     };
//!     request.answer(answer).await?;
//! }
//! # Ok(()) }
//! ```
//!
//! The examples `service` and `caller` are whole programs for that, and `requests` is one without a broker.

mod builder;
mod pairing;
mod requester;
mod responder;
mod waiting;

pub use builder::RequesterBuilder;
pub use pairing::Pairing;
pub use requester::Requester;
pub use responder::{IncomingRequest, Responder};
pub use waiting::Strays;

use amqp1_codec::{MessageBuilder, messaging::Properties};
use std::time::Duration;

/// A request that is to be made: a message, and how long its answer may take.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub(crate) message: MessageBuilder,
    timeout: Option<Duration>,
}

impl Request {
    /// A request with these sections. Of its properties, the requester sets message-id and reply-to, and leaves
    /// correlation-id out.
    pub fn new(message: MessageBuilder) -> Self {
        Self { message, timeout: None }
    }

    /// Sets all properties (§3.2.4), as [`MessageBuilder::properties`] does.
    pub fn properties(mut self, properties: Properties) -> Self {
        self.message = self.message.properties(properties);
        self
    }

    /// Sets how long the request waits for its answer, sending included; as the requester has it unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl From<MessageBuilder> for Request {
    fn from(message: MessageBuilder) -> Self {
        Self::new(message)
    }
}
