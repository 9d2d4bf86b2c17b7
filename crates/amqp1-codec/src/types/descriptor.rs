//! Descriptors (§1.2): what a described value is.

use crate::{Encode, EncodeStyle, Symbol};
use bytes::BytesMut;

/// The descriptor of a described value, as a number or as a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// A numeric descriptor: the domain in the upper 32 bits, an id of that domain in the lower.
    Code(u64),
    /// A symbolic descriptor.
    Name(Symbol),
}

impl Descriptor {
    /// The numeric form, which is known for every type of the specification.
    pub fn code(&self) -> Option<u64> {
        match self {
            Self::Code(code) => Some(*code),
            Self::Name(name) => {
                KNOWN.iter().find(|(_, known)| *known == name.as_str()).map(|(code, _)| u64::from(*code))
            }
        }
    }
}

impl Descriptor {
    /// Whether it lies where the specification's own are: in domain 0, or as a name of the specification.
    pub(crate) fn is_of_specification(&self) -> bool {
        match self {
            Self::Code(code) => *code <= u64::from(u32::MAX),
            Self::Name(name) => name.starts_with("amqp:"),
        }
    }
}

impl Encode for Descriptor {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        match self {
            Self::Code(code) => code.encoded_len(style),
            Self::Name(name) => name.encoded_len(style),
        }
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        match self {
            Self::Code(code) => code.encode(style, out),
            Self::Name(name) => name.encode(style, out),
        }
    }
}

/// Every descriptor of the specification, in numeric order.
pub(crate) const KNOWN: [(u8, &str); 40] = [
    (0x10, "amqp:open:list"),
    (0x11, "amqp:begin:list"),
    (0x12, "amqp:attach:list"),
    (0x13, "amqp:flow:list"),
    (0x14, "amqp:transfer:list"),
    (0x15, "amqp:disposition:list"),
    (0x16, "amqp:detach:list"),
    (0x17, "amqp:end:list"),
    (0x18, "amqp:close:list"),
    (0x1d, "amqp:error:list"),
    (0x23, "amqp:received:list"),
    (0x24, "amqp:accepted:list"),
    (0x25, "amqp:rejected:list"),
    (0x26, "amqp:released:list"),
    (0x27, "amqp:modified:list"),
    (0x28, "amqp:source:list"),
    (0x29, "amqp:target:list"),
    (0x2b, "amqp:delete-on-close:list"),
    (0x2c, "amqp:delete-on-no-links:list"),
    (0x2d, "amqp:delete-on-no-messages:list"),
    (0x2e, "amqp:delete-on-no-links-or-messages:list"),
    (0x30, "amqp:coordinator:list"),
    (0x31, "amqp:declare:list"),
    (0x32, "amqp:discharge:list"),
    (0x33, "amqp:declared:list"),
    (0x34, "amqp:transactional-state:list"),
    (0x40, "amqp:sasl-mechanisms:list"),
    (0x41, "amqp:sasl-init:list"),
    (0x42, "amqp:sasl-challenge:list"),
    (0x43, "amqp:sasl-response:list"),
    (0x44, "amqp:sasl-outcome:list"),
    (0x70, "amqp:header:list"),
    (0x71, "amqp:delivery-annotations:map"),
    (0x72, "amqp:message-annotations:map"),
    (0x73, "amqp:properties:list"),
    (0x74, "amqp:application-properties:map"),
    (0x75, "amqp:data:binary"),
    (0x76, "amqp:amqp-sequence:list"),
    (0x77, "amqp:amqp-value:*"),
    (0x78, "amqp:footer:map"),
];
