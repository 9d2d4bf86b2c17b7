//! A value in one line.

use amqp1_codec::Value;
use std::fmt;

/// The characters of a text, and the octets of a binary, that are shown.
const SHOWN: usize = 256;

/// Shows a value as `"text"`, `:symbol`, `b"0a0b"`, `[1, 2]`, `{"a": 1}` or `@descriptor value`.
pub(super) struct Shown<'a>(pub(super) &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("null"),
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Ubyte(value) => write!(f, "{value}"),
            Value::Ushort(value) => write!(f, "{value}"),
            Value::Uint(value) => write!(f, "{value}"),
            Value::Ulong(value) => write!(f, "{value}"),
            Value::Byte(value) => write!(f, "{value}"),
            Value::Short(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Long(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Double(value) => write!(f, "{value:?}"),
            Value::Char(value) => write!(f, "{value:?}"),
            Value::Uuid(value) => write!(f, "{value}"),
            Value::Binary(octets) => binary(f, octets),
            Value::String(text) => string(f, text),
            Value::Symbol(symbol) => write!(f, ":{}", symbol.as_str()),
            Value::List(items) => {
                f.write_str("[")?;
                items
                    .iter()
                    .enumerate()
                    .try_for_each(|(index, item)| write!(f, "{}{}", if index == 0 { "" } else { ", " }, Shown(item)))?;
                f.write_str("]")
            }
            Value::Map(map) => {
                f.write_str("{")?;
                map.iter().enumerate().try_for_each(|(index, (key, value))| {
                    write!(f, "{}{}: {}", if index == 0 { "" } else { ", " }, Shown(key), Shown(value))
                })?;
                f.write_str("}")
            }
            Value::Described(described) => {
                write!(f, "@{} {}", Shown(&described.descriptor), Shown(&described.value))
            }
            other => write!(f, "{other:?}"),
        }
    }
}

fn string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let shown: String = text.chars().take(SHOWN).collect();
    write!(f, "{shown:?}{}", if shown.len() < text.len() { "…" } else { "" })
}

fn binary(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    let shown = octets.get(..SHOWN).unwrap_or(octets);
    let rest = if shown.len() < octets.len() { "…" } else { "" };
    let is_text = !shown.is_empty() && shown.iter().all(|octet| matches!(octet, b' '..=b'~'));
    if is_text {
        return write!(f, "b{:?}{rest}", String::from_utf8_lossy(shown));
    }
    f.write_str("x\"")?;
    shown.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
    write!(f, "\"{rest}")
}
