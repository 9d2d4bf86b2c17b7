//! RabbitMQ: its addresses, and the filters of its streams.
//!
//! RabbitMQ 4 consumes from queues and sends to queues and exchanges, which have to be there:
//!
//! ```no_run
//! # async fn example(session: amqp1::Session) -> Result<(), amqp1::Error> {
//! use amqp1::brokers::rabbitmq;
//!
//! let orders = session.sender(rabbitmq::exchange("orders", "eu.paid")).attach().await?;
//! let mut paid = session.receiver(rabbitmq::queue("paid orders")).attach().await?;
//! # Ok(()) }
//! ```
//!
//! A stream is a queue, too. Where reading begins is a [filter](stream_offset), and each message says
//! [where it stands](offset_of).

use crate::{handle::session::Session, request::RequesterBuilder, types::filter::Filter};
use amqp1_auth::sas::PercentEncoding;
use amqp1_codec::{DecodeError, Message, Str, Symbol, Timestamp, Value, definitions::SenderSettleMode, types::Map};
use std::time::Duration;

/// The message annotation that gives a message to the Bloom filter of a stream: see [`stream_values`].
pub const STREAM_FILTER_VALUE: Symbol = Symbol::from_static("x-stream-filter-value");

/// The address of a queue or a stream: `/queues/NAME`, with the name percent-encoded (RabbitMQ 4).
///
/// ```
/// use amqp1::brokers::rabbitmq;
///
/// assert_eq!(rabbitmq::queue("orders/eu north"), "/queues/orders%2Feu%20north");
/// ```
pub fn queue(name: &str) -> Str {
    format!("/queues/{}", encoded(name)).into()
}

/// The address of an exchange, for messages with this routing key: `/exchanges/NAME/KEY`, both percent-encoded
/// (RabbitMQ 4). An empty key is left out.
///
/// ```
/// use amqp1::brokers::rabbitmq;
///
/// assert_eq!(rabbitmq::exchange("amq.topic", "eu.paid"), "/exchanges/amq.topic/eu.paid");
/// assert_eq!(rabbitmq::exchange("amq.fanout", ""), "/exchanges/amq.fanout");
/// ```
pub fn exchange(name: &str, routing_key: &str) -> Str {
    let name = encoded(name);
    if routing_key.is_empty() {
        return format!("/exchanges/{name}").into();
    }
    format!("/exchanges/{name}/{}", encoded(routing_key)).into()
}

/// The address of a queue that is there: `/amq/queue/NAME` (RabbitMQ 3; RabbitMQ 4 still takes it). Names are not
/// encoded in it.
pub fn existing_queue_v1(name: &str) -> Str {
    format!("/amq/queue/{name}").into()
}

/// RabbitMQ decodes every `%XX` and takes no other octet that RFC 3986 wants encoded in a segment of a path.
fn encoded(name: &str) -> String {
    PercentEncoding::Component.encode(name)
}

/// The pair of links to the node `/management`, which declares, binds and deletes queues and exchanges: HTTP over AMQP
/// (RabbitMQ 4). A request has its method as its subject, its path as its `to`, and a map as its value; the answer's
/// subject is the status.
///
/// ```no_run
/// # async fn example(session: &amqp1::Session) -> Result<(), amqp1::Error> {
/// use amqp1::{Message, Value, brokers::rabbitmq, codec::types::Map};
///
/// let management = rabbitmq::management(session).attach().await?;
/// let arguments: Map = [("x-queue-type", "quorum")].into_iter().collect();
/// let queue: Map = [("durable", Value::Boolean(true)), ("arguments", arguments.into())].into_iter().collect();
/// let declare = Message::builder().subject("PUT").to(rabbitmq::queue("orders")).value(queue);
/// let answer = management.request(declare).await?;
/// assert!(matches!(answer.subject()?, Some("200" | "201")));
/// # Ok(()) }
/// ```
pub fn management(session: &Session) -> RequesterBuilder {
    // It knows a pair by its requests being sent settled as well.
    session.requester("/management").paired().sender(|sender| sender.settle_mode(SenderSettleMode::Settled))
}

/// Where reading of a stream begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Offset {
    /// With the oldest message that is still there.
    First,
    /// With the last chunk of messages, which may hold messages that were written before the last one.
    Last,
    /// With the next message that comes. This is what RabbitMQ does without an offset.
    #[default]
    Next,
    /// With the message of this offset: see [`offset_of`].
    At(u64),
    /// With the chunk of messages that was written at this time, which may hold a few earlier ones. RabbitMQ reads it in
    /// whole seconds.
    Time(Timestamp),
    /// With the chunk of messages that was written this long ago, in whole seconds.
    Ago(Duration),
}

impl From<Offset> for Value {
    fn from(offset: Offset) -> Self {
        match offset {
            Offset::First => "first".into(),
            Offset::Last => "last".into(),
            Offset::Next => "next".into(),
            Offset::At(number) => number.into(),
            Offset::Time(time) => time.into(),
            Offset::Ago(time) => Self::String(format!("{}s", time.as_secs()).into()),
        }
    }
}

/// Says where reading of a stream begins (`rabbitmq:stream-offset-spec`). It says nothing about queues that are not
/// streams.
pub fn stream_offset(offset: Offset) -> Filter {
    stream_filter("rabbitmq:stream-offset-spec", offset)
}

/// Passes chunks of a stream that hold a message with one of these values in its annotation [`STREAM_FILTER_VALUE`]
/// (`rabbitmq:stream-filter`). Other messages of these chunks come as well: look at the annotation of each message.
pub fn stream_values<T: Into<Str>>(values: impl IntoIterator<Item = T>) -> Filter {
    let values = values.into_iter().map(|value| Value::String(value.into())).collect();
    stream_filter("rabbitmq:stream-filter", Value::List(values))
}

/// Whether messages without a value pass as well, beside [`stream_values`] (`rabbitmq:stream-match-unfiltered`); they do
/// not without this filter.
pub fn match_unfiltered(pass: bool) -> Filter {
    stream_filter("rabbitmq:stream-match-unfiltered", pass)
}

/// Passes messages of a stream for which an expression of SQL is true, such as `properties.subject LIKE 'order%'`
/// (`amqp:sql-filter`, RabbitMQ 4.2).
pub fn sql(expression: impl Into<Str>) -> Filter {
    // RabbitMQ goes by the name.
    let (name, descriptor) = (Symbol::from_static("sql-filter"), Symbol::from_static("amqp:sql-filter"));
    Filter::new(name, descriptor, Value::String(expression.into()))
}

/// Passes messages of a stream that have all of these application properties (`amqp:application-properties-filter`,
/// RabbitMQ 4.1). A text that begins with `$p:` or `$s:` matches those that begin or end with the rest.
pub fn application_properties<K: Into<Str>, V: Into<Value>>(wanted: impl IntoIterator<Item = (K, V)>) -> Filter {
    let map: Map = wanted.into_iter().map(|(name, value)| (Value::String(name.into()), value.into())).collect();
    described_by_name("amqp:application-properties-filter", map)
}

/// Passes messages of a stream that have all of these properties, such as `subject` or `group-id`
/// (`amqp:properties-filter`, RabbitMQ 4.1); otherwise as [`application_properties`].
pub fn properties<V: Into<Value>>(wanted: impl IntoIterator<Item = (Symbol, V)>) -> Filter {
    let map: Map = wanted.into_iter().map(|(name, value)| (Value::Symbol(name), value.into())).collect();
    described_by_name("amqp:properties-filter", map)
}

/// RabbitMQ 4.0 finds these by their names, later ones by their descriptors.
fn stream_filter(name: &'static str, value: impl Into<Value>) -> Filter {
    described_by_name(name, value)
}

fn described_by_name(name: &'static str, value: impl Into<Value>) -> Filter {
    let name = Symbol::from_static(name);
    Filter::new(name.clone(), name, value)
}

/// Where a message stands in its stream (the annotation `x-stream-offset`); `None` if it comes from another queue.
/// To go on behind it, begin with [`Offset::At`] of the next number.
///
/// # Errors
///
/// If the annotations cannot be read.
pub fn offset_of(message: &Message) -> Result<Option<u64>, DecodeError> {
    let Some(value) = message.message_annotation("x-stream-offset")? else { return Ok(None) };
    Ok(value.to_value()?.as_integer().and_then(|number| u64::try_from(number).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_so_that_rabbitmq_takes_every_octet() {
        assert_eq!(queue("a/b c?d#e%f\"g|é"), "/queues/a%2Fb%20c%3Fd%23e%25f%22g%7C%C3%A9");
        assert_eq!(queue("plain-._~!*'()"), "/queues/plain-._~!*'()");
        assert_eq!(exchange("e/1", "k/*.#"), "/exchanges/e%2F1/k%2F*.%23");
        assert_eq!(exchange("e", ""), "/exchanges/e");
    }

    #[test]
    fn offsets_have_the_types_that_rabbitmq_tells_apart() {
        for (offset, value) in [
            (Offset::First, Value::from("first")),
            (Offset::Last, "last".into()),
            (Offset::Next, "next".into()),
            (Offset::At(7), Value::Ulong(7)),
            (Offset::Time(Timestamp(1_795_378_051_123)), Value::Timestamp(Timestamp(1_795_378_051_123))),
            (Offset::Ago(Duration::from_millis(90_500)), "90s".into()),
        ] {
            let name = Symbol::from_static("rabbitmq:stream-offset-spec");
            assert_eq!(stream_offset(offset), Filter::new(name.clone(), name, value), "{offset:?}");
        }
    }

    #[test]
    fn filters_of_streams_are_named_as_they_are_described() {
        for (filter, name) in [
            (stream_values(["a", "b"]), "rabbitmq:stream-filter"),
            (match_unfiltered(true), "rabbitmq:stream-match-unfiltered"),
            (application_properties([("colour", "red")]), "amqp:application-properties-filter"),
            (properties([(Symbol::from_static("subject"), "$p:order")]), "amqp:properties-filter"),
        ] {
            assert_eq!(filter.name().as_str(), name);
            let Value::Described(described) = filter.value() else { panic!("{filter:?}") };
            assert_eq!(described.descriptor.as_text(), Some(name));
        }
    }

    #[test]
    fn an_offset_is_read_from_its_annotation_only() {
        let message = |key: &'static str, value: Value| {
            let built = Message::builder().message_annotation(Symbol::from_static(key), value).data("x").build();
            Message::from_chunks(built.into_parts()).expect("sections")
        };
        assert_eq!(offset_of(&message("x-stream-offset", Value::Ulong(12))).expect("annotations"), Some(12));
        assert_eq!(offset_of(&message("x-stream-offset", Value::Long(-1))).expect("annotations"), None);
        assert_eq!(offset_of(&message("x-offset", Value::Ulong(12))).expect("annotations"), None);
    }
}
