//! Frames that wait to be written, other than transfers.

use amqp1_codec::performative::Performative;

/// A frame to write. They leave in the order in which they were queued, so a channel or a handle may be used again as
/// soon as the frame that gives it up is queued.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) channel: u16,
    pub(crate) body: Performative,
}
