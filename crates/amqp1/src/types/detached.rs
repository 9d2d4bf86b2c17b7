//! How links end.

use crate::types::error::{Error, ErrorKind};
use amqp1_codec::definitions::AmqpError;
use amqp1_engine::Cause;

/// How a link ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Detached {
    /// Whether it was closed for good.
    pub closed: bool,
    /// Why.
    pub error: Option<AmqpError>,
    /// By whom.
    pub by: Cause,
    /// Whether it was never attached, because the peer's handle-max allows no more links.
    no_handle: bool,
}

impl Detached {
    pub(crate) fn new(detached: &amqp1_engine::Detached) -> Self {
        let amqp1_engine::Detached { closed, error, by, no_handle, .. } = detached;
        Self { closed: *closed, error: error.clone(), by: *by, no_handle: *no_handle }
    }

    /// The connection went, and the link with it.
    pub(crate) fn by_connection() -> Self {
        Self { closed: false, error: None, by: Cause::Connection, no_handle: false }
    }

    /// Returns what the end means to what was in flight on the link, as an error.
    pub fn to_error(&self) -> Error {
        let (kind, text) = match self.by {
            Cause::Peer => (ErrorKind::LinkDetached, "the peer detached the link"),
            Cause::Local => (ErrorKind::LinkDetached, "the link was detached at this end"),
            Cause::Session => (ErrorKind::SessionEnded, "the session of the link ended"),
            Cause::Connection => (ErrorKind::Closed, "the connection of the link ended"),
        };
        Error::new(kind, text).with_amqp(self.error.clone())
    }

    /// The same, before the peer had attached its end.
    pub(crate) fn to_refusal(&self) -> Error {
        match self.by {
            Cause::Peer => {
                Error::new(ErrorKind::LinkRefused, "the peer refused the link").with_amqp(self.error.clone())
            }
            // Nothing has left, and the peer has said nothing.
            Cause::Local if self.no_handle => {
                Error::new(ErrorKind::LinkRefused, "the peer allows no more links on this session (handle-max)")
            }
            _ => self.to_error(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::definitions::ErrorCondition;

    #[test]
    fn only_a_link_without_a_handle_is_refused_by_the_handle_max() {
        let error = Some(AmqpError::new(ErrorCondition::RESOURCE_LIMIT_EXCEEDED, "too much is said"));
        let detached = |no_handle| Detached { closed: true, error: error.clone(), by: Cause::Local, no_handle };
        let (refused, exceeded) = (detached(true).to_refusal(), detached(false).to_refusal());
        assert_eq!((refused.kind(), exceeded.kind()), (ErrorKind::LinkRefused, ErrorKind::LinkDetached));
        assert!(refused.to_string().contains("handle-max"), "{refused}");
        assert!(!exceeded.to_string().contains("handle-max"), "{exceeded}");
        assert!(exceeded.to_string().contains("too much is said"), "{exceeded}");
    }
}
