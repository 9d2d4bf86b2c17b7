//! One pass over the headers of a message's sections.

use super::{Chunks, Message, layout::Layout, walk::Walk};
use crate::{
    DecodeError, DecodeErrorKind, Reader, limits::Packed, messaging::section_code as section,
    types::format_code as code,
};
use bytes::Bytes;

/// Where something stands; nowhere, if it is not there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Range {
    start: usize,
    end: usize,
}

impl Range {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Whether it is there: no section begins with its value, and none is empty.
    #[inline]
    pub(super) fn is_there(self) -> bool {
        self.end > 0
    }

    pub(super) fn start(self) -> usize {
        self.start
    }

    pub(super) fn end(self) -> usize {
        self.end
    }

    #[inline]
    pub(super) fn of(self, octets: &Bytes) -> Option<&[u8]> {
        if self.is_there() { octets.get(self.start()..self.end()) } else { None }
    }
}

/// Which sections a message has, and where; the descriptors are left out of the ranges, but for the body's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Index {
    /// Header to application-properties, by their numbers.
    pub(super) head: [Range; 5],
    /// The numeric descriptor of the body's sections; 0 if there are none.
    pub(super) body_number: u8,
    /// The body's sections, descriptors included.
    pub(super) body: Range,
    pub(super) footer: Range,
}

impl Index {
    /// Where the value of a section before the body stands.
    #[inline]
    pub(super) fn head(&self, number: u8) -> Range {
        self.head.get(usize::from(number.wrapping_sub(section::HEADER))).copied().unwrap_or_default()
    }
}

/// Finds the sections, whatever is wrong with them.
#[inline]
pub(super) fn scan(chunks: Chunks, limits: Packed) -> Message {
    match chunks {
        Chunks::One(head) => match scan_usual(&head, limits) {
            Some(index) => Message { head, apart: None, index, limits },
            None => scan_any(Chunks::One(head), limits),
        },
        many => scan_any(many, limits),
    }
}

/// As [`scan`], and refuses what is wrong.
#[inline]
pub(super) fn scan_strictly(chunks: Chunks, limits: Packed) -> Result<Message, DecodeError> {
    match chunks {
        Chunks::One(head) => match scan_usual(&head, limits) {
            Some(index) => Ok(Message { head, apart: None, index, limits }),
            None => scan_any_strictly(Chunks::One(head), limits),
        },
        many => scan_any_strictly(many, limits),
    }
}

#[inline(never)]
fn scan_any_strictly(chunks: Chunks, limits: Packed) -> Result<Message, DecodeError> {
    let message = scan_any(chunks, limits);
    match message.layout_error() {
        None => Ok(message),
        Some(error) => Err(error),
    }
}

/// Finds the sections as they are mostly written: small descriptors, in their order, in one piece. `None` leaves what
/// is unusual or wrong to [`scan_any`].
fn scan_usual(octets: &[u8], limits: Packed) -> Option<Index> {
    const DESCRIPTOR: usize = 3;
    let mut index = Index::default();
    let (mut rest, mut at, mut last) = (octets, 0usize, 0);
    while let [code::DESCRIBED, code::SMALL_ULONG, number, format, ..] = rest {
        let data = code::length(rest.get(DESCRIPTOR..)?)?;
        let length = data.checked_add(DESCRIPTOR)?;
        rest = rest.get(length..)?;
        let (start, value) = (at, at.wrapping_add(DESCRIPTOR));
        at = at.wrapping_add(length);
        if !fits(*number, *format) {
            return None;
        }
        if !section::may_follow(*number, last) {
            return None;
        }
        last = *number;
        match *number {
            section::FOOTER => index.footer = Range::new(value, at),
            section::DATA | section::AMQP_SEQUENCE | section::AMQP_VALUE => {
                if index.body_number == 0 {
                    (index.body_number, index.body) = (*number, Range::new(start, at));
                } else {
                    index.body.end = at;
                }
            }
            _ => *index.head.get_mut(usize::from(number.wrapping_sub(section::HEADER)))? = Range::new(value, at),
        }
    }
    (rest.is_empty() && !(limits.strict() && index.body_number == 0)).then_some(index)
}

/// Finds the sections, however they are written.
#[inline(never)]
fn scan_any(chunks: Chunks, limits: Packed) -> Message {
    let mut layout = Layout::new(limits);
    let mut walk = Walk::new(&chunks, limits);
    while let Some(section) = walk.next_section() {
        match section {
            Ok(section) => layout.add(&section),
            Err(stop) => {
                layout.stop(stop);
                break;
            }
        }
    }
    layout.assemble(chunks)
}

/// How a section begins.
pub(super) struct Start {
    /// Its numeric descriptor; 0 if it is none of a section.
    pub(super) number: u8,
    /// The error in it.
    pub(super) fault: Option<DecodeError>,
}

/// Takes a section's descriptor and looks at the type of the value that follows.
pub(super) fn section_start(reader: &mut Reader<'_>) -> Result<Start, DecodeError> {
    let start = *reader;
    let Some(number) = reader.descriptor_number()?.filter(is_section) else {
        let fault = Some(start.error(DecodeErrorKind::UnexpectedDescriptor));
        return Ok(Start { number: 0, fault });
    };
    let format = reader.peek().ok_or_else(|| reader.error(DecodeErrorKind::Truncated))?;
    let fault = check_type(number, format).err().map(|kind| reader.error(kind));
    Ok(Start { number, fault })
}

fn is_section(number: &u8) -> bool {
    (section::HEADER..=section::FOOTER).contains(number)
}

/// Whether the value of a section has the type that it must have.
#[inline]
fn fits(number: u8, format: u8) -> bool {
    match format {
        code::LIST0 | code::LIST8 | code::LIST32 => {
            matches!(number, section::HEADER | section::PROPERTIES | section::AMQP_SEQUENCE | section::AMQP_VALUE)
        }
        code::VBIN8 | code::VBIN32 => matches!(number, section::DATA | section::AMQP_VALUE),
        code::MAP8 | code::MAP32 => {
            !matches!(number, section::HEADER | section::PROPERTIES | section::AMQP_SEQUENCE | section::DATA)
        }
        _ => number == section::AMQP_VALUE,
    }
}

fn check_type(number: u8, format: u8) -> Result<(), DecodeErrorKind> {
    match (fits(number, format), code::is_known(format)) {
        (true, _) => Ok(()),
        (false, true) => Err(DecodeErrorKind::UnexpectedFormatCode(format)),
        (false, false) => Err(DecodeErrorKind::UnknownFormatCode(format)),
    }
}
