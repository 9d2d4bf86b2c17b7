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

const NARROW_HEADER: usize = 3;
const WIDE_HEADER: usize = 9;

/// Fills in the three octets that were reserved at `start` for a compound whose elements are now written.
#[inline]
fn finish_compound(wide: u8, start: usize, count: usize, out: &mut BytesMut) {
    let body = out.len().wrapping_sub(start).wrapping_sub(NARROW_HEADER);
    // The size counts the octet of the count.
    if body >= usize::from(u8::MAX) || count > usize::from(u8::MAX) {
        return widen(wide, start, body, count, out);
    }
    if let Some([_, size_octet, count_octet]) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        (*size_octet, *count_octet) = ((body as u8).wrapping_add(1), count as u8);
    }
}

/// Makes room for the wide header of a compound whose elements are written, and writes it.
#[cold]
fn widen(wide: u8, start: usize, body: usize, count: usize, out: &mut BytesMut) {
    out.put_bytes(0, WIDE_HEADER - NARROW_HEADER);
    let (from, to) = (start.saturating_add(NARROW_HEADER), start.saturating_add(WIDE_HEADER));
    out.copy_within(from..from.saturating_add(body), to);
    if let Some(mut header) = out.get_mut(start..to) {
        header.put_u8(wide);
        header.put_u32(saturating_u32(body.saturating_add(4)));
        header.put_u32(saturating_u32(count));
    }
}

/// The octets that a compound takes, constructor included.
pub(crate) fn compound_len(body: usize, count: usize) -> usize {
    if body < 255 && count <= 255 { body.saturating_add(3) } else { body.saturating_add(9) }
}

/// Appends a format code and its data in one piece, whose length is one more than that of the data.
#[inline]
pub(crate) fn fixed<const WIDTH: usize, const WHOLE: usize>(code: u8, data: [u8; WIDTH], out: &mut BytesMut) {
    let mut octets = [code; WHOLE];
    if let Some(slot) = octets.last_chunk_mut() {
        *slot = data;
    }
    out.put_slice(&octets);
}

pub(crate) fn saturating_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Writes the descriptor of a section: every one in the specification fits `smallulong`.
#[inline]
pub(crate) fn descriptor(number: u8, out: &mut BytesMut) {
    out.put_slice(&[code::DESCRIBED, code::SMALL_ULONG, number]);
}

/// Writes the fields of a composite (§1.4) as a list.
#[derive(Debug)]
pub struct ListWriter<'a> {
    out: &'a mut BytesMut,
    style: EncodeStyle,
    /// Where the list's format code stands.
    start: usize,
    count: usize,
    /// Nulls that are written only if a field follows them, or the style wants all.
    nulls: usize,
}

impl<'a> ListWriter<'a> {
    /// Starts a list at the end of `out`.
    #[inline]
    pub fn new(style: EncodeStyle, out: &'a mut BytesMut) -> Self {
        let start = out.len();
        out.put_slice(&[code::LIST8, 0, 0]);
        Self { out, style, start, count: 0, nulls: 0 }
    }

    /// Writes the descriptor of a composite and starts its list.
    #[inline]
    pub(crate) fn described(number: u8, style: EncodeStyle, out: &'a mut BytesMut) -> Self {
        let start = out.len().wrapping_add(3);
        out.put_slice(&[code::DESCRIBED, code::SMALL_ULONG, number, code::LIST8, 0, 0]);
        Self { out, style, start, count: 0, nulls: 0 }
    }

    /// The next field.
    #[inline]
    pub fn field(&mut self, value: &impl Encode) {
        if self.nulls > 0 {
            self.flush();
        }
        value.encode(self.style, self.out);
        self.count = self.count.wrapping_add(1);
    }

    /// The next field, absent.
    #[inline]
    pub fn null(&mut self) {
        self.nulls = self.nulls.wrapping_add(1);
    }

    /// Writes the nulls that came before a field.
    #[inline]
    fn flush(&mut self) {
        self.count = self.count.wrapping_add(self.nulls);
        for _ in 0..core::mem::take(&mut self.nulls) {
            self.out.put_u8(code::NULL);
        }
    }

    /// Ends the list.
    #[inline]
    pub fn finish(mut self) {
        match self.style {
            EncodeStyle::Full => self.flush(),
            EncodeStyle::Compact if self.count == 0 => {
                self.out.truncate(self.start);
                self.out.put_u8(code::LIST0);
                return;
            }
            EncodeStyle::Compact => {}
        }
        finish_compound(code::LIST32, self.start, self.count, self.out);
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
