//! Protocol headers (§2.2, §5.2.1, §5.3.2): the eight octets with which each layer begins.

use crate::parse::{self, Parse};
use nom::{Parser, bytes::complete::tag};

/// The layer that a protocol header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolId {
    /// AMQP itself.
    Amqp,
    /// TLS negotiated within the connection (§5.2).
    Tls,
    /// SASL (§5.3).
    Sasl,
    /// Something that the specification does not know.
    Other(u8),
}

/// A protocol header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolHeader {
    /// The layer.
    pub id: ProtocolId,
    /// Major, minor and revision.
    pub version: [u8; 3],
}

impl ProtocolHeader {
    /// AMQP 1.0.0.
    pub const AMQP: Self = Self { id: ProtocolId::Amqp, version: [1, 0, 0] };
    /// TLS 1.0.0.
    pub const TLS: Self = Self { id: ProtocolId::Tls, version: [1, 0, 0] };
    /// SASL 1.0.0.
    pub const SASL: Self = Self { id: ProtocolId::Sasl, version: [1, 0, 0] };
    /// How many octets a header has.
    pub const LEN: usize = 8;

    /// The header that these octets are; `None` if they are none at all.
    pub fn decode(octets: &[u8; Self::LEN]) -> Option<Self> {
        let (_, (_, id, version)) = (magic, parse::u8, parse::octets::<3>).parse(octets).ok()?;
        let id = match id {
            0 => ProtocolId::Amqp,
            2 => ProtocolId::Tls,
            3 => ProtocolId::Sasl,
            other => ProtocolId::Other(other),
        };
        Some(Self { id, version })
    }

    /// Whether this is one of the three layers of the specification, in version 1.0.0.
    pub fn is_supported(self) -> bool {
        self.version == Self::AMQP.version && !matches!(self.id, ProtocolId::Other(_))
    }

    /// Whether these octets, of which more may come, can still become a header.
    pub fn may_begin_with(octets: &[u8]) -> bool {
        octets.iter().zip(MAGIC).all(|(octet, expected)| octet == expected)
    }

    /// The header's octets.
    pub const fn encode(self) -> [u8; Self::LEN] {
        let id = match self.id {
            ProtocolId::Amqp => 0,
            ProtocolId::Tls => 2,
            ProtocolId::Sasl => 3,
            ProtocolId::Other(other) => other,
        };
        let [major, minor, revision] = self.version;
        [b'A', b'M', b'Q', b'P', id, major, minor, revision]
    }
}

const MAGIC: &[u8; 4] = b"AMQP";

fn magic(input: &[u8]) -> Parse<'_, &[u8]> {
    tag(&MAGIC[..]).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_what_the_specification_shows() {
        assert_eq!(&ProtocolHeader::AMQP.encode(), b"AMQP\x00\x01\x00\x00");
        for header in [ProtocolHeader::AMQP, ProtocolHeader::TLS, ProtocolHeader::SASL] {
            assert_eq!(ProtocolHeader::decode(&header.encode()), Some(header));
        }
        assert_eq!(ProtocolHeader::decode(b"HTTP/1.1"), None);
    }
}
