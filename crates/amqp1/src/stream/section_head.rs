//! What stands before the content of a section: its descriptor, and the constructor of its value with its size.

use amqp1_codec::messaging::section_code::{self as section, DATA, FOOTER, HEADER as FIRST};

/// Why the data of a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A section of the body that is not data.
    NotData,
    /// What stands there is no section.
    NoSection,
    /// Data that follows what must follow it.
    Order,
    /// What comes before the body takes too much.
    TooLarge,
    /// The message ends within a section.
    Truncated,
    /// The message is of another format than 0: what its octets mean is not known here.
    OtherFormat,
}

/// The longest that stands before the content of a section: a symbolic descriptor and a constructor with its size.
pub(super) const HEADER: usize = 64;

/// What the octets at the front of a section say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// More of them are needed.
    Wanting,
    /// A section whose descriptor takes `descriptor` octets, its header `header`, and its content `content`; `number` is
    /// its numeric descriptor, 0 if a message has none such.
    Section { descriptor: usize, header: usize, content: usize, kind: Kind, number: u8 },
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
    let Some((number, descriptor)) = read_descriptor(rest)? else { return Ok(Head::Wanting) };
    let start = descriptor.saturating_add(1);
    let value = octets.get(start..).unwrap_or_default();
    let Some((format, rest)) = value.split_first() else { return Ok(Head::Wanting) };
    let kind = match (kind(number), format) {
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
    Ok(Head::Section { descriptor: start, header: start.saturating_add(before), content, kind, number })
}

/// The kind of the section with this numeric descriptor.
fn kind(number: u8) -> Kind {
    match number {
        DATA => Kind::Data,
        number if section::is_body(number) => Kind::OtherBody,
        FIRST..=FOOTER => Kind::Around,
        _ => Kind::Foreign,
    }
}

/// The number of a section, 0 if a message has none such, and how many octets its descriptor takes.
fn read_descriptor(octets: &[u8]) -> Result<Option<(u8, usize)>, Malformed> {
    let known = |number: u64| u8::try_from(number).ok().filter(|number| (FIRST..=FOOTER).contains(number)).unwrap_or(0);
    let Some((code, rest)) = octets.split_first() else { return Ok(None) };
    Ok(match code {
        0x53 => rest.first().map(|octet| (known(u64::from(*octet)), 2)),
        0x44 => Some((0, 1)),
        0x80 => rest.first_chunk().map(|octets| (known(u64::from_be_bytes(*octets)), 9)),
        0xa3 => {
            let Some((length, rest)) = rest.split_first() else { return Ok(None) };
            let length = usize::from(*length);
            if length.saturating_add(8) > HEADER {
                return Err(Malformed::NoSection);
            }
            let Some(name) = rest.get(..length) else { return Ok(None) };
            Some((section::of_symbol(name).unwrap_or(0), length.saturating_add(2)))
        }
        _ => return Err(Malformed::NoSection),
    })
}
