//! The sections of a message (§3.2).

use super::{
    flaw::{Flaw, Kind},
    read::read,
    value::Value,
};

/// A section of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// The last octet of its numeric descriptor, `0x70` to `0x78`.
    pub code: u8,
    /// What the descriptor describes.
    pub value: Value,
    /// Its octets.
    pub octets: &'a [u8],
}

impl Section<'_> {
    /// Returns `true` for properties, application-properties and the sections of a body.
    pub fn is_bare(&self) -> bool {
        (0x73..=0x77).contains(&self.code)
    }
}

const NAMES: [&str; 9] = [
    "amqp:header:list",
    "amqp:delivery-annotations:map",
    "amqp:message-annotations:map",
    "amqp:properties:list",
    "amqp:application-properties:map",
    "amqp:data:binary",
    "amqp:amqp-sequence:list",
    "amqp:amqp-value:*",
    "amqp:footer:map",
];

/// The sections of a message, in the order in which they stand.
///
/// # Errors
///
/// If the octets are no sections.
pub fn sections(octets: &[u8]) -> Result<Vec<Section<'_>>, Flaw> {
    let (mut all, mut rest) = (Vec::new(), octets);
    while !rest.is_empty() {
        let (value, after) = read(rest)?;
        let Value::Described(descriptor, value) = value else {
            return Err(Flaw::new(Kind::Descriptor, "a section is not described"));
        };
        let octets = rest.get(..rest.len().saturating_sub(after.len())).unwrap_or(rest);
        all.push(Section { code: code(&descriptor)?, value: *value, octets });
        rest = after;
    }
    Ok(all)
}

fn code(descriptor: &Value) -> Result<u8, Flaw> {
    let by_number = descriptor
        .number()
        .filter(|_| descriptor.type_name() == "ulong")
        .and_then(|number| u8::try_from(number).ok())
        .filter(|code| (0x70..=0x78).contains(code));
    let by_name = || {
        let name = descriptor.symbol()?;
        (0x70..).zip(NAMES).find(|(_, known)| *known == name).map(|(code, _)| code)
    };
    by_number.or_else(by_name).ok_or_else(|| Flaw::new(Kind::Descriptor, "a section has an unknown descriptor"))
}

/// The octets of the bare message: properties, application-properties and body.
///
/// # Errors
///
/// As said for [`sections`].
pub fn bare(octets: &[u8]) -> Result<Vec<u8>, Flaw> {
    let sections = sections(octets)?;
    Ok(sections.iter().filter(|section| section.is_bare()).map(|section| section.octets).collect::<Vec<_>>().concat())
}
