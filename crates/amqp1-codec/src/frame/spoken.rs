//! The protocol of a peer that does not begin with a header of AMQP 1.0.

use super::ProtocolHeader;

/// The protocol that the first octets of a peer reveal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpokenProtocol {
    /// AMQP 1.0, and the layer that it begins with.
    Amqp1(ProtocolHeader),
    /// AMQP 0-8, 0-9, 0-9-1 or 0-10, which have little more than the name in common with AMQP 1.0.
    Amqp0,
    /// A request or a response of HTTP.
    Http,
    /// A record of TLS: a handshake message, or an alert.
    Tls,
    /// Nothing that is known.
    Unknown,
}

/// How requests and responses of HTTP begin; the last is HTTP/2's preface.
const HTTP: [&[u8]; 10] =
    [b"HTTP/", b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS", b"PATCH ", b"PRI * "];

/// The content types of TLS that come first: an alert, and a handshake message.
const TLS: [u8; 2] = [0x15, 0x16];

impl SpokenProtocol {
    /// Looks at the first octets; eight reveal all that there is to see. Zeros may stand for those that did not come.
    pub fn of(octets: &[u8]) -> Self {
        let header = octets.first_chunk().and_then(ProtocolHeader::decode);
        match (header, octets) {
            (Some(header), _) if header.is_supported() => Self::Amqp1(header),
            // "AMQP", then 1-1-0-9, 1-1-8-0 and the like, or 0-0-9-1.
            (Some(_), [_, _, _, _, 0, 0, 9, _] | [_, _, _, _, 1, 1, ..]) => Self::Amqp0,
            (_, [kind, 3, ..] | [kind] | [kind, 0, 0, 0, 0, 0, 0, 0]) if TLS.contains(kind) => Self::Tls,
            _ if HTTP.iter().any(|start| octets.starts_with(start)) => Self::Http,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_octets_reveal_the_protocol() {
        for header in [ProtocolHeader::AMQP, ProtocolHeader::TLS, ProtocolHeader::SASL] {
            assert_eq!(SpokenProtocol::of(&header.encode()), SpokenProtocol::Amqp1(header));
        }
        let cases: [(&[u8], SpokenProtocol); 16] = [
            (b"AMQP\0\0\x09\x01", SpokenProtocol::Amqp0),
            (b"AMQP\x01\x01\0\x0a", SpokenProtocol::Amqp0),
            (b"AMQP\x01\x01\x08\0", SpokenProtocol::Amqp0),
            (b"AMQP\0\x02\0\0", SpokenProtocol::Unknown),
            (b"HTTP/1.1 400 Bad Request", SpokenProtocol::Http),
            (b"HTTP/1.1", SpokenProtocol::Http),
            (b"GET / HTTP/1.1", SpokenProtocol::Http),
            (b"CONNECT ", SpokenProtocol::Http),
            (b"PRI * HT", SpokenProtocol::Http),
            (b"\x15\x03\x03\0\x02\x02\x46", SpokenProtocol::Tls),
            (b"\x16\x03\x01\x02\0\x01\0\x01", SpokenProtocol::Tls),
            (b"\x15\0\0\0\0\0\0\0", SpokenProtocol::Tls),
            (b"\x16", SpokenProtocol::Tls),
            (b"SSH-2.0-", SpokenProtocol::Unknown),
            (b"\0\0\0\0\0\0\0\0", SpokenProtocol::Unknown),
            (b"", SpokenProtocol::Unknown),
        ];
        for (octets, protocol) in cases {
            assert_eq!(SpokenProtocol::of(octets), protocol, "{}", octets.escape_ascii());
        }
    }
}
