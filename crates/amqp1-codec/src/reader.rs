//! A cursor over received octets.

use crate::{
    Decode, DecodeError, DecodeErrorKind, Limits, Symbol,
    limits::Packed,
    parse::{self, Parse},
    steps::step,
    types::{Descriptor, format_code as code},
};
use bytes::{BufMut, Bytes, BytesMut};

/// A cursor over a buffer, with the limits that hold for what is read from it.
///
/// Byte strings come out as slices of the buffer, not as copies. What follows a value stays in the reader, so that
/// sequences can be read.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    source: &'a Bytes,
    rest: &'a [u8],
    depth: u8,
    limits: Packed,
}

/// Which types a text may have that is looked for.
#[derive(Clone, Copy)]
pub(crate) struct TextKind {
    pub(crate) string: bool,
    pub(crate) symbol: bool,
}

/// Whether two texts are the same. Names in one map begin alike more often than they end alike.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.last() == b.last() && a == b
}

impl core::fmt::Debug for Reader<'_> {
    /// Where the reader stands; what it reads may be large or secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Reader").field("offset", &self.offset()).field("remaining", &self.rest.len()).finish()
    }
}

impl<'a> Reader<'a> {
    /// A reader of all of `source`, with the default limits.
    #[inline]
    pub fn new(source: &'a Bytes) -> Self {
        Self::part(source, source, Packed::DEFAULT)
    }

    /// A reader of all of `source`.
    #[inline]
    pub fn with_limits(source: &'a Bytes, limits: Limits) -> Self {
        Self::part(source, source, Packed::of(limits))
    }

    /// A reader of a part of `source`, which must be a sub-slice of it; otherwise of nothing.
    #[inline]
    pub(crate) fn part(source: &'a Bytes, rest: &'a [u8], limits: Packed) -> Self {
        Self { source, rest, depth: limits.depth, limits }
    }

    /// The limits that hold here.
    #[inline]
    pub fn limits(&self) -> Limits {
        self.limits.unpack()
    }

    /// The same, in few octets.
    #[inline]
    pub(crate) fn packed(&self) -> Packed {
        self.limits
    }

    /// Whether everything was read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many octets are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The rest, as a slice of the buffer.
    pub fn rest(&self) -> Bytes {
        self.source.slice_ref(self.rest)
    }

    /// The same reader, this many octets further on.
    #[inline]
    pub(crate) fn skipped(mut self, count: usize) -> Option<Self> {
        self.rest = self.rest.get(count..)?;
        Some(self)
    }

    #[inline]
    pub(crate) fn rest_slice(&self) -> &'a [u8] {
        self.rest
    }

    /// How many octets into the buffer the reader stands.
    pub fn offset(&self) -> u32 {
        let distance = (self.rest.as_ptr() as usize).saturating_sub(self.source.as_ptr() as usize);
        u32::try_from(distance).unwrap_or(u32::MAX)
    }

    /// An error of this kind, here.
    #[cold]
    pub fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(kind, self.offset())
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::TrailingOctets`] if octets are left.
    #[inline]
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error(DecodeErrorKind::TrailingOctets)) }
    }

    #[inline]
    pub(crate) fn run<T>(&mut self, parser: impl FnOnce(&'a [u8]) -> Parse<'a, T>) -> Result<T, DecodeError> {
        step();
        match parser(self.rest) {
            Ok((rest, value)) => {
                self.rest = rest;
                Ok(value)
            }
            Err(error) => Err(self.error(parse::kind(error))),
        }
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.run(parse::u8)
    }

    #[inline]
    pub(crate) fn be_u32(&mut self) -> Result<u32, DecodeError> {
        self.run(parse::be_u32)
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        self.run(parse::take(count))
    }

    /// `slice`, which was taken from this reader, as a counted slice of the buffer.
    #[inline]
    pub(crate) fn share(&self, slice: &'a [u8]) -> Bytes {
        // As `slice_ref`, which checks more.
        let start = (slice.as_ptr() as usize).wrapping_sub(self.source.as_ptr() as usize);
        let end = start.wrapping_add(slice.len());
        if slice.is_empty() || end > self.source.len() { Bytes::new() } else { self.source.slice(start..end) }
    }

    /// The next octet, without taking it.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Goes one level down.
    #[inline]
    pub(crate) fn descend(&mut self) -> Result<(), DecodeError> {
        match self.depth.checked_sub(1) {
            Some(depth) => {
                self.depth = depth;
                Ok(())
            }
            None => Err(self.error(DecodeErrorKind::DepthExceeded)),
        }
    }

    #[inline]
    pub(crate) fn ascend(&mut self) {
        self.depth = self.depth.saturating_add(1);
    }

    /// The octets of a variable-width value whose size is one octet wide.
    #[inline]
    pub(crate) fn variable8(&mut self) -> Result<&'a [u8], DecodeError> {
        let size = self.u8()?;
        self.take(usize::from(size))
    }

    /// The octets of a variable-width value whose size is four octets wide.
    #[inline]
    pub(crate) fn variable32(&mut self) -> Result<&'a [u8], DecodeError> {
        let size = self.be_u32()?;
        self.take(usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// The count and the elements of a compound, one level down if there are any, after its format code.
    #[inline]
    pub(crate) fn compound(&mut self, wide: bool) -> Result<(u32, Self), DecodeError> {
        let body = if wide { self.variable32()? } else { self.variable8()? };
        let mut inner = Self { rest: body, ..*self };
        let count = if wide { inner.be_u32()? } else { u32::from(inner.u8()?) };
        if count > 0 {
            inner.descend()?;
        }
        Ok((count, inner))
    }

    /// The count and the elements of a list, after its format code; refuses other codes.
    #[inline]
    pub(crate) fn list(&mut self, format: u8) -> Result<(u32, Self), DecodeError> {
        let (count, inner) = match format {
            code::LIST0 => return Ok((0, Self { rest: self.rest.get(..0).unwrap_or_default(), ..*self })),
            code::LIST8 => self.compound(false)?,
            code::LIST32 => self.compound(true)?,
            other => return Err(self.wrong_code(other)),
        };
        inner.check_count(count)?;
        Ok((count, inner))
    }

    /// The number of items (keys and values) and the items of a map, after its format code; refuses other codes.
    #[inline]
    pub(crate) fn map(&mut self, format: u8) -> Result<(u32, Self), DecodeError> {
        let (count, inner) = match format {
            code::MAP8 => self.compound(false)?,
            code::MAP32 => self.compound(true)?,
            other => return Err(self.wrong_code(other)),
        };
        if count % 2 != 0 {
            return Err(inner.error(DecodeErrorKind::OddMap));
        }
        inner.check_count(count)?;
        Ok((count, inner))
    }

    /// Each element of a list or a map takes at least its constructor.
    #[inline]
    fn check_count(&self, count: u32) -> Result<(), DecodeError> {
        if usize::try_from(count).is_ok_and(|count| count <= self.rest.len()) {
            Ok(())
        } else {
            Err(self.error(DecodeErrorKind::ElementsExceeded))
        }
    }

    /// How many elements to make room for, of the `count` that the compound claims: all, but where there are many,
    /// only after they were seen to be there. Otherwise each level of a nest could claim the octets of all that is
    /// deeper.
    pub(crate) fn capacity(
        &self,
        count: u32,
        mut skip: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<usize, DecodeError> {
        const FEW: u32 = 16;
        if count > FEW {
            let mut rest = *self;
            for _ in 0..count {
                skip(&mut rest)?;
            }
            rest.end_of_compound()?;
        }
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// An element's constructor and data in one piece, and where it stood.
    pub(crate) fn joined_element(&mut self, constructor: &[u8]) -> Result<(Bytes, u32), DecodeError> {
        /// The constructor is copied for each element, so a long one is no good.
        const LONGEST: usize = 256;
        let (at, start) = (self.offset(), self.rest);
        if constructor.len() > LONGEST {
            return Err(self.error(DecodeErrorKind::UnexpectedDescriptor));
        }
        self.skip_data(constructor.last().copied().unwrap_or(code::NULL))?;
        let data = start.get(..start.len().saturating_sub(self.rest.len())).unwrap_or_default();
        let mut element = BytesMut::with_capacity(constructor.len().saturating_add(data.len()));
        element.put_slice(constructor);
        element.put_slice(data);
        Ok((element.freeze(), at))
    }

    /// Takes what is left.
    pub(crate) fn take_rest(&mut self) {
        self.rest = self.rest.get(..0).unwrap_or_default();
    }

    /// The error of octets that are left after a compound's last element, once; they are taken.
    pub(crate) fn take_excess(&mut self) -> Option<DecodeError> {
        let error = self.end_of_compound().err()?;
        self.take_rest();
        Some(error)
    }

    /// The end of a compound's elements.
    #[inline]
    pub(crate) fn end_of_compound(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error(DecodeErrorKind::LengthMismatch)) }
    }

    /// The error for a format code that was just taken and does not fit.
    #[cold]
    pub(crate) fn wrong_code(&self, format: u8) -> DecodeError {
        let kind = if code::is_known(format) {
            DecodeErrorKind::UnexpectedFormatCode(format)
        } else {
            DecodeErrorKind::UnknownFormatCode(format)
        };
        DecodeError::new(kind, self.offset().saturating_sub(1))
    }

    /// A null, if one comes next.
    #[inline]
    pub fn null(&mut self) -> bool {
        match self.rest.split_first() {
            Some((&code::NULL, rest)) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// The descriptor of a described value (§1.2), leaving the value.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::NotDescribed`] if none comes next; [`DecodeErrorKind::UnexpectedDescriptor`] if it is
    /// neither an unsigned long nor a symbol.
    #[inline]
    pub fn descriptor(&mut self) -> Result<Descriptor, DecodeError> {
        if let [code::DESCRIBED, code::SMALL_ULONG, number, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(Descriptor::Code(u64::from(*number)));
        }
        let start = *self;
        if self.u8()? != code::DESCRIBED {
            return Err(start.error(DecodeErrorKind::NotDescribed));
        }
        match self.peek() {
            Some(code::ULONG | code::SMALL_ULONG | code::ULONG0) => Ok(Descriptor::Code(u64::decode(self)?)),
            Some(code::SYM8 | code::SYM32) => Ok(Descriptor::Name(Symbol::decode(self)?)),
            None => Err(self.error(DecodeErrorKind::Truncated)),
            Some(_) => Err(start.error(DecodeErrorKind::UnexpectedDescriptor)),
        }
    }

    /// The descriptor as the number of a type of the specification, however it is written; `None` if it is another.
    ///
    /// # Errors
    ///
    /// As [`descriptor`](Self::descriptor).
    #[inline]
    pub(crate) fn descriptor_number(&mut self) -> Result<Option<u8>, DecodeError> {
        if let [code::DESCRIBED, code::SMALL_ULONG, number, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(Some(*number));
        }
        self.unusual_descriptor_number()
    }

    #[cold]
    fn unusual_descriptor_number(&mut self) -> Result<Option<u8>, DecodeError> {
        Ok(self.descriptor()?.code().and_then(|code| u8::try_from(code).ok()))
    }

    /// The octets of a value that is written as `format`, a size in one octet, and the octets; taken if it is there.
    #[inline]
    pub(crate) fn counted8(&mut self, format: u8) -> Option<&'a [u8]> {
        step();
        match self.rest {
            [first, size, rest @ ..] if *first == format => {
                let (octets, rest) = rest.split_at_checked(usize::from(*size))?;
                self.rest = rest;
                Some(octets)
            }
            _ => None,
        }
    }

    /// The fields of a composite: their number, and a reader of them, one level down if there are any.
    #[inline]
    pub(crate) fn fields(&mut self) -> Result<(u32, Self), DecodeError> {
        step();
        if let [code::LIST8, size, count, rest @ ..] = self.rest {
            let body = usize::from(*size).checked_sub(1).and_then(|size| rest.split_at_checked(size));
            if let (Some((body, after)), Some(depth)) = (body, self.depth.checked_sub(1)) {
                if usize::from(*count) <= body.len() && *count > 0 {
                    self.rest = after;
                    return Ok((u32::from(*count), Self { rest: body, depth, ..*self }));
                }
            }
        }
        self.unusual_fields()
    }

    /// The number of items and the items of a map, one level down if there are any; as [`map`](Self::map) with the
    /// format code.
    #[inline]
    pub(crate) fn pairs(&mut self) -> Result<(u32, Self), DecodeError> {
        step();
        if let [code::MAP8, size, count, rest @ ..] = self.rest {
            let body = usize::from(*size).checked_sub(1).and_then(|size| rest.split_at_checked(size));
            if let (Some((body, after)), Some(depth)) = (body, self.depth.checked_sub(1)) {
                if usize::from(*count) <= body.len() && *count > 0 && *count % 2 == 0 {
                    self.rest = after;
                    return Ok((u32::from(*count), Self { rest: body, depth, ..*self }));
                }
            }
        }
        let format = self.u8()?;
        self.map(format)
    }

    /// As [`fields`](Self::fields), however the list is written, and whatever is wrong with it.
    #[inline(never)]
    fn unusual_fields(&mut self) -> Result<(u32, Self), DecodeError> {
        let format = self.u8()?;
        self.list(format)
    }

    /// Skips one value, whatever it is, and returns its octets. Costs the same however deep the value is nested; what
    /// stands inside it is not looked at.
    ///
    /// # Errors
    ///
    /// If the value does not end within the buffer, or has more descriptors within descriptors than the limit.
    #[inline]
    pub fn skip(&mut self) -> Result<&'a [u8], DecodeError> {
        step();
        match code::length(self.rest).and_then(|length| self.rest.split_at_checked(length)) {
            Some((octets, rest)) => {
                self.rest = rest;
                Ok(octets)
            }
            None => self.skip_any(),
        }
    }

    /// As [`skip`](Self::skip), of a described value or of what is malformed.
    #[inline(never)]
    fn skip_any(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.rest;
        let format = self.skip_descriptors()?;
        self.skip_data(format)?;
        let length = start.len().saturating_sub(self.rest.len());
        Ok(start.get(..length).unwrap_or_default())
    }

    /// The octets of the string or symbol that comes next, whether they are text or not.
    pub(crate) fn text_octets(mut self) -> Option<&'a [u8]> {
        match self.skip().ok()? {
            [code::STR8 | code::SYM8, _, octets @ ..] => Some(octets),
            [code::STR32 | code::SYM32, _, _, _, _, octets @ ..] => Some(octets),
            _ => None,
        }
    }

    /// Skips one value, and says whether it is this text, as one of these.
    #[inline(always)]
    pub(crate) fn skip_if_text(&mut self, text: &[u8], kind: TextKind) -> Result<bool, DecodeError> {
        let octets = self.skip()?;
        Ok(match octets {
            [code::STR8, _, octets @ ..] => kind.string && same(octets, text),
            [code::SYM8, _, octets @ ..] => kind.symbol && same(octets, text),
            [code::STR32, _, _, _, _, octets @ ..] => kind.string && same(octets, text),
            [code::SYM32, _, _, _, _, octets @ ..] => kind.symbol && same(octets, text),
            _ => false,
        })
    }

    /// Takes the descriptors of a value, if it has any, and the format code after them.
    pub(crate) fn skip_descriptors(&mut self) -> Result<u8, DecodeError> {
        // A descriptor and its value are two values more, minus the constructor that announced them.
        let mut pending = 1usize;
        loop {
            let format = self.u8()?;
            if format == code::DESCRIBED {
                pending = pending.saturating_add(1);
                if pending > usize::from(self.limits.depth).saturating_add(1) {
                    return Err(self.error(DecodeErrorKind::DepthExceeded));
                }
                continue;
            }
            pending = pending.saturating_sub(1);
            if pending == 0 {
                return Ok(format);
            }
            self.skip_data(format)?;
        }
    }

    /// Skips what follows a format code.
    pub(crate) fn skip_data(&mut self, format: u8) -> Result<(), DecodeError> {
        let length = self.data_len(format)?;
        self.take(length).map(drop)
    }

    /// How many octets of data there are for a format code, after the size, which is taken.
    pub(crate) fn data_len(&mut self, format: u8) -> Result<usize, DecodeError> {
        match code::width(format) {
            Some(code::Width::Fixed(width)) => Ok(usize::from(width)),
            Some(code::Width::Counted8) => self.u8().map(usize::from),
            Some(code::Width::Counted32) => Ok(usize::try_from(self.be_u32()?).unwrap_or(usize::MAX)),
            None => Err(self.wrong_code(format)),
        }
    }
}
