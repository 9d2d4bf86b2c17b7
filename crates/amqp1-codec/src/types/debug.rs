//! `Debug` of values, of a length that does not run away: long texts, octets and compounds are cut short.

use super::{Array, Described, Map, Value};
use core::fmt;

/// Elements of a compound that are shown.
const SHOWN: usize = 64;

/// A text's first characters.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Text<'_> {
    const SHOWN: usize = 256;
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(Self::SHOWN) {
            Some((end, _)) => write!(f, "{:?}… ({} octets)", self.0.get(..end).unwrap_or_default(), self.0.len()),
            None => fmt::Debug::fmt(self.0, f),
        }
    }
}

/// The first octets, in hexadecimal digits.
pub(crate) struct Octets<'a>(pub(crate) &'a [u8]);

impl Octets<'_> {
    const SHOWN: usize = 32;
}

impl fmt::Debug for Octets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().take(Self::SHOWN).try_for_each(|octet| write!(f, "{octet:02x}"))?;
        if self.0.len() > Self::SHOWN { write!(f, "… ({} octets)", self.0.len()) } else { Ok(()) }
    }
}

/// How many elements are not shown.
struct More(usize);

impl fmt::Debug for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "… {} more", self.0)
    }
}

fn list<T: fmt::Debug>(f: &mut fmt::Formatter<'_>, count: usize, items: impl Iterator<Item = T>) -> fmt::Result {
    let mut shown = f.debug_list();
    shown.entries(items.take(SHOWN));
    if count > SHOWN {
        shown.entry(&More(count.saturating_sub(SHOWN)));
    }
    shown.finish()
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = |name: &str, field: &dyn fmt::Debug| f.debug_tuple(name).field(field).finish();
        match self {
            Self::Null => f.write_str("Null"),
            Self::Boolean(v) => tuple("Boolean", v),
            Self::Ubyte(v) => tuple("Ubyte", v),
            Self::Ushort(v) => tuple("Ushort", v),
            Self::Uint(v) => tuple("Uint", v),
            Self::Ulong(v) => tuple("Ulong", v),
            Self::Byte(v) => tuple("Byte", v),
            Self::Short(v) => tuple("Short", v),
            Self::Int(v) => tuple("Int", v),
            Self::Long(v) => tuple("Long", v),
            Self::Float(v) => tuple("Float", v),
            Self::Double(v) => tuple("Double", v),
            Self::Decimal32(v) => tuple("Decimal32", &Octets(&v.0)),
            Self::Decimal64(v) => tuple("Decimal64", &Octets(&v.0)),
            Self::Decimal128(v) => tuple("Decimal128", &Octets(&v.0)),
            Self::Char(v) => tuple("Char", v),
            Self::Timestamp(v) => fmt::Debug::fmt(v, f),
            Self::Uuid(v) => tuple("Uuid", v),
            Self::Binary(v) => tuple("Binary", &Octets(v)),
            Self::String(v) => tuple("String", &Text(v)),
            Self::Symbol(v) => tuple("Symbol", &Text(v)),
            Self::List(items) => {
                f.write_str("List")?;
                list(f, items.len(), items.iter())
            }
            Self::Map(map) => fmt::Debug::fmt(map, f),
            Self::Array(array) => fmt::Debug::fmt(array, f),
            Self::Described(described) => fmt::Debug::fmt(described, f),
        }
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_map();
        shown.entries(self.iter().take(SHOWN));
        if self.len() > SHOWN {
            shown.entry(&More(self.len().saturating_sub(SHOWN)), &());
        }
        shown.finish()
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Array")?;
        for descriptor in self.descriptors() {
            write!(f, "@{descriptor:?} ")?;
        }
        list(f, self.len(), self.undescribed())
    }
}

impl fmt::Debug for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{:?} {:?}", self.descriptor, self.value)
    }
}
