//! One line for a frame, in the form of Qpid Proton's `PN_TRACE_FRM=1`.

mod names;
mod value;

use super::{FrameWriter, ProtocolHeader};
use crate::{
    Decode, DecodeError, Limits, Reader, Value,
    printable::{By, MAX_REPORT, bounded_to},
    sasl::{SaslChallenge, SaslInit, SaslMechanisms, SaslOutcome, SaslResponse},
    secrets::secret_in,
};
use bytes::Bytes;
use core::fmt::{self, Formatter, Write};

/// The most octets that the fields take: room is left for what stands before and after them.
const FIELDS: usize = MAX_REPORT - 128;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The peer has sent it.
    Incoming,
    /// This end sends it.
    Outgoing,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Incoming => "<-",
            Self::Outgoing => "->",
        })
    }
}

/// The octets of one frame or protocol header, to be shown as Qpid Proton 0.37 and later show it.
///
/// Whatever is not printable ASCII in a text is escaped, so that a peer cannot forge lines. Without a payload the line
/// has at most [`MAX_REPORT`](crate::printable::MAX_REPORT) octets; where it is cut, `…` stands.
///
/// Secrets are not shown: the responses and challenges of SASL, shared access signatures and keys, bearer tokens, passwords in
/// connection strings and URLs, and the values of a map whose keys name a secret. Of a payload only the length is shown, unless [`body`](Self::body) asks for
/// more.
///
/// ```
/// use amqp1_codec::{EncodeStyle, frame::{Direction, FrameLine, write_frame}, performative::Open};
/// use bytes::BytesMut;
///
/// let mut wire = BytesMut::new();
/// let open = Open { container_id: "client".into(), channel_max: 255, ..Open::default() };
/// write_frame(0, Some(&open), EncodeStyle::Compact, &mut wire);
///
/// let line = FrameLine::new(Direction::Outgoing, &wire.freeze()).to_string();
/// assert_eq!(line, r#"AMQP:FRAME:0 -> @open(16) [container-id="client", channel-max=0xff]"#);
/// ```
#[derive(Clone)]
pub struct FrameLine {
    direction: Direction,
    octets: Bytes,
    size: usize,
    body: usize,
}

impl FrameLine {
    /// The line of a frame or a header.
    pub fn new(direction: Direction, octets: &Bytes) -> Self {
        Self { direction, octets: octets.clone(), size: octets.len(), body: 0 }
    }

    /// Sets how long the frame is, where its last octets are left out.
    #[must_use]
    pub fn frame_len(self, size: usize) -> Self {
        Self { size, ..self }
    }

    /// Shows at most this many octets of a payload. None are shown unless this is called: a payload may hold any
    /// secret.
    #[must_use]
    pub fn body(self, octets: usize) -> Self {
        Self { body: octets, ..self }
    }

    fn show(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(header) = self.octets.first_chunk().and_then(ProtocolHeader::decode) {
            let layer = name_of(header);
            write!(f, "{layer}:FRAME:  {} {layer}", self.direction)?;
            return if header.is_supported() { Ok(()) } else { show_version(header, f) };
        }
        let &[_, _, _, _, doff, kind, c0, c1] = self.octets.first_chunk::<{ FrameWriter::HEADER }>().unwrap_or(&[0; 8]);
        write!(f, "AMQP:FRAME:{} {} ", u16::from_be_bytes([c0, c1]), self.direction)?;
        let start = usize::from(doff).saturating_mul(4);
        if kind > 1 || start < FrameWriter::HEADER || start > self.octets.len() {
            return write!(f, "!!<no frame: type {kind:#04x}, data offset {doff}> ({})", self.size);
        }
        let body = self.octets.slice(start..);
        if body.is_empty() {
            return f.write_str("(EMPTY FRAME)");
        }
        let mut reader = Reader::with_limits(&body, Limits::DEFAULT);
        let performative = Value::decode(&mut reader);
        let fields = By(|f: &mut Formatter<'_>| match &performative {
            Ok(performative) => value::show(performative, f),
            Err(error) => self.show_malformed(&body, *error, f),
        });
        bounded_to(FIELDS, f, format_args!("{fields}"))?;
        let payload = reader.rest();
        // Of what cannot be read it is not known where it ends.
        let left_out = self.size.saturating_sub(self.octets.len());
        match (performative, payload.len().saturating_add(left_out)) {
            (Err(_), _) | (_, 0) => Ok(()),
            (Ok(_), length) => self.show_payload(&payload, length, f),
        }
    }

    fn show_payload(&self, payload: &Bytes, length: usize, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, " ({length})")?;
        let shown = payload.get(..self.body).unwrap_or(payload);
        if self.body == 0 {
            return Ok(());
        }
        f.write_char(' ')?;
        match secret_in(payload) {
            Some(at) if at < shown.len() => {
                value::escaped(shown.get(..at).unwrap_or_default(), f)?;
                f.write_str("...")
            }
            _ => {
                value::escaped(shown, f)?;
                if shown.len() < length { f.write_str("...") } else { Ok(()) }
            }
        }
    }

    /// A body that is no value: its octets may hold a secret, and it is not known where.
    fn show_malformed(&self, body: &Bytes, error: DecodeError, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(code) = Reader::new(body).descriptor().ok().and_then(|descriptor| descriptor.code()) {
            write!(f, "@{}({code}) ", names::name(code).unwrap_or("unknown"))?;
        }
        match self.size > self.octets.len() {
            true => write!(f, "!!<too long to be shown> ({})", self.size),
            false => write!(f, "!!<{error}> ({})", self.size),
        }
    }
}

impl fmt::Display for FrameLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.show(f)
    }
}

impl fmt::Debug for FrameLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "FrameLine({self})")
    }
}

fn name_of(header: ProtocolHeader) -> &'static str {
    match header.id {
        super::ProtocolId::Sasl => "SASL",
        super::ProtocolId::Tls => "TLS",
        super::ProtocolId::Amqp | super::ProtocolId::Other(_) => "AMQP",
    }
}

fn show_version(header: ProtocolHeader, f: &mut Formatter<'_>) -> fmt::Result {
    let [.., id, major, minor, revision] = header.encode();
    write!(f, " !!<header {id} {major}.{minor}.{revision}>")
}

/// Whether a field of a composite may hold a secret, whatever stands in it.
fn is_secret(code: u64, field: usize) -> bool {
    let secret = |name| SECRET.iter().any(|(known, secret)| u64::from(*known) == code && *secret == name);
    names::fields(code).get(field).is_some_and(|name| secret(*name))
        // The part of a SASL frame that is too much.
        || is_sasl(code) && field >= names::fields(code).len()
}

fn is_sasl(code: u64) -> bool {
    (u64::from(SaslMechanisms::CODE)..=u64::from(SaslOutcome::CODE)).contains(&code)
}

const SECRET: [(u8, &str); 4] = [
    (SaslInit::CODE, "initial_response"),
    (SaslChallenge::CODE, "challenge"),
    (SaslResponse::CODE, "response"),
    (SaslOutcome::CODE, "additional_data"),
];
