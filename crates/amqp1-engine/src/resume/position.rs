//! Positions in an encoded message: sections and octets of them (§3.4.1), against octets from its start.
//!
//! A section is counted whether or not it belongs to the body; an offset counts the octets of the encoded section from
//! its descriptor on.

use alloc::vec::Vec;
use amqp1_codec::messaging::Received;
use bytes::Bytes;

/// The octets of a section that tell its length: a descriptor and the head of a value.
const HEAD: usize = 64;

/// How many octets the value at the front of these takes, as far as they tell.
fn value_len(octets: &[u8], depth: u8) -> Option<usize> {
    let code = *octets.first()?;
    if code == 0 {
        // A described value: the descriptor, then the value.
        let depth = depth.checked_sub(1)?;
        let descriptor = value_len(octets.get(1..)?, depth)?.checked_add(1)?;
        return value_len(octets.get(descriptor..)?, depth)?.checked_add(descriptor);
    }
    match code >> 4 {
        0x4 => Some(1),
        0x5 => Some(2),
        0x6 => Some(3),
        0x7 => Some(5),
        0x8 => Some(9),
        0x9 => Some(17),
        0xa | 0xc | 0xe => usize::from(*octets.get(1)?).checked_add(2),
        0xb | 0xd | 0xf => {
            let size = u32::from_be_bytes(*octets.get(1..)?.first_chunk()?);
            usize::try_from(size).ok()?.checked_add(5)
        }
        _ => None,
    }
}

/// A place in a message that comes in pieces: it only goes forward, so that a walk costs each piece once.
struct Cursor<'a> {
    parts: &'a [Bytes],
    /// Where in the first of them.
    at: usize,
}

impl Cursor<'_> {
    /// The first octets from here on, across pieces.
    fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        let mut at = self.at;
        for part in self.parts {
            let rest = part.get(at..).unwrap_or_default();
            let missing = HEAD.saturating_sub(head.len());
            head.extend_from_slice(rest.get(..missing).unwrap_or(rest));
            at = 0;
            if head.len() >= HEAD {
                break;
            }
        }
        head
    }

    fn advance(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
        while let Some((part, rest)) = self.parts.split_first() {
            if self.at < part.len() {
                return;
            }
            self.at = self.at.saturating_sub(part.len());
            self.parts = rest;
        }
    }
}

fn total(parts: &[Bytes]) -> usize {
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.len()))
}

/// Where these octets, the first ones of a message, end.
pub(crate) fn position(parts: &[Bytes]) -> Received {
    let total = total(parts);
    let (mut start, mut section_number) = (0, 0);
    let mut cursor = Cursor { parts, at: 0 };
    while start < total {
        let length = value_len(&cursor.head(), 8);
        match length.and_then(|length| usize::checked_add(start, length)) {
            Some(end) if end <= total => {
                cursor.advance(end.saturating_sub(start));
                start = end;
                section_number = u32::saturating_add(section_number, 1);
            }
            _ => break,
        }
    }
    let rest = total.saturating_sub(start);
    Received { section_number, section_offset: u64::try_from(rest).unwrap_or(u64::MAX) }
}

/// How many octets of a message lie before a position; `None` if it lies beyond them.
pub(crate) fn octets_before(parts: &[Bytes], position: &Received) -> Option<usize> {
    let total = total(parts);
    let mut start: usize = 0;
    let mut cursor = Cursor { parts, at: 0 };
    for _ in 0..position.section_number {
        if start >= total {
            return None;
        }
        let length = value_len(&cursor.head(), 8)?;
        cursor.advance(length);
        start = start.checked_add(length)?;
    }
    let at = start.checked_add(usize::try_from(position.section_offset).ok()?)?;
    (at <= total).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::{Message, messaging::Properties};

    fn message() -> Vec<Bytes> {
        let properties = Properties { subject: Some("subject".into()), ..Properties::default() };
        let message = Message::builder().properties(properties).data(alloc::vec![7; 300]).data("end").build();
        message.into_parts()
    }

    #[test]
    fn m_3_4_1_2_every_prefix_of_a_message_has_a_position_that_leads_back_to_it() {
        let parts = message();
        let whole: Bytes = parts.concat().into();
        let mut sections = alloc::collections::BTreeSet::new();
        for length in 0..=whole.len() {
            let prefix = whole.slice(..length);
            for parts in
                [alloc::vec![prefix.clone()], alloc::vec![prefix.slice(..length / 3), prefix.slice(length / 3..)]]
            {
                let position = position(&parts);
                assert_eq!(octets_before(core::slice::from_ref(&whole), &position), Some(length), "{position:?}");
                sections.insert(position.section_number);
            }
        }
        assert_eq!(sections.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_position_beyond_the_message_is_none() {
        let parts = message();
        let beyond =
            |section_number, section_offset| octets_before(&parts, &Received { section_number, section_offset });
        assert_eq!(beyond(4, 0), None);
        assert_eq!(beyond(0, u64::MAX), None);
        assert_eq!(beyond(u32::MAX, 0), None);
        assert!(beyond(3, 0).is_some());
    }

    #[test]
    fn octets_that_are_no_sections_count_from_their_start() {
        assert_eq!(position(&[Bytes::from_static(&[0xff; 5])]), Received { section_number: 0, section_offset: 5 });
        let nested = [0u8; 200];
        assert_eq!(position(&[Bytes::copy_from_slice(&nested)]), Received { section_number: 0, section_offset: 200 });
    }
}
