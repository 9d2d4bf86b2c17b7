//! Delivery states and outcomes (§3.4).

use crate::{
    Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Reader, Symbol, Value,
    definitions::{AmqpError, Fields},
    transaction::{Declared, TransactionalState},
    types::{Described, format_code as code},
    write,
};
use alloc::{boxed::Box, sync::Arc};
use bytes::{BufMut, BytesMut};

composite! {
    /// How far a delivery was received (§3.4.1); not an outcome.
    pub struct Received = 0x23, "amqp:received:list", extensible {
        /// The first section that is not wholly received.
        section_number: req u32,
        /// The first octet of that section's data that is not received.
        section_offset: req u64,
    }

    /// The message is invalid and will not be processed (§3.4.3).
    pub struct Rejected = 0x25, "amqp:rejected:list", extensible {
        /// Why.
        error: opt AmqpError,
    }

    /// The message was not processed and is to be changed (§3.4.5).
    pub struct Modified = 0x27, "amqp:modified:list", extensible {
        /// Whether to count it as a failed attempt.
        delivery_failed: def bool = false,
        /// Whether it must not be delivered on this link again.
        undeliverable_here: def bool = false,
        /// Annotations to merge into the message's.
        message_annotations: opt Fields,
    }
}

/// The state of a delivery. All but `Received`, `Transactional` and `Extension` are outcomes: they are final.
#[derive(Clone, PartialEq)]
pub enum DeliveryState {
    /// Processed (§3.4.2).
    Accepted,
    /// Invalid, with the reason (§3.4.3).
    Rejected(Option<Box<AmqpError>>),
    /// Not processed, may be delivered again (§3.4.4).
    Released,
    /// Not processed, to be changed (§3.4.5).
    Modified(Box<Modified>),
    /// Received so far (§3.4.1).
    Received(Received),
    /// A transaction was declared (§4.5.5).
    Declared(Box<Declared>),
    /// Part of a transaction (§4.5.8).
    Transactional(Box<TransactionalState>),
    /// A state of an extension, kept as it is: a descriptor that the specification does not give to anything, and a
    /// list. It counts as none that is final.
    Extension(Arc<Described>),
}

/// The symbolic descriptors of the outcomes, as [`Source::outcomes`](super::Source::outcomes) names them.
impl DeliveryState {
    /// The descriptor of the outcome *accepted* (§3.4.2).
    pub const ACCEPTED: Symbol = Symbol::from_static("amqp:accepted:list");
    /// The descriptor of the outcome *rejected* (§3.4.3).
    pub const REJECTED: Symbol = Symbol::from_static(Rejected::SYMBOL);
    /// The descriptor of the outcome *released* (§3.4.4).
    pub const RELEASED: Symbol = Symbol::from_static("amqp:released:list");
    /// The descriptor of the outcome *modified* (§3.4.5).
    pub const MODIFIED: Symbol = Symbol::from_static(Modified::SYMBOL);
    /// The descriptor of the outcome *declared* (§4.5.5), which only a coordinator states.
    pub const DECLARED: Symbol = Symbol::from_static(Declared::SYMBOL);
    /// The descriptors of the four outcomes of part 3 of the specification.
    pub const STANDARD_OUTCOMES: [Symbol; 4] = [Self::ACCEPTED, Self::REJECTED, Self::RELEASED, Self::MODIFIED];

    /// The symbolic descriptor; `None` for a state of an extension.
    pub const fn descriptor(&self) -> Option<Symbol> {
        Some(match self {
            Self::Accepted => Self::ACCEPTED,
            Self::Rejected(_) => Self::REJECTED,
            Self::Released => Self::RELEASED,
            Self::Modified(_) => Self::MODIFIED,
            Self::Received(_) => Symbol::from_static(Received::SYMBOL),
            Self::Declared(_) => Self::DECLARED,
            Self::Transactional(_) => Symbol::from_static(TransactionalState::SYMBOL),
            Self::Extension(_) => return None,
        })
    }
}

impl DeliveryState {
    /// Whether this is final.
    pub const fn is_outcome(&self) -> bool {
        !matches!(self, Self::Received(_) | Self::Transactional(_) | Self::Extension(_))
    }

    /// Rejected, with this error.
    pub fn rejected(error: impl Into<AmqpError>) -> Self {
        Self::Rejected(Some(Box::new(error.into())))
    }
}

impl AsRef<Self> for DeliveryState {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// The descriptors of the two outcomes that have no fields.
const ACCEPTED: u8 = 0x24;
const RELEASED: u8 = 0x26;

fn empty_len(style: EncodeStyle) -> usize {
    match style {
        EncodeStyle::Compact => 4,
        EncodeStyle::Full => 6,
    }
}

fn write_empty(number: u8, style: EncodeStyle, out: &mut BytesMut) {
    write::descriptor(number, out);
    match style {
        EncodeStyle::Compact => out.put_u8(code::LIST0),
        EncodeStyle::Full => out.put_slice(&[code::LIST8, 1, 0]),
    }
}

fn extension_len(state: &Described, style: EncodeStyle) -> usize {
    state.descriptor.encoded_len(style).saturating_add(state.value.encoded_len(style)).saturating_add(1)
}

impl Encode for DeliveryState {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        match self {
            Self::Accepted | Self::Released => empty_len(style),
            Self::Rejected(None) => Rejected::default().encoded_len(style),
            Self::Rejected(Some(error)) => Rejected { error: Some((**error).clone()) }.encoded_len(style),
            Self::Modified(state) => state.encoded_len(style),
            Self::Received(state) => state.encoded_len(style),
            Self::Declared(state) => state.encoded_len(style),
            Self::Transactional(state) => state.encoded_len(style),
            Self::Extension(state) => extension_len(state, style),
        }
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        match self {
            Self::Accepted => write_empty(ACCEPTED, style, out),
            Self::Released => write_empty(RELEASED, style, out),
            Self::Rejected(None) => Rejected::default().encode(style, out),
            Self::Rejected(Some(error)) => Rejected { error: Some((**error).clone()) }.encode(style, out),
            Self::Modified(state) => state.encode(style, out),
            Self::Received(state) => state.encode(style, out),
            Self::Declared(state) => state.encode(style, out),
            Self::Transactional(state) => state.encode(style, out),
            Self::Extension(state) => {
                out.put_u8(code::DESCRIBED);
                state.descriptor.encode(style, out);
                state.value.encode(style, out);
            }
        }
    }
}

impl Decode for DeliveryState {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = *reader;
        // States nest through transactional-state, whose outcome is read as a state, and refused afterwards if it is none
        // that is final.
        reader.descend()?;
        let code = reader.descriptor_number()?;
        let state = match code {
            Some(ACCEPTED) => no_fields(reader).map(|()| Self::Accepted)?,
            Some(RELEASED) => no_fields(reader).map(|()| Self::Released)?,
            Some(Rejected::CODE) => Self::Rejected(Rejected::decode_fields(reader)?.error.map(Box::new)),
            Some(Modified::CODE) => Self::Modified(Box::new(Modified::decode_fields(reader)?)),
            Some(Received::CODE) => Self::Received(Received::decode_fields(reader)?),
            Some(Declared::CODE) => Self::Declared(Box::new(Declared::decode_fields(reader)?)),
            Some(TransactionalState::CODE) => Self::Transactional(Box::new(TransactionalState::decode_fields(reader)?)),
            _ => {
                *reader = start;
                return extension(reader);
            }
        };
        reader.ascend();
        Ok(state)
    }
}

/// A described list whose descriptor means nothing else.
#[cold]
fn extension(reader: &mut Reader<'_>) -> Result<DeliveryState, DecodeError> {
    let start = *reader;
    let descriptor = reader.descriptor()?;
    if descriptor.is_of_specification() {
        return Err(start.error(DecodeErrorKind::UnexpectedDescriptor));
    }
    if !matches!(reader.peek(), Some(code::LIST0 | code::LIST8 | code::LIST32)) {
        return Err(start.error(DecodeErrorKind::UnexpectedDescriptor));
    }
    *reader = start;
    match Value::decode(reader)? {
        Value::Described(state) => Ok(DeliveryState::Extension(Arc::from(state))),
        _ => Err(start.error(DecodeErrorKind::NotDescribed)),
    }
}

fn no_fields(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    crate::FieldReader::new(reader)?.finish_extensible()
}
