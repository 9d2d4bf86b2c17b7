//! Messages in the suite's JSON notation, both ways.

use crate::{
    arguments::Send,
    failure::Failure,
    values::{bits, decode, digits, encode, integer, octets},
};
use amqp1::{
    Message, Symbol, Value,
    codec::types::Map,
    message::{ApplicationProperties, Body, EncodedMessage, Header, MessageId, Properties},
};
use serde_json::{Map as Object, Value as Json, json};

/// The annotation that says what kind of message JMS makes of it.
pub(crate) const JMS_TYPE: Symbol = Symbol::from_static("x-opt-jms-msg-type");
/// The annotation that says whether the address of replies is a queue or a topic.
const JMS_REPLY_TO: Symbol = Symbol::from_static("x-opt-jms-reply-to");

/// The kinds of JMS messages by the values of [`JMS_TYPE`].
const MESSAGE: i8 = 0;
const MAP: i8 = 2;
const BYTES: i8 = 3;
const STREAM: i8 = 4;
const TEXT: i8 = 5;

/// The kind of JMS message whose body has this type.
pub(crate) fn jms_type(kind: &str) -> Option<i8> {
    Some(match kind {
        "null" => MESSAGE,
        "map" => MAP,
        "binary" => BYTES,
        "list" => STREAM,
        "string" => TEXT,
        _ => return None,
    })
}

/// A message to send: an element of `--data`, with what the other options add.
pub(crate) fn build(json: &Json, options: &Send) -> Result<EncodedMessage, Failure> {
    let index = json["index"].as_u64().ok_or("a message without an index")?;
    let kind = json["type"].as_str().ok_or("a message without a type")?;
    let value = encode(kind, &json["value"])?;
    let jms = if options.jms_mode { jms_type(&options.kind) } else { None };
    let mut message = Message::builder();
    message = match (jms, value) {
        (Some(MAP), value) => message.value([(format!("{kind}_{index:03}"), value)].into_iter().collect::<Map>()),
        (Some(STREAM), value) => message.value(vec![value]),
        (Some(BYTES), Value::Binary(octets)) => message.data(octets),
        (_, value) => message.value(value),
    };
    if let Some(jms) = jms {
        message = message.message_annotation(JMS_TYPE, jms);
    }
    let mut properties = Properties { message_id: Some(MessageId::Ulong(index)), ..Properties::default() };
    if let Some(headers) = &options.headers
        && let Some(is_topic) = jms_headers(headers, &mut properties)?
    {
        message = message.message_annotation(JMS_REPLY_TO, i8::from(is_topic));
    }
    if let Some(Json::Object(given)) = &options.properties {
        message = message.application_properties(application_properties(given)?);
    }
    if let Some(fields) = &options.message_header {
        message = message.header(header(fields)?);
    }
    Ok(message.properties(properties).build())
}

/// Sets properties for JMS headers. Returns whether replies go to a topic, if the headers say where they go.
fn jms_headers(headers: &Json, properties: &mut Properties) -> Result<Option<bool>, Failure> {
    let text = |header: &Json| header["value"].as_str().map(String::from);
    if let Some(id) = headers.get("JMSCorrelationID") {
        let id_text = text(id).ok_or("a correlation id without a value")?;
        properties.correlation_id = Some(if id["type"] == "bytes" {
            MessageId::Binary(octets(&id_text).ok_or("the correlation id is not in hexadecimal digits")?.into())
        } else {
            MessageId::String(id_text.into())
        });
    }
    if let Some(kind) = headers.get("JMSType") {
        properties.subject = Some(text(kind).ok_or("a JMS type without a value")?.into());
    }
    let Some(reply_to) = headers.get("JMSReplyTo") else { return Ok(None) };
    properties.reply_to = Some(text(reply_to).ok_or("an address of replies without a value")?.into());
    Ok(Some(reply_to["type"] == "topic"))
}

fn application_properties(given: &Object<String, Json>) -> Result<ApplicationProperties, Failure> {
    given
        .iter()
        .map(|(name, property)| {
            let kind = property["type"].as_str().ok_or("a property without a type")?;
            Ok((name.as_str(), property_value(kind, &property["value"])?))
        })
        .collect()
}

/// The value of a property. The numbers are given as the hexadecimal digits of their bits, negative ones too.
fn property_value(kind: &str, json: &Json) -> Result<Value, Failure> {
    let signed = match kind {
        "byte" => integer(json).map(u8::cast_signed).map(Value::from),
        "short" => integer(json).map(u16::cast_signed).map(Value::from),
        "int" => integer(json).map(u32::cast_signed).map(Value::from),
        "long" => integer(json).map(u64::cast_signed).map(Value::from),
        _ => None,
    };
    signed.map_or_else(|| encode(kind, json), Ok)
}

fn header(fields: &Json) -> Result<Header, Failure> {
    let mut header = Header::default();
    if let Some(durable) = fields.get("durable") {
        header.durable = durable.as_bool().ok_or("durable is not a boolean")?;
    }
    if let Some(priority) = fields.get("priority") {
        header.priority = integer(priority).ok_or("the priority is not an octet")?;
    }
    if let Some(ttl) = fields.get("ttl") {
        header.ttl = Some(integer(ttl).ok_or("the ttl is not a number of milliseconds")?);
    }
    if let Some(first) = fields.get("first_acquirer") {
        header.first_acquirer = first.as_bool().ok_or("first_acquirer is not a boolean")?;
    }
    Ok(header)
}

/// The body as one value, whatever its sections are.
pub(crate) fn body(message: &Message) -> Result<Value, Failure> {
    Ok(match message.body() {
        Body::Data(_) => message.data().unwrap_or_default().into(),
        Body::Sequence(sequences) => sequences.collect::<Result<Vec<_>, _>>()?.concat().into(),
        Body::Value(value) => value.to_value()?,
        Body::Empty => Value::Null,
        Body::Malformed(error) => return Err(error.into()),
    })
}

/// A received message as the receiver prints it, `place` being how many came before.
pub(crate) fn read(place: usize, message: &Message) -> Result<Json, Failure> {
    let annotations = message.message_annotations()?.unwrap_or_default();
    let annotation = |key: &Symbol| annotations.get(key.as_str()).and_then(Value::as_integer);
    let body = body(message)?;
    let (kind, value) = match annotation(&JMS_TYPE) {
        Some(jms) => jms_body(jms, &body),
        None => decode(&body),
    };
    let properties = message.properties()?.unwrap_or_default();
    let index = match properties.message_id {
        Some(MessageId::Ulong(index)) => json!(index),
        _ => json!(place),
    };
    let mut report = json!({ "index": index, "type": kind, "value": value, "message_header": header_fields(message)? });
    let is_topic = annotation(&JMS_REPLY_TO).map(|kind| kind == 1);
    let headers = read_jms_headers(properties, is_topic);
    if !headers.is_empty() {
        report["headers"] = headers.into();
    }
    let given = message.application_properties()?.unwrap_or_default();
    let given: Object<String, Json> = given.iter().filter_map(|(name, value)| property(name, value)).collect();
    if !given.is_empty() {
        report["properties"] = given.into();
    }
    Ok(report)
}

/// What JMS makes of the body.
fn jms_body(jms: i128, body: &Value) -> (&'static str, Json) {
    let first = |value: Option<&Value>| value.map_or(("none", Json::Null), decode);
    match (i8::try_from(jms), body) {
        (Ok(TEXT), body) => ("text", decode(body).1),
        (Ok(BYTES), Value::Binary(octets)) => ("bytes", json!(digits(octets))),
        (Ok(BYTES), Value::Null) => ("bytes", json!("")),
        (Ok(MESSAGE), _) => ("null", Json::Null),
        (Ok(MAP), Value::Map(map)) => first(map.iter().next().map(|(_, value)| value)),
        (Ok(STREAM), Value::List(items)) => first(items.first()),
        _ => decode(body),
    }
}

fn header_fields(message: &Message) -> Result<Json, Failure> {
    let Header { durable, priority, ttl, first_acquirer, delivery_count, .. } = message.header()?.unwrap_or_default();
    let ttl = ttl.unwrap_or_default();
    Ok(json!({
        "durable": durable, "priority": priority, "ttl": ttl,
        "first_acquirer": first_acquirer, "delivery_count": delivery_count,
    }))
}

fn read_jms_headers(properties: Properties, is_topic: Option<bool>) -> Object<String, Json> {
    let mut headers = Object::new();
    if let Some(id) = properties.correlation_id {
        let id = match id {
            MessageId::Binary(octets) => json!({ "type": "bytes", "value": digits(&octets) }),
            id => json!(id.to_string()),
        };
        headers.insert("JMSCorrelationID".into(), id);
    }
    if let Some(address) = properties.reply_to {
        let (of_scheme, name) = match address.split_once("://") {
            Some(("topic", name)) => (true, name),
            Some(("queue", name)) => (false, name),
            _ => (false, address.as_str()),
        };
        let kind = if is_topic.unwrap_or(of_scheme) { "topic" } else { "queue" };
        headers.insert("JMSReplyTo".into(), json!({ "type": kind, "value": name }));
    }
    if let Some(subject) = properties.subject {
        headers.insert("JMSType".into(), json!(subject.as_str()));
    }
    headers
}

/// An application property. Integers are the hexadecimal digits of their bits.
fn property(name: &Value, value: &Value) -> Option<(String, Json)> {
    let (kind, plain) = decode(value);
    let value = match value {
        Value::Byte(number) => bits(&number.to_be_bytes()),
        Value::Short(number) => bits(&number.to_be_bytes()),
        Value::Int(number) => bits(&number.to_be_bytes()),
        Value::Long(number) => bits(&number.to_be_bytes()),
        _ => plain,
    };
    Some((name.as_text()?.into(), json!({ "type": kind, "value": value })))
}

#[cfg(test)]
mod tests {
    use super::body;
    use amqp1::{Message, Value, message::EncodedMessage};
    use bytes::Bytes;

    #[test]
    fn data_that_came_in_several_frames_is_one_value() {
        let encoded = EncodedMessage::from(vec![7; 3000]).into_parts().concat();
        let pieces = encoded.chunks(1000).map(Bytes::copy_from_slice);
        let message = Message::from_chunks(pieces).expect("a message");
        assert_eq!(body(&message).expect("a body"), Value::Binary(vec![7; 3000].into()));
    }
}
