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
    pub fn new(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let format = reader.u8()?;
        let (left, inner) = reader.list(format)?;
        Ok(Self { reader: inner, left, index: 0 })
    }

    /// The next field, or `None` if it is null or absent.
    ///
    /// # Errors
    ///
    /// If the field is of another type.
    #[inline]
    pub fn optional<T: Decode>(&mut self) -> Result<Option<T>, DecodeError> {
        self.index = self.index.saturating_add(1);
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        if self.reader.null() { Ok(None) } else { T::decode(&mut self.reader).map(Some) }
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

    /// The next field, which is mandatory and a transaction-id (§4.5.4): at most 32 octets.
    pub(crate) fn transaction_id(&mut self) -> Result<Bytes, DecodeError> {
        const MOST: usize = 32;
        let start = self.reader;
        let id = self.required::<Bytes>()?;
        if id.len() > MOST { Err(start.error(DecodeErrorKind::InvalidValue)) } else { Ok(id) }
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
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.left > 0 {
            return Err(self.reader.error(DecodeErrorKind::TooManyFields));
        }
        self.reader.end_of_compound()
    }
}
