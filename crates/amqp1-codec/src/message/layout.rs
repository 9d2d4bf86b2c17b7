//! Where a message's sections stand, and what of it cannot be read.

use super::{
    Apart, Chunks, Message, Pieces,
    cursor::Cursor,
    scan::{Index, Range},
    walk::{Section, Stop},
};
use crate::{
    DecodeError, DecodeErrorKind,
    limits::Packed,
    messaging::section_code::{self as section, SectionOrder},
};
use alloc::{boxed::Box, vec::Vec};
use bytes::{Bytes, BytesMut};

/// The kind of a section: one of those before the body, the body, or the footer.
pub(super) const BODY: u8 = section::AMQP_VALUE;
const SLOTS: [u8; 7] = [
    section::HEADER,
    section::DELIVERY_ANNOTATIONS,
    section::MESSAGE_ANNOTATIONS,
    section::PROPERTIES,
    section::APPLICATION_PROPERTIES,
    BODY,
    section::FOOTER,
];

const fn slot(number: u8) -> u8 {
    match number {
        section::DATA | section::AMQP_SEQUENCE => BODY,
        other => other,
    }
}

/// An error in a message's sections as such: their order, their types, their ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    first: Option<DecodeError>,
    /// Why each section cannot be read, in the order of [`SLOTS`].
    sections: [Option<DecodeError>; SLOTS.len()],
}

impl Faults {
    /// Octets that are not looked into.
    pub(super) fn opaque() -> Self {
        let opaque = Some(DecodeError::new(DecodeErrorKind::OpaqueMessage, 0));
        Self { first: opaque, sections: [opaque; SLOTS.len()] }
    }

    /// The first that was found.
    pub(super) fn first(&self) -> Option<DecodeError> {
        self.first
    }

    /// Why this section cannot be read.
    pub(super) fn of(&self, number: u8) -> Option<DecodeError> {
        let place = SLOTS.iter().position(|known| *known == slot(number))?;
        self.sections.get(place).copied().flatten()
    }

    fn note(&mut self, number: u8, error: DecodeError) {
        self.first.get_or_insert(error);
        let place = SLOTS.iter().position(|known| *known == slot(number));
        if let Some(fault) = place.and_then(|place| self.sections.get_mut(place)) {
            fault.get_or_insert(error);
        }
    }
}

/// Where a section stands in the message, its descriptor included.
#[derive(Clone, Copy)]
struct Extent {
    start: usize,
    value: usize,
    end: usize,
}

/// The sections of a message, as they were found.
pub(super) struct Layout {
    limits: Packed,
    /// Header to application-properties, by their numbers.
    head: [Option<Extent>; 5],
    /// The body's sections, which follow one another.
    body: Option<(u8, Extent)>,
    footer: Option<Extent>,
    order: SectionOrder,
    /// Octets in all sections so far.
    end: usize,
    /// Whether a section stood before one that it should follow, which is only allowed by a switch.
    misplaced: bool,
    faults: Faults,
    /// The first section that is none of a message. It may have been meant as the body.
    foreign: Option<DecodeError>,
}

impl Layout {
    pub(super) fn new(limits: Packed) -> Self {
        Self {
            limits,
            head: [None; 5],
            body: None,
            footer: None,
            order: SectionOrder::default(),
            end: 0,
            misplaced: false,
            faults: Faults::default(),
            foreign: None,
        }
    }

    /// Notes a section (§3.2): each may stand once, but data and sequences.
    pub(super) fn add(&mut self, section: &Section) {
        let number = section.number;
        let start = self.end;
        let value = start.saturating_add(section.descriptor);
        let end = value.saturating_add(section.value);
        self.end = end;
        if let Some(error) = section.fault {
            self.faults.note(number, error);
        }
        let repeats = number == self.order.last();
        let follows = self.order.next(number);
        if number == 0 {
            self.foreign = self.foreign.or(section.fault);
            return;
        }
        if !follows {
            if !self.limits.any_section_order() {
                self.faults.note(number, DecodeError::at(DecodeErrorKind::SectionOrder, start));
            }
            self.misplaced = true;
        }
        let extent = Extent { start, value, end };
        let found = match number {
            section::FOOTER => &mut self.footer,
            section::DATA | section::AMQP_SEQUENCE | section::AMQP_VALUE => {
                match &mut self.body {
                    Some((_, body)) if repeats && follows => body.end = end,
                    // One kind of body, in one place.
                    Some(_) => self.faults.note(number, DecodeError::at(DecodeErrorKind::SectionOrder, start)),
                    body => *body = Some((number, extent)),
                }
                return;
            }
            head => match self.head.get_mut(usize::from(head.saturating_sub(section::HEADER))) {
                Some(found) => found,
                None => return,
            },
        };
        match found {
            Some(_) => self.faults.note(number, DecodeError::at(DecodeErrorKind::SectionOrder, start)),
            found => *found = Some(extent),
        }
    }

    /// The octets that follow cannot be told apart: the sections that may stand in them cannot be read.
    pub(super) fn stop(&mut self, stop: Stop) {
        self.faults.note(stop.number, stop.error);
        let highest = self.order.highest().max(stop.number);
        for number in SLOTS {
            let found = match number {
                BODY => self.body.is_some(),
                section::FOOTER => self.footer.is_some(),
                head => self.found(head).is_some(),
            };
            if !found && (number >= highest || self.limits.any_section_order()) {
                self.faults.note(number, stop.error);
            }
        }
    }

    fn found(&self, number: u8) -> Option<Extent> {
        self.head.get(usize::from(number.wrapping_sub(section::HEADER))).copied().flatten()
    }

    /// Lets go of what cannot be read, and says whether there is any.
    fn drop_faults(&mut self) -> bool {
        if let (None, Some(error)) = (self.body, self.foreign) {
            self.faults.note(BODY, error);
        }
        if self.limits.strict() && self.body.is_none() && self.faults.of(BODY).is_none() {
            self.faults.note(BODY, DecodeError::at(DecodeErrorKind::MissingBody, self.end));
        }
        if self.faults.first.is_none() {
            return false;
        }
        for (found, number) in self.head.iter_mut().zip(SLOTS) {
            if self.faults.of(number).is_some() {
                *found = None;
            }
        }
        if self.faults.of(BODY).is_some() {
            self.body = None;
        }
        if self.faults.of(section::FOOTER).is_some() {
            self.footer = None;
        }
        true
    }

    /// Puts the message together from the chunks that it was found in.
    pub(super) fn assemble(mut self, chunks: Chunks) -> Message {
        let irregular = self.drop_faults() | self.misplaced;
        let limits = self.limits;
        let chunks = match chunks {
            Chunks::One(head) => {
                let index = self.in_place();
                let apart = irregular.then(|| Box::new(Apart { pieces: None, faults: self.faults, irregular }));
                return Message { head, apart, index, limits };
            }
            Chunks::Many(chunks) => chunks,
        };
        let mut head = BytesMut::new();
        for extent in self.head.iter().flatten() {
            Cursor::new(&chunks).range(extent.start, extent.end, &mut |chunk: Bytes| head.extend_from_slice(&chunk));
        }
        let mut tail = BytesMut::new();
        if let Some(extent) = self.footer {
            Cursor::new(&chunks).range(extent.start, extent.end, &mut |chunk: Bytes| tail.extend_from_slice(&chunk));
        }
        let mut body = Vec::new();
        if let Some((_, extent)) = self.body {
            Cursor::new(&chunks).range(extent.start, extent.end, &mut |chunk| body.push(chunk));
        }
        let index = self.gathered();
        let body = joined(body, index.body_number);
        let pieces = Pieces { body, tail: tail.freeze(), whole: irregular.then_some(chunks) };
        let apart = Apart { pieces: Some(pieces), faults: self.faults, irregular };
        Message { head: head.freeze(), apart: Some(Box::new(apart)), index, limits }
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
