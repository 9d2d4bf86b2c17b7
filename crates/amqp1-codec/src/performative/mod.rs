//! The performatives (§2.7): the bodies of AMQP frames.
//!
//! ```
//! use amqp1_codec::{Decode, Encode, Reader, performative::{Begin, Performative}};
//!
//! let begin = Begin { incoming_window: 5000, outgoing_window: 5000, ..Begin::default() };
//! let octets = begin.to_octets();
//!
//! let received = Performative::decode(&mut Reader::new(&octets))?;
//! assert_eq!(received, Performative::from(begin));
//! assert_eq!(received.to_string(), "begin next-outgoing-id=0 incoming-window=5000 outgoing-window=5000");
//! # Ok::<(), amqp1_codec::DecodeError>(())
//! ```

mod connection;
pub(crate) mod fast;
mod link;
mod session;
mod transfer;
mod unsettled;

pub use connection::{Close, Open};
pub use link::{Attach, Detach, Flow, TargetArchetype};
pub use session::{Begin, End};
pub use transfer::{Disposition, Transfer};
pub use unsettled::Unsettled;

use crate::{Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Reader};
use alloc::boxed::Box;
use bytes::BytesMut;
use core::fmt;

/// A link's number within a session (§2.8.4).
pub type Handle = u32;
/// Milliseconds (§2.8.6).
pub type Milliseconds = u32;
/// Seconds (§2.8.5).
pub type Seconds = u32;

/// Any performative.
#[derive(Clone, PartialEq)]
pub enum Performative {
    /// The first frame of a container on a connection (§2.7.1).
    Open(Box<Open>),
    /// Begins a session (§2.7.2).
    Begin(Box<Begin>),
    /// Attaches a link (§2.7.3).
    Attach(Box<Attach>),
    /// The state of a session's windows and of a link's credit (§2.7.4).
    Flow(Flow),
    /// A message, or a part of one (§2.7.5).
    Transfer(Transfer),
    /// The states of deliveries (§2.7.6).
    Disposition(Disposition),
    /// Detaches a link (§2.7.7).
    Detach(Box<Detach>),
    /// Ends a session (§2.7.8).
    End(End),
    /// The last that is said on a connection (§2.7.9).
    Close(Close),
}

/// Applies `$do` to whichever performative it is.
macro_rules! each {
    ($this:expr, $body:ident => $do:expr) => {
        match $this {
            Performative::Open($body) => $do,
            Performative::Begin($body) => $do,
            Performative::Attach($body) => $do,
            Performative::Flow($body) => $do,
            Performative::Transfer($body) => $do,
            Performative::Disposition($body) => $do,
            Performative::Detach($body) => $do,
            Performative::End($body) => $do,
            Performative::Close($body) => $do,
        }
    };
}

impl Performative {
    /// The specification's name for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Begin(_) => "begin",
            Self::Attach(_) => "attach",
            Self::Flow(_) => "flow",
            Self::Transfer(_) => "transfer",
            Self::Disposition(_) => "disposition",
            Self::Detach(_) => "detach",
            Self::End(_) => "end",
            Self::Close(_) => "close",
        }
    }
}

impl fmt::Debug for Performative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        each!(self, body => fmt::Debug::fmt(body, f))
    }
}

/// One line, as in traces of frames: the name, then the fields that are set.
///
/// ```
/// use amqp1_codec::{SequenceNo, performative::{Performative, Transfer}};
///
/// let transfer = Transfer { delivery_id: Some(SequenceNo(7)), more: true, ..Transfer::default() };
/// assert_eq!(Performative::from(transfer).to_string(), "transfer handle=0 delivery-id=7 more=true");
/// ```
impl fmt::Display for Performative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        each!(self, body => body.trace_line(f))
    }
}

impl Encode for Performative {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        each!(self, body => body.encoded_len(style))
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        each!(self, body => body.encode(style, out));
    }
}

impl Decode for Performative {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if let Some((performative, length)) = fast::decode(reader.rest_slice(), &reader.limits()) {
            reader.take(length)?;
            return Ok(performative);
        }
        let start = *reader;
        let code = reader.descriptor_number()?;
        Ok(match code {
            Some(Transfer::CODE) => Self::Transfer(Transfer::decode_fields(reader)?),
            Some(Disposition::CODE) => Self::Disposition(Disposition::decode_fields(reader)?),
            Some(Flow::CODE) => Self::Flow(Flow::decode_fields(reader)?),
            Some(Open::CODE) => Self::Open(Box::new(Open::decode_fields(reader)?)),
            Some(Begin::CODE) => Self::Begin(Box::new(Begin::decode_fields(reader)?)),
            Some(Attach::CODE) => Self::Attach(Box::new(Attach::decode_fields(reader)?)),
            Some(Detach::CODE) => Self::Detach(Box::new(Detach::decode_fields(reader)?)),
            Some(End::CODE) => Self::End(End::decode_fields(reader)?),
            Some(Close::CODE) => Self::Close(Close::decode_fields(reader)?),
            _ => return Err(start.error(DecodeErrorKind::UnexpectedDescriptor)),
        })
    }
}

macro_rules! from {
    (boxed: $($boxed:ident)+; plain: $($plain:ident)+) => {
        $(impl From<$boxed> for Performative {
            fn from(body: $boxed) -> Self {
                Self::$boxed(Box::new(body))
            }
        })+
        $(impl From<$plain> for Performative {
            fn from(body: $plain) -> Self {
                Self::$plain(body)
            }
        })+
    };
}
from! { boxed: Open Begin Attach Detach; plain: Flow Transfer Disposition End Close }
