//! Values as Qpid Proton shows them.

use super::{is_secret, names};
use crate::{
    Array, Descriptor, Symbol, Value,
    secrets::{is_secret_key, secret_in},
    types::format_code as code,
};
use alloc::format;
use core::fmt::{self, Formatter, Write};

/// Items of an array of values without data that are shown; others have octets, and are bounded by the frame.
const SHOWN: usize = 64;

/// `0x10`, `-1`, `"text"`, `:symbol`, `b"\x00"`, `[1, 2]`, `{"key"=1}`, `@<symbol>[:a]` or `@source(40) [address="q"]`.
pub(super) fn show(value: &Value, f: &mut Formatter<'_>) -> fmt::Result {
    match value {
        Value::Null => f.write_str("null"),
        Value::Boolean(v) => write!(f, "{v}"),
        Value::Ubyte(v) => write!(f, "{v:#x}"),
        Value::Ushort(v) => write!(f, "{v:#x}"),
        Value::Uint(v) => write!(f, "{v:#x}"),
        Value::Ulong(v) => write!(f, "{v:#x}"),
        Value::Byte(v) => write!(f, "{v}"),
        Value::Short(v) => write!(f, "{v}"),
        Value::Int(v) => write!(f, "{v}"),
        Value::Long(v) => write!(f, "{v}"),
        Value::Float(v) => float(f64::from(*v), f),
        Value::Double(v) => float(*v, f),
        Value::Decimal32(v) => write!(f, "D32({:04x})", u32::from_be_bytes(v.0)),
        Value::Decimal64(v) => write!(f, "D64({:08x})", u64::from_be_bytes(v.0)),
        Value::Decimal128(v) => write!(f, "D128({:016x})", u128::from_be_bytes(v.0)),
        Value::Char(v) => write!(f, "U+{:04X}", u32::from(*v)),
        Value::Timestamp(v) => write!(f, "{}", v.0),
        Value::Uuid(v) => write!(f, "UUID({v})"),
        Value::Binary(v) => quoted("b", v, f),
        Value::String(v) => quoted("", v.as_bytes(), f),
        Value::Symbol(v) => symbol(v, f),
        Value::List(items) => list(items.iter().map(Field::unnamed), f),
        Value::Map(map) => {
            f.write_char('{')?;
            for (index, (key, value)) in map.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                show(key, f)?;
                f.write_char('=')?;
                if key.as_text().is_some_and(is_secret_key) { redacted(value, f) } else { show(value, f) }?;
            }
            f.write_char('}')
        }
        Value::Array(v) => array(v, f),
        Value::Described(described) => {
            f.write_char('@')?;
            let number = code_of(&described.descriptor);
            match (number, number.and_then(names::name)) {
                (Some(number), Some(name)) => write!(f, "{name}({number}) ")?,
                (Some(number), None) => write!(f, "{number} ")?,
                (None, _) => {
                    show(&described.descriptor, f)?;
                    f.write_char(' ')?;
                }
            }
            match (number, &described.value) {
                (Some(number), Value::List(items)) => fields(number, items, f),
                (_, value) => show(value, f),
            }
        }
    }
}

/// The number of a descriptor, also of one of the specification's that is written as a symbol.
fn code_of(descriptor: &Value) -> Option<u64> {
    match descriptor {
        Value::Ulong(number) => Some(*number),
        Value::Symbol(name) => Descriptor::Name(name.clone()).code(),
        _ => None,
    }
}

/// The fields of a composite that are set, by their names.
fn fields(code: u64, items: &[Value], f: &mut Formatter<'_>) -> fmt::Result {
    let names = names::fields(code);
    let set = items.iter().enumerate().filter(|(_, item)| !item.is_null());
    list(
        set.map(|(index, value)| Field { name: names.get(index).copied(), value, is_secret: is_secret(code, index) }),
        f,
    )
}

struct Field<'a> {
    name: Option<&'static str>,
    value: &'a Value,
    is_secret: bool,
}

impl<'a> Field<'a> {
    fn unnamed(value: &'a Value) -> Self {
        Self { name: None, value, is_secret: false }
    }
}

fn list<'a>(items: impl Iterator<Item = Field<'a>>, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_char('[')?;
    for (index, item) in items.enumerate() {
        f.write_str(if index == 0 { "" } else { ", " })?;
        if let Some(name) = item.name {
            name.chars().try_for_each(|c| f.write_char(if c == '_' { '-' } else { c }))?;
            f.write_char('=')?;
        }
        if item.is_secret { redacted(item.value, f) } else { show(item.value, f) }?;
    }
    f.write_char(']')
}

fn array(array: &Array, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "@<{}>[", kind_of(array))?;
    for (index, item) in array.undescribed().take(SHOWN).enumerate() {
        f.write_str(if index == 0 { "" } else { ", " })?;
        show(&item, f)?;
    }
    match array.len().checked_sub(SHOWN) {
        Some(more @ 1..) => write!(f, ", ...({more} more)]"),
        _ => f.write_char(']'),
    }
}

/// The name of the type of an array's elements.
fn kind_of(array: &Array) -> &'static str {
    let (_, format) = array.kind();
    match format {
        code::NULL => "null",
        code::TRUE => "true",
        code::FALSE => "false",
        code::BOOLEAN => "bool",
        code::UBYTE => "ubyte",
        code::USHORT => "ushort",
        code::UINT | code::SMALL_UINT | code::UINT0 => "uint",
        code::ULONG | code::SMALL_ULONG | code::ULONG0 => "ulong",
        code::BYTE => "byte",
        code::SHORT => "short",
        code::INT | code::SMALL_INT => "int",
        code::LONG | code::SMALL_LONG => "long",
        code::FLOAT => "float",
        code::DOUBLE => "double",
        code::DECIMAL32 => "decimal32",
        code::DECIMAL64 => "decimal64",
        code::DECIMAL128 => "decimal128",
        code::CHAR => "char",
        code::TIMESTAMP => "timestamp",
        code::UUID => "uuid",
        code::VBIN8 | code::VBIN32 => "binary",
        code::STR8 | code::STR32 => "string",
        code::SYM8 | code::SYM32 => "symbol",
        code::LIST0 | code::LIST8 | code::LIST32 => "list",
        code::MAP8 | code::MAP32 => "map",
        code::ARRAY8 | code::ARRAY32 => "array",
        _ => "?",
    }
}

/// As `%g` shows it: six digits, with an exponent for what is very large or small.
fn float(value: f64, f: &mut Formatter<'_>) -> fmt::Result {
    const DIGITS: i32 = 6;
    if !value.is_finite() {
        return write!(f, "{value}");
    }
    let rounded = format!("{value:.5e}");
    let (digits, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent = exponent.parse().unwrap_or(0_i32);
    if !(-4..DIGITS).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return write!(f, "{}e{sign}{:02}", without_zeros(digits), exponent.unsigned_abs());
    }
    let places = usize::try_from(DIGITS.saturating_sub(1).saturating_sub(exponent)).unwrap_or(0);
    f.write_str(without_zeros(&format!("{value:.places$}")))
}

fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

fn symbol(symbol: &Symbol, f: &mut Formatter<'_>) -> fmt::Result {
    let text = symbol.as_str();
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && secret_in(text.as_bytes()).is_none();
    if is_plain { write!(f, ":{text}") } else { quoted(":", text.as_bytes(), f) }
}

/// Octets in quotation marks, unless there is a secret in them.
fn quoted(prefix: &str, octets: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    if secret_in(octets).is_some() {
        return redacted_len(octets.len(), f);
    }
    write!(f, "{prefix}\"")?;
    escaped(octets, f)?;
    f.write_char('"')
}

/// Octets that are not printable, quotation marks and backslashes as `\x00`.
pub(super) fn escaped(octets: &[u8], f: &mut Formatter<'_>) -> fmt::Result {
    octets.iter().try_for_each(|octet| match octet {
        b'"' | b'\'' | b'\\' => write!(f, "\\x{octet:02x}"),
        b' '..=b'~' => f.write_char(char::from(*octet)),
        _ => write!(f, "\\x{octet:02x}"),
    })
}

/// How long a secret is, where that can be said.
fn redacted(value: &Value, f: &mut Formatter<'_>) -> fmt::Result {
    match value {
        Value::Binary(octets) => redacted_len(octets.len(), f),
        Value::String(text) => redacted_len(text.len(), f),
        Value::Symbol(text) => redacted_len(text.as_str().len(), f),
        _ => f.write_str("<redacted>"),
    }
}

fn redacted_len(octets: usize, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "<{octets} octets>")
}
