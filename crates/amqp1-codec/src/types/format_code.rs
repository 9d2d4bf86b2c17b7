//! Format codes (§1.2 and §1.6): the octet that says how the data after it is encoded.

#![allow(missing_docs)]

pub(crate) const DESCRIBED: u8 = 0x00;
pub(crate) const NULL: u8 = 0x40;
pub(crate) const TRUE: u8 = 0x41;
pub(crate) const FALSE: u8 = 0x42;
pub(crate) const UINT0: u8 = 0x43;
pub(crate) const ULONG0: u8 = 0x44;
pub(crate) const LIST0: u8 = 0x45;
pub(crate) const UBYTE: u8 = 0x50;
pub(crate) const BYTE: u8 = 0x51;
pub(crate) const SMALL_UINT: u8 = 0x52;
pub(crate) const SMALL_ULONG: u8 = 0x53;
pub(crate) const SMALL_INT: u8 = 0x54;
pub(crate) const SMALL_LONG: u8 = 0x55;
pub(crate) const BOOLEAN: u8 = 0x56;
pub(crate) const USHORT: u8 = 0x60;
pub(crate) const SHORT: u8 = 0x61;
pub(crate) const UINT: u8 = 0x70;
pub(crate) const INT: u8 = 0x71;
pub(crate) const FLOAT: u8 = 0x72;
pub(crate) const CHAR: u8 = 0x73;
pub(crate) const DECIMAL32: u8 = 0x74;
pub(crate) const ULONG: u8 = 0x80;
pub(crate) const LONG: u8 = 0x81;
pub(crate) const DOUBLE: u8 = 0x82;
pub(crate) const TIMESTAMP: u8 = 0x83;
pub(crate) const DECIMAL64: u8 = 0x84;
pub(crate) const DECIMAL128: u8 = 0x94;
pub(crate) const UUID: u8 = 0x98;
pub(crate) const VBIN8: u8 = 0xa0;
pub(crate) const STR8: u8 = 0xa1;
pub(crate) const SYM8: u8 = 0xa3;
pub(crate) const VBIN32: u8 = 0xb0;
pub(crate) const STR32: u8 = 0xb1;
pub(crate) const SYM32: u8 = 0xb3;
pub(crate) const LIST8: u8 = 0xc0;
pub(crate) const MAP8: u8 = 0xc1;
pub(crate) const LIST32: u8 = 0xd0;
pub(crate) const MAP32: u8 = 0xd1;
pub(crate) const ARRAY8: u8 = 0xe0;
pub(crate) const ARRAY32: u8 = 0xf0;

/// How many octets follow a constructor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Fixed(u8),
    /// As many as the one octet that follows says.
    Counted8,
    /// As many as the four octets that follow say.
    Counted32,
}

/// The width of the data after a format code; `None` if it is not one of the 39.
pub(crate) const fn width(code: u8) -> Option<Width> {
    Some(match code {
        NULL | TRUE | FALSE | UINT0 | ULONG0 | LIST0 => Width::Fixed(0),
        UBYTE | BYTE | SMALL_UINT | SMALL_ULONG | SMALL_INT | SMALL_LONG | BOOLEAN => Width::Fixed(1),
        USHORT | SHORT => Width::Fixed(2),
        UINT | INT | FLOAT | CHAR | DECIMAL32 => Width::Fixed(4),
        ULONG | LONG | DOUBLE | TIMESTAMP | DECIMAL64 => Width::Fixed(8),
        DECIMAL128 | UUID => Width::Fixed(16),
        VBIN8 | STR8 | SYM8 | LIST8 | MAP8 | ARRAY8 => Width::Counted8,
        VBIN32 | STR32 | SYM32 | LIST32 | MAP32 | ARRAY32 => Width::Counted32,
        _ => return None,
    })
}

/// The results of [`length`] for codes that are followed by a size of one octet or of four, and for octets that are no
/// code.
const COUNTED8: u8 = 0xfd;
const COUNTED32: u8 = 0xfe;
const NONE: u8 = 0xff;

/// The widths of all octets, so that skipping a value costs a load and not a chain of comparisons.
#[allow(clippy::indexing_slicing)] // what is out of bounds in a constant does not compile
static WIDTHS: [u8; 256] = {
    let mut widths = [NONE; 256];
    let mut code = 0u8;
    loop {
        widths[code as usize] = match width(code) {
            Some(Width::Fixed(width)) => width,
            Some(Width::Counted8) => COUNTED8,
            Some(Width::Counted32) => COUNTED32,
            None => NONE,
        };
        if code == u8::MAX {
            break;
        }
        code = code.wrapping_add(1);
    }
    widths
};

/// How many octets the value at the front of `octets` has, its format code included, if it says so there; `None` for
/// described values, and for what is malformed. There may be fewer octets than that.
#[inline]
pub(crate) fn length(octets: &[u8]) -> Option<usize> {
    let (code, rest) = octets.split_first()?;
    match WIDTHS.get(usize::from(*code)).copied() {
        Some(COUNTED8) => Some(2usize.wrapping_add(usize::from(*rest.first()?))),
        Some(COUNTED32) => 5usize.checked_add(usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?),
        Some(NONE) | None => None,
        Some(width) => Some(1usize.wrapping_add(usize::from(width))),
    }
}

/// Whether this is the format code of an integer, of any width.
pub(crate) const fn is_integer(code: u8) -> bool {
    matches!(
        code,
        UINT0
            | ULONG0
            | UBYTE
            | BYTE
            | SMALL_UINT
            | SMALL_ULONG
            | SMALL_INT
            | SMALL_LONG
            | USHORT
            | SHORT
            | UINT
            | INT
            | ULONG
            | LONG
    )
}

/// Whether this octet is a format code, that of described values included.
pub(crate) const fn is_known(code: u8) -> bool {
    code == DESCRIBED || width(code).is_some()
}
