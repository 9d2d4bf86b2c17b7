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
pub(super) fn sections(octets: &[u8], prefix: &str, shows_secrets: bool) -> String {
    let octets = Bytes::copy_from_slice(octets);
    let mut reader = Reader::new(&octets);
    let mut text = String::new();
    let mut has_token = false;
    while !reader.is_empty() {
        let (left, value) = (reader.remaining(), Value::decode(&mut reader));
        match value {
            Ok(value) => {
                has_token |= puts_token(&value);
                let shown = match secret_of(&value, has_token).filter(|_| !shows_secrets) {
                    Some(shown) => shown,
                    None => section(&value),
                };
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

/// Whether these are the application properties of a request of claims-based security, whose body is a token.
fn puts_token(value: &Value) -> bool {
    let Value::Described(described) = value else { return false };
    let (Some(("application-properties", _)), Value::Map(map)) = (named(&described.descriptor), &described.value)
    else {
        return false;
    };
    map.iter().any(|(key, value)| {
        matches!((key, value), (Value::String(key), Value::String(value))
            if key.as_str() == "operation" && value.as_str().starts_with("put-token"))
    })
}

/// The text that stands for a secret value: a response of SASL, or the body of a message with a token.
fn secret_of(value: &Value, has_token: bool) -> Option<String> {
    let Value::Described(described) = value else { return None };
    let name = match &described.descriptor {
        Value::Ulong(0x41) => "sasl-init",
        Value::Ulong(0x43) => "sasl-response",
        Value::Symbol(symbol) if symbol.as_str() == "amqp:sasl-init:list" => "sasl-init",
        Value::Symbol(symbol) if symbol.as_str() == "amqp:sasl-response:list" => "sasl-response",
        descriptor => match named(descriptor) {
            Some((name @ ("data" | "amqp-sequence" | "amqp-value"), _)) if has_token => {
                return Some(format!("{name} …"));
            }
            _ => return None,
        },
    };
    let mechanism = match &described.value {
        Value::List(items) => items.first().filter(|_| name == "sasl-init"),
        _ => None,
    };
    let mechanism = mechanism.filter(|mechanism| matches!(mechanism, Value::Symbol(_)));
    Some(mechanism.map_or_else(|| format!("{name} …"), |mechanism| format!("{name} mechanism={} …", Shown(mechanism))))
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
