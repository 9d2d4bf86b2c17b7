//! The errors of calls that do not wait.

use super::error::{Error, ErrorKind};
use amqp1_codec::EncodedMessage;
use amqp1_engine::Blocked;
use std::{error::Error as StdError, fmt};

/// Why [`Receiver::try_recv`](crate::Receiver::try_recv) has no delivery.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TryRecvError {
    /// No delivery has arrived.
    Empty,
    /// The link was detached without an error. No delivery comes any more.
    Ended,
    /// The link has failed.
    Failed(Error),
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no delivery has arrived"),
            Self::Ended => f.write_str("the link was detached, and no delivery is left"),
            Self::Failed(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl StdError for TryRecvError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::Empty | Self::Ended => None,
        }
    }
}

/// Why [`Sender::try_reserve`](crate::Sender::try_reserve) has no permit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TryReserveError {
    /// Nothing can be queued now. Credit that permits hold, or for which others wait, counts as used up.
    Full(Blocked),
    /// The link has failed, or does not allow what was asked for.
    Failed(Error),
}

impl TryReserveError {
    /// Whether the call may succeed later, as it is.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }
}

impl fmt::Display for TryReserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(blocked) => f.write_str(full(*blocked)),
            Self::Failed(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl StdError for TryReserveError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::Full(_) => None,
        }
    }
}

impl From<TryReserveError> for Error {
    fn from(error: TryReserveError) -> Self {
        match error {
            TryReserveError::Full(blocked) => Self::new(ErrorKind::Full, full(blocked)),
            TryReserveError::Failed(error) => error,
        }
    }
}

fn full(blocked: Blocked) -> &'static str {
    match blocked {
        Blocked::Unsettled => "too many deliveries of the link are unsettled",
        Blocked::Queue => "too much waits to be sent",
        _ => "there is no credit that is not claimed",
    }
}

/// Why [`Sender::enqueue`](crate::Sender::enqueue) has not queued a message, and the message.
#[derive(Clone)]
pub struct EnqueueError {
    reason: TryReserveError,
    message: EncodedMessage,
}

impl EnqueueError {
    pub(crate) fn new(reason: TryReserveError, message: EncodedMessage) -> Self {
        Self { reason, message }
    }

    /// Whether the same message may be queued later.
    pub fn is_full(&self) -> bool {
        self.reason.is_full()
    }

    /// Returns the reason.
    pub fn reason(&self) -> &TryReserveError {
        &self.reason
    }

    /// Returns the message, as it was encoded.
    pub fn into_message(self) -> EncodedMessage {
        self.message
    }
}

/// The reason, and the size of the message.
impl fmt::Debug for EnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnqueueError").field("reason", &self.reason).field("octets", &self.message.len()).finish()
    }
}

impl fmt::Display for EnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.reason, f)
    }
}

impl StdError for EnqueueError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.reason.source()
    }
}

impl From<EnqueueError> for Error {
    fn from(error: EnqueueError) -> Self {
        error.reason.into()
    }
}
