//! The sections of a message (§3.2).

use super::value::Shown;
use amqp1_codec::{Decode, Reader, Value};
use bytes::Bytes;
use std::fmt::Write as _;

const HEADER: &[&str] = &["durable", "priority", "ttl", "first-acquirer", "delivery-count"];
const PROPERTIES: &[&str] = &[
    "message-id",
    "user-id",
    "to",
    "subject",
    "reply-to",
    "correlation-id",
    "content-type",
    "content-encoding",
    "absolute-expiry-time",
    "creation-time",
    "group-id",
    "group-sequence",
    "reply-to-group-id",
];

/// The name of a section, and the names of its fields if it is a list of fields.
fn named(descriptor: &Value) -> Option<(&'static str, &'static [&'static str])> {
    let code = match descriptor {
        Value::Ulong(code) => *code,
        Value::Symbol(symbol) => match symbol.as_str() {
            "amqp:header:list" => 0x70,
            "amqp:delivery-annotations:map" => 0x71,
            "amqp:message-annotations:map" => 0x72,
            "amqp:properties:list" => 0x73,
            "amqp:application-properties:map" => 0x74,
            "amqp:data:binary" => 0x75,
            "amqp:amqp-sequence:list" => 0x76,
            "amqp:amqp-value:*" | "amqp:value:*" => 0x77,
            "amqp:footer:map" => 0x78,
            _ => return None,
        },
        _ => return None,
    };
    Some(match code {
        0x70 => ("header", HEADER),
        0x71 => ("delivery-annotations", &[]),
        0x72 => ("message-annotations", &[]),
        0x73 => ("properties", PROPERTIES),
        0x74 => ("application-properties", &[]),
        0x75 => ("data", &[]),
        0x76 => ("amqp-sequence", &[]),
        0x77 => ("amqp-value", &[]),
        0x78 => ("footer", &[]),
        _ => return None,
    })
}

/// A line for each section, or other value, and one for what cannot be read.
pub(super) fn sections(octets: &[u8], prefix: &str) -> String {
    let octets = Bytes::copy_from_slice(octets);
    let mut reader = Reader::new(&octets);
    let mut text = String::new();
    while !reader.is_empty() {
        let (left, shown) = (reader.remaining(), Value::decode(&mut reader).map(|value| section(&value)));
        match shown {
            Ok(shown) => {
                // Writing to a `String` does not fail.
                writeln!(text, "{prefix}{}", crate::report::one_line(&shown)).unwrap_or_default();
            }
            Err(error) => {
                writeln!(text, "{prefix}{left} octets that cannot be read: {error}").unwrap_or_default();
                break;
            }
        }
    }
    text
}

fn section(value: &Value) -> String {
    let Value::Described(described) = value else { return Shown(value).to_string() };
    match (named(&described.descriptor), &described.value) {
        (Some((name, fields @ [_, ..])), Value::List(items)) => {
            let set = fields.iter().zip(items).filter(|(_, value)| !matches!(value, Value::Null));
            set.fold(String::from(name), |text, (field, value)| text + &format!(" {field}={}", Shown(value)))
        }
        (Some((name, _)), value) => format!("{name} {}", Shown(value)),
        (None, _) => Shown(value).to_string(),
    }
}
