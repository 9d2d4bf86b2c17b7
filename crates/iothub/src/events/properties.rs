//! What the built-in endpoint says about itself.

use crate::{error::Error, time::from_timestamp};
use amqp1::{Value, codec::Map};
use std::time::SystemTime;

/// The hub's built-in endpoint, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventHubProperties {
    /// Its name among Event Hubs.
    pub name: String,
    /// When it was created.
    pub created: Option<SystemTime>,
    /// Its partitions.
    pub partition_ids: Vec<String>,
}

/// A partition of the built-in endpoint, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionProperties {
    /// The name of the event hub.
    pub hub: String,
    /// Its id.
    pub id: String,
    /// The number of the oldest event that is still there.
    pub begin_sequence_number: i64,
    /// The number of the newest event.
    pub last_enqueued_sequence_number: i64,
    /// The offset of the newest event.
    pub last_enqueued_offset: Option<String>,
    /// When the newest event came.
    pub last_enqueued_time: Option<SystemTime>,
    /// Whether it has no events.
    pub is_empty: bool,
}

fn text(map: &Map, key: &str) -> Option<String> {
    map.get_str(key).and_then(Value::as_text).map(str::to_owned)
}

fn time(map: &Map, key: &str) -> Option<SystemTime> {
    match map.get_str(key) {
        Some(Value::Timestamp(time)) => from_timestamp(*time),
        _ => None,
    }
}

fn number(map: &Map, key: &str) -> Option<i64> {
    map.get_str(key).and_then(Value::as_integer).and_then(|number| i64::try_from(number).ok())
}

fn missing(what: &str) -> Error {
    Error::protocol(format!("the hub did not keep to the protocol: its answer has no {what}"))
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_text().map(str::to_owned);
    match value {
        Value::Array(array) => array.iter().map(|item| text(&item)).collect(),
        Value::List(items) => items.iter().map(text).collect(),
        _ => None,
    }
}

impl EventHubProperties {
    pub(super) fn read(map: &Map) -> Result<Self, Error> {
        let partition_ids = map.get_str("partition_ids").and_then(texts).ok_or_else(|| missing("partition_ids"))?;
        Ok(Self { name: text(map, "name").unwrap_or_default(), created: time(map, "created_at"), partition_ids })
    }
}

impl PartitionProperties {
    pub(super) fn read(map: &Map) -> Result<Self, Error> {
        let begin = number(map, "begin_sequence_number").ok_or_else(|| missing("begin_sequence_number"))?;
        let last = number(map, "last_enqueued_sequence_number");
        Ok(Self {
            hub: text(map, "name").unwrap_or_default(),
            id: text(map, "partition").ok_or_else(|| missing("partition"))?,
            begin_sequence_number: begin,
            last_enqueued_sequence_number: last.ok_or_else(|| missing("last_enqueued_sequence_number"))?,
            last_enqueued_offset: text(map, "last_enqueued_offset"),
            last_enqueued_time: time(map, "last_enqueued_time_utc"),
            is_empty: matches!(map.get_str("is_partition_empty"), Some(Value::Boolean(true))),
        })
    }
}
