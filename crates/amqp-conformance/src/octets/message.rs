//! The sections of a message (§3.2).

use super::{
    flaw::{Flaw, Kind},
    read::read,
    schema::check_section,
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

/// The number of octets before the bare message: those of the header and the annotations, each at most once and in
/// order. `None` if these are malformed, or nothing follows them.
pub fn annotated_len(octets: &[u8]) -> Option<usize> {
    let (mut rest, mut last) = (octets, 0);
    loop {
        // The descriptor says what the section is, whatever its value is.
        let (descriptor, _) = read(rest.strip_prefix(&[0])?).ok()?;
        let code = code(&descriptor).ok()?;
        if code >= 0x73 {
            return octets.len().checked_sub(rest.len());
        }
        let section = read(rest).ok().filter(|_| code > last)?;
        check_section_of(code, &section.0).ok()?;
        (rest, last) = (section.1, code);
    }
}

/// Holds a described value to the definition of this section.
fn check_section_of(code: u8, value: &Value) -> Result<(), Flaw> {
    let Value::Described(_, value) = value else { return Ok(()) };
    check_section(&Section { code, value: Value::clone(value), octets: &[] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octets::{hex, vector};

    #[test]
    fn the_bare_message_begins_after_sound_annotations() {
        assert_eq!(annotated_len(&vector("msg-data")), Some(0));
        assert_eq!(annotated_len(&vector("bad-msg-trunc-body")), Some(0));
        assert_eq!(annotated_len(&hex("00537045 00537740")), Some(4));
        for name in ["bad-msg-ann-string-key", "bad-msg-header-twice", "bad-msg-unknown-section", "bad-msg-header-only"]
        {
            assert_eq!(annotated_len(&vector(name)), None, "{name}");
        }
        assert_eq!(annotated_len(&hex("ffffff")), None);
    }
}
