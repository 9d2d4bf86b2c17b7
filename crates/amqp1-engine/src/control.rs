//! Frames that wait to be written, other than transfers.

use crate::store::{LinkId, SessionId};
use amqp1_codec::performative::{Handle, Performative};

/// A frame to write.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) channel: u16,
    pub(crate) body: Performative,
    pub(crate) after: After,
}

/// What may be used again when a frame has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    /// A detach: the handle, if the peer has detached too.
    Detach(SessionId, LinkId, Handle),
    /// An end: the channel, if the peer has ended too.
    End(SessionId),
}
