//! The head of a section: its descriptor, and the constructor of its value with its size.

use amqp1_codec::messaging::section_code::{self as section, DATA, FOOTER, HEADER as FIRST};

/// Why the data of a stream cannot be read on, or its sections not told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A section of the body that is not data.
    NotData,
    /// The octets are no section.
    NoSection,
    /// A section that follows what must follow it.
    Order,
    /// The sections around the body are too large.
    TooLarge,
    /// The message ends within a section.
    Truncated,
    /// The message is of another format than 0: what its octets mean is not known here.
    OtherFormat,
}

impl Malformed {
    /// Whether the octets are something other than whole sections in their order.
    pub(super) fn is_framing(self) -> bool {
        match self {
            Self::NoSection | Self::Order | Self::Truncated => true,
            Self::NotData | Self::TooLarge | Self::OtherFormat => false,
        }
    }
}

/// The longest that stands before the content of a section: a symbolic descriptor and a constructor with its size.
pub(super) const HEADER: usize = 64;

/// The longest symbol that is read as the descriptor of a section; those of the specification have up to 31 octets.
const LONGEST_NAME: usize = HEADER - 11;

/// The reading of the octets at the front of a section.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// More of them are needed.
    Wanting,
    /// A section whose descriptor takes `descriptor` octets, its header `header`, and its content `content`; `number` is
    /// its numeric descriptor, 0 if a message has none such.
    Section { descriptor: usize, header: usize, content: Content, kind: Kind, number: u8 },
}

/// The content behind the head of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// This many octets.
    Octets(usize),
    /// A value that is described itself, in an amqp-value section: its octets say how many there are.
    Described,
}

/// How long the data of a value is, by its format code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// This many octets.
    Fixed(usize),
    /// As many as a size says that comes first and has this many octets itself.
    Sized(u8),
}

impl Width {
    /// §1.2: the first half of a format code says how wide the data is, or how wide its size.
    pub(super) fn of(format: u8) -> Option<Self> {
        Some(match format >> 4 {
            0x4 => Self::Fixed(0),
            0x5 => Self::Fixed(1),
            0x6 => Self::Fixed(2),
            0x7 => Self::Fixed(4),
            0x8 => Self::Fixed(8),
            0x9 => Self::Fixed(16),
            0xa | 0xc | 0xe => Self::Sized(1),
            0xb | 0xd | 0xf => Self::Sized(4),
            _ => return None,
        })
    }
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
    let (before, content) = match Width::of(*format) {
        Some(Width::Fixed(width)) => (1, width),
        Some(Width::Sized(1)) => match rest.first() {
            Some(size) => (2, usize::from(*size)),
            None => return Ok(Head::Wanting),
        },
        Some(Width::Sized(_)) => match rest.first_chunk() {
            Some(size) => (5, usize::try_from(u32::from_be_bytes(*size)).unwrap_or(usize::MAX)),
            None => return Ok(Head::Wanting),
        },
        None if kind == Kind::OtherBody && *format == 0 => {
            return Ok(Head::Section { descriptor: start, header: start, content: Content::Described, kind, number });
        }
        None => return Err(Malformed::NoSection),
    };
    let (header, content) = (start.saturating_add(before), Content::Octets(content));
    Ok(Head::Section { descriptor: start, header, content, kind, number })
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
            read_name(usize::from(*length), rest)?.map(|(number, length)| (number, length.saturating_add(2)))
        }
        0xb3 => {
            let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            read_name(length, rest)?.map(|(number, length)| (number, length.saturating_add(5)))
        }
        _ => return Err(Malformed::NoSection),
    })
}

/// The number of the section with this name, and how many octets the name has.
fn read_name(length: usize, rest: &[u8]) -> Result<Option<(u8, usize)>, Malformed> {
    if length > LONGEST_NAME {
        return Err(Malformed::NoSection);
    }
    let Some(name) = rest.get(..length) else { return Ok(None) };
    Ok(Some((section::of_symbol(name).unwrap_or(0), length)))
}
