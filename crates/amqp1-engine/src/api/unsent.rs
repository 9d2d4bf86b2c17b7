//! A message that was not queued, given back.

use crate::error::SendError;
use core::fmt;

/// Content that was not queued, and the reason: a message, or a piece of one. It is given back, so that who is blocked
/// needs no clone to try again.
#[derive(Clone, PartialEq, Eq)]
pub struct Unsent<T> {
    reason: SendError,
    content: T,
}

impl<T> Unsent<T> {
    pub(crate) fn new(reason: SendError, content: T) -> Self {
        Self { reason, content }
    }

    /// The reason why it was not queued.
    pub fn reason(&self) -> SendError {
        self.reason
    }

    /// The content.
    pub fn into_inner(self) -> T {
        self.content
    }
}

impl<T> From<Unsent<T>> for SendError {
    /// Drops the content.
    fn from(unsent: Unsent<T>) -> Self {
        unsent.reason
    }
}

impl<T> fmt::Debug for Unsent<T> {
    /// The reason; the content may be large or secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsent").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Unsent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<T> core::error::Error for Unsent<T> {}
