//! The three performatives that traffic is made of, read and written by hand.
//!
//! The table in [`composite`](crate::composite) stays the definition: what is unusual or wrong is left to it, and tests
//! compare the two on every input they can think of. These only say faster what the table says.
//!
//! Reading is always inlined and sets the fields of a performative that the caller owns. A performative that is returned
//! through several `Option`s is copied each time, and a copy costs as much as reading it.

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
pub(crate) fn decode(octets: &[u8], limits: &Limits) -> Option<(Performative, usize)> {
    if !can_decode(limits) {
        return None;
    }
    let performative = match number(octets)? {
        Transfer::CODE => one::<Transfer>(octets),
        Flow::CODE => one::<Flow>(octets),
        Disposition::CODE => one::<Disposition>(octets),
        _ => None,
    };
    performative.filter(|(_, length)| *length <= octets.len())
}

fn one<T: Fast + Default + Into<Performative>>(octets: &[u8]) -> Option<(Performative, usize)> {
    let mut body = T::default();
    let length = read(octets, &mut body)?;
    Some((body.into(), length))
}

/// Whether the limits allow what is read by hand: the list of fields, and the state within it.
pub(crate) const fn can_decode(limits: &Limits) -> bool {
    limits.depth >= 2
}

/// The numeric descriptor of a composite, if it is written as it mostly is.
#[inline(always)]
pub(crate) fn number(octets: &[u8]) -> Option<u8> {
    const MASK: u32 = u32::from_le_bytes([0xff, 0xff, 0, 0xff]);
    const USUAL: u32 = u32::from_le_bytes([code::DESCRIBED, code::SMALL_ULONG, 0, code::LIST8]);
    let word = u32::from_le_bytes(*octets.first_chunk()?);
    if word & MASK == USUAL { Some((word >> 16) as u8) } else { None }
}

/// Reads the performative at the start of `octets`, whose descriptor [`number`] has checked, into `body`, which holds the
/// defaults. Returns its length, which may exceed that of `octets`. What follows it, even another frame, is ignored; the
/// more there is, the less is copied. After `None`, the contents of `body` have no meaning.
#[inline(always)]
pub(crate) fn read<T: Fast>(octets: &[u8], body: &mut T) -> Option<usize> {
    let mut copy;
    let octets: &Octets = match octets.first_chunk() {
        Some(octets) => octets,
        None => {
            copy = [0; size_of::<Octets>()];
            copy.get_mut(..octets.len())?.copy_from_slice(octets);
            &copy
        }
    };
    let [_, _, _, _, size, count, ..] = octets;
    // The size includes the count but not itself.
    let end = usize::from(*size).wrapping_add(BEFORE).wrapping_sub(1);
    if end > LONGEST {
        return None;
    }
    let fields = Fields { octets, at: BEFORE, index: 0, count: *count, end };
    // The first fields are mostly there: one comparison then stands for one each.
    let read = if *count >= T::SURE { body.read::<true>(fields) } else { body.read::<false>(fields) };
    read.map(|()| end)
}

/// The fields of a list. The outer `None` of each answer leaves the whole performative to the table; the inner one
/// says that the field is null or absent.
///
/// A field is read with one load, which may see what follows the list. What this lets pass on the way is found at the
/// end: the fields must end where the list does.
pub(crate) struct Fields<'a> {
    octets: &'a Octets,
    at: usize,
    /// Fields that were read.
    index: u8,
    /// Fields that there are.
    count: u8,
    /// Where the list ends.
    end: usize,
}

impl Fields<'_> {
    /// `Some` if all fields were read and end where the list does.
    #[inline(always)]
    fn done(&self) -> Option<()> {
        (self.at == self.end && self.index == self.count).then_some(())
    }

    /// Eight octets from the next field on, the first one lowest; nothing if the field is absent, which it is not if that
    /// is sure.
    #[inline(always)]
    fn load<const SURE: bool>(&self) -> Option<u64> {
        if !SURE && self.index == self.count {
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
    fn null<const SURE: bool>(&mut self) -> Option<()> {
        let Some(word) = self.load::<SURE>() else { return Some(()) };
        self.advance(1);
        (word as u8 == code::NULL).then_some(())
    }

    #[inline(always)]
    fn u32<const SURE: bool>(&mut self) -> Option<Option<u32>> {
        let Some(word) = self.load::<SURE>() else { return Some(None) };
        // Shifts and casts, not patterns of octets, of which the compiler makes many instructions. Of the four format codes
        // only that of the full form has this bit: asking for it first makes the usual case the short one.
        const FULL: u8 = 0x20;
        let (format, data) = (word as u8, word >> 8);
        let (value, width) = if format & FULL != 0 {
            if format != code::UINT {
                return None;
            }
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
    fn boolean<const SURE: bool>(&mut self) -> Option<Option<bool>> {
        let Some(word) = self.load::<SURE>() else { return Some(None) };
        self.advance(1);
        match word as u8 {
            code::TRUE => Some(Some(true)),
            code::FALSE => Some(Some(false)),
            code::NULL => Some(None),
            _ => None,
        }
    }

    #[inline(always)]
    fn tag<const SURE: bool>(&mut self) -> Option<Option<DeliveryTag>> {
        let Some(word) = self.load::<SURE>() else { return Some(None) };
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
    fn receiver_settle_mode<const SURE: bool>(&mut self) -> Option<Option<ReceiverSettleMode>> {
        let Some(word) = self.load::<SURE>() else { return Some(None) };
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
    fn state<const SURE: bool>(&mut self) -> Option<Option<DeliveryState>> {
        let Some(word) = self.load::<SURE>() else { return Some(None) };
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
/// Octets of the descriptor and of list8's header, before the fields.
const BEFORE: usize = 6;
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

/// A performative that is read and written by hand.
pub(crate) trait Fast {
    /// How many of the first fields are usually there.
    const SURE: u8;

    /// Sets the fields; with `SURE`, the first [`SURE`](Self::SURE) are known to be there. `None` leaves the whole
    /// performative to the table.
    fn read<const SURE: bool>(&mut self, fields: Fields<'_>) -> Option<()>;

    /// Appends it in the compact style; `None`, with nothing written, leaves it to the table.
    fn write(&self, out: &mut BytesMut) -> Option<()>;
}

impl Fast for Transfer {
    const SURE: u8 = 5;

    #[inline(always)]
    fn read<const SURE: bool>(&mut self, mut fields: Fields<'_>) -> Option<()> {
        self.handle = fields.u32::<SURE>()??;
        self.delivery_id = fields.u32::<SURE>()?.map(SequenceNo);
        self.delivery_tag = fields.tag::<SURE>()?;
        self.message_format = fields.u32::<SURE>()?;
        self.settled = fields.boolean::<SURE>()?;
        if fields.index < fields.count {
            self.more = fields.boolean::<false>()?.unwrap_or_default();
            self.rcv_settle_mode = fields.receiver_settle_mode::<false>()?;
            self.state = fields.state::<false>()?;
            self.resume = fields.boolean::<false>()?.unwrap_or_default();
            self.aborted = fields.boolean::<false>()?.unwrap_or_default();
            self.batchable = fields.boolean::<false>()?.unwrap_or_default();
        }
        fields.done()
    }

    #[inline]
    fn write(&self, out: &mut BytesMut) -> Option<()> {
        let mut octets = [0; size_of::<Octets>()];
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
    const SURE: u8 = 7;

    #[inline(always)]
    fn read<const SURE: bool>(&mut self, mut fields: Fields<'_>) -> Option<()> {
        self.next_incoming_id = fields.u32::<SURE>()?.map(SequenceNo);
        self.incoming_window = fields.u32::<SURE>()??;
        self.next_outgoing_id = SequenceNo(fields.u32::<SURE>()??);
        self.outgoing_window = fields.u32::<SURE>()??;
        self.handle = fields.u32::<SURE>()?;
        self.delivery_count = fields.u32::<SURE>()?.map(SequenceNo);
        self.link_credit = fields.u32::<SURE>()?;
        if fields.index < fields.count {
            self.available = fields.u32::<false>()?;
            self.drain = fields.boolean::<false>()?.unwrap_or_default();
            self.echo = fields.boolean::<false>()?.unwrap_or_default();
            fields.null::<false>()?;
        }
        fields.done()
    }

    #[inline]
    fn write(&self, out: &mut BytesMut) -> Option<()> {
        if self.properties.is_some() {
            return None;
        }
        let mut octets = [0; size_of::<Octets>()];
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
    const SURE: u8 = 5;

    #[inline(always)]
    fn read<const SURE: bool>(&mut self, mut fields: Fields<'_>) -> Option<()> {
        self.role = if fields.boolean::<SURE>()?? { Role::Receiver } else { Role::Sender };
        self.first = SequenceNo(fields.u32::<SURE>()??);
        self.last = fields.u32::<SURE>()?.map(SequenceNo);
        self.settled = fields.boolean::<SURE>()?.unwrap_or_default();
        self.state = fields.state::<SURE>()?;
        if fields.index < fields.count {
            self.batchable = fields.boolean::<false>()?.unwrap_or_default();
        }
        fields.done()
    }

    #[inline]
    fn write(&self, out: &mut BytesMut) -> Option<()> {
        let mut octets = [0; size_of::<Octets>()];
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
    #[inline]
    fn new(number: u8, octets: &'a mut Octets) -> Self {
        let mut list = Self { octets, at: 0, count: 0, kept: (BEFORE, 0) };
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
        let size = u8::try_from(end.wrapping_sub(BEFORE).wrapping_add(1)).unwrap_or(u8::MAX);
        let [_, _, _, _, size_octet, count_octet, ..] = self.octets;
        (*size_octet, *count_octet) = (size, count);
        out.put_slice(self.octets.get(..end).unwrap_or_default());
    }
}
