//! Messages as JSON.

use amqp1::{
    Delivery, Value,
    codec::{DecodeError, messaging::PropertiesRef},
    message::{Body, MessageId},
};
use serde_json::{Map, Value as Json, json};
use std::fmt::Write;

/// The octets in hexadecimal digits.
pub(crate) fn hex<'a>(octets: impl IntoIterator<Item = &'a u8>) -> String {
    octets.into_iter().fold(String::new(), |mut text, octet| {
        // Writing to a string does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// The octets as a text, if they are printable UTF-8. Line breaks and tabs are, as JSON escapes them.
fn text(octets: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(octets).ok()?;
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')).then_some(text)
}

/// Numbers, texts and lists as JSON has them. What JSON has not is an object of one member that names the type.
pub(crate) fn value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(v) => json!(v),
        Value::Ubyte(v) => json!(v),
        Value::Ushort(v) => json!(v),
        Value::Uint(v) => json!(v),
        Value::Ulong(v) => json!(v),
        Value::Byte(v) => json!(v),
        Value::Short(v) => json!(v),
        Value::Int(v) => json!(v),
        Value::Long(v) => json!(v),
        Value::Float(v) => json!(v),
        Value::Double(v) => json!(v),
        Value::Decimal32(v) => json!({ "decimal32": hex(&v.0) }),
        Value::Decimal64(v) => json!({ "decimal64": hex(&v.0) }),
        Value::Decimal128(v) => json!({ "decimal128": hex(&v.0) }),
        Value::Char(v) => json!({ "char": v }),
        Value::Timestamp(v) => json!({ "timestamp": v.0 }),
        Value::Uuid(v) => json!({ "uuid": v.to_string() }),
        Value::Binary(v) => json!({ "binary": hex(v) }),
        Value::String(v) => json!(v.as_str()),
        Value::Symbol(v) => json!({ "symbol": v.as_str() }),
        Value::List(items) => items.iter().map(self::value).collect(),
        Value::Map(map) => pairs(map.iter()),
        Value::Array(array) => json!({ "array": array.iter().map(|item| self::value(&item)).collect::<Json>() }),
        Value::Described(described) => {
            json!({ "descriptor": self::value(&described.descriptor), "value": self::value(&described.value) })
        }
    }
}

/// An object if all keys are texts and none is there twice, a list of pairs otherwise.
fn pairs<'a>(pairs: impl Iterator<Item = (&'a Value, &'a Value)>) -> Json {
    let pairs: Vec<_> = pairs.collect();
    let texts = pairs.iter().map(|(key, item)| Some((key.as_text()?.to_owned(), value(item))));
    match texts.collect::<Option<Map<String, Json>>>() {
        Some(object) if object.len() == pairs.len() => Json::Object(object),
        _ => pairs.into_iter().map(|(key, item)| json!([value(key), value(item)])).collect(),
    }
}

fn message_id(id: &MessageId) -> Json {
    match id {
        MessageId::Ulong(number) => json!(number),
        MessageId::Uuid(uuid) => json!({ "uuid": uuid.to_string() }),
        MessageId::Binary(octets) => json!({ "binary": hex(octets) }),
        MessageId::String(text) => json!(text.as_str()),
    }
}

/// The sections that read, and what is wrong with those that do not.
#[derive(Default)]
struct Sections {
    read: Map<String, Json>,
    errors: Map<String, Json>,
}

impl Sections {
    fn section(&mut self, name: &str, section: Result<Option<Json>, DecodeError>) {
        match section {
            Ok(Some(section)) => drop(self.read.insert(name.to_owned(), section)),
            Ok(None) => {}
            Err(error) => drop(self.errors.insert(name.to_owned(), json!(error.to_string()))),
        }
    }

    /// Each field by itself: an odd one costs that one only.
    fn properties(&mut self, properties: &PropertiesRef<'_>) {
        let text = |text: Result<Option<&str>, DecodeError>| Ok(text?.map(|text| json!(text)));
        let fields = [
            ("message-id", properties.message_id().map(|id| id.map(|id| message_id(&id.to_owned())))),
            ("user-id", properties.user_id().map(|octets| octets.map(|octets| json!({ "binary": hex(octets) })))),
            ("to", text(properties.to())),
            ("subject", text(properties.subject())),
            ("reply-to", text(properties.reply_to())),
            ("correlation-id", properties.correlation_id().map(|id| id.map(|id| message_id(&id.to_owned())))),
            ("content-type", text(properties.content_type())),
            ("content-encoding", text(properties.content_encoding())),
            ("absolute-expiry-time", properties.absolute_expiry_time().map(|time| time.map(|time| json!(time.0)))),
            ("creation-time", properties.creation_time().map(|time| time.map(|time| json!(time.0)))),
            ("group-id", text(properties.group_id())),
            ("group-sequence", properties.group_sequence().map(|number| number.map(|number| json!(number.0)))),
            ("reply-to-group-id", text(properties.reply_to_group_id())),
        ];
        let mut read = Map::new();
        for (name, field) in fields {
            match field {
                Ok(Some(field)) => drop(read.insert(name.to_owned(), field)),
                Ok(None) => {}
                Err(error) => drop(self.errors.insert(format!("properties.{name}"), json!(error.to_string()))),
            }
        }
        self.read.insert("properties".to_owned(), Json::Object(read));
    }
}

/// A delivery: its tag, its format, whether it was settled, the sections, and all octets of the message.
pub(crate) fn delivery(delivery: &Delivery) -> Json {
    let message = delivery.message();
    let mut sections = Sections::default();
    let header = message.header().map(|header| {
        header.map(|header| {
            json!({
                "durable": header.durable,
                "priority": header.priority,
                "ttl": header.ttl,
                "first-acquirer": header.first_acquirer,
                "delivery-count": header.delivery_count,
            })
        })
    });
    sections.section("header", header);
    let annotations = |annotations: Option<amqp1::message::Annotations>| annotations.map(|map| pairs(map.iter()));
    sections.section("delivery-annotations", message.delivery_annotations().map(annotations));
    sections.section("message-annotations", message.message_annotations().map(annotations));
    match message.properties_ref() {
        Ok(Some(properties)) => sections.properties(&properties),
        other => sections.section("properties", other.map(|_| None)),
    }
    let application = message.application_properties();
    sections.section("application-properties", application.map(|map| map.map(|map| pairs(map.iter()))));
    match message.body() {
        Body::Data(data) => {
            let data: Vec<Vec<u8>> = data.map(|section| section.chunks().flatten().collect()).collect();
            sections.section("data", Ok(Some(data.iter().map(hex).collect())));
            sections.section("text", Ok(text(&data.concat()).map(|text| json!(text))));
        }
        Body::Sequence(lists) => {
            let lists: Result<Vec<_>, _> = lists.map(|list| list.map(|list| value(&Value::List(list)))).collect();
            sections.section("amqp-sequence", lists.map(|lists| Some(json!(lists))));
        }
        Body::Value(body) => sections.section("amqp-value", body.to_value().map(|body| Some(value(&body)))),
        Body::Malformed(error) => sections.section("body", Err(error)),
        _ => {}
    }
    sections.section("footer", message.footer().map(annotations));
    let mut object = sections.read;
    if !sections.errors.is_empty() {
        object.insert("errors".to_owned(), Json::Object(sections.errors));
    }
    object.insert("tag".to_owned(), json!(hex(delivery.tag().as_slice())));
    object.insert("format".to_owned(), json!(delivery.message_format()));
    object.insert("settled".to_owned(), json!(delivery.is_settled()));
    object.insert("payload".to_owned(), json!(message.to_encoded().chunks().map(hex).collect::<String>()));
    Json::Object(object)
}
