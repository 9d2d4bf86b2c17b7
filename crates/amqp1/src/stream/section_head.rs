//! What stands before the content of a section: its descriptor, and the constructor of its value with its size.

use super::sections::Malformed;

/// The longest that stands before the content of a section: a symbolic descriptor and a constructor with its size.
pub(super) const HEADER: usize = 64;

const DATA: &[u8] = b"amqp:data:binary";

/// What the octets at the front of a section say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// More of them are needed.
    Wanting,
    /// A section whose descriptor takes `descriptor` octets, its header `header`, and its content `content`.
    Section { descriptor: usize, header: usize, content: usize, kind: Kind },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    /// Another section of a body, or data that holds no octets.
    OtherBody,
    Around,
    /// None that a message has.
    Foreign,
}

pub(super) fn read_head(octets: &[u8]) -> Result<Head, Malformed> {
    let Some((described, rest)) = octets.split_first() else { return Ok(Head::Wanting) };
    if *described != 0 {
        return Err(Malformed::NoSection);
    }
    let Some((kind, descriptor)) = read_descriptor(rest)? else { return Ok(Head::Wanting) };
    let start = descriptor.saturating_add(1);
    let value = octets.get(start..).unwrap_or_default();
    let Some((format, rest)) = value.split_first() else { return Ok(Head::Wanting) };
    let kind = match (kind, format) {
        (Kind::Data, 0xa0 | 0xb0) => Kind::Data,
        (Kind::Data, _) => Kind::OtherBody,
        (kind, _) => kind,
    };
    // §1.2: the first half of a format code says how wide the data is, or how wide its size.
    let (before, content) = match format >> 4 {
        0x4 => (1, 0),
        0x5 => (1, 1),
        0x6 => (1, 2),
        0x7 => (1, 4),
        0x8 => (1, 8),
        0x9 => (1, 16),
        0xa | 0xc | 0xe => match rest.first() {
            Some(size) => (2, usize::from(*size)),
            None => return Ok(Head::Wanting),
        },
        0xb | 0xd | 0xf => match rest.first_chunk() {
            Some(size) => (5, usize::try_from(u32::from_be_bytes(*size)).unwrap_or(usize::MAX)),
            None => return Ok(Head::Wanting),
        },
        // A value that is described itself, in an amqp-value section.
        _ if kind == Kind::OtherBody => return Err(Malformed::NotData),
        _ => return Err(Malformed::NoSection),
    };
    Ok(Head::Section { descriptor: start, header: start.saturating_add(before), content, kind })
}

/// The kind of a section, and how many octets its descriptor takes.
fn read_descriptor(octets: &[u8]) -> Result<Option<(Kind, usize)>, Malformed> {
    let number = |number: u64| match number {
        0x70..=0x74 | 0x78 => Kind::Around,
        0x75 => Kind::Data,
        0x76 | 0x77 => Kind::OtherBody,
        _ => Kind::Foreign,
    };
    let Some((code, rest)) = octets.split_first() else { return Ok(None) };
    Ok(match code {
        0x53 => rest.first().map(|octet| (number(u64::from(*octet)), 2)),
        0x44 => Some((Kind::Foreign, 1)),
        0x80 => rest.first_chunk().map(|octets| (number(u64::from_be_bytes(*octets)), 9)),
        0xa3 => {
            let Some((length, rest)) = rest.split_first() else { return Ok(None) };
            let length = usize::from(*length);
            if length.saturating_add(8) > HEADER {
                return Err(Malformed::NoSection);
            }
            let Some(name) = rest.get(..length) else { return Ok(None) };
            let kind = match name {
                name if name == DATA => Kind::Data,
                b"amqp:amqp-value:*" | b"amqp:amqp-sequence:list" => Kind::OtherBody,
                b"amqp:header:list"
                | b"amqp:delivery-annotations:map"
                | b"amqp:message-annotations:map"
                | b"amqp:properties:list"
                | b"amqp:application-properties:map"
                | b"amqp:footer:map" => Kind::Around,
                _ => Kind::Foreign,
            };
            Some((kind, length.saturating_add(2)))
        }
        _ => return Err(Malformed::NoSection),
    })
}
