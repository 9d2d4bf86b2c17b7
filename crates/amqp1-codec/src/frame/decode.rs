//! Octets to frames.

use super::Frame;
use crate::{
    Decode, DecodeError, Limits, Reader,
    limits::Packed,
    parse,
    performative::{Disposition, Flow, Performative, Transfer, fast},
    sasl::SaslBody,
};
use bytes::{Buf, Bytes, BytesMut};
use core::fmt;

/// A frame that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// The channel it came on, if its header could be read.
    pub channel: Option<u16>,
    /// The kind of the error.
    pub kind: FrameErrorKind,
}

/// The kind of an error in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameErrorKind {
    /// SIZE is smaller than the frame's header.
    TooSmall {
        /// SIZE, in octets.
        size: u32,
    },
    /// SIZE is more than was allowed.
    TooLarge {
        /// SIZE, in octets.
        size: u32,
        /// The limit, in octets.
        max: u32,
    },
    /// DOFF is below 2 or points beyond the frame.
    DataOffset(u8),
    /// TYPE is neither AMQP nor SASL, or not the one of this layer.
    Type(u8),
    /// The body is malformed.
    Body(DecodeError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FrameErrorKind::TooSmall { size } => write!(f, "a frame of {size} octets is smaller than its header"),
            FrameErrorKind::TooLarge { size, max } => write!(f, "a frame of {size} octets exceeds the {max} allowed"),
            FrameErrorKind::DataOffset(doff) => write!(f, "data offset {doff} does not fit the frame"),
            FrameErrorKind::Type(kind) => write!(f, "frame type {kind:#04x} is not expected here"),
            FrameErrorKind::Body(error) => write!(f, "malformed frame body: {error}"),
        }
    }
}

impl core::error::Error for FrameError {}

/// Takes whole frames off a buffer.
#[derive(Clone)]
pub struct FrameDecoder {
    max_frame_size: u32,
    limits: Packed,
    /// The type of the frames (§2.3.1) of this layer.
    kind: u8,
    /// Whether the performatives that can be read by hand may be.
    by_hand: bool,
    /// The body of the last AMQP frame that could not be read.
    malformed: Option<Bytes>,
}

impl fmt::Debug for FrameDecoder {
    /// The settings; octets may be large or secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max_frame_size, limits, kind, by_hand, malformed: _ } = self;
        f.debug_struct("FrameDecoder")
            .field("max_frame_size", max_frame_size)
            .field("limits", &limits.unpack())
            .field("kind", kind)
            .field("by_hand", by_hand)
            .finish_non_exhaustive()
    }
}

/// The header of a frame (§2.3.1); small enough for a register.
#[derive(Clone, Copy)]
struct Layout {
    size: u32,
    /// Where the body begins.
    start: u16,
    channel: u16,
}

impl Layout {
    #[inline(always)]
    fn size(self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX)
    }

    #[inline(always)]
    fn start(self) -> usize {
        usize::from(self.start)
    }
}

const HEADER: usize = 8;
const TYPE_AMQP: u8 = 0x00;
const TYPE_SASL: u8 = 0x01;

impl FrameDecoder {
    /// A decoder of AMQP frames of at most `max_frame_size` octets.
    pub fn new(max_frame_size: u32, limits: Limits) -> Self {
        Self {
            max_frame_size,
            limits: Packed::of(limits),
            kind: TYPE_AMQP,
            by_hand: fast::can_decode(&limits),
            malformed: None,
        }
    }

    /// A decoder of SASL frames of at most `max_frame_size` octets.
    pub fn sasl(max_frame_size: u32, limits: Limits) -> Self {
        Self { max_frame_size, limits: Packed::of(limits), kind: TYPE_SASL, by_hand: false, malformed: None }
    }

    /// Changes the largest frame that is taken, in octets.
    pub fn set_max_frame_size(&mut self, max_frame_size: u32) {
        self.max_frame_size = max_frame_size;
    }

    /// Takes one whole frame off the front of `input`; `None` if more octets are needed. The payload is a slice of
    /// `input`'s buffer.
    ///
    /// # Errors
    ///
    /// If no valid frame begins here. What follows cannot be told apart any more, except after
    /// [`FrameErrorKind::Body`], where the frame was taken off.
    #[inline]
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(&[s0, s1, s2, s3, doff, kind, c0, c1]) = input.first_chunk::<HEADER>() else {
            // A SIZE that cannot be right is told at once.
            if let Ok((_, size)) = parse::be_u32(input) {
                self.check_size(size)?;
            }
            return Ok(None);
        };
        let (size, channel) = (u32::from_be_bytes([s0, s1, s2, s3]), u16::from_be_bytes([c0, c1]));
        let layout = Layout { size, start: u16::from(doff).wrapping_mul(4), channel };
        // A frame that is smaller than its header is smaller than its data offset.
        let (size, start) = (layout.size(), layout.start());
        if layout.size > self.max_frame_size || start < HEADER || start > size || kind != self.kind {
            return Err(self.wrong_header(layout, doff, kind));
        }
        if input.len() < size {
            return Ok(None);
        }
        // Each has a function of its own, in which the frame is built where it is wanted.
        if self.by_hand {
            match input.get(start..).and_then(fast::number) {
                Some(Transfer::CODE) => return self.transfer(layout, input),
                Some(Flow::CODE) => return self.flow(layout, input),
                Some(Disposition::CODE) => return self.disposition(layout, input),
                _ => {}
            }
        }
        self.any(layout, input)
    }

    #[inline(never)]
    fn transfer(&mut self, layout: Layout, input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let mut transfer = Transfer::default();
        match fast::read(input.get(layout.start()..).unwrap_or_default(), &mut transfer) {
            Some(length) if layout.start().wrapping_add(length) <= layout.size() => {
                let mut payload = input.split_to(layout.size()).freeze();
                payload.advance(layout.start().wrapping_add(length));
                let performative = Some(Performative::Transfer(transfer));
                Ok(Some(Frame::Amqp { channel: layout.channel, performative, payload }))
            }
            // It may have been read into the next frame, which is as wrong as what else does not fit.
            _ => self.any(layout, input),
        }
    }

    #[inline(never)]
    fn flow(&mut self, layout: Layout, input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let mut flow = Flow::default();
        match fast::read(input.get(layout.start()..).unwrap_or_default(), &mut flow) {
            Some(length) if layout.start().wrapping_add(length) == layout.size() => {
                input.advance(layout.size());
                let performative = Some(Performative::Flow(flow));
                Ok(Some(Frame::Amqp { channel: layout.channel, performative, payload: Bytes::new() }))
            }
            _ => self.any(layout, input),
        }
    }

    #[inline(never)]
    fn disposition(&mut self, layout: Layout, input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let mut disposition = Disposition::default();
        match fast::read(input.get(layout.start()..).unwrap_or_default(), &mut disposition) {
            Some(length) if layout.start().wrapping_add(length) == layout.size() => {
                input.advance(layout.size());
                let performative = Some(Performative::Disposition(disposition));
                Ok(Some(Frame::Amqp { channel: layout.channel, performative, payload: Bytes::new() }))
            }
            _ => self.any(layout, input),
        }
    }

    /// Any frame, by the tables.
    #[inline(never)]
    fn any(&mut self, layout: Layout, input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let channel = layout.channel;
        let mut body = input.split_to(layout.size()).freeze();
        body.advance(layout.start());
        if self.kind == TYPE_SASL {
            return Self::sasl_body(&body, self.limits)
                .map(|body| Some(Frame::Sasl(body)))
                .map_err(|error| FrameError { channel: Some(channel), kind: FrameErrorKind::Body(error) });
        }
        if body.is_empty() {
            return Ok(Some(Frame::Amqp { channel, performative: None, payload: Bytes::new() }));
        }
        let mut reader = Reader::part(&body, &body, self.limits);
        let performative = match Performative::decode(&mut reader) {
            Ok(performative) => performative,
            Err(error) => return Err(self.keep_malformed(channel, body, error)),
        };
        let payload = if matches!(performative, Performative::Transfer(_)) {
            reader.rest()
        } else if let Err(error) = reader.finish() {
            return Err(self.keep_malformed(channel, body, error));
        } else {
            Bytes::new()
        };
        Ok(Some(Frame::Amqp { channel, performative: Some(performative), payload }))
    }

    fn sasl_body(body: &Bytes, limits: Packed) -> Result<SaslBody, DecodeError> {
        let mut reader = Reader::part(body, body, limits);
        let sasl = SaslBody::decode(&mut reader)?;
        reader.finish().map(|()| sasl)
    }

    #[cold]
    fn keep_malformed(&mut self, channel: u16, body: Bytes, error: DecodeError) -> FrameError {
        self.malformed = Some(body);
        FrameError { channel: Some(channel), kind: FrameErrorKind::Body(error) }
    }

    /// The body of the AMQP frame for which [`decode`](Self::decode) returned [`FrameErrorKind::Body`] last, once: what
    /// it says can be read with other limits, or in part. It keeps its read buffer alive.
    pub fn take_malformed(&mut self) -> Option<Bytes> {
        self.malformed.take()
    }

    /// The first thing that is wrong with a header.
    #[cold]
    fn wrong_header(&self, layout: Layout, doff: u8, kind: u8) -> FrameError {
        if let Err(error) = self.check_size(layout.size) {
            return error;
        }
        let kind = if layout.start() < HEADER || layout.start() > layout.size() {
            FrameErrorKind::DataOffset(doff)
        } else {
            FrameErrorKind::Type(kind)
        };
        FrameError { channel: Some(layout.channel), kind }
    }

    fn check_size(&self, size: u32) -> Result<(), FrameError> {
        let error = |kind| Err(FrameError { channel: None, kind });
        if usize::try_from(size).is_ok_and(|size| size < HEADER) {
            return error(FrameErrorKind::TooSmall { size });
        }
        if size > self.max_frame_size {
            return error(FrameErrorKind::TooLarge { size, max: self.max_frame_size });
        }
        Ok(())
    }

    /// How many octets the frame at the front of `input` has, if that is known: for sizing the next read.
    pub fn wanted(&self, input: &[u8]) -> Option<usize> {
        let (_, size) = parse::be_u32(input).ok()?;
        usize::try_from(size).ok()
    }
}
