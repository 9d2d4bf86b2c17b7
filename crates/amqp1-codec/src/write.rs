//! Writing compounds whose size is known only when they are done.

use crate::{Encode, Value, types::format_code as code};
use bytes::{BufMut, BytesMut};

/// How values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodeStyle {
    /// The smallest legal form: trailing nulls and default values are left off, an empty list is `list0`.
    #[default]
    Compact,
    /// Every field is written, defaults in full, and no `list0`: some real peers read fields by their position.
    Full,
}

/// Appends a compound: `body` writes the elements and returns how many there are. The size is one octet wide, and
/// widened by one move when it does not fit.
pub(crate) fn compound(narrow: u8, wide: u8, out: &mut BytesMut, body: impl FnOnce(&mut BytesMut) -> usize) {
    let start = out.len();
    out.put_slice(&[narrow, 0, 0]);
    let count = body(out);
    finish_compound(wide, start, count, out);
}

/// Appends a compound's data in the wide form, without a format code: `body` writes the elements and returns how many
/// there are.
pub(crate) fn wide_compound(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut) -> usize) {
    let start = out.len();
    out.put_bytes(0, 8);
    let count = body(out);
    let size = out.len().saturating_sub(start).saturating_sub(4);
    if let Some(mut header) = out.get_mut(start..start.saturating_add(8)) {
        header.put_u32(saturating_u32(size));
        header.put_u32(saturating_u32(count));
    }
}

/// Appends values in the compact style and returns how many there are.
pub(crate) fn items<'a>(items: impl Iterator<Item = &'a Value>, out: &mut BytesMut) -> usize {
    let mut count = 0usize;
    for item in items {
        item.encode(EncodeStyle::Compact, out);
        count = count.saturating_add(1);
    }
    count
}

/// Fills in the three octets that were reserved at `start` for a compound whose elements are now written.
fn finish_compound(wide: u8, start: usize, count: usize, out: &mut BytesMut) {
    const NARROW_HEADER: usize = 3;
    const WIDE_HEADER: usize = 9;
    let body = out.len().saturating_sub(start).saturating_sub(NARROW_HEADER);
    if let (Ok(size), Ok(count)) = (u8::try_from(body.saturating_add(1)), u8::try_from(count)) {
        if let Some(header) = out.get_mut(start.saturating_add(1)..start.saturating_add(NARROW_HEADER)) {
            header.copy_from_slice(&[size, count]);
        }
        return;
    }
    out.put_bytes(0, WIDE_HEADER - NARROW_HEADER);
    let (from, to) = (start.saturating_add(NARROW_HEADER), start.saturating_add(WIDE_HEADER));
    out.copy_within(from..from.saturating_add(body), to);
    if let Some(header) = out.get_mut(start..to) {
        let mut header = header;
        header.put_u8(wide);
        header.put_u32(saturating_u32(body.saturating_add(4)));
        header.put_u32(saturating_u32(count));
    }
}

/// The octets that a compound takes, constructor included.
pub(crate) fn compound_len(body: usize, count: usize) -> usize {
    if body < 255 && count <= 255 { body.saturating_add(3) } else { body.saturating_add(9) }
}

pub(crate) fn saturating_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Writes a composite's descriptor: every one in the specification fits `smallulong`.
pub(crate) fn descriptor(number: u8, out: &mut BytesMut) {
    out.put_slice(&[code::DESCRIBED, code::SMALL_ULONG, number]);
}

/// Writes the fields of a composite (§1.4) as a list.
#[derive(Debug)]
pub struct ListWriter<'a> {
    out: &'a mut BytesMut,
    style: EncodeStyle,
    start: usize,
    count: usize,
    /// The end and the count up to the last field that is not null.
    kept: (usize, usize),
}

impl<'a> ListWriter<'a> {
    /// Starts a list at the end of `out`.
    pub fn new(style: EncodeStyle, out: &'a mut BytesMut) -> Self {
        let start = out.len();
        out.put_slice(&[code::LIST8, 0, 0]);
        let end = out.len();
        Self { out, style, start, count: 0, kept: (end, 0) }
    }

    /// The next field.
    #[inline]
    pub fn field(&mut self, value: &impl Encode) {
        value.encode(self.style, self.out);
        self.count = self.count.saturating_add(1);
        self.kept = (self.out.len(), self.count);
    }

    /// The next field, absent.
    #[inline]
    pub fn null(&mut self) {
        self.out.put_u8(code::NULL);
        self.count = self.count.saturating_add(1);
    }

    /// Ends the list.
    pub fn finish(self) {
        let count = match self.style {
            EncodeStyle::Full => self.count,
            EncodeStyle::Compact => {
                let (end, count) = self.kept;
                self.out.truncate(end);
                if count == 0 {
                    self.out.truncate(self.start);
                    self.out.put_u8(code::LIST0);
                    return;
                }
                count
            }
        };
        finish_compound(code::LIST32, self.start, count, self.out);
    }
}

/// Adds up what [`ListWriter`] would write.
#[derive(Clone, Copy, Debug)]
pub struct ListLen {
    style: EncodeStyle,
    body: usize,
    count: usize,
    kept: (usize, usize),
}

impl ListLen {
    /// Starts a list.
    pub fn new(style: EncodeStyle) -> Self {
        Self { style, body: 0, count: 0, kept: (0, 0) }
    }

    /// The next field.
    pub fn field(&mut self, value: &impl Encode) {
        self.body = self.body.saturating_add(value.encoded_len(self.style));
        self.count = self.count.saturating_add(1);
        self.kept = (self.body, self.count);
    }

    /// The next field, absent.
    pub fn null(&mut self) {
        self.body = self.body.saturating_add(1);
        self.count = self.count.saturating_add(1);
    }

    /// The octets of the whole list.
    pub fn finish(self) -> usize {
        match self.style {
            EncodeStyle::Full => compound_len(self.body, self.count),
            EncodeStyle::Compact if self.kept.1 == 0 => 1,
            EncodeStyle::Compact => compound_len(self.kept.0, self.kept.1),
        }
    }
}
