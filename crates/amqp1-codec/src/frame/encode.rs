//! Frames to octets.

use crate::{Encode, EncodeStyle, sasl::SaslBody, write::saturating_u32};
use bytes::{BufMut, BytesMut};

/// The header of a frame whose size is known only when its body is written.
#[derive(Debug)]
pub struct FrameWriter {
    start: usize,
}

impl FrameWriter {
    /// Octets of a frame's header.
    pub const HEADER: usize = 8;

    /// Starts an AMQP frame at the end of `out`.
    #[inline]
    pub fn begin(channel: u16, out: &mut BytesMut) -> Self {
        Self::begin_type(0, channel, out)
    }

    #[inline]
    fn begin_type(kind: u8, channel: u16, out: &mut BytesMut) -> Self {
        let start = out.len();
        let [high, low] = channel.to_be_bytes();
        out.put_slice(&[0, 0, 0, 0, 2, kind, high, low]);
        Self { start }
    }

    /// Ends the frame: `payload` octets will follow what is in `out` now.
    #[inline]
    pub fn finish(self, payload: usize, out: &mut BytesMut) {
        let size = out.len().saturating_sub(self.start).saturating_add(payload);
        if let Some(field) = out.get_mut(self.start..).and_then(<[u8]>::first_chunk_mut) {
            *field = saturating_u32(size).to_be_bytes();
        }
    }
}

/// Appends an AMQP frame without a payload; an empty one if there is no body.
pub fn write_frame(channel: u16, body: Option<&impl Encode>, style: EncodeStyle, out: &mut BytesMut) {
    let frame = FrameWriter::begin(channel, out);
    if let Some(body) = body {
        body.encode(style, out);
    }
    frame.finish(0, out);
}

/// Appends a SASL frame.
pub fn write_sasl_frame(body: &SaslBody, style: EncodeStyle, out: &mut BytesMut) {
    let frame = FrameWriter::begin_type(1, 0, out);
    body.encode(style, out);
    frame.finish(0, out);
}
