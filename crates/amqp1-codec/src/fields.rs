//! The fields of a composite, one after another.

use crate::{Decode, DecodeError, DecodeErrorKind, Multiple, Reader, messaging::DeliveryState};
use bytes::Bytes;

/// Reads the fields of a composite (§1.4) in their order.
#[derive(Debug)]
pub struct FieldReader<'a> {
    reader: Reader<'a>,
    left: u32,
    index: u8,
}

impl<'a> FieldReader<'a> {
    /// The fields of the list that comes next in `reader`.
    ///
    /// # Errors
    ///
    /// If what comes next is not a list.
    #[inline]
    pub fn new(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (left, inner) = reader.fields()?;
        Ok(Self { reader: inner, left, index: 0 })
    }

    /// The next field, or `None` if it is null or absent.
    ///
    /// # Errors
    ///
    /// If the field is of another type.
    #[inline(always)]
    pub fn optional<T: Decode>(&mut self) -> Result<Option<T>, DecodeError> {
        // Most fields of most composites are absent: that much is said in place, whatever it takes to read the others.
        if self.takes_absent() {
            Ok(None)
        } else if T::ADVISORY {
            self.advisory()
        } else {
            T::decode(&mut self.reader).map(Some)
        }
    }

    /// The next field, which may count as absent or as another value if it cannot be read.
    #[inline(never)]
    fn advisory<T: Decode>(&mut self) -> Result<Option<T>, DecodeError> {
        let start = self.reader;
        match T::decode(&mut self.reader) {
            Err(_) if start.packed().odd_advisory_data() => {
                self.reader = start;
                self.reader.skip().map(|_| T::stand_in(start))
            }
            read => read.map(Some),
        }
    }

    /// Goes on to the next field; if it is null or absent, that was all.
    #[inline(always)]
    fn takes_absent(&mut self) -> bool {
        self.index = self.index.wrapping_add(1);
        match self.left.checked_sub(1) {
            None => true,
            Some(left) => {
                self.left = left;
                self.reader.null()
            }
        }
    }

    /// The next field, which is mandatory.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::MissingField`] if it is null or absent.
    #[inline]
    pub fn required<T: Decode>(&mut self) -> Result<T, DecodeError> {
        let field = self.index;
        match self.optional()? {
            Some(value) => Ok(value),
            None => Err(self.reader.error(DecodeErrorKind::MissingField(field))),
        }
    }

    /// The next field, which is mandatory, and counts as `stand_in` if it is missing and advisory data may be odd.
    #[inline(never)]
    pub(crate) fn required_or<T: Decode>(&mut self, stand_in: T) -> Result<T, DecodeError> {
        let field = self.index;
        match self.optional()? {
            Some(value) => Ok(value),
            None if self.reader.packed().odd_advisory_data() => Ok(stand_in),
            None => Err(self.reader.error(DecodeErrorKind::MissingField(field))),
        }
    }

    /// The next field, which is mandatory and a transaction-id (§4.5.4): at most 32 octets, or 255 if the limits allow it.
    pub(crate) fn transaction_id(&mut self) -> Result<Bytes, DecodeError> {
        const MOST: usize = 32;
        const LONG: usize = 255;
        let start = self.reader;
        let most = if start.packed().long_transaction_ids() { LONG } else { MOST };
        let id = self.required::<Bytes>()?;
        if id.len() > most { Err(start.error(DecodeErrorKind::InvalidValue)) } else { Ok(id) }
    }

    /// The next field, which is a delivery state that is final.
    pub(crate) fn outcome<T: Decode + AsRef<DeliveryState>>(&mut self) -> Result<Option<T>, DecodeError> {
        let start = self.reader;
        match self.optional::<T>()? {
            Some(state) if !state.as_ref().is_outcome() => Err(start.error(DecodeErrorKind::InvalidValue)),
            state => Ok(state),
        }
    }

    /// The next field, which is mandatory and has several values, at least one.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::MissingField`] if it is null, absent, or an empty array.
    pub fn several<T: Decode>(&mut self) -> Result<Multiple<T>, DecodeError> {
        let (field, start) = (self.index, self.reader);
        let values = self.required::<Multiple<T>>()?;
        if values.is_empty() { Err(start.error(DecodeErrorKind::MissingField(field))) } else { Ok(values) }
    }

    /// Checks that no field and no octet is left.
    ///
    /// # Errors
    ///
    /// [`DecodeErrorKind::TooManyFields`] or [`DecodeErrorKind::LengthMismatch`].
    #[inline]
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.left > 0 {
            return Err(self.reader.error(DecodeErrorKind::TooManyFields));
        }
        self.reader.end_of_compound()
    }

    /// As [`finish`](Self::finish), for a type whose fields too many are skipped if advisory data may be odd.
    #[inline]
    pub(crate) fn finish_extensible(self) -> Result<(), DecodeError> {
        if self.left > 0 { self.skip_excess() } else { self.reader.end_of_compound() }
    }

    #[cold]
    fn skip_excess(mut self) -> Result<(), DecodeError> {
        if !self.reader.packed().odd_advisory_data() {
            return self.finish();
        }
        for _ in 0..self.left {
            self.reader.skip()?;
        }
        self.reader.end_of_compound()
    }
}
