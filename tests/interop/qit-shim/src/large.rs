//! Content that both ends generate from a seed.

use crate::failure::Failure;
use amqp1::{
    Message, Symbol, Value,
    codec::types::{Array, Map},
    message::EncodedMessage,
};
use clap::Args;
use serde_json::{Value as Json, json};

#[derive(Args)]
#[group(requires = "large_content")]
pub(crate) struct Content {
    /// Generate the content: binary, string, list, array, map or described.
    #[arg(long, required = false)]
    large_content: String,
    /// How many octets or characters it has.
    #[arg(long, default_value_t = 0)]
    size: usize,
    /// Where the generator starts.
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// How many elements a collection has.
    #[arg(long, default_value_t = 0)]
    elements: usize,
    /// How many characters an element has.
    #[arg(long, default_value_t = 0)]
    element_size: usize,
}

impl Content {
    fn is_collection(&self) -> bool {
        !matches!(self.large_content.as_str(), "binary" | "string")
    }

    /// The elements of a collection.
    fn strings(&self) -> Vec<String> {
        let mut octets = octets(self.seed);
        (0..self.elements).map(|_| octets.by_ref().take(self.element_size).map(printable).collect()).collect()
    }

    fn body(&self) -> Result<Value, Failure> {
        let list = || self.strings().into_iter().map(Value::from);
        Ok(match self.large_content.as_str() {
            "binary" => Value::Binary(octets(self.seed).take(self.size).collect()),
            "string" => octets(self.seed).take(self.size).map(printable).collect::<String>().into(),
            "list" => list().collect::<Vec<_>>().into(),
            "array" => Array::from_values(list()).map_err(|error| Failure::new(error.to_string()))?.into(),
            "map" => list().enumerate().map(|(number, text)| (key(number), text)).collect::<Map>().into(),
            "described" => Value::described(Symbol::from_static("test.large.described"), list().collect::<Vec<_>>()),
            kind => return Err(Failure::new(format!("large content of the type {kind:?} is not known"))),
        })
    }
}

fn key(number: usize) -> String {
    format!("key_{number:04}")
}

/// The suite's linear congruential generator.
fn octets(seed: u32) -> impl Iterator<Item = u8> {
    let mut state = seed & 0x7fff_ffff;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
        let [_, octet, _, _] = state.to_be_bytes();
        octet
    })
}

fn printable(octet: u8) -> char {
    char::from(32 + octet % 95)
}

/// The message with that content.
pub(crate) fn message(content: &Content, jms: bool) -> Result<EncodedMessage, Failure> {
    let body = content.body()?;
    let kind = if jms { crate::message::jms_type(&content.large_content) } else { None };
    let message = match kind {
        Some(kind) => Message::builder().message_annotation(crate::message::JMS_TYPE, kind),
        None => Message::builder(),
    };
    Ok(match body {
        Value::Binary(octets) if kind.is_some() => message.data(octets),
        body => message.value(body),
    }
    .build())
}

/// What the sender prints.
pub(crate) fn sent(content: &Content) -> Json {
    if content.is_collection() {
        json!({ "sent": true, "elements": content.elements, "element_size": content.element_size })
    } else {
        json!({ "sent": true, "size": content.size })
    }
}

/// What the receiver prints: whether the body is the one that was sent, and where it begins to differ.
pub(crate) fn compare(content: &Content, received: &Value) -> Result<Json, Failure> {
    let expected = content.body()?;
    if let (Some(expected), Some(received)) = (plain(&expected), plain(received)) {
        let mut report =
            json!({ "match": expected == received, "size": received.len(), "expected_size": expected.len() });
        if let Some(offset) = first_difference(expected, received) {
            report["first_mismatch_offset"] = offset.into();
        }
        return Ok(report);
    }
    let (Some(expected), Some(received)) = (elements(&expected), elements(received)) else {
        return Ok(
            json!({ "match": false, "error": format!("the body is not of the type {}", content.large_content) }),
        );
    };
    let mut report = json!({
        "match": expected == received, "elements": received.len(), "element_size": content.element_size,
    });
    if let Some(number) = expected.iter().zip(&received).position(|(one, other)| one != other) {
        report["first_mismatch_element"] = number.into();
        if let Some(offset) = first_difference(expected[number].as_bytes(), received[number].as_bytes()) {
            report["first_mismatch_offset"] = offset.into();
        }
    }
    Ok(report)
}

fn plain(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Binary(octets) => Some(octets),
        Value::String(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// The texts in a collection, those of a map in the order of their keys.
fn elements(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_text().map(String::from);
    match value {
        Value::List(items) => items.iter().map(text).collect(),
        Value::Array(items) => items.iter().map(|item| text(&item)).collect(),
        Value::Map(map) => (0..map.len()).map(|number| map.get_str(&key(number)).and_then(text)).collect(),
        Value::Described(described) => elements(&described.value),
        _ => None,
    }
}

fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let common = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    (common < one.len().max(other.len())).then_some(common)
}
