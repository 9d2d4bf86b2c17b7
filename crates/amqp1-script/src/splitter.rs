//! Splits a stream of octets into headers and frames, whatever the octets are.

use crate::got::{AmqpFrame, Got, Why};
use amqp1_codec::{
    Limits,
    frame::{Frame, FrameDecoder, FrameError, FrameErrorKind, ProtocolHeader},
};
use bytes::{Bytes, BytesMut};

const FRAME_HEADER: usize = 8;
const TYPE_SASL: u8 = 1;

/// Splits one direction of a connection into protocol headers and frames.
///
/// It never fails: octets that are no frame come out as [`Got::Undecodable`].
///
/// ```
/// use amqp1_script::{Got, Splitter, frames};
///
/// let mut splitter = Splitter::new(512);
/// splitter.feed(b"AMQP\x00\x01\x00\x00");
/// splitter.feed(&frames::encode(0, frames::open("client"), b"")[..20]);
/// assert_eq!(splitter.next().expect("a header came").to_string(), "header AMQP");
/// assert!(splitter.next().is_none());
/// assert_eq!(splitter.unfinished(), 20);
/// ```
#[derive(Debug)]
pub struct Splitter {
    buffer: BytesMut,
    max_frame_size: u32,
    /// Whether a SIZE was wrong, so that no frame can be found any more.
    lost: bool,
    /// Whether the last frame could be read. If not, its SIZE may have been wrong too.
    clean: bool,
}

impl Splitter {
    /// A splitter that has seen nothing, and takes frames of up to this many octets.
    pub fn new(max_frame_size: u32) -> Self {
        Self { buffer: BytesMut::new(), max_frame_size, lost: false, clean: true }
    }

    /// Sets the largest frame that is taken, in octets.
    pub fn set_max_frame_size(&mut self, max_frame_size: u32) {
        self.max_frame_size = max_frame_size;
    }

    /// Adds octets.
    pub fn feed(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// The number of octets that are no whole frame yet.
    pub fn unfinished(&self) -> usize {
        self.buffer.len()
    }

    /// Removes the octets that are no whole frame, and returns them.
    pub fn take_unfinished(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// The next header, frame or undecodable octets; `None` if more is needed.
    #[allow(clippy::should_implement_trait)] // More may come after `None`.
    pub fn next(&mut self) -> Option<Got> {
        if self.buffer.is_empty() {
            return None;
        }
        if self.lost {
            return Some(self.all(Why::Lost));
        }
        // As a SIZE this would be more than a gigabyte.
        if self.buffer.starts_with(b"AMQP") {
            let header = self.buffer.first_chunk().and_then(ProtocolHeader::decode)?;
            let _ = self.buffer.split_to(ProtocolHeader::LEN);
            return Some(Got::Header(header));
        }
        let claimed = u32::from_be_bytes(*self.buffer.first_chunk()?);
        let size = usize::try_from(claimed).unwrap_or(usize::MAX);
        let kind = if size < FRAME_HEADER {
            Some(FrameErrorKind::TooSmall { size: claimed })
        } else if claimed > self.max_frame_size {
            Some(FrameErrorKind::TooLarge { size: claimed, max: self.max_frame_size })
        } else {
            None
        };
        if let Some(kind) = kind {
            self.lost = true;
            // What stands where a SIZE would is nobody's business if it is none: a secret may have been cut.
            let why = if self.clean { Why::Frame(FrameError { channel: None, kind }) } else { Why::Lost };
            return Some(self.all(why));
        }
        if self.buffer.len() < size {
            return None;
        }
        let octets = self.buffer.split_to(size).freeze();
        let got = frame(octets, claimed);
        self.clean = !matches!(got, Got::Undecodable { .. });
        Some(got)
    }

    fn all(&mut self, why: Why) -> Got {
        Got::Undecodable { why, octets: self.take_unfinished() }
    }
}

/// Reads a whole frame.
fn frame(octets: Bytes, size: u32) -> Got {
    let is_sasl = octets.get(5) == Some(&TYPE_SASL);
    let decoder = if is_sasl { FrameDecoder::sasl } else { FrameDecoder::new };
    // The decoder takes off what it reads, and the octets are to be kept.
    // Some coordinators give longer ids than the specification allows; a script may want to see what they do with them.
    let mut limits = Limits::DEFAULT;
    limits.long_transaction_ids = true;
    match decoder(size, limits).decode(&mut BytesMut::from(&octets[..])) {
        Ok(Some(Frame::Amqp { channel, performative, payload })) => {
            Got::Frame(AmqpFrame { channel, body: performative, payload, octets })
        }
        Ok(Some(Frame::Sasl(body))) => Got::Sasl(body),
        Ok(None) => Got::Undecodable { why: Why::Lost, octets },
        Err(error) => Got::Undecodable { why: Why::Frame(error), octets },
    }
}
