//! Fixed-width primitive types (§1.6).

use super::format_code as code;
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Reader, parse, write};
use alloc::boxed::Box;
use bytes::{BufMut, BytesMut};
use core::fmt;

/// A point in time (§1.6.17): milliseconds since 1970-01-01T00:00:00Z, negative before.
///
/// With the feature `std`, it is made of a `SystemTime`, and makes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A universally unique identifier (§1.6.18), in the order of RFC 4122.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The octets of an IEEE 754-2008 decimal (§1.6.13 to §1.6.15), kept as they are.
macro_rules! decimals {
    ($($(#[$meta:meta])* $name:ident, $width:literal, $code:path;)+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub [u8; $width]);

        impl Encode for $name {
            fn encoded_len(&self, _: EncodeStyle) -> usize {
                $width + 1
            }

            fn encode(&self, _: EncodeStyle, out: &mut BytesMut) {
                out.put_u8($code);
                out.put_slice(&self.0);
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match reader.u8()? {
                    $code => reader.run(parse::octets).map(Self),
                    other => Err(reader.wrong_code(other)),
                }
            }
        }
    )+ };
}
decimals! {
    /// A decimal of 32 bits (§1.6.13), binary integer significand, kept as octets.
    Decimal32, 4, code::DECIMAL32;
    /// A decimal of 64 bits (§1.6.14), binary integer significand, kept as octets.
    Decimal64, 8, code::DECIMAL64;
    /// A decimal of 128 bits (§1.6.15), binary integer significand, kept as octets.
    Decimal128, 16, code::DECIMAL128;
}

/// Types with one encoding of fixed width.
macro_rules! fixed {
    ($($ty:ty, $width:literal, $code:path, |$from:ident| $write:expr, |$octets:ident| $read:expr;)+) => { $(
        impl Encode for $ty {
            #[inline]
            fn encoded_len(&self, _: EncodeStyle) -> usize {
                $width + 1
            }

            #[inline]
            fn encode(&self, _: EncodeStyle, out: &mut BytesMut) {
                let $from = self;
                write::fixed::<$width, { $width + 1 }>($code, $write, out);
            }
        }

        impl Decode for $ty {
            #[inline]
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match reader.u8()? {
                    $code => {
                        let $octets = reader.run(parse::octets)?;
                        Ok($read)
                    }
                    other => Err(reader.wrong_code(other)),
                }
            }
        }
    )+ };
}
fixed! {
    u8, 1, code::UBYTE, |v| v.to_be_bytes(), |o| Self::from_be_bytes(o);
    i8, 1, code::BYTE, |v| v.to_be_bytes(), |o| Self::from_be_bytes(o);
    u16, 2, code::USHORT, |v| v.to_be_bytes(), |o| Self::from_be_bytes(o);
    i16, 2, code::SHORT, |v| v.to_be_bytes(), |o| Self::from_be_bytes(o);
    f32, 4, code::FLOAT, |v| v.to_be_bytes(), |o| Self::from_be_bytes(o);
    f64, 8, code::DOUBLE, |v| v.to_be_bytes(), |o| Self::from_be_bytes(o);
    Timestamp, 8, code::TIMESTAMP, |v| v.0.to_be_bytes(), |o| Self(i64::from_be_bytes(o));
    Uuid, 16, code::UUID, |v| v.0, |o| Self(o);
}

/// Integers with a full and a one-octet encoding, and with one for zero where `$zero` is given.
macro_rules! integers {
    ($($ty:ty, $small_ty:ty, $code:path, $small:path $(, $zero:path)?;)+) => { $(
        impl Encode for $ty {
            #[inline]
            fn encoded_len(&self, _: EncodeStyle) -> usize {
                $( if *self == 0 { let _ = $zero; return 1; } )?
                if <$small_ty>::try_from(*self).is_ok() { 2 } else { size_of::<Self>().saturating_add(1) }
            }

            #[inline]
            fn encode(&self, _: EncodeStyle, out: &mut BytesMut) {
                $( if *self == 0 { return out.put_u8($zero); } )?
                match <$small_ty>::try_from(*self) {
                    Ok(small) => {
                        let [octet] = small.to_be_bytes();
                        out.put_slice(&[$small, octet]);
                    }
                    Err(_) => {
                        const WIDTH: usize = size_of::<$ty>();
                        write::fixed::<WIDTH, { WIDTH + 1 }>($code, self.to_be_bytes(), out);
                    }
                }
            }
        }

        impl Decode for $ty {
            #[inline]
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match reader.u8()? {
                    $( $zero => Ok(0), )?
                    $small => Ok(Self::from(<$small_ty>::from_be_bytes(reader.run(parse::octets)?))),
                    $code => Ok(Self::from_be_bytes(reader.run(parse::octets)?)),
                    other => Err(reader.wrong_code(other)),
                }
            }
        }
    )+ };
}
integers! {
    u32, u8, code::UINT, code::SMALL_UINT, code::UINT0;
    u64, u8, code::ULONG, code::SMALL_ULONG, code::ULONG0;
    i32, i8, code::INT, code::SMALL_INT;
    i64, i8, code::LONG, code::SMALL_LONG;
}

impl Encode for bool {
    #[inline]
    fn encoded_len(&self, _: EncodeStyle) -> usize {
        1
    }

    #[inline]
    fn encode(&self, _: EncodeStyle, out: &mut BytesMut) {
        out.put_u8(if *self { code::TRUE } else { code::FALSE });
    }
}

impl Decode for bool {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            code::TRUE => Ok(true),
            code::FALSE => Ok(false),
            code::BOOLEAN => boolean(reader),
            other => Err(reader.wrong_code(other)),
        }
    }
}

/// The octet of a boolean, after format code 0x56.
pub(crate) fn boolean(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.error(DecodeErrorKind::InvalidBoolean)),
    }
}

impl Encode for char {
    fn encoded_len(&self, _: EncodeStyle) -> usize {
        5
    }

    fn encode(&self, _: EncodeStyle, out: &mut BytesMut) {
        out.put_u8(code::CHAR);
        out.put_u32(u32::from(*self));
    }
}

impl Decode for char {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            code::CHAR => character(reader),
            other => Err(reader.wrong_code(other)),
        }
    }
}

/// The four octets of a char, after its format code.
pub(crate) fn character(reader: &mut Reader<'_>) -> Result<char, DecodeError> {
    let number = reader.be_u32()?;
    char::from_u32(number).ok_or_else(|| reader.error(DecodeErrorKind::InvalidChar))
}

impl<T: Encode + ?Sized> Encode for Box<T> {
    fn encoded_len(&self, style: EncodeStyle) -> usize {
        (**self).encoded_len(style)
    }

    fn encode(&self, style: EncodeStyle, out: &mut BytesMut) {
        (**self).encode(style, out);
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::decode(reader).map(Self::new)
    }
}
