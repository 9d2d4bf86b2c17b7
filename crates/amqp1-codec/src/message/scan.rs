//! One pass over the headers of a message's sections.

use super::{Chunks, Message};
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

/// A section's descriptor and value, whole or, of a data section in several chunks, only its extent.
struct Section {
    number: u8,
    /// Octets from the start of the descriptor to the start of the value.
    descriptor: usize,
    /// Octets of the value.
    value: usize,
}

/// Finds the sections. All but data sections that straddle chunks are joined once.
pub(super) fn scan(chunks: Chunks, limits: Limits) -> Result<Message, DecodeError> {
    match chunks {
        Chunks::One(chunk) => scan_one(chunk, limits),
        Chunks::Many(chunks) => scan_many(&chunks, limits),
    }
}

fn scan_one(octets: Bytes, limits: Limits) -> Result<Message, DecodeError> {
    let mut index = Index::default();
    let (mut body_start, mut body_end) = (None, octets.len());
    let mut order = Order::default();
    let mut reader = Reader::with_limits(&octets, limits);
    let mut at = 0usize;
    while !reader.is_empty() {
        let start = reader;
        let found = next_section(&mut reader)?;
        order.check(found.number).map_err(|kind| start.error(kind))?;
        let value = at.saturating_add(found.descriptor);
        let end = value.saturating_add(found.value);
        match found.number {
            section::FOOTER => {
                body_start.get_or_insert(at);
                body_end = at;
                index.footer = Some(Range::new(found.descriptor, end.saturating_sub(at)));
            }
            section::DATA | section::AMQP_SEQUENCE | section::AMQP_VALUE => {
                body_start.get_or_insert(at);
                index.body = Some(found.number);
            }
            head => set_head(&mut index, head, Range::new(value, end)),
        }
        at = end;
    }
    order.check_end(limits).map_err(|kind| reader.error(kind))?;
    let body_start = body_start.unwrap_or(octets.len());
    let mut head = octets;
    let mut body = head.split_off(body_start);
    let tail = body.split_off(body_end.saturating_sub(body_start).min(body.len()));
    Ok(Message { head, body: Chunks::One(body), tail, index, limits })
}

/// The same over chunks: data sections are left where they are, everything else is gathered.
fn scan_many(chunks: &[Bytes], limits: Limits) -> Result<Message, DecodeError> {
    let mut cursor = Cursor { chunks, at: 0, offset: 0 };
    let mut index = Index::default();
    let mut order = Order::default();
    let (mut head, mut tail) = (BytesMut::new(), BytesMut::new());
    let mut body: Vec<Bytes> = Vec::new();
    let mut joined = BytesMut::new();
    while !cursor.is_empty() {
        let extent = cursor.measure(limits)?;
        order.check(extent.number).map_err(|kind| cursor.error(kind))?;
        let whole = extent.descriptor.saturating_add(extent.value);
        match extent.number {
            section::DATA => {
                cursor.take_into(whole, &mut |chunk| body.push(chunk))?;
                index.body = Some(section::DATA);
            }
            section::AMQP_SEQUENCE | section::AMQP_VALUE => {
                cursor.take_into(whole, &mut |chunk| joined.extend_from_slice(&chunk))?;
                index.body = Some(extent.number);
            }
            section::FOOTER => {
                cursor.take_into(whole, &mut |chunk| tail.extend_from_slice(&chunk))?;
                index.footer = Some(Range::new(extent.descriptor, whole));
            }
            number => {
                let start = head.len().saturating_add(extent.descriptor);
                cursor.take_into(whole, &mut |chunk| head.extend_from_slice(&chunk))?;
                set_head(&mut index, number, Range::new(start, head.len()));
            }
        }
    }
    order.check_end(limits).map_err(|kind| cursor.error(kind))?;
    let body = if index.body == Some(section::DATA) { Chunks::Many(body) } else { Chunks::One(joined.freeze()) };
    let message = Message { head: head.freeze(), body, tail: tail.freeze(), index, limits };
    message.check_extents()?;
    Ok(message)
}

fn set_head(index: &mut Index, number: u8, range: Range) {
    let slot = match number {
        section::HEADER => &mut index.header,
        section::DELIVERY_ANNOTATIONS => &mut index.delivery_annotations,
        section::MESSAGE_ANNOTATIONS => &mut index.message_annotations,
        section::PROPERTIES => &mut index.properties,
        _ => &mut index.application_properties,
    };
    *slot = Some(range);
}

/// Takes the next section and checks that its value has the type that its descriptor demands.
fn next_section(reader: &mut Reader<'_>) -> Result<Section, DecodeError> {
    let start = *reader;
    let number =
        section_number(reader.descriptor()?).ok_or_else(|| start.error(DecodeErrorKind::UnexpectedDescriptor))?;
    let format = reader.peek().ok_or_else(|| reader.error(DecodeErrorKind::Truncated))?;
    check_type(number, format).map_err(|kind| reader.error(kind))?;
    let descriptor = start.remaining().saturating_sub(reader.remaining());
    let value = reader.skip()?.len();
    Ok(Section { number, descriptor, value })
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

/// The order of sections (§3.2): each at most once, but data and sequences.
#[derive(Default)]
struct Order {
    last: u8,
    body: bool,
}

impl Order {
    fn check(&mut self, number: u8) -> Result<(), DecodeErrorKind> {
        let repeats = self.last == number && matches!(number, section::DATA | section::AMQP_SEQUENCE);
        let is_body = matches!(number, section::DATA | section::AMQP_SEQUENCE | section::AMQP_VALUE);
        // One kind of body; a footer only after a body.
        let misplaced = (is_body && self.body && !repeats) || (number == section::FOOTER && !self.body);
        if misplaced || (number <= self.last && !repeats) {
            return Err(DecodeErrorKind::SectionOrder);
        }
        self.last = number;
        self.body |= is_body;
        Ok(())
    }

    fn check_end(&self, limits: Limits) -> Result<(), DecodeErrorKind> {
        if limits.strict && !self.body { Err(DecodeErrorKind::MissingBody) } else { Ok(()) }
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

/// A position in several chunks.
struct Cursor<'a> {
    chunks: &'a [Bytes],
    /// Octets taken from the first chunk.
    at: usize,
    /// Octets taken in all.
    offset: usize,
}

impl Cursor<'_> {
    fn is_empty(&self) -> bool {
        self.chunks.iter().map(Bytes::len).sum::<usize>() <= self.at
    }

    fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { kind, offset: u32::try_from(self.offset).unwrap_or(u32::MAX) }
    }

    /// Octets that are left, up to `most`, in one piece.
    fn peek(&self, most: usize) -> Bytes {
        let mut at = self.at;
        let mut joined = BytesMut::new();
        for chunk in self.chunks {
            let rest = chunk.slice(at.min(chunk.len())..);
            at = 0;
            if joined.is_empty() && rest.len() >= most {
                return rest.slice(..most);
            }
            let wanted = most.saturating_sub(joined.len()).min(rest.len());
            joined.extend_from_slice(rest.get(..wanted).unwrap_or_default());
            if joined.len() >= most {
                break;
            }
        }
        joined.freeze()
    }

    /// The kind and the extent of the section that begins here.
    fn measure(&self, limits: Limits) -> Result<Section, DecodeError> {
        // Enough for a descriptor by name, a constructor and its size; values of amqp-value sections may begin with
        // descriptors of any length, so these are tried with ever more.
        let mut window = 128usize;
        loop {
            let octets = self.peek(window);
            let whole = octets.len() < window;
            match self.measure_in(&octets, limits) {
                Err(error) if error.kind == DecodeErrorKind::Truncated && !whole => window = window.saturating_mul(8),
                other => return other.map_err(|error| self.error(error.kind)),
            }
        }
    }

    fn measure_in(&self, octets: &Bytes, limits: Limits) -> Result<Section, DecodeError> {
        let mut reader = Reader::with_limits(octets, limits);
        let start = reader;
        let number =
            section_number(reader.descriptor()?).ok_or_else(|| start.error(DecodeErrorKind::UnexpectedDescriptor))?;
        let format = reader.peek().ok_or_else(|| reader.error(DecodeErrorKind::Truncated))?;
        check_type(number, format).map_err(|kind| reader.error(kind))?;
        let descriptor = start.remaining().saturating_sub(reader.remaining());
        let value_start = reader.remaining();
        // Skip whatever describes the value; the last constructor says how long the data is.
        while reader.peek() == Some(code::DESCRIBED) {
            reader.u8()?;
            reader.descend()?;
            reader.skip()?;
        }
        let format = reader.u8()?;
        let data = match code::width(format) {
            Some(code::Width::Fixed(width)) => usize::from(width),
            Some(code::Width::Counted8) => usize::from(reader.u8()?),
            Some(code::Width::Counted32) => usize::try_from(reader.be_u32()?).unwrap_or(usize::MAX),
            None => return Err(reader.wrong_code(format)),
        };
        let value = value_start.saturating_sub(reader.remaining()).saturating_add(data);
        Ok(Section { number, descriptor, value })
    }

    /// Takes `count` octets, in the pieces they lie in.
    fn take_into(&mut self, mut count: usize, sink: &mut dyn FnMut(Bytes)) -> Result<(), DecodeError> {
        while count > 0 {
            let Some((first, rest)) = self.chunks.split_first() else {
                return Err(self.error(DecodeErrorKind::Truncated));
            };
            let available = first.len().saturating_sub(self.at);
            let taken = available.min(count);
            let end = self.at.saturating_add(taken);
            sink(first.slice(self.at..end));
            count = count.saturating_sub(taken);
            self.offset = self.offset.saturating_add(taken);
            if end == first.len() {
                self.chunks = rest;
                self.at = 0;
            } else {
                self.at = end;
            }
        }
        Ok(())
    }
}
