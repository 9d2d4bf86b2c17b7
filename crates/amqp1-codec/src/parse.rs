//! The leaves of all parsers, in nom's shape.
//!
//! nom's own number parsers fold octet by octet; these split a whole array off the front. Composition (tuples, `map`)
//! is nom's. Input is always whole, so nothing here is "incomplete": what is short is [`DecodeErrorKind::Truncated`].

use crate::DecodeErrorKind;
use nom::{
    Err, IResult,
    error::{ErrorKind, ParseError},
};

/// A parser's answer: what is left, and what was read.
pub(crate) type Parse<'a, T> = IResult<&'a [u8], T, DecodeErrorKind>;

impl ParseError<&[u8]> for DecodeErrorKind {
    fn from_error_kind(_: &[u8], _: ErrorKind) -> Self {
        Self::Truncated
    }

    fn append(_: &[u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// nom's error without its distinction of recoverable and final, which has no meaning for whole input.
pub(crate) fn kind(error: Err<DecodeErrorKind>) -> DecodeErrorKind {
    match error {
        Err::Error(kind) | Err::Failure(kind) => kind,
        Err::Incomplete(_) => DecodeErrorKind::Truncated,
    }
}

#[inline]
pub(crate) fn octets<const N: usize>(input: &[u8]) -> Parse<'_, [u8; N]> {
    match input.split_first_chunk::<N>() {
        Some((head, rest)) => Ok((rest, *head)),
        None => Err(Err::Error(DecodeErrorKind::Truncated)),
    }
}

#[inline]
pub(crate) fn u8(input: &[u8]) -> Parse<'_, u8> {
    match input.split_first() {
        Some((head, rest)) => Ok((rest, *head)),
        None => Err(Err::Error(DecodeErrorKind::Truncated)),
    }
}

#[inline]
pub(crate) fn be_u16(input: &[u8]) -> Parse<'_, u16> {
    let (rest, head) = octets(input)?;
    Ok((rest, u16::from_be_bytes(head)))
}

#[inline]
pub(crate) fn be_u32(input: &[u8]) -> Parse<'_, u32> {
    let (rest, head) = octets(input)?;
    Ok((rest, u32::from_be_bytes(head)))
}

#[inline]
pub(crate) fn be_u64(input: &[u8]) -> Parse<'_, u64> {
    let (rest, head) = octets(input)?;
    Ok((rest, u64::from_be_bytes(head)))
}

#[inline]
pub(crate) fn take(count: usize) -> impl Fn(&[u8]) -> Parse<'_, &[u8]> {
    move |input| match input.split_at_checked(count) {
        Some((head, rest)) => Ok((rest, head)),
        None => Err(Err::Error(DecodeErrorKind::Truncated)),
    }
}
