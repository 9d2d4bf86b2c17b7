//! From octets to types of one's own, in one pass.

use super::{
    Error,
    walk::{Elements, Entries, Variant},
};
use crate::{
    DecodeErrorKind, Reader, parse,
    types::{format_code as code, primitive, text},
};
use ::serde::de::{
    self, Deserialize, Visitor,
    value::{BorrowedStrDeserializer, SeqDeserializer},
};

/// Reads values where they lie; the [module](super) says what becomes what.
///
/// ```
/// use amqp1_codec::{Encode, Reader, Value, serde::Deserializer};
/// use serde::Deserialize;
///
/// let octets = Value::List(vec!["on".into(), 21_u8.into()]).to_octets();
/// let mut deserializer = Deserializer::new(Reader::new(&octets));
/// let (state, degrees) = <(&str, u32)>::deserialize(&mut deserializer)?;
/// assert_eq!((state, degrees), ("on", 21));
/// # Ok::<(), amqp1_codec::serde::Error>(())
/// ```
#[derive(Debug)]
pub struct Deserializer<'de> {
    pub(super) reader: Reader<'de>,
    /// Within an array, the format code that its elements share; elsewhere each value has its own.
    element: Option<u8>,
    /// How many elements of no width may still come, in all arrays together: each array may have many of them, but a
    /// few octets are an array, and what is made of elements may take memory.
    zero_width_left: u32,
}

impl<'de> Deserializer<'de> {
    /// A deserializer of the values that the reader holds, under the reader's limits.
    pub fn new(reader: Reader<'de>) -> Self {
        Self { reader, element: None, zero_width_left: reader.limits().zero_width_elements }
    }

    /// The only value that the reader holds.
    pub(crate) fn read_all<T: Deserialize<'de>>(mut self) -> Result<T, Error> {
        let value = T::deserialize(&mut self)?;
        self.reader.finish()?;
        Ok(value)
    }

    /// Passes over descriptors, takes the format code, and does `read` with it, as many levels down as there were
    /// descriptors.
    fn value<T>(&mut self, read: impl FnOnce(&mut Self, u8) -> Result<T, Error>) -> Result<T, Error> {
        if let Some(format) = self.element {
            return read(self, format);
        }
        let mut levels = 0u8;
        let mut format = self.reader.u8()?;
        while format == code::DESCRIBED {
            self.reader.descend()?;
            levels = levels.saturating_add(1);
            self.reader.skip()?;
            format = self.reader.u8()?;
        }
        let value = read(self, format)?;
        (0..levels).for_each(|_| self.reader.ascend());
        Ok(value)
    }

    /// Skips one value.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        match self.element {
            Some(format) => self.reader.skip_data(format)?,
            None => drop(self.reader.skip()?),
        }
        Ok(())
    }

    /// Does `walk` with the inside of a compound, which must be at its end then.
    fn inside<T>(
        &mut self,
        reader: Reader<'de>,
        element: Option<u8>,
        walk: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut inner = Self { reader, element, zero_width_left: self.zero_width_left };
        let value = walk(&mut inner)?;
        inner.reader.end_of_compound()?;
        self.zero_width_left = inner.zero_width_left;
        Ok(value)
    }

    fn list<V: Visitor<'de>>(&mut self, format: u8, visitor: V) -> Result<V::Value, Error> {
        let (count, inner) = self.reader.list(format)?;
        self.inside(inner, None, |inner| Elements::visit(inner, count, visitor))
    }

    fn array<V: Visitor<'de>>(&mut self, format: u8, visitor: V) -> Result<V::Value, Error> {
        let (count, mut inner) = self.reader.array(format)?;
        let element = inner.array_constructor()?;
        if !inner.check_elements(count, element)? {
            let left = self.zero_width_left.checked_sub(count);
            self.zero_width_left = left.ok_or_else(|| inner.error(DecodeErrorKind::ElementsExceeded))?;
        }
        self.inside(inner, Some(element), |inner| Elements::visit(inner, count, visitor))
    }

    fn map<V: Visitor<'de>>(&mut self, format: u8, visitor: V) -> Result<V::Value, Error> {
        let (items, inner) = self.reader.map(format)?;
        self.inside(inner, None, |inner| Entries::visit(inner, items / 2, visitor))
    }

    /// The octets of a value of variable width.
    fn octets(&mut self, format: u8) -> Result<&'de [u8], Error> {
        let narrow = matches!(format, code::VBIN8 | code::STR8 | code::SYM8);
        Ok(if narrow { self.reader.variable8()? } else { self.reader.variable32()? })
    }

    /// The text of a string or a symbol.
    fn text(&mut self, format: u8) -> Result<&'de str, Error> {
        let octets = self.octets(format)?;
        let symbol = matches!(format, code::SYM8 | code::SYM32);
        Ok(if symbol { text::ascii(&self.reader, octets)? } else { text::utf8(&self.reader, octets)? })
    }

    /// A value that is neither text nor octets nor a compound.
    fn scalar<V: Visitor<'de>>(&mut self, format: u8, visitor: V) -> Result<V::Value, Error> {
        let reader = &mut self.reader;
        match format {
            code::NULL => visitor.visit_unit(),
            code::TRUE => visitor.visit_bool(true),
            code::FALSE => visitor.visit_bool(false),
            code::BOOLEAN => visitor.visit_bool(primitive::boolean(reader)?),
            code::UBYTE => visitor.visit_u8(reader.u8()?),
            code::USHORT => visitor.visit_u16(reader.run(parse::be_u16)?),
            code::UINT => visitor.visit_u32(reader.be_u32()?),
            code::SMALL_UINT => visitor.visit_u32(u32::from(reader.u8()?)),
            code::UINT0 => visitor.visit_u32(0),
            code::ULONG => visitor.visit_u64(reader.run(parse::be_u64)?),
            code::SMALL_ULONG => visitor.visit_u64(u64::from(reader.u8()?)),
            code::ULONG0 => visitor.visit_u64(0),
            code::BYTE => visitor.visit_i8(i8::from_be_bytes(reader.run(parse::octets)?)),
            code::SHORT => visitor.visit_i16(i16::from_be_bytes(reader.run(parse::octets)?)),
            code::INT => visitor.visit_i32(i32::from_be_bytes(reader.run(parse::octets)?)),
            code::SMALL_INT => visitor.visit_i32(i32::from(i8::from_be_bytes(reader.run(parse::octets)?))),
            code::LONG | code::TIMESTAMP => visitor.visit_i64(i64::from_be_bytes(reader.run(parse::octets)?)),
            code::SMALL_LONG => visitor.visit_i64(i64::from(i8::from_be_bytes(reader.run(parse::octets)?))),
            code::FLOAT => visitor.visit_f32(f32::from_be_bytes(reader.run(parse::octets)?)),
            code::DOUBLE => visitor.visit_f64(f64::from_be_bytes(reader.run(parse::octets)?)),
            code::CHAR => visitor.visit_char(primitive::character(reader)?),
            code::UUID => visitor.visit_borrowed_bytes(reader.take(16)?),
            code::DECIMAL32 | code::DECIMAL64 | code::DECIMAL128 => Err(Error::Unsupported("decimal")),
            other => Err(reader.wrong_code(other).into()),
        }
    }

    fn any<V: Visitor<'de>>(&mut self, format: u8, visitor: V) -> Result<V::Value, Error> {
        match format {
            code::STR8 | code::STR32 | code::SYM8 | code::SYM32 => visitor.visit_borrowed_str(self.text(format)?),
            code::VBIN8 | code::VBIN32 => visitor.visit_borrowed_bytes(self.octets(format)?),
            code::LIST0 | code::LIST8 | code::LIST32 => self.list(format, visitor),
            code::MAP8 | code::MAP32 => self.map(format, visitor),
            code::ARRAY8 | code::ARRAY32 => self.array(format, visitor),
            _ => self.scalar(format, visitor),
        }
    }

    /// A unit variant is its name; any other is a map of one pair.
    fn variant<V: Visitor<'de>>(&mut self, format: u8, visitor: V) -> Result<V::Value, Error> {
        match format {
            code::STR8 | code::STR32 | code::SYM8 | code::SYM32 => {
                visitor.visit_enum(BorrowedStrDeserializer::new(self.text(format)?))
            }
            code::MAP8 | code::MAP32 => {
                let (items, inner) = self.reader.map(format)?;
                if items != 2 {
                    let found = de::Unexpected::Other("a map of another length");
                    return Err(de::Error::invalid_value(found, &"a map of one pair, for a variant"));
                }
                self.inside(inner, None, |inner| visitor.visit_enum(Variant::new(inner)))
            }
            _ => {
                Err(de::Error::invalid_type(de::Unexpected::Other("another type"), &"a variant's name or a map of one"))
            }
        }
    }
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.value(|this, format| this.any(format, visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.element {
            Some(code::NULL) => visitor.visit_none(),
            None if self.reader.null() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// The octets of a binary are a sequence too.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.value(|this, format| match format {
            code::VBIN8 | code::VBIN32 => {
                let mut octets = SeqDeserializer::<_, Error>::new(this.octets(format)?.iter().copied());
                let value = visitor.visit_seq(&mut octets)?;
                octets.end()?;
                Ok(value)
            }
            _ => this.any(format, visitor),
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.value(|this, format| this.variant(format, visitor))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }

    fn deserialize_i128<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::Unsupported("i128"))
    }

    fn deserialize_u128<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::Unsupported("u128"))
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    ::serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct map struct identifier
    }
}
