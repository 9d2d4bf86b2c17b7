//! `Debug` of values, of a length that does not run away: long texts, octets and compounds are cut short.

use super::{Array, Described, Map, Multiple, Value};
use crate::{
    definitions::Fields,
    messaging::{Annotations, ApplicationProperties, DeliveryState, FilterSet, MessageId, NodeProperties},
    performative::{TargetArchetype, Unsettled},
    printable::{bounded_debug, printable},
};
use core::fmt;

/// Elements of a compound that are shown.
const SHOWN: usize = 64;

/// A text's first characters, in quotes.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Text<'_> {
    const SHOWN: usize = 256;
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&printable(self.0).limit(Self::SHOWN), f)
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
        bounded_debug(f, |f| self.show(f))
    }
}

impl Value {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// Maps, whichever their keys may be.
macro_rules! maps {
    ($($ty:ty => |$this:ident| $map:expr),+ $(,)?) => { $(
        impl fmt::Debug for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $this = self;
                bounded_debug(f, |f| pairs(f, $map))
            }
        }
    )+ };
}
maps! {
    Map => |map| map.iter(),
    Fields => |map| map.iter(),
    Unsettled => |deliveries| deliveries.as_map().iter(),
    FilterSet => |map| map.iter(),
    NodeProperties => |map| map.0.iter(),
    Annotations => |map| map.iter(),
    ApplicationProperties => |map| map.iter(),
}

fn pairs<'a>(f: &mut fmt::Formatter<'_>, pairs: impl ExactSizeIterator<Item = (&'a Value, &'a Value)>) -> fmt::Result {
    let count = pairs.len();
    let mut shown = f.debug_map();
    shown.entries(pairs.take(SHOWN));
    if count > SHOWN {
        shown.entry(&More(count.saturating_sub(SHOWN)), &());
    }
    shown.finish()
}

impl fmt::Debug for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| {
            let mut tuple = |name: &str, field: &dyn fmt::Debug| f.debug_tuple(name).field(field).finish();
            match self {
                Self::Accepted => f.write_str("Accepted"),
                Self::Released => f.write_str("Released"),
                Self::Rejected(error) => tuple("Rejected", error),
                Self::Modified(state) => tuple("Modified", state),
                Self::Received(state) => tuple("Received", state),
                Self::Declared(state) => tuple("Declared", state),
                Self::Transactional(state) => tuple("Transactional", state),
                Self::Extension(state) => tuple("Extension", state),
            }
        })
    }
}

impl fmt::Debug for TargetArchetype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(target) => fmt::Debug::fmt(target, f),
            Self::Coordinator(coordinator) => fmt::Debug::fmt(coordinator, f),
        }
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| {
            f.write_str("Array")?;
            for descriptor in self.descriptors() {
                write!(f, "@{descriptor:?} ")?;
            }
            list(f, self.len(), self.undescribed())
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for Multiple<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| list(f, self.len(), self.iter()))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ulong(v) => f.debug_tuple("Ulong").field(v).finish(),
            Self::Uuid(v) => f.debug_tuple("Uuid").field(v).finish(),
            Self::Binary(v) => f.debug_tuple("Binary").field(&Octets(v)).finish(),
            Self::String(v) => f.debug_tuple("String").field(v).finish(),
        }
    }
}

impl fmt::Debug for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bounded_debug(f, |f| write!(f, "@{:?} {:?}", self.descriptor, self.value))
    }
}
