//! One line for a performative, as in traces of frames: its name, then `field=value` for each field that is set.
//!
//! Lines are bounded: long texts, octets and compounds are cut short. What may be a secret is never shown.

use crate::{
    DeliveryTag, Map, Multiple, SequenceNo, Str, Symbol, Timestamp, Value,
    definitions::{ErrorCondition, Fields, Role},
    messaging::{
        Annotations, ApplicationProperties, DeliveryState, FilterSet, MessageId, NodeProperties, TerminusExpiryPolicy,
    },
    performative::{TargetArchetype, Unsettled},
    printable::printable,
    sasl::Secret,
    types::debug::{Octets, Text},
};
use alloc::boxed::Box;
use bytes::Bytes;
use core::fmt::{self, Formatter, Write};

/// Something that stands in a line of a trace.
pub(crate) trait Trace {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result;
}

/// Elements of a list or a map that are shown.
const SHOWN: usize = 16;

/// Writes the fields of a composite.
pub(crate) struct Line<'a, 'f> {
    f: &'a mut Formatter<'f>,
    separator: &'static str,
}

impl<'a, 'f> Line<'a, 'f> {
    /// A line that begins with the name in a symbolic descriptor: `amqp:open:list` gives `open`.
    pub(crate) fn named(symbol: &str, f: &'a mut Formatter<'f>) -> Result<Self, fmt::Error> {
        f.write_str(symbol.split(':').nth(1).unwrap_or(symbol))?;
        Ok(Self { f, separator: " " })
    }

    /// The fields alone.
    pub(crate) fn unnamed(f: &'a mut Formatter<'f>) -> Self {
        Self { f, separator: "" }
    }

    /// A field by the name of its member: `delivery_id` gives `delivery-id`.
    pub(crate) fn field(&mut self, member: &str, value: &impl Trace) -> fmt::Result {
        self.f.write_str(self.separator)?;
        self.separator = " ";
        member.chars().try_for_each(|c| self.f.write_char(if c == '_' { '-' } else { c }))?;
        self.f.write_char('=')?;
        value.trace(self.f)
    }
}

/// `UnsettledState` as `unsettled-state`.
pub(crate) fn kebab(name: &str, f: &mut Formatter<'_>) -> fmt::Result {
    for (index, c) in name.char_indices() {
        if c.is_ascii_uppercase() && index > 0 {
            f.write_char('-')?;
        }
        f.write_char(c.to_ascii_lowercase())?;
    }
    Ok(())
}

/// A symbol without quotes.
fn symbol(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "{}", printable(text).limit(160))
}

fn list<'a, T: Trace + 'a>(count: usize, items: impl Iterator<Item = T>, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('[')?;
    for (index, item) in items.take(SHOWN).enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        item.trace(f)?;
    }
    f.write_str(if count > SHOWN { ", …]" } else { "]" })
}

impl<T: Trace> Trace for &T {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (**self).trace(f)
    }
}

impl<T: Trace> Trace for Box<T> {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (**self).trace(f)
    }
}

impl<T: Trace> Trace for Multiple<T> {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        list(self.len(), self.iter(), f)
    }
}

macro_rules! displayed {
    ($($ty:ty),+) => { $(
        impl Trace for $ty {
            fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )+ };
}
displayed!(bool, u8, u16, u32, u64, SequenceNo);

macro_rules! maps {
    ($($ty:ty => |$this:ident| $map:expr),+ $(,)?) => { $(
        impl Trace for $ty {
            fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
                let $this = self;
                pairs($map, f)
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

fn pairs<'a>(pairs: impl ExactSizeIterator<Item = (&'a Value, &'a Value)>, f: &mut Formatter<'_>) -> fmt::Result {
    let count = pairs.len();
    f.write_char('{')?;
    for (index, (key, value)) in pairs.take(SHOWN).enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        key.trace(f)?;
        f.write_str(": ")?;
        value.trace(f)?;
    }
    f.write_str(if count > SHOWN { ", …}" } else { "}" })
}

impl Trace for Str {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Text(self))
    }
}

impl Trace for Symbol {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        symbol(self, f)
    }
}

impl Trace for ErrorCondition {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        symbol(self.as_str(), f)
    }
}

impl Trace for Bytes {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Octets(self))
    }
}

impl Trace for DeliveryTag {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Octets(self.as_slice()))
    }
}

impl Trace for Secret {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Trace for Timestamp {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

impl Trace for MessageId {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ulong(number) => number.trace(f),
            Self::Uuid(uuid) => write!(f, "{uuid}"),
            Self::Binary(octets) => octets.trace(f),
            Self::String(text) => text.trace(f),
        }
    }
}

impl Trace for Role {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
        })
    }
}

impl Trace for TerminusExpiryPolicy {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Trace for TargetArchetype {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(target) => target.trace(f),
            Self::Coordinator(coordinator) => {
                f.write_str("coordinator")?;
                coordinator.trace(f)
            }
        }
    }
}

impl Trace for DeliveryState {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut named = |name: &str, state: &dyn Trace| {
            f.write_str(name)?;
            state.trace(f)
        };
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::Released => f.write_str("released"),
            Self::Rejected(None) => f.write_str("rejected"),
            Self::Rejected(Some(error)) => named("rejected", error),
            Self::Modified(state) => named("modified", state),
            Self::Received(state) => named("received", state),
            Self::Declared(state) => named("declared", state),
            Self::Transactional(state) => named("transactional-state", state),
            Self::Extension(state) => {
                named("", &state.descriptor)?;
                named(" ", &state.value)
            }
        }
    }
}

impl Trace for Value {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(v) => v.trace(f),
            Self::Ubyte(v) => v.trace(f),
            Self::Ushort(v) => v.trace(f),
            Self::Uint(v) => v.trace(f),
            Self::Ulong(v) => v.trace(f),
            Self::Byte(v) => write!(f, "{v}"),
            Self::Short(v) => write!(f, "{v}"),
            Self::Int(v) => write!(f, "{v}"),
            Self::Long(v) => write!(f, "{v}"),
            Self::Float(v) => write!(f, "{v}"),
            Self::Double(v) => write!(f, "{v}"),
            Self::Decimal32(v) => write!(f, "{:?}", Octets(&v.0)),
            Self::Decimal64(v) => write!(f, "{:?}", Octets(&v.0)),
            Self::Decimal128(v) => write!(f, "{:?}", Octets(&v.0)),
            Self::Char(v) => write!(f, "{v:?}"),
            Self::Timestamp(v) => v.trace(f),
            Self::Uuid(v) => write!(f, "{v}"),
            Self::Binary(v) => v.trace(f),
            Self::String(v) => v.trace(f),
            Self::Symbol(v) => v.trace(f),
            Self::List(items) => list(items.len(), items.iter(), f),
            Self::Map(map) => map.trace(f),
            Self::Array(array) => {
                array.descriptors().try_for_each(|descriptor| Tag(&descriptor).trace(f))?;
                list(array.len(), array.undescribed(), f)
            }
            Self::Described(described) => {
                Tag(&described.descriptor).trace(f)?;
                described.value.trace(f)
            }
        }
    }
}

/// A descriptor before what it describes.
struct Tag<'a>(&'a Value);

impl Trace for Tag<'_> {
    fn trace(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('@')?;
        self.0.trace(f)?;
        f.write_char(' ')
    }
}
