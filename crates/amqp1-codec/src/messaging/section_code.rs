//! The numeric descriptors of a message's sections, and the order in which sections stand (§3.2).
//!
//! ```
//! use amqp1_codec::messaging::section_code::{DATA, FOOTER, HEADER, may_follow};
//!
//! assert!(may_follow(DATA, HEADER) && may_follow(DATA, DATA) && may_follow(FOOTER, DATA));
//! assert!(!may_follow(HEADER, HEADER) && !may_follow(DATA, FOOTER));
//! ```

use crate::types::KNOWN;

/// Transport headers (§3.2.1).
pub const HEADER: u8 = 0x70;
/// Annotations for the next hop (§3.2.2).
pub const DELIVERY_ANNOTATIONS: u8 = 0x71;
/// Annotations for all hops (§3.2.3).
pub const MESSAGE_ANNOTATIONS: u8 = 0x72;
/// Properties (§3.2.4).
pub const PROPERTIES: u8 = 0x73;
/// Properties of the application (§3.2.5).
pub const APPLICATION_PROPERTIES: u8 = 0x74;
/// A body, or a part of it, of octets (§3.2.6).
pub const DATA: u8 = 0x75;
/// A body, or a part of it, of a list (§3.2.7).
pub const AMQP_SEQUENCE: u8 = 0x76;
/// A body of one value (§3.2.8).
pub const AMQP_VALUE: u8 = 0x77;
/// The footer, behind the body (§3.2.9).
pub const FOOTER: u8 = 0x78;

/// Whether sections of this kind make up a body.
#[inline]
pub const fn is_body(code: u8) -> bool {
    matches!(code, DATA | AMQP_SEQUENCE | AMQP_VALUE)
}

/// Whether a section may stand right behind the section `last`, which is 0 at the start of a message (§3.2).
///
/// Sections stand in the order of their numbers, each at most once. Only *data* and *amqp-sequence* repeat, and a body has
/// sections of one kind.
#[inline]
pub const fn may_follow(code: u8, last: u8) -> bool {
    if code == last { matches!(code, DATA | AMQP_SEQUENCE) } else { code > last && !(is_body(code) && is_body(last)) }
}

/// The section with this symbolic descriptor.
pub fn of_symbol(symbol: &[u8]) -> Option<u8> {
    let found = KNOWN.iter().find(|(code, name)| (HEADER..=FOOTER).contains(code) && name.as_bytes() == symbol);
    found.map(|(code, _)| *code)
}

/// The order of the sections of one message, of which some may stand in a wrong place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionOrder {
    highest: u8,
    last: u8,
}

impl SectionOrder {
    /// Notes the next section, or 0 for what is not a section of a message. Returns whether it may stand here: that
    /// [`may_follow`] allows it behind the one before, and behind those that already stood in a wrong place.
    #[inline]
    pub fn next(&mut self, code: u8) -> bool {
        let repeats = code == self.last && may_follow(code, self.last);
        let follows = repeats || (code != self.highest && may_follow(code, self.highest));
        self.last = code;
        self.highest = if code > self.highest { code } else { self.highest };
        follows
    }

    /// The highest section so far; 0 before the first.
    pub const fn highest(&self) -> u8 {
        self.highest
    }

    /// The last section, if it is of a message; 0 otherwise.
    pub const fn last(&self) -> u8 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn in_order(codes: &[u8]) -> Vec<bool> {
        let mut order = SectionOrder::default();
        codes.iter().map(|code| order.next(*code)).collect()
    }

    #[test]
    fn m_3_2_1_all_sections_stand_in_their_order_once() {
        let all = [HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES, DATA, FOOTER];
        assert_eq!(in_order(&all), [true; 7]);
        for (place, first) in all.iter().enumerate() {
            for (other, second) in all.iter().enumerate() {
                let expected = place < other || (place == other && *first == DATA);
                assert_eq!((may_follow(*second, *first), in_order(&[*first, *second])[1]), (expected, expected));
            }
        }
    }

    #[test]
    fn m_3_2_2_a_body_is_of_one_kind() {
        for (first, second, allowed) in [
            (DATA, DATA, true),
            (AMQP_SEQUENCE, AMQP_SEQUENCE, true),
            (AMQP_VALUE, AMQP_VALUE, false),
            (DATA, AMQP_SEQUENCE, false),
            (DATA, AMQP_VALUE, false),
            (AMQP_SEQUENCE, AMQP_VALUE, false),
        ] {
            assert_eq!(in_order(&[first, second]), [true, allowed], "{first:#x} {second:#x}");
        }
    }

    /// A section in a wrong place does not make room for those that should have stood before it.
    #[test]
    fn what_follows_a_section_in_a_wrong_place_is_compared_with_all_before() {
        assert_eq!(in_order(&[DATA, PROPERTIES, DATA]), [true, false, false]);
        assert_eq!(in_order(&[FOOTER, DATA, DATA, HEADER]), [true, false, true, false]);
        assert_eq!(in_order(&[DATA, 0, DATA]), [true, false, false]);
    }

    #[test]
    fn sections_have_their_symbols() {
        assert_eq!(of_symbol(b"amqp:header:list"), Some(HEADER));
        assert_eq!(of_symbol(b"amqp:amqp-value:*"), Some(AMQP_VALUE));
        assert_eq!((of_symbol(b"amqp:open:list"), of_symbol(b"")), (None, None));
    }
}
