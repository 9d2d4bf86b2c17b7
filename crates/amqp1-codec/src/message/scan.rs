//! One pass over the headers of a message's sections.

use super::{Apart, Chunks, Message, cursor::Cursor};
use crate::{
    DecodeError, DecodeErrorKind, Limits, Reader, messaging::section_code as section, types::format_code as code,
};
use alloc::{boxed::Box, vec::Vec};
use bytes::{Bytes, BytesMut};

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

/// A section's descriptor and value.
pub(super) struct Section {
    pub(super) number: u8,
    /// Octets from the start of the descriptor to the start of the value.
    pub(super) descriptor: usize,
    /// Octets of the value.
    pub(super) value: usize,
}

/// Where a section stands in the message, its descriptor included.
#[derive(Clone, Copy)]
struct Extent {
    start: usize,
    value: usize,
    end: usize,
}

/// The sections of a message, as they were found.
#[derive(Default)]
struct Layout {
    /// Header to application-properties, by their numbers.
    head: [Option<Extent>; 5],
    /// The body's sections, which follow one another.
    body: Option<(u8, Extent)>,
    footer: Option<Extent>,
    last: u8,
    /// Whether a section stood before one that it should follow, which is only allowed by a switch.
    misplaced: bool,
}

impl Layout {
    /// Notes a section, if it may stand here (§3.2): each at most once, but data and sequences.
    fn add(&mut self, section: &Section, start: usize, limits: Limits) -> Result<usize, DecodeErrorKind> {
        let number = section.number;
        let value = start.saturating_add(section.descriptor);
        let end = value.saturating_add(section.value);
        let extent = Extent { start, value, end };
        let repeats = self.last == number && matches!(number, section::DATA | section::AMQP_SEQUENCE);
        if number <= self.last && !repeats {
            if !limits.any_section_order {
                return Err(DecodeErrorKind::SectionOrder);
            }
            self.misplaced = true;
        }
        self.last = number;
        let slot = match number {
            section::FOOTER => &mut self.footer,
            section::DATA | section::AMQP_SEQUENCE | section::AMQP_VALUE => {
                match &mut self.body {
                    Some((_, body)) if repeats => body.end = end,
                    // One kind of body, in one place.
                    Some(_) => return Err(DecodeErrorKind::SectionOrder),
                    body => *body = Some((number, extent)),
                }
                return Ok(end);
            }
            head => self
                .head
                .get_mut(usize::from(head.saturating_sub(section::HEADER)))
                .ok_or(DecodeErrorKind::UnexpectedDescriptor)?,
        };
        match slot {
            Some(_) => Err(DecodeErrorKind::SectionOrder),
            slot => {
                *slot = Some(extent);
                Ok(end)
            }
        }
    }

    /// Puts the message together from the chunks that it was found in.
    fn assemble(self, chunks: Chunks, end: usize, limits: Limits) -> Result<Message, DecodeError> {
        if limits.strict && self.body.is_none() {
            let offset = u32::try_from(end).unwrap_or(u32::MAX);
            return Err(DecodeError { kind: DecodeErrorKind::MissingBody, offset });
        }
        let chunks = match chunks {
            Chunks::One(head) if !self.misplaced => {
                return Ok(Message { head, apart: None, index: self.in_place(), limits });
            }
            chunks => chunks,
        };
        let mut head = BytesMut::new();
        for extent in self.head.iter().flatten() {
            let copy = &mut |chunk: Bytes| head.extend_from_slice(&chunk);
            Cursor::new(chunks.as_slice()).range(extent.start, extent.end, copy)?;
        }
        let mut tail = BytesMut::new();
        if let Some(extent) = self.footer {
            let copy = &mut |chunk: Bytes| tail.extend_from_slice(&chunk);
            Cursor::new(chunks.as_slice()).range(extent.start, extent.end, copy)?;
        }
        let mut body = Vec::new();
        if let Some((_, extent)) = self.body {
            Cursor::new(chunks.as_slice()).range(extent.start, extent.end, &mut |chunk| body.push(chunk))?;
        }
        let index = self.gathered();
        let apart = Apart { body: joined(body, index.body_number), tail: tail.freeze() };
        let message = Message { head: head.freeze(), apart: Some(Box::new(apart)), index, limits };
        message.check_extents()?;
        Ok(message)
    }

    /// The places in the octets that were scanned.
    fn in_place(&self) -> Index {
        let value = |extent: Option<Extent>| extent.map_or_else(Range::default, |at| Range::new(at.value, at.end));
        Index {
            head: self.head.map(value),
            body_number: self.body.map_or(0, |(number, _)| number),
            body: self.body.map_or_else(Range::default, |(_, at)| Range::new(at.start, at.end)),
            footer: value(self.footer),
        }
    }

    /// The places after the sections before the body were put together, and the body and the footer each apart.
    fn gathered(&self) -> Index {
        let moved = |extent: Extent, to: usize| {
            let moved = |at: usize| at.saturating_sub(extent.start).saturating_add(to);
            Range::new(moved(extent.value), moved(extent.end))
        };
        let mut at = 0usize;
        let head = self.head.map(|extent| {
            let Some(extent) = extent else { return Range::default() };
            let range = moved(extent, at);
            at = range.end();
            range
        });
        let (body_number, body) = match self.body {
            Some((number, at)) => (number, Range::new(0, at.end.saturating_sub(at.start))),
            None => (0, Range::default()),
        };
        Index { head, body_number, body, footer: self.footer.map_or_else(Range::default, |extent| moved(extent, 0)) }
    }
}

/// Data stays in the pieces that it came in; other bodies are made one piece.
fn joined(mut pieces: Vec<Bytes>, body_number: u8) -> Chunks {
    if body_number == section::DATA && pieces.len() > 1 {
        return Chunks::Many(pieces);
    }
    if pieces.len() <= 1 {
        return Chunks::One(pieces.pop().unwrap_or_default());
    }
    let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| all.extend_from_slice(piece));
    Chunks::One(all.freeze())
}

/// Finds the sections. All but data sections that straddle chunks are joined once.
#[inline]
pub(super) fn scan(chunks: Chunks, limits: Limits) -> Result<Message, DecodeError> {
    match chunks {
        Chunks::One(head) => match scan_usual(&head, limits) {
            Some(index) => Ok(Message { head, apart: None, index, limits }),
            None => scan_any(Chunks::One(head), limits),
        },
        many => scan_any(many, limits),
    }
}

/// Finds the sections as they are mostly written: small descriptors, in their order, in one piece. `None` leaves what
/// is unusual or wrong to [`scan_any`].
fn scan_usual(octets: &[u8], limits: Limits) -> Option<Index> {
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
        let repeats = *number == last && matches!(*number, section::DATA | section::AMQP_SEQUENCE);
        if *number <= last && !repeats {
            return None;
        }
        last = *number;
        match *number {
            section::FOOTER => index.footer = Range::new(value, at),
            section::DATA | section::AMQP_SEQUENCE | section::AMQP_VALUE => {
                if index.body_number == 0 {
                    (index.body_number, index.body) = (*number, Range::new(start, at));
                } else if repeats {
                    index.body.end = at;
                } else {
                    return None;
                }
            }
            _ => *index.head.get_mut(usize::from(number.wrapping_sub(section::HEADER)))? = Range::new(value, at),
        }
    }
    (rest.is_empty() && !(limits.strict && index.body_number == 0)).then_some(index)
}

/// Finds the sections, however they are written.
#[inline(never)]
fn scan_any(chunks: Chunks, limits: Limits) -> Result<Message, DecodeError> {
    let mut layout = Layout::default();
    let mut at = 0usize;
    match &chunks {
        Chunks::One(octets) => {
            let mut reader = Reader::with_limits(octets, limits);
            while !reader.is_empty() {
                let start = reader;
                let section = next_section(&mut reader)?;
                at = layout.add(&section, at, limits).map_err(|kind| start.error(kind))?;
            }
        }
        Chunks::Many(chunks) => {
            let mut cursor = Cursor::new(chunks);
            while !cursor.is_empty() {
                let section = cursor.measure(limits)?;
                at = layout.add(&section, at, limits).map_err(|kind| cursor.error(kind))?;
                cursor.skip(section.descriptor.saturating_add(section.value))?;
            }
        }
    }
    layout.assemble(chunks, at, limits)
}

/// Takes the next section and checks that its value has the type that its descriptor demands.
fn next_section(reader: &mut Reader<'_>) -> Result<Section, DecodeError> {
    let start = *reader;
    let number = section_start(reader)?;
    let descriptor = start.remaining().saturating_sub(reader.remaining());
    let value = reader.skip()?.len();
    Ok(Section { number, descriptor, value })
}

/// Takes a section's descriptor and checks the type of the value that follows.
pub(super) fn section_start(reader: &mut Reader<'_>) -> Result<u8, DecodeError> {
    let start = *reader;
    let number = reader
        .descriptor_number()?
        .filter(is_section)
        .ok_or_else(|| start.error(DecodeErrorKind::UnexpectedDescriptor))?;
    let format = reader.peek().ok_or_else(|| reader.error(DecodeErrorKind::Truncated))?;
    check_type(number, format).map_err(|kind| reader.error(kind))?;
    Ok(number)
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

impl Message {
    /// Sections that were gathered from chunks were measured only; here their values' ends are checked.
    fn check_extents(&self) -> Result<(), DecodeError> {
        let tail = self.tail();
        let head = self.index.head.into_iter().map(|range| (&self.head, range));
        for (octets, range) in head.chain([(tail, self.index.footer)]) {
            if let Some(value) = range.of(octets) {
                let mut reader = Reader::part(octets, value, self.limits);
                reader.skip()?;
                reader.finish()?;
            }
        }
        Ok(())
    }
}
