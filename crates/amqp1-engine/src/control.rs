//! Frames that wait to be written, other than transfers.

use crate::metadata::{Kept, Stated};
use alloc::sync::Arc;
use amqp1_codec::performative::Performative;

/// A frame to write. They leave in the order in which they were queued, so a channel or a handle may be used again as
/// soon as the frame that gives it up is queued.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) channel: u16,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Performative(Performative),
    /// A disposition that holds a state of the peer's.
    Counted(Performative, #[expect(dead_code, reason = "it counts by being there")] Arc<Stated>),
    /// An attach that answers the peer's, and may say much of what it said: encoded.
    Attach(Kept),
}

impl Control {
    pub(crate) fn new(channel: u16, body: impl Into<Performative>) -> Self {
        Self { channel, body: Body::Performative(body.into()) }
    }

    pub(crate) fn performative(&self) -> Option<&Performative> {
        match &self.body {
            Body::Performative(body) | Body::Counted(body, _) => Some(body),
            Body::Attach(_) => None,
        }
    }
}
