//! One pass over the headers of a message's sections.

use super::{Chunks, Message, cursor::Cursor};
use crate::{
    DecodeError, DecodeErrorKind, Descriptor, Limits, Reader, messaging::section_code as section,
    types::format_code as code,
};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

/// Where a section's value stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    start: u32,
    end: u32,
}

impl Range {
    fn new(start: usize, end: usize) -> Self {
        let clamp = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: clamp(start), end: clamp(end) }
    }

    pub(super) fn of<'a>(&self, octets: &'a Bytes) -> Option<&'a [u8]> {
        octets.get(usize::try_from(self.start).ok()?..usize::try_from(self.end).ok()?)
    }
}

/// Which sections a message has, and where; the descriptors are left out of the ranges.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Index {
    pub(super) header: Option<Range>,
    pub(super) delivery_annotations: Option<Range>,
    pub(super) message_annotations: Option<Range>,
    pub(super) properties: Option<Range>,
    pub(super) application_properties: Option<Range>,
    /// The numeric descriptor of the body's sections.
    pub(super) body: Option<u8>,
    pub(super) footer: Option<Range>,
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
        let tail_start = self.footer.map_or(end, |footer| footer.start);
        let (body_start, body_end) = self.body.map_or((tail_start, tail_start), |(_, body)| (body.start, body.end));
        let index = self.index();
        let body_kind = self.body.map(|(number, _)| number);
        let in_place = matches!(chunks, Chunks::One(_)) && !self.misplaced;
        let (head, body, tail) = match chunks {
            Chunks::One(mut head) if in_place => {
                let mut body = head.split_off(body_start.min(head.len()));
                let tail = body.split_off(body_end.saturating_sub(body_start).min(body.len()));
                (head, Chunks::One(body), tail)
            }
            chunks => {
                let mut gathered = BytesMut::new();
                for extent in self.head.iter().flatten() {
                    let copy = &mut |chunk: Bytes| gathered.extend_from_slice(&chunk);
                    Cursor::new(chunks.as_slice()).range(extent.start, extent.end, copy)?;
                }
                let mut tail = BytesMut::new();
                if let Some(extent) = self.footer {
                    let copy = &mut |chunk: Bytes| tail.extend_from_slice(&chunk);
                    Cursor::new(chunks.as_slice()).range(extent.start, extent.end, copy)?;
                }
                let mut body = Vec::new();
                Cursor::new(chunks.as_slice()).range(body_start, body_end, &mut |chunk| body.push(chunk))?;
                (gathered.freeze(), joined(body, body_kind), tail.freeze())
            }
        };
        let message = Message { head, body, tail, index, limits };
        if !in_place {
            message.check_extents()?;
        }
        Ok(message)
    }

    /// The places of the values, counted from the start of the head or of the tail.
    fn index(&self) -> Index {
        let mut at = 0usize;
        let mut head = self.head.iter().map(|extent| {
            let extent = (*extent)?;
            let descriptor = extent.value.saturating_sub(extent.start);
            let start = at;
            at = at.saturating_add(extent.end.saturating_sub(extent.start));
            Some(Range::new(start.saturating_add(descriptor), at))
        });
        let mut next = || head.next().flatten();
        Index {
            header: next(),
            delivery_annotations: next(),
            message_annotations: next(),
            properties: next(),
            application_properties: next(),
            body: self.body.map(|(number, _)| number),
            footer: self.footer.map(|footer| {
                Range::new(footer.value.saturating_sub(footer.start), footer.end.saturating_sub(footer.start))
            }),
        }
    }
}

/// Data stays in the pieces that it came in; other bodies are made one piece.
fn joined(mut pieces: Vec<Bytes>, kind: Option<u8>) -> Chunks {
    if kind == Some(section::DATA) && pieces.len() > 1 {
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
pub(super) fn scan(chunks: Chunks, limits: Limits) -> Result<Message, DecodeError> {
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
    let number =
        section_number(reader.descriptor()?).ok_or_else(|| start.error(DecodeErrorKind::UnexpectedDescriptor))?;
    let format = reader.peek().ok_or_else(|| reader.error(DecodeErrorKind::Truncated))?;
    check_type(number, format).map_err(|kind| reader.error(kind))?;
    Ok(number)
}

fn section_number(descriptor: Descriptor) -> Option<u8> {
    let number = u8::try_from(descriptor.code()?).ok()?;
    (section::HEADER..=section::FOOTER).contains(&number).then_some(number)
}

fn check_type(number: u8, format: u8) -> Result<(), DecodeErrorKind> {
    let fits = match number {
        section::HEADER | section::PROPERTIES | section::AMQP_SEQUENCE => {
            matches!(format, code::LIST0 | code::LIST8 | code::LIST32)
        }
        section::DATA => matches!(format, code::VBIN8 | code::VBIN32),
        section::AMQP_VALUE => true,
        _ => matches!(format, code::MAP8 | code::MAP32),
    };
    match (fits, code::is_known(format)) {
        (true, _) => Ok(()),
        (false, true) => Err(DecodeErrorKind::UnexpectedFormatCode(format)),
        (false, false) => Err(DecodeErrorKind::UnknownFormatCode(format)),
    }
}

impl Message {
    /// Sections that were gathered from chunks were measured only; here their values' ends are checked.
    fn check_extents(&self) -> Result<(), DecodeError> {
        let index = &self.index;
        for (octets, range) in [
            (&self.head, index.header),
            (&self.head, index.delivery_annotations),
            (&self.head, index.message_annotations),
            (&self.head, index.properties),
            (&self.head, index.application_properties),
            (&self.tail, index.footer),
        ] {
            if let Some(value) = range.and_then(|range| range.of(octets)) {
                let mut reader = Reader::part(octets, value, self.limits);
                reader.skip()?;
                reader.finish()?;
            }
        }
        Ok(())
    }
}
