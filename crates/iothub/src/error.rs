//! What can go wrong with a hub, and what a caller can do about it.

mod http;
mod mapping;

pub use http::HttpAnswer;
#[cfg(feature = "rest")]
pub(crate) use http::Refusal;
pub(crate) use mapping::Subject;

use amqp1::{
    Delivered,
    codec::printable::{Bounded, bounded_debug},
    error::ErrorCondition,
};
use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

/// Something did not work.
///
/// [`kind`](Self::kind) says what a caller can act on, [`is_retriable`](Self::is_retriable) and
/// [`retry_after`](Self::retry_after) whether and when to try again, [`delivered`](Self::delivered) whether the hub may
/// have the message. `Display` is one plain sentence, complete without its [`source`](StdError::source); keys,
/// tokens and connection strings never stand in it.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    sentence: String,
    retriable: bool,
    retry_after: Option<Duration>,
    delivered: Delivered,
    http: Option<Arc<HttpAnswer>>,
    source: Option<Source>,
}

/// What an error was made of.
type Source = Arc<dyn StdError + Send + Sync>;

/// What did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is a device, a module, or another thing of this name already.
    AlreadyExists,
    /// The client was closed at this end.
    Closed,
    /// Nothing listens there, or the network does not get there.
    Connect,
    /// The connection, or the link, went away: the network failed, or the hub ended it.
    ConnectionLost,
    /// The hub knows no such device, or it is disabled.
    DeviceNotFound,
    /// The device is not connected, or does not listen for direct methods.
    DeviceNotOnline,
    /// Something given to this crate, or sent to the hub, makes no sense.
    InvalidArgument,
    /// The connection string cannot be used; the sentence says which part of it.
    InvalidConnectionString,
    /// A mistake in these crates.
    Internal,
    /// The message was settled after the hub's lock on it had run out: it is delivered again.
    MessageLockLost,
    /// The message is larger than the hub takes.
    MessageTooLarge,
    /// The device has no module of this name.
    ModuleNotFound,
    /// The hub does not permit this, or does not have it.
    NotAllowed,
    /// There is nothing at this address: no such partition, consumer group or hub.
    NotFound,
    /// What was to be changed has changed meanwhile: its ETag is another one.
    PreconditionFailed,
    /// The hub did not keep to the protocol.
    Protocol,
    /// A quota is used up; for a device, its queue is full.
    QuotaExceeded,
    /// The hub sends its client elsewhere, and the client may not or cannot go there.
    Redirect,
    /// The hub says that the message is invalid.
    Rejected,
    /// The hub gave the message back without having processed it.
    Released,
    /// The hub is out of order or too busy with itself.
    ServiceUnavailable,
    /// The store of checkpoints did not do what was asked of it.
    Store,
    /// Another client has taken over.
    Superseded,
    /// Too much was asked of the hub in a short time.
    Throttled,
    /// It took longer than was allowed.
    Timeout,
    /// The TLS handshake failed: a certificate that is not trusted, has expired, or is another host's.
    Tls,
    /// The token has expired, and there is no newer one on this connection.
    TokenExpired,
    /// The credentials are wrong, or not good for this.
    Unauthorized,
}

impl ErrorKind {
    /// Whether it may go away by itself.
    const fn is_retriable(self) -> bool {
        matches!(
            self,
            Self::Connect
                | Self::ConnectionLost
                | Self::DeviceNotOnline
                | Self::MessageLockLost
                | Self::Released
                | Self::ServiceUnavailable
                | Self::Store
                | Self::Throttled
                | Self::Timeout
        )
    }

    /// How long to wait, where waiting is the cure.
    const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Throttled => Some(Duration::from_secs(10)),
            _ => None,
        }
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, sentence: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            sentence: sentence.into(),
            retriable: kind.is_retriable(),
            retry_after: kind.retry_after(),
            delivered: Delivered::No,
            http: None,
            source: None,
        }))
    }

    pub(crate) fn invalid(sentence: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, sentence)
    }

    pub(crate) fn protocol(sentence: impl Into<String>) -> Self {
        Self::new(ErrorKind::Protocol, sentence)
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    pub(crate) fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.source = Some(Arc::new(source)))
    }

    /// The error of a store, which may be of any type.
    pub(crate) fn of_store(error: Box<dyn StdError + Send + Sync>) -> Self {
        let sentence = format!("the store of checkpoints did not work: {error}");
        Self::new(ErrorKind::Store, sentence).change(|inner| inner.source = Some(error.into()))
    }

    fn with_delivered(self, delivered: Delivered) -> Self {
        self.change(|inner| inner.delivered = delivered)
    }

    pub(crate) fn with_retry(self, retriable: bool, after: Option<Duration>) -> Self {
        self.change(|inner| (inner.retriable, inner.retry_after) = (retriable, after))
    }

    /// The same error about another operation, of which it is known whether its message arrived.
    pub(crate) fn about(&self, delivered: Delivered) -> Self {
        self.clone().with_delivered(delivered)
    }

    #[cfg(feature = "rest")]
    pub(crate) fn with_http(self, answer: HttpAnswer) -> Self {
        self.change(|inner| inner.http = Some(Arc::new(answer)))
    }

    /// The same error, which says first what it is about.
    pub(crate) fn prefixed(self, what: &str) -> Self {
        self.change(|inner| inner.sentence = format!("{what}: {}", inner.sentence))
    }

    /// What a caller can act on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same may succeed later, or on a new connection, without anything else having changed.
    pub fn is_retriable(&self) -> bool {
        self.0.retriable
    }

    /// How long to wait before trying again, where the hub's documentation names a time; `None` also for what is not
    /// worth another try.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the hub has the message that this is about.
    pub fn delivered(&self) -> Delivered {
        self.0.delivered
    }

    /// The condition that the hub stated, if it stated one.
    pub fn condition(&self) -> Option<&ErrorCondition> {
        self.amqp()?.condition()
    }

    /// The hub's answer over HTTPS that this was made of: status, the hub's own code, and its tracking id.
    pub fn http(&self) -> Option<&HttpAnswer> {
        self.0.http.as_deref()
    }

    /// The error of the connection or the link that this was made of.
    pub fn amqp(&self) -> Option<&amqp1::Error> {
        self.0.source.as_ref()?.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Bounded(&self.0.sentence), f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| {
            f.debug_struct("Error")
                .field("kind", &self.0.kind)
                .field("sentence", &self.0.sentence)
                .field("retriable", &self.0.retriable)
                .field("delivered", &self.0.delivered)
                .finish_non_exhaustive()
        })
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<amqp1::auth::connection_string::ConnectionStringError> for Error {
    fn from(error: amqp1::auth::connection_string::ConnectionStringError) -> Self {
        Self::new(ErrorKind::InvalidConnectionString, error.to_string()).with_source(error)
    }
}
