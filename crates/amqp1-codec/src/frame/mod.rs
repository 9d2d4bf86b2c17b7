//! Protocol headers (§2.2) and frames (§2.3).
//!
//! ```
//! use amqp1_codec::{
//!     EncodeStyle, Limits,
//!     frame::{Frame, FrameDecoder, write_frame},
//!     performative::Close,
//! };
//! use bytes::BytesMut;
//!
//! let mut wire = BytesMut::new();
//! write_frame(0, Some(&Close::default()), EncodeStyle::Compact, &mut wire);
//! // An empty frame, which only shows that we live.
//! write_frame(0, None::<&Close>, EncodeStyle::Compact, &mut wire);
//!
//! let mut decoder = FrameDecoder::new(512, Limits::DEFAULT);
//! let mut names = Vec::new();
//! while let Some(frame) = decoder.decode(&mut wire)? {
//!     if let Frame::Amqp { performative, .. } = &frame {
//!         names.push(performative.as_ref().map_or("empty", |performative| performative.name()));
//!     }
//! }
//! assert_eq!(names, ["close", "empty"]);
//! # Ok::<(), amqp1_codec::frame::FrameError>(())
//! ```

mod decode;
mod encode;
mod header;
mod line;
mod spoken;

pub use decode::{FrameDecoder, FrameError, FrameErrorKind};
pub use encode::{FrameWriter, write_frame, write_sasl_frame};
pub use header::{ProtocolHeader, ProtocolId};
pub use line::{Direction, FrameLine};
pub use spoken::SpokenProtocol;

use crate::printable::{Bounded, By, bounded_debug};
use crate::{performative::Performative, sasl::SaslBody};
use bytes::Bytes;
use core::fmt;

/// The smallest max-frame-size that a peer may announce, in octets (§2.7.1); also the most before `open` (§2.4.1).
pub const MIN_MAX_FRAME_SIZE: u32 = 512;

/// A frame as it was received.
#[derive(Clone, PartialEq)]
pub enum Frame {
    /// An AMQP frame (§2.3.2).
    Amqp {
        /// The channel.
        channel: u16,
        /// The performative, or nothing in an empty frame, which only shows that the peer lives.
        performative: Option<Performative>,
        /// The octets behind the performative: the payload of a transfer.
        payload: Bytes,
    },
    /// A SASL frame (§5.3.1).
    Sasl(SaslBody),
}

/// One line: the channel, the performative, and how long the payload is. Payloads and secrets are not shown.
///
/// ```
/// use amqp1_codec::{Limits, frame::FrameDecoder};
/// use bytes::BytesMut;
///
/// let mut input = BytesMut::from(&b"\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c"[..]);
/// let frame = FrameDecoder::new(512, Limits::DEFAULT).decode(&mut input)?.expect("a whole frame");
/// assert_eq!(frame.to_string(), r#"[0] open container-id="c""#);
/// # Ok::<(), amqp1_codec::frame::FrameError>(())
/// ```
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Bounded(By(|f: &mut fmt::Formatter<'_>| self.show(f))), f)
    }
}

impl Frame {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sasl(body) => write!(f, "[sasl] {body}"),
            Self::Amqp { channel, performative: None, .. } => write!(f, "[{channel}] empty"),
            Self::Amqp { channel, performative: Some(performative), payload } => {
                write!(f, "[{channel}] {performative}")?;
                if payload.is_empty() { Ok(()) } else { write!(f, " + {} octets", payload.len()) }
            }
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| write!(f, "Frame({self})"))
    }
}
