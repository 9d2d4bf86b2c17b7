//! The SASL frames (§5.3.3).
//!
//! ```
//! use amqp1_codec::{Decode, Encode, Reader, Symbol, sasl::{SaslBody, SaslInit, Secret}};
//! use bytes::Bytes;
//!
//! let init = SaslBody::Init(SaslInit {
//!     mechanism: Symbol::from_static("PLAIN"),
//!     initial_response: Some(Secret(Bytes::from_static(b"\0user\0password"))),
//!     ..SaslInit::default()
//! });
//! let octets = init.to_octets();
//! assert_eq!(SaslBody::decode(&mut Reader::new(&octets))?, init);
//! // The secret is not shown.
//! assert_eq!(init.to_string(), "sasl-init mechanism=PLAIN initial-response=<14 octets>");
//! # Ok::<(), amqp1_codec::DecodeError>(())
//! ```

use crate::{Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Reader, Str, Symbol, definitions::choices};
use bytes::{Bytes, BytesMut};
use core::fmt;

choices! {
    /// How the SASL dialog ended (§5.3.3.6).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum SaslCode: u8 {
        /// Authentication succeeded.
        #[default]
        Ok = 0,
        /// Authentication failed.
        Auth = 1,
        /// Authentication failed because of a system error.
        Sys = 2,
        /// Authentication failed because of a system error that will not go away.
        SysPerm = 3,
        /// Authentication failed because of a system error that may go away.
        SysTemp = 4,
    }
}

/// A response or a challenge: octets that may hold a secret, so they are not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub Bytes);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} octets>", self.0.len())
    }
}

impl Encode for Secret {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        self.0.encoded_len(style)
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        self.0.encode(style, out);
    }
}

impl Decode for Secret {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Bytes::decode(reader).map(Self)
    }
}

composite! {
    /// The server says which mechanisms it offers (§5.3.3.1).
    pub struct SaslMechanisms = 0x40, "amqp:sasl-mechanisms:list" {
        /// The mechanisms, most wanted first.
        sasl_server_mechanisms: some Symbol,
    }

    /// The client chooses a mechanism (§5.3.3.2).
    pub struct SaslInit = 0x41, "amqp:sasl-init:list" {
        /// Which mechanism.
        mechanism: req Symbol,
        /// The initial response of the mechanism.
        initial_response: opt Secret,
        /// The host that the client believes it talks to.
        hostname: opt Str,
    }

    /// The server's challenge (§5.3.3.3).
    pub struct SaslChallenge = 0x42, "amqp:sasl-challenge:list" {
        /// Data that the mechanism defines.
        challenge: req Secret,
    }

    /// The client's response (§5.3.3.4).
    pub struct SaslResponse = 0x43, "amqp:sasl-response:list" {
        /// Data that the mechanism defines.
        response: req Secret,
    }

    /// How the dialog ended (§5.3.3.5).
    pub struct SaslOutcome = 0x44, "amqp:sasl-outcome:list" {
        /// Success, or why not.
        code: req SaslCode,
        /// Data that the mechanism defines.
        additional_data: opt Secret,
    }
}

/// The body of a SASL frame (§5.3.1).
#[derive(Clone, PartialEq)]
pub enum SaslBody {
    /// The server offers mechanisms (§5.3.3.1).
    Mechanisms(SaslMechanisms),
    /// The client chooses one (§5.3.3.2).
    Init(SaslInit),
    /// The server asks (§5.3.3.3).
    Challenge(SaslChallenge),
    /// The client answers (§5.3.3.4).
    Response(SaslResponse),
    /// The end of the dialog (§5.3.3.5).
    Outcome(SaslOutcome),
}

impl Decode for SaslBody {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = *reader;
        match reader.descriptor_number()? {
            Some(0x40) => SaslMechanisms::decode_fields(reader).map(Self::Mechanisms),
            Some(0x41) => SaslInit::decode_fields(reader).map(Self::Init),
            Some(0x42) => SaslChallenge::decode_fields(reader).map(Self::Challenge),
            Some(0x43) => SaslResponse::decode_fields(reader).map(Self::Response),
            Some(0x44) => SaslOutcome::decode_fields(reader).map(Self::Outcome),
            _ => Err(start.error(DecodeErrorKind::UnexpectedDescriptor)),
        }
    }
}

impl Encode for SaslBody {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        match self {
            Self::Mechanisms(body) => body.encoded_len(style),
            Self::Init(body) => body.encoded_len(style),
            Self::Challenge(body) => body.encoded_len(style),
            Self::Response(body) => body.encoded_len(style),
            Self::Outcome(body) => body.encoded_len(style),
        }
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        match self {
            Self::Mechanisms(body) => body.encode(style, out),
            Self::Init(body) => body.encode(style, out),
            Self::Challenge(body) => body.encode(style, out),
            Self::Response(body) => body.encode(style, out),
            Self::Outcome(body) => body.encode(style, out),
        }
    }
}

impl SaslBody {
    /// The specification's name for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Mechanisms(_) => "sasl-mechanisms",
            Self::Init(_) => "sasl-init",
            Self::Challenge(_) => "sasl-challenge",
            Self::Response(_) => "sasl-response",
            Self::Outcome(_) => "sasl-outcome",
        }
    }
}

impl fmt::Debug for SaslBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mechanisms(body) => fmt::Debug::fmt(body, f),
            Self::Init(body) => fmt::Debug::fmt(body, f),
            Self::Challenge(body) => fmt::Debug::fmt(body, f),
            Self::Response(body) => fmt::Debug::fmt(body, f),
            Self::Outcome(body) => fmt::Debug::fmt(body, f),
        }
    }
}

/// One line: the name, then the fields that are set. Of responses and challenges only the length is shown.
impl fmt::Display for SaslBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mechanisms(body) => body.trace_line(f),
            Self::Init(body) => body.trace_line(f),
            Self::Challenge(body) => body.trace_line(f),
            Self::Response(body) => body.trace_line(f),
            Self::Outcome(body) => body.trace_line(f),
        }
    }
}
