//! Strings and symbols (§1.6.20, §1.6.21): checked views of the buffer that they were read from.

use crate::{
    Decode, DecodeError, DecodeErrorKind, Encode, EncodeStyle, Reader,
    types::{debug::Text, format_code as code},
    write::saturating_u32,
};
use alloc::string::String;
use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use core::{borrow::Borrow, fmt, ops::Deref};

/// A string: UTF-8, sharing the buffer that it was read from.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str(ByteString);

/// A symbol: an ASCII name from a constrained domain, sharing the buffer that it was read from.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(ByteString);

/// The text of a [`Symbol`] held something other than ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAscii;

impl fmt::Display for NotAscii {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a symbol may hold ASCII only")
    }
}

impl core::error::Error for NotAscii {}

impl Str {
    /// A string of static text, without allocation.
    pub const fn from_static(text: &'static str) -> Self {
        Self(ByteString::from_static(text))
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A copy that does not keep a larger buffer alive.
    pub fn to_detached(&self) -> Self {
        Self(ByteString::from(String::from(self.as_str())))
    }

    /// The octets, shared.
    pub fn to_bytes(&self) -> Bytes {
        self.0.as_bytes().clone()
    }
}

impl Symbol {
    /// A symbol of static text, without allocation.
    ///
    /// # Panics
    ///
    /// If the text is not ASCII; in a constant this is a compile error.
    pub const fn from_static(text: &'static str) -> Self {
        assert!(text.is_ascii(), "a symbol may hold ASCII only");
        Self(ByteString::from_static(text))
    }

    /// A symbol of this text.
    ///
    /// # Errors
    ///
    /// [`NotAscii`] if the text holds something else.
    pub fn new(text: impl Into<String>) -> Result<Self, NotAscii> {
        let text = text.into();
        if text.is_ascii() { Ok(Self(ByteString::from(text))) } else { Err(NotAscii) }
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A copy that does not keep a larger buffer alive.
    pub fn to_detached(&self) -> Self {
        Self(ByteString::from(String::from(self.as_str())))
    }
}

macro_rules! text {
    ($name:ident) => {
        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                self.as_str()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        /// In quotes, escaped and cut, as [`printable`](crate::printable) does.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&Text(self.as_str()), f)
            }
        }

        /// The text as it is. Use [`printable`](crate::printable) where people or logs are to see what a peer sent.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }
    };
}
text!(Str);
text!(Symbol);

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(ByteString::from(text))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self(ByteString::from(text))
    }
}

/// The octets of a text, shared.
impl TryFrom<Bytes> for Str {
    type Error = core::str::Utf8Error;

    fn try_from(octets: Bytes) -> Result<Self, Self::Error> {
        ByteString::try_from(octets).map(Self)
    }
}

impl From<Symbol> for Str {
    fn from(symbol: Symbol) -> Self {
        Self(symbol.0)
    }
}

/// A symbol of static text, without allocation, as [`from_static`](Symbol::from_static). Other texts are checked by
/// [`Symbol::new`].
///
/// # Panics
///
/// If the text is not ASCII.
impl From<&'static str> for Symbol {
    fn from(text: &'static str) -> Self {
        Self::from_static(text)
    }
}

/// As [`Symbol::new`].
impl core::str::FromStr for Symbol {
    type Err = NotAscii;

    fn from_str(text: &str) -> Result<Self, NotAscii> {
        Self::new(text)
    }
}

fn text_len(length: usize) -> usize {
    if length <= 255 { length.saturating_add(2) } else { length.saturating_add(5) }
}

/// Appends a variable-width value with the narrower of its two constructors that fits.
#[inline]
pub(crate) fn write_variable(narrow: u8, wide: u8, octets: &[u8], out: &mut BytesMut) {
    if let Ok(size) = u8::try_from(octets.len()) {
        out.put_slice(&[narrow, size]);
    } else {
        out.put_u8(wide);
        out.put_u32(saturating_u32(octets.len()));
    }
    out.put_slice(octets);
}

impl Encode for Str {
    #[inline]
    fn encoded_len(&self, _: EncodeStyle) -> usize {
        text_len(self.len())
    }

    #[inline]
    fn encode(&self, _: EncodeStyle, out: &mut BytesMut) {
        write_variable(code::STR8, code::STR32, self.as_bytes(), out);
    }
}

impl Encode for Symbol {
    #[inline]
    fn encoded_len(&self, _: EncodeStyle) -> usize {
        text_len(self.len())
    }

    #[inline]
    fn encode(&self, _: EncodeStyle, out: &mut BytesMut) {
        write_variable(code::SYM8, code::SYM32, self.as_bytes(), out);
    }
}

impl Encode for Bytes {
    #[inline]
    fn encoded_len(&self, _: EncodeStyle) -> usize {
        text_len(self.len())
    }

    #[inline]
    fn encode(&self, _: EncodeStyle, out: &mut BytesMut) {
        write_variable(code::VBIN8, code::VBIN32, self, out);
    }
}

/// The text of a string whose octets were just taken from `reader`.
pub(crate) fn utf8<'a>(reader: &Reader<'a>, octets: &'a [u8]) -> Result<&'a str, DecodeError> {
    core::str::from_utf8(octets).map_err(|_| reader.error(DecodeErrorKind::InvalidUtf8))
}

/// The text of a symbol whose octets were just taken from `reader`.
pub(crate) fn ascii<'a>(reader: &Reader<'a>, octets: &'a [u8]) -> Result<&'a str, DecodeError> {
    match core::str::from_utf8(octets) {
        Ok(text) if text.is_ascii() => Ok(text),
        _ => Err(reader.error(DecodeErrorKind::InvalidSymbol)),
    }
}

impl Str {
    /// The same text as a symbol, if it is ASCII.
    pub(crate) fn to_symbol(&self) -> Option<Symbol> {
        self.is_ascii().then(|| Symbol(self.0.clone()))
    }

    #[inline]
    pub(crate) fn from_octets(reader: &Reader<'_>, octets: Bytes) -> Result<Self, DecodeError> {
        ByteString::try_from(octets).map(Self).map_err(|_| reader.error(DecodeErrorKind::InvalidUtf8))
    }
}

impl Symbol {
    #[inline]
    pub(crate) fn from_octets(reader: &Reader<'_>, octets: Bytes) -> Result<Self, DecodeError> {
        match ByteString::try_from(octets) {
            Ok(text) if text.is_ascii() => Ok(Self(text)),
            _ => Err(reader.error(DecodeErrorKind::InvalidSymbol)),
        }
    }
}

impl Decode for Str {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if let Some(octets) = reader.counted8(code::STR8) {
            return Self::from_octets(reader, reader.share(octets));
        }
        let octets = match reader.u8()? {
            code::STR8 => reader.variable8()?,
            code::STR32 => reader.variable32()?,
            other => return Err(reader.wrong_code(other)),
        };
        Self::from_octets(reader, reader.share(octets))
    }
}

impl Symbol {
    #[inline]
    fn decode_data(reader: &mut Reader<'_>, format: u8) -> Result<Self, DecodeError> {
        let octets = match format {
            code::SYM8 => reader.variable8()?,
            code::SYM32 => reader.variable32()?,
            other => return Err(reader.wrong_code(other)),
        };
        Self::from_octets(reader, reader.share(octets))
    }
}

impl Decode for Symbol {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if let Some(octets) = reader.counted8(code::SYM8) {
            return Self::from_octets(reader, reader.share(octets));
        }
        let format = reader.u8()?;
        Self::decode_data(reader, format)
    }

    fn takes_constructor(constructor: &[u8]) -> bool {
        matches!(constructor, [code::SYM8 | code::SYM32])
    }

    fn decode_element(reader: &mut Reader<'_>, constructor: &[u8]) -> Result<Self, DecodeError> {
        match constructor {
            [format] => Self::decode_data(reader, *format),
            _ => Err(reader.error(DecodeErrorKind::UnexpectedDescriptor)),
        }
    }
}

impl Decode for Bytes {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let octets = match reader.u8()? {
            code::VBIN8 => reader.variable8()?,
            code::VBIN32 => reader.variable32()?,
            other => return Err(reader.wrong_code(other)),
        };
        Ok(reader.share(octets))
    }
}
