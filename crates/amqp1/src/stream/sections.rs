//! Takes an encoded message apart as its octets come: what is not body is gathered, what is body is passed on.

use amqp1_codec::{DecodeError, EncodedMessage, Message};
use bytes::{Buf, Bytes, BytesMut};
use std::{collections::VecDeque, fmt};

/// What the sections around the body may take together, in octets.
const AROUND: usize = 256 * 1024;

/// The longest that stands before the content of a section: a symbolic descriptor and a constructor with its size.
const HEADER: usize = 64;

const DATA: &[u8] = b"amqp:data:binary";

/// Why a stream cannot be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A section of the body that is not data.
    NotData,
    /// What stands there is no section.
    NoSection,
    /// The sections around the body take too much.
    TooLarge,
    /// The message ends within a section.
    Truncated,
}

enum Place {
    /// Between sections, with what there is of the next one's header.
    Between(Vec<u8>),
    /// In a data section, of which so many octets follow.
    Data(usize),
    /// In another one.
    Around(usize),
}

/// A message that comes in pieces.
pub(crate) struct Sections {
    place: Place,
    head: BytesMut,
    /// What comes after the body.
    tail: BytesMut,
    body_begun: bool,
    ready: VecDeque<Bytes>,
}

/// How much there is of it; what it holds may be anybody's secret.
impl fmt::Debug for Sections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ready: usize = self.ready.iter().map(Bytes::len).sum();
        let octets = [self.head.len(), ready, self.tail.len()];
        f.debug_struct("Sections").field("octets", &octets).finish_non_exhaustive()
    }
}

/// What the octets at the front of a section say.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    /// More of them are needed.
    Wanting,
    /// A section whose header takes `header` octets and whose content takes `content`.
    Section { header: usize, content: usize, kind: Kind },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data,
    Around,
}

fn read_head(octets: &[u8]) -> Result<Head, Malformed> {
    let Some((described, rest)) = octets.split_first() else { return Ok(Head::Wanting) };
    if *described != 0 {
        return Err(Malformed::NoSection);
    }
    let Some((kind, descriptor)) = read_descriptor(rest)? else { return Ok(Head::Wanting) };
    let start = descriptor.saturating_add(1);
    let Some(value) = octets.get(start..).filter(|value| !value.is_empty()) else { return Ok(Head::Wanting) };
    let (before, width) = match (kind, value.first().copied()) {
        (Kind::Data, Some(0xa0)) | (Kind::Around, Some(0xc0 | 0xc1)) => (2, 1),
        (Kind::Data, Some(0xb0)) | (Kind::Around, Some(0xd0 | 0xd1)) => (5, 4),
        (Kind::Around, Some(0x45)) => (1, 0),
        _ => return Err(Malformed::NoSection),
    };
    let Some(size) = value.get(1..before) else { return Ok(Head::Wanting) };
    let content = size.iter().fold(0_usize, |size, octet| size << 8 | usize::from(*octet));
    debug_assert_eq!(size.len(), width);
    Ok(Head::Section { header: start.saturating_add(before), content, kind })
}

/// The kind of a section, and how many octets its descriptor takes.
fn read_descriptor(octets: &[u8]) -> Result<Option<(Kind, usize)>, Malformed> {
    let number = |number: u64| match number {
        0x70..=0x74 | 0x78 => Ok(Kind::Around),
        0x75 => Ok(Kind::Data),
        0x76 | 0x77 => Err(Malformed::NotData),
        _ => Err(Malformed::NoSection),
    };
    let Some((code, rest)) = octets.split_first() else { return Ok(None) };
    Ok(match code {
        0x53 => match rest.first() {
            Some(octet) => Some((number(u64::from(*octet))?, 2)),
            None => None,
        },
        0x80 => match rest.first_chunk() {
            Some(octets) => Some((number(u64::from_be_bytes(*octets))?, 9)),
            None => None,
        },
        0xa3 => {
            let Some((length, rest)) = rest.split_first() else { return Ok(None) };
            let length = usize::from(*length);
            if length.saturating_add(8) > HEADER {
                return Err(Malformed::NoSection);
            }
            let Some(name) = rest.get(..length) else { return Ok(None) };
            let kind = match name {
                name if name == DATA => Kind::Data,
                b"amqp:amqp-value:*" | b"amqp:amqp-sequence:list" => return Err(Malformed::NotData),
                b"amqp:header:list"
                | b"amqp:delivery-annotations:map"
                | b"amqp:message-annotations:map"
                | b"amqp:properties:list"
                | b"amqp:application-properties:map"
                | b"amqp:footer:map" => Kind::Around,
                _ => return Err(Malformed::NoSection),
            };
            Some((kind, length.saturating_add(2)))
        }
        _ => return Err(Malformed::NoSection),
    })
}

impl Sections {
    pub(crate) fn new() -> Self {
        Self {
            place: Place::Between(Vec::new()),
            head: BytesMut::new(),
            tail: BytesMut::new(),
            body_begun: false,
            ready: VecDeque::new(),
        }
    }

    /// Takes the next octets.
    pub(crate) fn push(&mut self, mut octets: Bytes) -> Result<(), Malformed> {
        while !octets.is_empty() {
            match &mut self.place {
                Place::Between(begun) => {
                    let before = begun.len();
                    let missing = HEADER.saturating_sub(before).min(octets.len());
                    begun.extend_from_slice(octets.get(..missing).unwrap_or_default());
                    match read_head(begun)? {
                        Head::Wanting if begun.len() >= HEADER => return Err(Malformed::NoSection),
                        Head::Wanting => octets.advance(missing),
                        Head::Section { header, content, kind } => {
                            octets.advance(header.saturating_sub(before));
                            let begun = std::mem::take(begun);
                            self.enter(begun.get(..header).unwrap_or_default(), content, kind)?;
                        }
                    }
                }
                Place::Data(left) => {
                    let data = octets.split_to((*left).min(octets.len()));
                    *left = left.saturating_sub(data.len());
                    if *left == 0 {
                        self.place = Place::Between(Vec::new());
                    }
                    self.ready.push_back(data);
                }
                Place::Around(left) => {
                    let part = octets.split_to((*left).min(octets.len()));
                    *left = left.saturating_sub(part.len());
                    if *left == 0 {
                        self.place = Place::Between(Vec::new());
                    }
                    self.gather(&part);
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, header: &[u8], content: usize, kind: Kind) -> Result<(), Malformed> {
        self.place = match (kind, content) {
            (_, 0) => Place::Between(Vec::new()),
            (Kind::Data, content) => Place::Data(content),
            (Kind::Around, content) => Place::Around(content),
        };
        match kind {
            Kind::Data => self.body_begun = true,
            Kind::Around => {
                let gathered = self.head.len().saturating_add(self.tail.len()).saturating_add(header.len());
                if gathered.saturating_add(content) > AROUND {
                    return Err(Malformed::TooLarge);
                }
                self.gather(header);
            }
        }
        Ok(())
    }

    fn gather(&mut self, octets: &[u8]) {
        let into = if self.body_begun { &mut self.tail } else { &mut self.head };
        into.extend_from_slice(octets);
    }

    /// No more will come.
    pub(crate) fn finish(&mut self) -> Result<(), Malformed> {
        match &self.place {
            Place::Between(begun) if begun.is_empty() => {
                self.body_begun = true;
                Ok(())
            }
            _ => Err(Malformed::Truncated),
        }
    }

    /// Whether everything before the body is there.
    pub(crate) fn has_head(&self) -> bool {
        self.body_begun
    }

    /// What came before the body.
    pub(crate) fn head(&self) -> Result<Message, DecodeError> {
        message(&self.head)
    }

    /// What came after it.
    pub(crate) fn tail(&self) -> Result<Message, DecodeError> {
        message(&self.tail)
    }

    /// The next octets of the body.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }
}

fn message(octets: &[u8]) -> Result<Message, DecodeError> {
    Message::from_chunks(EncodedMessage::from_parts([Bytes::copy_from_slice(octets)]).into_parts())
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::{Symbol, messaging::Properties};

    fn whole() -> Bytes {
        let properties = Properties { subject: Some("subject".into()), ..Properties::default() };
        let message = Message::builder().properties(properties).data(vec![1; 300]).data("two");
        message.footer(Symbol::from_static("x-opt-end"), true).build().into_parts().concat().into()
    }

    fn body(sections: &mut Sections) -> Vec<u8> {
        std::iter::from_fn(|| sections.take()).flatten().collect()
    }

    /// Also M-3.2.6-1: data sections one after the other are one body.
    #[test]
    fn m_3_2_1_1_a_message_is_taken_apart_however_it_is_cut() {
        let whole = whole();
        let expected = [&[1; 300][..], b"two"].concat();
        for size in 1..whole.len() + 1 {
            let mut sections = Sections::new();
            let mut got = Vec::new();
            for at in (0..whole.len()).step_by(size) {
                sections.push(whole.slice(at..whole.len().min(at + size))).expect("a message");
                got.extend(body(&mut sections));
            }
            sections.finish().expect("whole");
            assert_eq!(got, expected, "{size}");
            let head = sections.head().expect("a head").properties().expect("properties").expect("some");
            assert_eq!(head.subject.as_deref(), Some("subject"));
            assert!(sections.tail().expect("a tail").footer().expect("a footer").is_some());
        }
    }

    #[test]
    fn every_descriptor_form_of_data_is_data() {
        for descriptor in [&b"\x53\x75"[..], b"\x80\0\0\0\0\0\0\0\x75", b"\xa3\x10amqp:data:binary"] {
            let octets = [b"\0", descriptor, b"\xa0\x02hi"].concat();
            let mut sections = Sections::new();
            sections.push(octets.into()).expect("data");
            assert_eq!(body(&mut sections), b"hi");
            assert_eq!(sections.finish(), Ok(()));
        }
    }

    #[test]
    fn what_is_no_data_is_refused_and_told_apart() {
        let refused = |octets: &'static [u8]| Sections::new().push(Bytes::from_static(octets));
        assert_eq!(refused(b"\0\x53\x77\x40"), Err(Malformed::NotData));
        assert_eq!(refused(b"\0\x53\x76\x45"), Err(Malformed::NotData));
        assert_eq!(refused(b"hello"), Err(Malformed::NoSection));
        assert_eq!(refused(b"\0\x53\x75\xa1\x02hi"), Err(Malformed::NoSection));
        assert_eq!(refused(b"\0\x53\x72\xd1\x7f\xff\xff\xff"), Err(Malformed::TooLarge));
        assert_eq!(refused(&[0; 100]), Err(Malformed::NoSection));
        let mut half = Sections::new();
        half.push(Bytes::from_static(b"\0\x53\x75\xa0\x05he")).expect("so far");
        assert_eq!(half.finish(), Err(Malformed::Truncated));
    }
}
