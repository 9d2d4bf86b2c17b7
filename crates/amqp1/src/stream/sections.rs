//! Takes an encoded message apart as its octets come: what is not body is gathered, what is body is passed on, and all of
//! it can be had as it came.

use super::{
    section_head::{Content, HEADER, Head, Kind, Malformed, read_head},
    values::Values,
};
use amqp1_codec::{
    Limits, Message,
    messaging::section_code::{FOOTER, SectionOrder},
};
use bytes::{Bytes, BytesMut};
use std::{collections::VecDeque, fmt};

/// The limit of the sections around the body together, in octets.
const AROUND: usize = 256 * 1024;

/// How many octets wait while what comes before the body is asked for.
const MOST_WAITING: usize = 2 * AROUND;

/// Octets up to this many are copied together, so that they do not keep read buffers alive.
const SMALL: usize = 1024;

/// Stands for data sections that were passed on, so that what follows them is seen to follow them.
const PASSED_ON: &[u8] = b"\0\x53\x75\xa0\0";

enum Place {
    /// Between sections, with what there is of the next one's header.
    Between(Vec<u8>),
    /// In a data section, of which this number of octets follows.
    Data(usize),
    /// In one that is gathered.
    Around(usize),
    /// In one that is passed over.
    Skipped(usize),
    /// In one that is passed over, and whose value is described.
    Described(Values),
    /// In octets that are not told apart.
    Opaque,
}

/// The pieces, in the order in which they came.
enum Piece {
    /// The octets of a data section.
    Data(Bytes),
    /// Other octets: those of other sections, and what stands before the octets of data.
    Other(Bytes),
    /// Few of them.
    Small(BytesMut),
    /// From here on there is no data that can be read.
    Fault(Malformed),
    /// From here on the octets are not sections in their order. Data can be read.
    Irregular(Malformed),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Data(octets) | Self::Other(octets) => octets.len(),
            Self::Small(octets) => octets.len(),
            Self::Fault(_) | Self::Irregular(_) => 0,
        }
    }
}

/// A message that comes in pieces.
pub(crate) struct Sections {
    limits: Limits,
    place: Place,
    head: BytesMut,
    /// Sections after the body.
    tail: BytesMut,
    order: SectionOrder,
    body_begun: bool,
    /// Whether a footer was too large to be gathered.
    footer_left_out: bool,
    /// Whether nothing that comes belongs before the body.
    has_head: bool,
    /// Pieces that wait to be taken.
    ready: VecDeque<Piece>,
    waiting: usize,
    /// How many octets came.
    total: u64,
    /// A fault that was passed by.
    fault: Option<Malformed>,
    /// Where the octets were not sections in their order, and that was passed by.
    irregular: Option<Malformed>,
    /// Faults that stand or stood among what waits: each stands there once, however often it is found.
    noted: Vec<Malformed>,
    noted_irregular: Vec<Malformed>,
}

/// How much there is of it; what it holds may be anybody's secret.
impl fmt::Debug for Sections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = [self.head.len(), self.waiting, self.tail.len()];
        f.debug_struct("Sections").field("octets", &octets).finish_non_exhaustive()
    }
}

impl Sections {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            place: Place::Between(Vec::new()),
            head: BytesMut::new(),
            tail: BytesMut::new(),
            order: SectionOrder::default(),
            body_begun: false,
            footer_left_out: false,
            has_head: false,
            ready: VecDeque::new(),
            waiting: 0,
            total: 0,
            fault: None,
            irregular: None,
            noted: Vec::new(),
            noted_irregular: Vec::new(),
        }
    }

    /// For a message of another format (§2.8.11): nothing in it is told apart.
    pub(crate) fn opaque(limits: Limits) -> Self {
        let mut sections = Self::new(limits);
        (sections.place, sections.fault) = (Place::Opaque, Some(Malformed::OtherFormat));
        sections.cut(b"\0");
        sections
    }

    /// Takes the next octets, whatever they are.
    pub(crate) fn push(&mut self, mut octets: Bytes) {
        self.total = self.total.saturating_add(octets.len() as u64);
        while !octets.is_empty() {
            match &mut self.place {
                Place::Between(begun) => {
                    let before = begun.len();
                    let missing = HEADER.saturating_sub(before).min(octets.len());
                    begun.extend_from_slice(octets.get(..missing).unwrap_or_default());
                    match read_head(begun) {
                        Ok(Head::Wanting) if begun.len() < HEADER => drop(octets.split_to(missing)),
                        Ok(Head::Section { descriptor, header, content, kind, number }) => {
                            drop(octets.split_to(header.saturating_sub(before)));
                            let begun = std::mem::take(begun);
                            let header = begun.get(..header).unwrap_or_default();
                            self.enter(header, descriptor, content, (kind, number));
                        }
                        wrong => {
                            let begun = std::mem::take(begun);
                            drop(octets.split_to(missing));
                            self.give_up(&begun, wrong.err().unwrap_or(Malformed::NoSection));
                        }
                    }
                }
                Place::Data(left) => {
                    let data = octets.split_to((*left).min(octets.len()));
                    *left = left.saturating_sub(data.len());
                    if *left == 0 {
                        self.place = Place::Between(Vec::new());
                    }
                    self.ready(Piece::Data(data));
                }
                Place::Around(left) => {
                    let part = octets.split_to((*left).min(octets.len()));
                    *left = left.saturating_sub(part.len());
                    if *left == 0 {
                        self.place = Place::Between(Vec::new());
                    }
                    self.gather(&part);
                    self.pass_on(part);
                }
                Place::Skipped(left) => {
                    let part = octets.split_to((*left).min(octets.len()));
                    *left = left.saturating_sub(part.len());
                    if *left == 0 {
                        self.place = Place::Between(Vec::new());
                    }
                    self.pass_on(part);
                }
                Place::Described(values) => match values.pass(&octets) {
                    Ok(passed) => {
                        if values.is_over() {
                            self.place = Place::Between(Vec::new());
                        }
                        self.pass_on(octets.split_to(passed.min(octets.len())));
                    }
                    Err(why) => {
                        self.fail(why);
                        self.place = Place::Opaque;
                        self.cut(b"\0");
                    }
                },
                Place::Opaque => self.pass_on(std::mem::take(&mut octets)),
            }
        }
    }

    fn enter(&mut self, header: &[u8], descriptor: usize, content: Content, (kind, number): (Kind, u8)) {
        self.place = match (kind, content) {
            (_, Content::Described) => Place::Described(Values::one()),
            (_, Content::Octets(0)) => Place::Between(Vec::new()),
            (Kind::Data, Content::Octets(content)) => Place::Data(content),
            (Kind::Around, Content::Octets(content)) => Place::Around(content),
            (Kind::OtherBody | Kind::Foreign, Content::Octets(content)) => Place::Skipped(content),
        };
        // Octets between sections that are no section are passed over.
        let follows = kind == Kind::Foreign || self.order.next(number);
        match kind {
            Kind::Data | Kind::OtherBody => {
                if kind == Kind::OtherBody {
                    if !follows {
                        self.irregular(Malformed::Order);
                    }
                    self.fail(Malformed::NotData);
                } else if !follows && self.body_begun {
                    self.fail(Malformed::Order);
                } else if !follows {
                    self.irregular(Malformed::Order);
                }
                self.begin_body();
            }
            Kind::Around => {
                if !follows {
                    self.irregular(Malformed::Order);
                }
                let content = match content {
                    Content::Octets(content) => content,
                    Content::Described => 0,
                };
                let gathered = self.head.len().saturating_add(self.tail.len()).saturating_add(header.len());
                if gathered.saturating_add(content) <= AROUND {
                    self.gather(header);
                } else {
                    self.footer_left_out |= number == FOOTER;
                    // In its place stands one that cannot be read.
                    self.gather(&[header.get(..descriptor).unwrap_or_default(), b"\x40"].concat());
                    if content > 0 {
                        self.place = Place::Skipped(content);
                    }
                }
            }
            Kind::Foreign => self.irregular(Malformed::NoSection),
        }
        self.pass_on(Bytes::copy_from_slice(header));
    }

    fn begin_body(&mut self) {
        if !self.body_begun {
            self.tail.extend_from_slice(PASSED_ON);
        }
        (self.body_begun, self.has_head) = (true, true);
    }

    /// Nothing that follows is told apart. The sections that may stand in it cannot be read.
    fn give_up(&mut self, begun: &[u8], why: Malformed) {
        self.fail(why);
        self.pass_on(Bytes::copy_from_slice(begun));
        self.place = Place::Opaque;
        self.cut(begun);
    }

    /// No section that can be read follows these octets.
    fn cut(&mut self, octets: &[u8]) {
        if !self.body_begun {
            self.head.extend_from_slice(octets);
            self.begin_body();
        }
        self.tail.extend_from_slice(octets);
    }

    fn gather(&mut self, octets: &[u8]) {
        let into = if self.body_begun { &mut self.tail } else { &mut self.head };
        into.extend_from_slice(octets);
    }

    fn ready(&mut self, piece: Piece) {
        self.waiting = self.waiting.saturating_add(piece.len());
        self.ready.push_back(piece);
    }

    /// From here on there is no data that can be read.
    fn fail(&mut self, why: Malformed) {
        if !self.noted.contains(&why) {
            self.noted.push(why);
            self.ready.push_back(Piece::Fault(why));
        }
    }

    /// From here on the octets are not sections in their order.
    fn irregular(&mut self, why: Malformed) {
        if !self.noted_irregular.contains(&why) {
            self.noted_irregular.push(why);
            self.ready.push_back(Piece::Irregular(why));
        }
    }

    /// Octets that are no data.
    fn pass_on(&mut self, octets: Bytes) {
        if octets.len() > SMALL {
            return self.ready(Piece::Other(octets));
        }
        if let Some(Piece::Small(last)) = self.ready.back_mut() {
            last.extend_from_slice(&octets);
            self.waiting = self.waiting.saturating_add(octets.len());
        } else if !octets.is_empty() {
            self.ready(Piece::Small(BytesMut::from(&octets[..])));
        }
    }

    /// No more will come.
    pub(crate) fn finish(&mut self) {
        match std::mem::replace(&mut self.place, Place::Opaque) {
            Place::Between(begun) if begun.is_empty() => {}
            Place::Between(begun) => self.give_up(&begun, Malformed::Truncated),
            Place::Around(_) if self.body_begun => self.fail(Malformed::Truncated),
            Place::Data(_) | Place::Around(_) | Place::Skipped(_) | Place::Described(_) => {
                self.fail(Malformed::Truncated);
                // A section that has only begun.
                self.cut(b"\0");
            }
            Place::Opaque => {}
        }
        self.has_head = true;
    }

    /// Whether everything before the body is there.
    pub(crate) fn has_head(&self) -> bool {
        self.has_head
    }

    /// Whether so much waits to be taken that no more should be asked for.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting > MOST_WAITING
    }

    /// How many octets came.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The sections before the body.
    pub(crate) fn head(&self) -> Message {
        message(&self.head, self.limits)
    }

    /// The sections after it.
    pub(crate) fn tail(&self) -> Message {
        message(&self.tail, self.limits)
    }

    /// The octets of the footer, its descriptor and all.
    pub(crate) fn encoded_footer(&self) -> Result<Option<Bytes>, Malformed> {
        if self.footer_left_out {
            return Err(Malformed::TooLarge);
        }
        let sections = self.tail().encoded_sections().map_err(|_| Malformed::NoSection)?;
        let footer = sections.into_iter().find(|section| section.code() == FOOTER);
        Ok(footer.map(|footer| footer.into_octets().into_first_and_rest().0))
    }

    fn pop(&mut self) -> Option<Piece> {
        let piece = self.ready.pop_front()?;
        self.waiting = self.waiting.saturating_sub(piece.len());
        Some(piece)
    }

    /// The next octets of data. What stands before them is passed over, but stays where it is if there are none.
    pub(crate) fn take_data(&mut self) -> Option<Result<Bytes, Malformed>> {
        if let Some(fault) = self.fault {
            return Some(Err(fault));
        }
        let other = |piece: &Piece| matches!(piece, Piece::Other(_) | Piece::Small(_) | Piece::Irregular(_));
        match self.ready.iter().find(|piece| !other(piece)) {
            Some(Piece::Fault(fault)) => return Some(Err(*fault)),
            Some(_) => {}
            None => {
                while self.is_full() {
                    if let Some(Piece::Irregular(why)) = self.pop() {
                        self.irregular.get_or_insert(why);
                    }
                }
                return None;
            }
        }
        loop {
            match self.pop()? {
                Piece::Data(octets) => return Some(Ok(octets)),
                Piece::Irregular(why) => {
                    self.irregular.get_or_insert(why);
                }
                Piece::Other(_) | Piece::Small(_) | Piece::Fault(_) => {}
            }
        }
    }

    /// The next octets, whatever they are.
    pub(crate) fn take_octets(&mut self) -> Option<Bytes> {
        loop {
            return match self.pop()? {
                Piece::Data(octets) | Piece::Other(octets) => Some(octets),
                Piece::Small(octets) => Some(octets.freeze()),
                Piece::Fault(fault) => {
                    self.fault.get_or_insert(fault);
                    continue;
                }
                Piece::Irregular(why) => {
                    self.irregular.get_or_insert(why);
                    continue;
                }
            };
        }
    }

    /// The next octets, as long as they are sections in their order. A fault stays where it is.
    pub(crate) fn take_encoded(&mut self) -> Option<Result<Bytes, Malformed>> {
        if let Some(fault) = self.irregular.or_else(|| self.fault.filter(|fault| fault.is_framing())) {
            return Some(Err(fault));
        }
        while let Some(Piece::Fault(fault) | Piece::Irregular(fault)) = self.ready.front() {
            if fault.is_framing() {
                return Some(Err(*fault));
            }
            self.fault.get_or_insert(*fault);
            self.pop();
        }
        self.take_octets().map(Ok)
    }
}

fn message(octets: &[u8], limits: Limits) -> Message {
    Message::received([Bytes::copy_from_slice(octets)], limits)
}

#[cfg(test)]
mod tests;
