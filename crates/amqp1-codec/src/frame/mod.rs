//! Protocol headers (§2.2) and frames (§2.3).

mod decode;
mod encode;
mod header;

pub use decode::{FrameDecoder, FrameError, FrameErrorKind};
pub use encode::{FrameWriter, write_frame, write_sasl_frame};
pub use header::{ProtocolHeader, ProtocolId};

use crate::{performative::Performative, sasl::SaslBody};
use bytes::Bytes;

/// The smallest max-frame-size that a peer may announce, in octets (§2.7.1); also the most before `open` (§2.4.1).
pub const MIN_MAX_FRAME_SIZE: u32 = 512;

/// A frame as it was received.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// An AMQP frame (§2.3.2).
    Amqp {
        /// The channel.
        channel: u16,
        /// The performative, or nothing in an empty frame, which only shows that the peer lives.
        performative: Option<Performative>,
        /// What follows the performative: the payload of a transfer.
        payload: Bytes,
    },
    /// A SASL frame (§5.3.1).
    Sasl(SaslBody),
}
