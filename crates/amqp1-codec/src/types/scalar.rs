//! The values that are no texts, no octets and no compounds, after their format code: once for values that are owned and
//! for those that are read in place.

/// Matches a format code of which the data come next in `$reader`: makes a variant of `Self` of each scalar, and does
/// what `$own` says of the rest. Needs the names `code`, `parse` and `primitive` where it is used.
macro_rules! scalars {
    ($reader:ident, $format:ident, { $($own:tt)* }) => {
        match $format {
            code::NULL => Self::Null,
            code::TRUE => Self::Boolean(true),
            code::FALSE => Self::Boolean(false),
            code::BOOLEAN => Self::Boolean(primitive::boolean($reader)?),
            code::UBYTE => Self::Ubyte($reader.u8()?),
            code::USHORT => Self::Ushort($reader.run(parse::be_u16)?),
            code::UINT => Self::Uint($reader.be_u32()?),
            code::SMALL_UINT => Self::Uint(u32::from($reader.u8()?)),
            code::UINT0 => Self::Uint(0),
            code::ULONG => Self::Ulong($reader.run(parse::be_u64)?),
            code::SMALL_ULONG => Self::Ulong(u64::from($reader.u8()?)),
            code::ULONG0 => Self::Ulong(0),
            code::BYTE => Self::Byte(i8::from_be_bytes($reader.run(parse::octets)?)),
            code::SHORT => Self::Short(i16::from_be_bytes($reader.run(parse::octets)?)),
            code::INT => Self::Int(i32::from_be_bytes($reader.run(parse::octets)?)),
            code::SMALL_INT => Self::Int(i32::from(i8::from_be_bytes($reader.run(parse::octets)?))),
            code::LONG => Self::Long(i64::from_be_bytes($reader.run(parse::octets)?)),
            code::SMALL_LONG => Self::Long(i64::from(i8::from_be_bytes($reader.run(parse::octets)?))),
            code::FLOAT => Self::Float(f32::from_be_bytes($reader.run(parse::octets)?)),
            code::DOUBLE => Self::Double(f64::from_be_bytes($reader.run(parse::octets)?)),
            code::DECIMAL32 => Self::Decimal32(Decimal32($reader.run(parse::octets)?)),
            code::DECIMAL64 => Self::Decimal64(Decimal64($reader.run(parse::octets)?)),
            code::DECIMAL128 => Self::Decimal128(Decimal128($reader.run(parse::octets)?)),
            code::CHAR => Self::Char(primitive::character($reader)?),
            code::TIMESTAMP => Self::Timestamp(Timestamp(i64::from_be_bytes($reader.run(parse::octets)?))),
            code::UUID => Self::Uuid(Uuid($reader.run(parse::octets)?)),
            $($own)*
        }
    };
}
pub(super) use scalars;
