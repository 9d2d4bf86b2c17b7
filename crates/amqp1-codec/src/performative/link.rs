//! `attach`, `flow` and `detach`.

use super::{Handle, Unsettled};
use crate::{
    Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, FieldReader, Reader, SequenceNo, Str, Symbol,
    definitions::{AmqpError, Fields, ReceiverSettleMode, Role, SenderSettleMode},
    messaging::{Source, Target},
    transaction::Coordinator,
};
use alloc::boxed::Box;
use bytes::BytesMut;

composite! {
    /// Attaches a link to a session (§2.7.3).
    pub struct Attach = 0x12, "amqp:attach:list" {
        /// The link's name, unique between these two containers in this direction.
        name: req Str,
        /// The link's number in this session, chosen by the sender of this.
        handle: req Handle,
        /// Which end the sender of this is.
        role: req Role,
        /// The settle mode of the sending end.
        snd_settle_mode: def SenderSettleMode = SenderSettleMode::Mixed,
        /// When the receiving end settles.
        rcv_settle_mode: def ReceiverSettleMode = ReceiverSettleMode::First,
        /// Where messages come from.
        source: opt Box<Source>,
        /// Where messages go.
        target: opt TargetArchetype,
        /// The deliveries that are unsettled at this end, by their tags.
        unsettled: opt Unsettled,
        /// Whether `unsettled` is only a part.
        incomplete_unsettled: def bool = false,
        /// Where the sender starts to count deliveries. Mandatory from a sender.
        initial_delivery_count: opt SequenceNo,
        /// The largest message that this end accepts, in octets; absent or 0 for no limit.
        max_message_size: opt u64,
        /// Extensions that the sender of this supports.
        offered_capabilities: multi Symbol,
        /// Extensions that the sender of this would use.
        desired_capabilities: multi Symbol,
        /// Anything else.
        properties: opt Fields,
    }

    /// Updates the flow state of a session, and of a link if a handle is given (§2.7.4).
    pub struct Flow = 0x13, "amqp:flow:list", by_hand {
        /// The transfer-id expected next; absent only before the peer's begin was received.
        next_incoming_id: opt SequenceNo,
        /// How many transfers the sender of this can take.
        incoming_window: req u32,
        /// The transfer-id of the next transfer that the sender of this will send.
        next_outgoing_id: req SequenceNo,
        /// How many transfers the sender of this can send.
        outgoing_window: req u32,
        /// Which link; absent if only the session's state is meant.
        handle: opt Handle,
        /// How many deliveries the link has had.
        delivery_count: opt SequenceNo,
        /// How many deliveries more the receiver allows.
        link_credit: opt u32,
        /// How many messages the sender has at hand.
        available: opt u32,
        /// Whether the sender is to use up its credit or give it up.
        drain: def bool = false,
        /// Whether an answer is wanted.
        echo: def bool = false,
        /// Anything else.
        properties: opt Fields,
    }

    /// Detaches a link from a session (§2.7.7).
    pub struct Detach = 0x16, "amqp:detach:list" {
        /// Which link.
        handle: req Handle,
        /// Whether the link is ended for good.
        closed: def bool = false,
        /// Why, if because of an error.
        error: opt AmqpError,
    }
}

impl Attach {
    /// The name, the handle and the role of an attach that cannot be read otherwise, for refusing its link. The other
    /// fields are the default ones.
    ///
    /// # Errors
    ///
    /// If these cannot be read, or it is not an attach.
    pub fn decode_head(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = *reader;
        if reader.descriptor_number()? != Some(Self::CODE) {
            return Err(start.error(DecodeErrorKind::UnexpectedDescriptor));
        }
        let mut fields = FieldReader::new(reader)?;
        let (name, handle, role) = (fields.required()?, fields.required()?, fields.required()?);
        Ok(Self { name, handle, role, ..Self::default() })
    }
}

/// Where a link's messages go (§2.7.3): to a node, or to a transaction coordinator.
#[derive(Clone, PartialEq)]
pub enum TargetArchetype {
    /// A node (§3.5.4).
    Target(Box<Target>),
    /// A transaction coordinator (§4.5.1).
    Coordinator(Coordinator),
}

impl From<Target> for TargetArchetype {
    fn from(target: Target) -> Self {
        Self::Target(Box::new(target))
    }
}

impl TargetArchetype {
    /// The target, if it is not a coordinator.
    pub fn as_target(&self) -> Option<&Target> {
        match self {
            Self::Target(target) => Some(target),
            Self::Coordinator(_) => None,
        }
    }
}

impl Encode for TargetArchetype {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        match self {
            Self::Target(target) => target.encoded_len(style),
            Self::Coordinator(coordinator) => coordinator.encoded_len(style),
        }
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        match self {
            Self::Target(target) => target.encode(style, out),
            Self::Coordinator(coordinator) => coordinator.encode(style, out),
        }
    }
}

impl Decode for TargetArchetype {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = *reader;
        match reader.descriptor_number()? {
            Some(0x29) => Target::decode_fields(reader).map(Into::into),
            Some(0x30) => Coordinator::decode_fields(reader).map(Self::Coordinator),
            _ => Err(start.error(DecodeErrorKind::UnexpectedDescriptor)),
        }
    }
}
