//! The three performatives that traffic is made of, read and written by hand.
//!
//! The table in [`composite`](crate::composite) stays the definition: what is unusual or wrong is left to it, and tests
//! compare the two on every input they can think of. These only say faster what the table says.
//!
//! What reads is inlined whatever the compiler thinks of its size, so that a performative is built where the caller wants
//! it: moving it costs as much as reading it.

use super::{Disposition, Flow, Performative, Transfer};
use crate::{
    DeliveryTag, Limits, SequenceNo,
    definitions::{ReceiverSettleMode, Role},
    messaging::DeliveryState,
    types::format_code as code,
};
use bytes::{BufMut, BytesMut};

/// The outcomes that are mostly met, as they are written: both have no fields.
const ACCEPTED: u32 = without_fields(0x24);
const RELEASED: u32 = without_fields(0x26);

const fn without_fields(number: u8) -> u32 {
    u32::from_le_bytes([code::DESCRIBED, code::SMALL_ULONG, number, code::LIST0])
}

/// The performative that `octets` begin with, and how many octets it has. `None` leaves it to the table.
///
/// What follows the performative in `octets`, even if it is another frame, is not looked at; the more there is, the less
/// is copied.
#[inline(always)]
pub(crate) fn decode(octets: &[u8], limits: &Limits) -> Option<(Performative, usize)> {
    /// The list of fields, and the state within it.
    const LEVELS: u8 = 2;
    /// What `size` does not count: descriptor, format code, and itself.
    const BEFORE: usize = 5;
    let [code::DESCRIBED, code::SMALL_ULONG, number, code::LIST8, size, count, body @ ..] = octets else { return None };
    let size = usize::from(*size);
    let length = size.checked_sub(1)?;
    if length > body.len() || length > LONGEST || limits.depth < LEVELS {
        return None;
    }
    let mut copy;
    let octets: &Octets = match body.first_chunk() {
        Some(octets) => octets,
        None => {
            copy = [0; _];
            let (copied, _) = copy.split_at_mut_checked(length)?;
            copied.copy_from_slice(body.get(..length)?);
            &copy
        }
    };
    let fields = Fields { octets, at: 0, index: 0, count: *count, length };
    let performative = match *number {
        Transfer::CODE => transfer(fields)?,
        Flow::CODE => flow(fields)?,
        Disposition::CODE => disposition(fields)?,
        _ => return None,
    };
    Some((performative, size.wrapping_add(BEFORE)))
}

#[inline(always)]
fn transfer(mut fields: Fields<'_>) -> Option<Performative> {
    let mut transfer = Transfer {
        handle: fields.u32()??,
        delivery_id: fields.u32()?.map(SequenceNo),
        delivery_tag: fields.tag()?,
        message_format: fields.u32()?,
        settled: fields.boolean()?,
        ..Transfer::default()
    };
    if fields.index < fields.count {
        transfer.more = fields.boolean()?.unwrap_or_default();
        transfer.rcv_settle_mode = fields.receiver_settle_mode()?;
        transfer.state = fields.state()?;
        transfer.resume = fields.boolean()?.unwrap_or_default();
        transfer.aborted = fields.boolean()?.unwrap_or_default();
        transfer.batchable = fields.boolean()?.unwrap_or_default();
    }
    fields.is_done().then_some(Performative::Transfer(transfer))
}

#[inline(always)]
fn flow(mut fields: Fields<'_>) -> Option<Performative> {
    let mut flow = Flow {
        next_incoming_id: fields.u32()?.map(SequenceNo),
        incoming_window: fields.u32()??,
        next_outgoing_id: SequenceNo(fields.u32()??),
        outgoing_window: fields.u32()??,
        handle: fields.u32()?,
        delivery_count: fields.u32()?.map(SequenceNo),
        link_credit: fields.u32()?,
        ..Flow::default()
    };
    if fields.index < fields.count {
        flow.available = fields.u32()?;
        flow.drain = fields.boolean()?.unwrap_or_default();
        flow.echo = fields.boolean()?.unwrap_or_default();
        fields.null()?;
    }
    fields.is_done().then_some(Performative::Flow(flow))
}

#[inline(always)]
fn disposition(mut fields: Fields<'_>) -> Option<Performative> {
    let disposition = Disposition {
        role: if fields.boolean()?? { Role::Receiver } else { Role::Sender },
        first: SequenceNo(fields.u32()??),
        last: fields.u32()?.map(SequenceNo),
        settled: fields.boolean()?.unwrap_or_default(),
        state: fields.state()?,
        batchable: fields.boolean()?.unwrap_or_default(),
    };
    fields.is_done().then_some(Performative::Disposition(disposition))
}

/// The fields of a list. The outer `None` of each answer leaves the whole performative to the table; the inner one
/// says that the field is null or absent.
///
/// A field is read with one load, which may see what follows the list. What this lets pass on the way is found at the
/// end: the fields must end where the list does.
struct Fields<'a> {
    octets: &'a Octets,
    at: usize,
    /// Fields that were read.
    index: u8,
    /// Fields that there are.
    count: u8,
    /// Octets that there are.
    length: usize,
}

impl Fields<'_> {
    /// Whether all fields were read, and ended with the octets.
    #[inline(always)]
    fn is_done(&self) -> bool {
        self.at == self.length && self.index == self.count
    }

    /// Eight octets from the next field on, the first one lowest; nothing if the field is absent.
    #[inline(always)]
    fn load(&self) -> Option<u64> {
        if self.index == self.count {
            return None;
        }
        let at = self.at & MASK;
        self.octets.get(at..at.wrapping_add(size_of::<u64>()))?.first_chunk().map(|octets| u64::from_le_bytes(*octets))
    }

    /// The next field took this many octets.
    #[inline(always)]
    fn advance(&mut self, width: usize) {
        self.at = self.at.wrapping_add(width);
        self.index = self.index.wrapping_add(1);
    }

    /// Takes a field that is null or absent.
    #[inline(always)]
    fn null(&mut self) -> Option<()> {
        let Some(word) = self.load() else { return Some(()) };
        self.advance(1);
        (word as u8 == code::NULL).then_some(())
    }

    #[inline(always)]
    fn u32(&mut self) -> Option<Option<u32>> {
        let Some(word) = self.load() else { return Some(None) };
        // Shifts and casts, not patterns of octets, of which the compiler makes many instructions.
        let (format, data) = (word as u8, word >> 8);
        let (value, width) = if format == code::UINT {
            (Some((data as u32).swap_bytes()), 5)
        } else if format == code::SMALL_UINT {
            (Some(u32::from(data as u8)), 2)
        } else if format == code::UINT0 {
            (Some(0), 1)
        } else if format == code::NULL {
            (None, 1)
        } else {
            return None;
        };
        self.advance(width);
        Some(value)
    }

    #[inline(always)]
    fn boolean(&mut self) -> Option<Option<bool>> {
        let Some(word) = self.load() else { return Some(None) };
        self.advance(1);
        match word as u8 {
            code::TRUE => Some(Some(true)),
            code::FALSE => Some(Some(false)),
            code::NULL => Some(None),
            _ => None,
        }
    }

    #[inline(always)]
    fn tag(&mut self) -> Option<Option<DeliveryTag>> {
        let Some(word) = self.load() else { return Some(None) };
        match word.to_le_bytes() {
            [code::VBIN8, length, ..] => {
                let length = usize::from(length);
                let start = self.at.wrapping_add(2);
                let tag = DeliveryTag::new(self.octets.get(start..start.wrapping_add(length))?).ok()?;
                self.advance(length.wrapping_add(2));
                Some(Some(tag))
            }
            [code::NULL, ..] => {
                self.advance(1);
                Some(None)
            }
            _ => None,
        }
    }

    #[inline(always)]
    fn receiver_settle_mode(&mut self) -> Option<Option<ReceiverSettleMode>> {
        let Some(word) = self.load() else { return Some(None) };
        let (mode, width) = match word.to_le_bytes() {
            [code::NULL, ..] => (None, 1),
            [code::UBYTE, 0, ..] => (Some(ReceiverSettleMode::First), 2),
            [code::UBYTE, 1, ..] => (Some(ReceiverSettleMode::Second), 2),
            _ => return None,
        };
        self.advance(width);
        Some(mode)
    }

    /// A state without fields.
    #[inline(always)]
    fn state(&mut self) -> Option<Option<DeliveryState>> {
        let Some(word) = self.load() else { return Some(None) };
        let (state, width) = if word as u32 == ACCEPTED {
            (Some(DeliveryState::Accepted), 4)
        } else if word as u8 == code::NULL {
            (None, 1)
        } else if word as u32 == RELEASED {
            (Some(DeliveryState::Released), 4)
        } else {
            return None;
        };
        self.advance(width);
        Some(state)
    }
}

/// The most octets that one of the three has when it is written by hand: descriptor and list8's header 6; a transfer's
/// handle and two numbers 15, tag 34, state 4, mode 2, flags 5. A flow has fewer. What is longer is left to the table.
const LONGEST: usize = 66;
/// Says to the compiler what [`LONGEST`] says to the reader: no store and no load of eight octets is out of bounds.
const MASK: usize = 0x7f;
/// Where the fields are put together or taken apart, on the stack.
type Octets = [u8; MASK + 1 + size_of::<u64>()];
const _: () = assert!(LONGEST + 34 <= MASK, "what begins within the list, however long, is not turned around");

/// Appends the performative in the compact style and says that it did; `false` leaves it to the table.
#[inline]
pub(crate) fn encode(performative: &impl Fast, out: &mut BytesMut) -> bool {
    performative.write(out).is_some()
}

/// A performative that is written by hand.
pub(crate) trait Fast {
    /// Appends it in the compact style; `None`, with nothing written, leaves it to the table.
    fn write(&self, out: &mut BytesMut) -> Option<()>;
}

impl Fast for Transfer {
    #[inline]
    fn write(&self, out: &mut BytesMut) -> Option<()> {
        let mut octets = [0; _];
        let mut list = List::new(Self::CODE, &mut octets);
        list.u32(self.handle);
        list.opt_u32(self.delivery_id.map(|id| id.0));
        list.tag(self.delivery_tag.as_ref());
        list.opt_u32(self.message_format);
        list.opt_boolean(self.settled);
        list.flag(self.more);
        if self.rcv_settle_mode.is_some() || self.state.is_some() || self.resume || self.aborted || self.batchable {
            list.settle_mode(self.rcv_settle_mode);
            list.state(self.state.as_ref())?;
            list.flag(self.resume);
            list.flag(self.aborted);
            list.flag(self.batchable);
        }
        list.finish(out);
        Some(())
    }
}

impl Fast for Flow {
    #[inline]
    fn write(&self, out: &mut BytesMut) -> Option<()> {
        if self.properties.is_some() {
            return None;
        }
        let mut octets = [0; _];
        let mut list = List::new(Self::CODE, &mut octets);
        list.opt_u32(self.next_incoming_id.map(|id| id.0));
        list.u32(self.incoming_window);
        list.u32(self.next_outgoing_id.0);
        list.u32(self.outgoing_window);
        list.opt_u32(self.handle);
        list.opt_u32(self.delivery_count.map(|count| count.0));
        list.opt_u32(self.link_credit);
        if self.available.is_some() || self.drain || self.echo {
            list.opt_u32(self.available);
            list.flag(self.drain);
            list.flag(self.echo);
        }
        list.finish(out);
        Some(())
    }
}

impl Fast for Disposition {
    #[inline]
    fn write(&self, out: &mut BytesMut) -> Option<()> {
        let mut octets = [0; _];
        let mut list = List::new(Self::CODE, &mut octets);
        list.opt_boolean(Some(self.role == Role::Receiver));
        list.u32(self.first.0);
        list.opt_u32(self.last.map(|id| id.0));
        list.flag(self.settled);
        list.state(self.state.as_ref())?;
        list.flag(self.batchable);
        list.finish(out);
        Some(())
    }
}

/// A described list that is written on the stack and appended in one piece.
///
/// Numbers are stored eight octets at a time, of which those that count are kept. The octets lie outside, so that what
/// is counted here can stay in registers.
struct List<'a> {
    octets: &'a mut Octets,
    at: usize,
    count: u8,
    /// The end and the count up to the last field that is not null.
    kept: (usize, u8),
}

impl<'a> List<'a> {
    const HEADER: usize = 6;

    #[inline]
    fn new(number: u8, octets: &'a mut Octets) -> Self {
        let mut list = Self { octets, at: 0, count: 0, kept: (Self::HEADER, 0) };
        list.put(u64::from_le_bytes([code::DESCRIBED, code::SMALL_ULONG, number, code::LIST8, 0, 0, 0, 0]), 6);
        list
    }

    /// Stores the first `width` octets of a little-endian number.
    #[inline]
    fn put(&mut self, octets: u64, width: usize) {
        let at = self.at & MASK;
        if let Some(slot) = self.octets.get_mut(at..at.wrapping_add(size_of::<u64>())) {
            slot.copy_from_slice(&octets.to_le_bytes());
        }
        self.at = self.at.wrapping_add(width);
    }

    #[inline]
    fn null(&mut self) {
        self.put(u64::from(code::NULL), 1);
        self.count = self.count.wrapping_add(1);
    }

    #[inline]
    fn field(&mut self, octets: u64, width: usize) {
        self.put(octets, width);
        self.count = self.count.wrapping_add(1);
        self.kept = (self.at, self.count);
    }

    #[inline]
    fn u32(&mut self, value: u32) {
        if value > 0xff {
            self.field((u64::from(value.swap_bytes()) << 8) | u64::from(code::UINT), 5);
        } else if value > 0 {
            self.field((u64::from(value) << 8) | u64::from(code::SMALL_UINT), 2);
        } else {
            self.field(u64::from(code::UINT0), 1);
        }
    }

    #[inline]
    fn opt_u32(&mut self, value: Option<u32>) {
        match value {
            Some(value) => self.u32(value),
            None => self.null(),
        }
    }

    #[inline]
    fn opt_boolean(&mut self, value: Option<bool>) {
        match value {
            Some(true) => self.field(u64::from(code::TRUE), 1),
            Some(false) => self.field(u64::from(code::FALSE), 1),
            None => self.null(),
        }
    }

    /// A boolean whose default is false.
    #[inline]
    fn flag(&mut self, value: bool) {
        if value { self.field(u64::from(code::TRUE), 1) } else { self.null() }
    }

    #[inline]
    fn settle_mode(&mut self, mode: Option<ReceiverSettleMode>) {
        match mode {
            Some(mode) => self.field((u64::from(mode.number()) << 8) | u64::from(code::UBYTE), 2),
            None => self.null(),
        }
    }

    #[inline]
    fn tag(&mut self, tag: Option<&DeliveryTag>) {
        let Some(tag) = tag else { return self.null() };
        let octets = tag.as_slice();
        self.put((u64::from(tag.len()) << 8) | u64::from(code::VBIN8), 2);
        if let Some(slot) = self.octets.get_mut(self.at..self.at.wrapping_add(octets.len())) {
            slot.copy_from_slice(octets);
        }
        self.at = self.at.wrapping_add(octets.len());
        self.count = self.count.wrapping_add(1);
        self.kept = (self.at, self.count);
    }

    #[inline]
    fn state(&mut self, state: Option<&DeliveryState>) -> Option<()> {
        match state {
            None => self.null(),
            Some(DeliveryState::Accepted) => self.field(u64::from(ACCEPTED), 4),
            Some(DeliveryState::Released) => self.field(u64::from(RELEASED), 4),
            Some(_) => return None,
        }
        Some(())
    }

    #[inline]
    fn finish(self, out: &mut BytesMut) {
        let (end, count) = self.kept;
        // The size covers the octet of the count.
        let size = u8::try_from(end.wrapping_sub(Self::HEADER).wrapping_add(1)).unwrap_or(u8::MAX);
        let [_, _, _, _, size_octet, count_octet, ..] = self.octets;
        (*size_octet, *count_octet) = (size, count);
        out.put_slice(self.octets.get(..end).unwrap_or_default());
    }
}
