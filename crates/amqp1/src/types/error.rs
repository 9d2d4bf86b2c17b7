//! Errors: what went wrong, whose fault it is, and what to do about it.

mod codec;
mod redirect;

pub use redirect::Redirect;

use crate::types::{azure, status::Status};
use amqp1_codec::{
    Value,
    definitions::{AmqpError, ErrorCondition},
    messaging::Modified,
    printable::{Bounded, bounded_debug},
    sasl::SaslCode,
};
use amqp1_engine::{ANNOTATIONS_LEFT_OUT, ApiMisuse, ConnectionError, SaslFailure, SendError};
use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc, time::Duration};

/// An error of a connection, a session, a link, or what is sent and received on it.
///
/// [`kind`](Self::kind) says what failed, [`retry`](Self::retry) what may help, and [`delivered`](Self::delivered)
/// whether the peer has the message. `Display` is one sentence for people; programs look at the kind and the
/// [`condition`](Self::condition).
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    text: Cow<'static, str>,
    amqp: Option<AmqpError>,
    retry: Retry,
    delivered: Delivered,
    status: Option<Status>,
    unsent: Option<u64>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A message was given up before its end: by its sender, or because its receiver had settled it.
    Aborted,
    /// The server refuses the credentials.
    Authentication,
    /// The connection was closed at this end.
    Closed,
    /// The peer closed the connection.
    ClosedByPeer,
    /// A message that was received cannot be decoded, or its body is not of the type that is wanted; or a value cannot
    /// be encoded as a body.
    Codec,
    /// The program asked for something that cannot work: an option, or a call that does not fit the link.
    Config,
    /// No server listens there, or the network does not reach it.
    Connect,
    /// The receiver took its credit back before the message was sent.
    CreditRevoked,
    /// Nothing can be queued at the moment, and the call does not wait: see
    /// [`TryReserveError`](crate::link::TryReserveError).
    Full,
    /// Nothing was heard from the peer for too long.
    IdleTimeout,
    /// Whether the transaction was committed is not known: the control link was lost, or the coordinator did not answer
    /// in time.
    InDoubt,
    /// A fault in this crate, or the end of the runtime.
    Internal,
    /// The URL is wrong.
    InvalidUrl,
    /// The link has ended; if the peer said why, [`Error::amqp_error`] has it.
    LinkDetached,
    /// The peer did not accept the link.
    LinkRefused,
    /// The server does not offer the SASL mechanism.
    MechanismNotOffered,
    /// The message is larger than the receiver takes.
    MessageTooLarge,
    /// The receiver did not process the message and gave it back with changes.
    Modified,
    /// The receiver settled the message without an outcome: whether it has processed it is not known, so that sending
    /// it again, as [`Retry::Now`] says, may duplicate it.
    NoOutcome,
    /// The peer attached the link without something that was asked for: a filter, a distribution mode, a settle mode,
    /// or the address of a dynamic node.
    NotGranted,
    /// The peer does not speak AMQP 1.0, or broke its rules.
    Protocol,
    /// The node answered the request with a non-success status; [`Error::status`] has it.
    Refused,
    /// The receiver says that the message is invalid.
    Rejected,
    /// The receiver did not process the message and gave it back.
    Released,
    /// The host's name has no address.
    Resolve,
    /// The transaction is rolled back: nothing of its work is done.
    RolledBack,
    /// The session has ended.
    SessionEnded,
    /// The delivery was received on an earlier connection, and cannot be settled on the present one. The sender may
    /// deliver it again.
    StaleDelivery,
    /// The link was suspended, or has to be: what is under way on it goes on when it is [resumed](crate::resume).
    Suspended,
    /// It took longer than was allowed.
    Timeout,
    /// The TLS handshake failed: a certificate that is not trusted, has expired, or is another host's.
    Tls,
    /// The network connection went away without a close.
    TransportLost,
    /// The peer read nothing for too long, whatever it wrote: the connection was cut.
    WriteTimeout,
}

/// The advice after an [`Error`].
///
/// It follows from the kind of the error:
///
/// | [`Retry`] | [`ErrorKind`] |
/// |---|---|
/// | [`Now`](Self::Now) | `CreditRevoked`, `Full`, `Modified`, `NoOutcome`, `Released`, `RolledBack` |
/// | [`ReopenLink`](Self::ReopenLink) | `LinkDetached`, `SessionEnded`, `Suspended`, `Timeout` |
/// | [`ReopenConnection`](Self::ReopenConnection) | `Closed`, `ClosedByPeer`, `Connect`, `IdleTimeout`, `Resolve`, `TransportLost`, `WriteTimeout` |
/// | [`Never`](Self::Never) | `Aborted`, `Authentication`, `Codec`, `Config`, `InDoubt`, `Internal`, `InvalidUrl`, `LinkRefused`, `MechanismNotOffered`, `MessageTooLarge`, `NotGranted`, `Protocol`, `Refused`, `Rejected`, `StaleDelivery`, `Tls` |
///
/// unless the peer has said more, with the condition of its error:
///
/// | [`Retry`] | [`Error::condition`] |
/// |---|---|
/// | [`Never`](Self::Never) | what the same again would meet again: `amqp:not-found`, `amqp:not-allowed`, `amqp:unauthorized-access`, `amqp:not-implemented`, `amqp:link:stolen`, redirects and the like |
/// | [`After`](Self::After) five seconds | `amqp:resource-limit-exceeded`, `amqp:resource-locked`, `com.microsoft:server-busy`; `amqp:internal-error` where it would be `Never` |
/// | [`ReopenLink`](Self::ReopenLink) | `amqp:link:detach-forced`, `com.microsoft:timeout` |
/// | [`ReopenConnection`](Self::ReopenConnection) | `amqp:connection:forced` |
///
/// A time-out during which nothing was heard of the peer says [`ReopenConnection`](Self::ReopenConnection), one of a
/// request whose links live [`Now`](Self::Now), a message that is modified as undeliverable [`Never`](Self::Never), and
/// credentials that the server cannot check now [`After`](Self::After).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// Repeat the operation.
    Now,
    /// Repeat the operation after this time.
    After(Duration),
    /// Attach the link again, in a new session if that has ended.
    ReopenLink,
    /// Connect again.
    ReopenConnection,
    /// The operation must not or cannot be repeated. Whether the link or the connection that it used can is said by
    /// their own errors, such as [`Connection::closed_error`](crate::Connection::closed_error).
    Never,
}

/// Whether the peer has the message that an [`Error`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The peer has it, and has said so.
    Yes,
    /// The peer does not have it, or has given it back.
    No,
    /// The peer may have it: sending it again may duplicate it.
    Unknown,
}

/// How long to wait when the peer says that it has too much to do.
const BUSY: Duration = Duration::from_secs(5);

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<Cow<'static, str>>) -> Self {
        let retry = default_retry(kind);
        let (text, delivered) = (text.into(), Delivered::No);
        Self(Arc::new(Inner { kind, text, amqp: None, retry, delivered, status: None, unsent: None, source: None }))
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    pub(crate) fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.source = Some(Arc::new(source)))
    }

    /// Says first where it came about.
    pub(crate) fn with_prefix(self, prefix: impl fmt::Display) -> Self {
        self.change(|inner| inner.text = format!("{prefix}: {}", inner.text).into())
    }

    /// Says last what may be done.
    pub(crate) fn with_hint(self, hint: &str) -> Self {
        self.change(|inner| inner.text = format!("{}; {hint}", inner.text).into())
    }

    pub(crate) fn with_delivered(self, delivered: Delivered) -> Self {
        if self.0.delivered == delivered { self } else { self.change(|inner| inner.delivered = delivered) }
    }

    pub(crate) fn with_retry(self, retry: Retry) -> Self {
        self.change(|inner| inner.retry = retry)
    }

    pub(crate) fn with_status(self, status: Status) -> Self {
        self.change(|inner| inner.status = Some(status))
    }

    pub(crate) fn with_unsent(self, unsent: u64) -> Self {
        self.change(|inner| inner.unsent = Some(unsent))
    }

    /// The peer's error condition, and what follows from it.
    pub(crate) fn with_amqp(self, error: Option<AmqpError>) -> Self {
        let Some(error) = error else { return self };
        self.change(|inner| {
            inner.retry = retry_after(&error.condition, inner.retry);
            inner.amqp = Some(error);
        })
    }

    pub(crate) fn internal(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Internal, text)
    }

    pub(crate) fn timeout(what: &'static str, limit: Duration) -> Self {
        Self::new(ErrorKind::Timeout, format!("{what} took longer than {limit:?}"))
    }

    /// There is no token to be had: for [`TokenProvider`](crate::cbs::TokenProvider)s. `why` is for people, and must
    /// hold no secret.
    #[cfg(feature = "cbs")]
    pub fn no_token(why: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Authentication, format!("there is no token: {why}"))
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The condition of the error that the peer stated (§2.8.15 to §2.8.18).
    pub fn condition(&self) -> Option<&ErrorCondition> {
        self.0.amqp.as_ref().map(|error| &error.condition)
    }

    /// The error that the peer stated: its condition, description and info (§2.8.14).
    pub fn amqp_error(&self) -> Option<&AmqpError> {
        self.0.amqp.as_ref()
    }

    /// The advice: what may help.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Whether the peer has the message that this is about. An error that is about no message, such as that of an
    /// attach, says [`Delivered::No`]; [`ErrorKind::InDoubt`] says [`Delivered::Unknown`].
    pub fn delivered(&self) -> Delivered {
        self.0.delivered
    }

    /// The status that a node answered a request with, if it is that which this is about.
    pub fn status(&self) -> Option<&Status> {
        self.0.status.as_ref()
    }

    /// How many of the messages that [`Sender::flush`](crate::Sender::flush) or a close waited for are known not to
    /// have been sent. Others may have been lost with the transport. `None` of other calls.
    pub fn unsent(&self) -> Option<u64> {
        self.0.unsent
    }

    /// Where the peer says that the container (§2.8.16) or the address (§2.8.18) is.
    pub fn redirect(&self) -> Option<Redirect> {
        self.0.amqp.as_ref().and_then(Redirect::of)
    }

    /// The error of operations under way when a connection ends.
    pub(crate) fn from_connection(reason: &ConnectionError) -> Self {
        let text = reason.to_string();
        match reason {
            ConnectionError::ClosedByPeer(error) => {
                Self::new(ErrorKind::ClosedByPeer, "the peer closed the connection").with_amqp(error.clone())
            }
            ConnectionError::IdleTimeout => Self::new(ErrorKind::IdleTimeout, text),
            ConnectionError::LocallyClosed => Self::new(ErrorKind::Closed, text),
            ConnectionError::HandshakeIncomplete => Self::new(ErrorKind::Timeout, text),
            ConnectionError::Sasl(failure) => Self::from_sasl(failure, text),
            ConnectionError::OpenTooLarge { .. } => Self::new(ErrorKind::Config, text),
            ConnectionError::TransportLost => Self::new(ErrorKind::TransportLost, text),
            _ => Self::new(ErrorKind::Protocol, text),
        }
    }

    fn from_sasl(failure: &SaslFailure, text: String) -> Self {
        match failure {
            SaslFailure::NotOffered { .. } => Self::new(ErrorKind::MechanismNotOffered, text),
            SaslFailure::Refused(SaslCode::SysTemp) => {
                Self::new(ErrorKind::Authentication, text).with_retry(Retry::After(BUSY))
            }
            _ => Self::new(ErrorKind::Authentication, text),
        }
    }

    pub(crate) fn no_outcome() -> Self {
        let text = "the receiver settled the message without saying whether it has processed it";
        Self::new(ErrorKind::NoOutcome, text).with_delivered(Delivered::Unknown)
    }

    pub(crate) fn rejected(error: Option<AmqpError>) -> Self {
        Self::new(ErrorKind::Rejected, "the receiver rejected the message").with_amqp(error)
    }

    pub(crate) fn modified(state: &Modified) -> Self {
        let text = "the receiver gave the message back, to be changed";
        let left_out = state.message_annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATIONS_LEFT_OUT));
        let error = match left_out {
            Some(Value::String(left_out)) => Self::new(ErrorKind::Modified, format!("{text}; {left_out}")),
            _ => Self::new(ErrorKind::Modified, text),
        };
        if state.undeliverable_here { error.with_retry(Retry::Never) } else { error }
    }
}

fn default_retry(kind: ErrorKind) -> Retry {
    match kind {
        ErrorKind::CreditRevoked
        | ErrorKind::Full
        | ErrorKind::Modified
        | ErrorKind::NoOutcome
        | ErrorKind::Released
        | ErrorKind::RolledBack => Retry::Now,
        ErrorKind::LinkDetached | ErrorKind::SessionEnded | ErrorKind::Suspended | ErrorKind::Timeout => {
            Retry::ReopenLink
        }
        ErrorKind::Closed
        | ErrorKind::ClosedByPeer
        | ErrorKind::Connect
        | ErrorKind::IdleTimeout
        | ErrorKind::Resolve
        | ErrorKind::TransportLost
        | ErrorKind::WriteTimeout => Retry::ReopenConnection,
        ErrorKind::Aborted
        | ErrorKind::Authentication
        | ErrorKind::Codec
        | ErrorKind::Config
        | ErrorKind::InDoubt
        | ErrorKind::Internal
        | ErrorKind::InvalidUrl
        | ErrorKind::LinkRefused
        | ErrorKind::MechanismNotOffered
        | ErrorKind::MessageTooLarge
        | ErrorKind::NotGranted
        | ErrorKind::Protocol
        | ErrorKind::Refused
        | ErrorKind::Rejected
        | ErrorKind::StaleDelivery
        | ErrorKind::Tls => Retry::Never,
    }
}

/// Conditions after which the same again would fail again.
const HOPELESS: [ErrorCondition; 15] = [
    ErrorCondition::UNAUTHORIZED_ACCESS,
    ErrorCondition::NOT_FOUND,
    ErrorCondition::NOT_ALLOWED,
    ErrorCondition::NOT_IMPLEMENTED,
    ErrorCondition::INVALID_FIELD,
    ErrorCondition::PRECONDITION_FAILED,
    ErrorCondition::DECODE_ERROR,
    ErrorCondition::LINK_REDIRECT,
    ErrorCondition::CONNECTION_REDIRECT,
    ErrorCondition::STOLEN,
    ErrorCondition::MESSAGE_SIZE_EXCEEDED,
    ErrorCondition::RESOURCE_DELETED,
    azure::ARGUMENT_ERROR,
    azure::ARGUMENT_OUT_OF_RANGE,
    azure::PRECONDITION_FAILED,
];

/// The part of an error that depends on its condition.
fn retry_after(condition: &ErrorCondition, otherwise: Retry) -> Retry {
    let is = |known: &[ErrorCondition]| known.contains(condition);
    if is(&HOPELESS) {
        Retry::Never
    } else if is(&[ErrorCondition::RESOURCE_LIMIT_EXCEEDED, ErrorCondition::RESOURCE_LOCKED, azure::SERVER_BUSY]) {
        Retry::After(BUSY)
    } else if is(&[ErrorCondition::DETACH_FORCED, azure::TIMEOUT]) {
        Retry::ReopenLink
    } else if is(&[ErrorCondition::CONNECTION_FORCED]) {
        Retry::ReopenConnection
    } else if is(&[ErrorCondition::INTERNAL_ERROR]) && otherwise == Retry::Never {
        Retry::After(BUSY)
    } else {
        otherwise
    }
}

/// One line, in which whatever a peer has said is escaped and cut as [`printable`](crate::codec::printable) does.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0.text;
        match &self.0.amqp {
            Some(error) => fmt::Display::fmt(&Bounded(format_args!("{text}: {error}")), f),
            None => fmt::Display::fmt(&Bounded(text), f),
        }?;
        match self.0.unsent {
            None | Some(0) => Ok(()),
            Some(1) => f.write_str("; 1 message was not sent"),
            Some(unsent) => write!(f, "; {unsent} messages were not sent"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| {
            f.debug_struct("Error")
                .field("kind", &self.0.kind)
                .field("text", &self.to_string())
                .field("retry", &self.0.retry)
                .field("delivered", &self.0.delivered)
                .field("source", &self.0.source)
                .finish()
        })
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

impl From<ConnectionError> for Error {
    fn from(reason: ConnectionError) -> Self {
        Self::from_connection(&reason)
    }
}

impl From<ApiMisuse> for Error {
    fn from(misuse: ApiMisuse) -> Self {
        match misuse {
            ApiMisuse::Closed => Self::new(ErrorKind::Closed, "the connection is closed"),
            ApiMisuse::FrameTooLarge { .. } => Self::new(ErrorKind::Config, misuse.to_string()),
            ApiMisuse::DynamicNodeContradiction | ApiMisuse::NameInUse => {
                Self::new(ErrorKind::Config, misuse.to_string())
            }
            ApiMisuse::NoChannel => Self::new(
                ErrorKind::Config,
                "all channels that both ends allow are in use: end a session, or allow more with channel_max at both ends",
            ),
            ApiMisuse::UnknownLink => Self::new(ErrorKind::LinkDetached, "the link is gone"),
            ApiMisuse::UnknownSession => Self::new(ErrorKind::SessionEnded, "the session is gone"),
            other => Self::internal(other.to_string()),
        }
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        let kind = match error {
            SendError::Detached => ErrorKind::LinkDetached,
            SendError::NoCredit | SendError::QueueFull | SendError::TooManyUnsettled { .. } => ErrorKind::CreditRevoked,
            SendError::Reattach => ErrorKind::Suspended,
            SendError::SettleMode | SendError::StateNotAllowed | SendError::StateTooLarge { .. } => ErrorKind::Config,
            SendError::SettledEarly => ErrorKind::Aborted,
            SendError::TooLarge { .. } => ErrorKind::MessageTooLarge,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::Symbol;

    #[test]
    fn only_a_temporary_sasl_failure_is_worth_another_try() {
        let refused = |code| Error::from_connection(&ConnectionError::Sasl(SaslFailure::Refused(code)));
        for code in [SaslCode::Auth, SaslCode::Sys, SaslCode::SysPerm] {
            let error = refused(code);
            assert_eq!((error.kind(), error.retry()), (ErrorKind::Authentication, Retry::Never));
        }
        assert!(matches!(refused(SaslCode::SysTemp).retry(), Retry::After(_)));
    }

    #[test]
    fn the_peers_condition_decides_what_may_help() {
        let detached = |condition: ErrorCondition| {
            Error::new(ErrorKind::LinkDetached, "the peer detached the link").with_amqp(Some(condition.into())).retry()
        };
        assert_eq!(detached(ErrorCondition::NOT_FOUND), Retry::Never);
        assert_eq!(detached(ErrorCondition::DETACH_FORCED), Retry::ReopenLink);
        assert!(matches!(detached(ErrorCondition::RESOURCE_LIMIT_EXCEEDED), Retry::After(_)));
        // The same again would fail again.
        for condition in [
            "amqp:precondition-failed",
            "amqp:invalid-field",
            "com.microsoft:argument-error",
            "com.microsoft:argument-out-of-range",
            "com.microsoft:precondition-failed",
        ] {
            let condition = ErrorCondition::new(Symbol::new(condition).expect("ASCII"));
            assert_eq!(detached(condition.clone()), Retry::Never, "{condition:?}");
        }
    }

    #[test]
    fn the_text_holds_what_the_peer_said() {
        let said = AmqpError::new(ErrorCondition::NOT_FOUND, "no such queue");
        let error = Error::new(ErrorKind::LinkRefused, "the peer refused the link").with_amqp(Some(said));
        assert_eq!(error.to_string(), "the peer refused the link: amqp:not-found: no such queue");
        assert_eq!(error.condition(), Some(&ErrorCondition::NOT_FOUND));
    }
}
