//! One section of properties: the values, and when each part of them was last written.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::hub::clock::{UnixMillis, iso8601_or_never};

/// The time of a write and, for desired properties, its version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) at: UnixMillis,
    pub(crate) version: Option<u64>,
}

/// Desired or reported properties.
#[derive(Debug)]
pub(crate) struct Section {
    version: u64,
    values: Map<String, Value>,
    metadata: Metadata,
}

impl Default for Section {
    fn default() -> Self {
        Self { version: 1, values: Map::new(), metadata: Metadata::default() }
    }
}

/// Mirrors the values. An object and a leaf have a stamp of their own; an array is a leaf. When a key is removed, its
/// entry goes, and the objects around it have the stamp of the removal.
#[derive(Clone, Debug, Default)]
struct Metadata {
    last: Option<Stamp>,
    children: BTreeMap<Box<str>, Self>,
}

impl Section {
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// Raises the version without a write.
    pub(crate) fn raise(&mut self) {
        self.version += 1;
    }

    /// Merges a patch. `versioned`: the metadata says the version too.
    pub(crate) fn patch(&mut self, at: UnixMillis, versioned: bool, patch: &Map<String, Value>) {
        self.version += 1;
        merge(&mut self.values, patch);
        self.metadata.write(Stamp { at, version: versioned.then_some(self.version) }, patch);
    }

    /// Replaces the values, which hold no null.
    pub(crate) fn replace(&mut self, at: UnixMillis, versioned: bool, values: Map<String, Value>) {
        self.version += 1;
        self.metadata = Metadata::default();
        self.metadata.write(Stamp { at, version: versioned.then_some(self.version) }, &values);
        self.values = values;
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut document = self.to_device_json();
        document["$metadata"] = self.metadata.to_json();
        document
    }

    /// The value at a path in the metadata.
    pub(crate) fn metadata_at(&self, path: &[Box<str>]) -> Option<Value> {
        let Some((last, keys)) = path.split_last() else { return Some(self.metadata.to_json()) };
        let around = keys.iter().try_fold(&self.metadata, |metadata, key| metadata.children.get(key))?;
        match &**last {
            "$lastUpdated" => Some(iso8601_or_never(around.last.map(|stamp| stamp.at)).into()),
            "$lastUpdatedVersion" => around.last.and_then(|stamp| stamp.version).map(Value::from),
            _ => around.children.get(last).map(Metadata::to_json),
        }
    }

    /// Whether the metadata has an object at a path, as it has for each property.
    pub(crate) fn has_metadata_object_at(&self, path: &[Box<str>]) -> bool {
        path.iter().try_fold(&self.metadata, |metadata, key| metadata.children.get(key)).is_some()
    }

    pub(crate) fn to_device_json(&self) -> Value {
        let mut document = self.values.clone();
        document.insert("$version".into(), self.version.into());
        Value::Object(document)
    }
}

impl Metadata {
    fn write(&mut self, stamp: Stamp, written: &Map<String, Value>) {
        self.last = Some(stamp);
        for (key, value) in written {
            match value {
                Value::Null => _ = self.children.remove(key.as_str()),
                Value::Object(object) => self.child(key).write(stamp, object),
                _ => *self.child(key) = Self { last: Some(stamp), children: BTreeMap::new() },
            }
        }
    }

    fn child(&mut self, key: &str) -> &mut Self {
        self.children.entry(key.into()).or_default()
    }

    fn to_json(&self) -> Value {
        let mut document = json!({ "$lastUpdated": iso8601_or_never(self.last.map(|stamp| stamp.at)) });
        if let Some(version) = self.last.and_then(|stamp| stamp.version) {
            document["$lastUpdatedVersion"] = version.into();
        }
        for (key, child) in &self.children {
            document[&**key] = child.to_json();
        }
        document
    }
}

/// Merges at every depth: null removes a key, an object is merged into an object, all else takes the key's place.
pub(crate) fn merge(values: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => _ = values.remove(key),
            Value::Object(object) => match values.get_mut(key) {
                Some(Value::Object(inner)) => merge(inner, object),
                Some(other) => *other = Value::Object(without_nulls(object)),
                None => _ = values.insert(key.clone(), Value::Object(without_nulls(object))),
            },
            leaf => match values.get_mut(key) {
                Some(old) => *old = leaf.clone(),
                None => _ = values.insert(key.clone(), leaf.clone()),
            },
        }
    }
}

/// What a patch makes of an empty object.
pub(crate) fn without_nulls(patch: &Map<String, Value>) -> Map<String, Value> {
    let mut values = Map::new();
    merge(&mut values, patch);
    values
}

/// What counts against the size limit of a section: keys and strings as UTF-8 without control characters, 8 for a
/// number, 4 for a boolean.
pub(crate) fn size(values: &Map<String, Value>) -> usize {
    values.iter().map(|(key, value)| text_size(key) + value_size(value)).sum()
}

/// By how much a patch changes the size: what it adds, and what it removes.
pub(crate) fn delta(values: &Map<String, Value>, patch: &Map<String, Value>) -> (usize, usize) {
    let (mut added, mut removed) = (0, 0);
    for (key, value) in patch {
        let old = values.get(key);
        if let (Value::Object(object), Some(Value::Object(inner))) = (value, old) {
            let (more, less) = delta(inner, object);
            added += more;
            removed += less;
            continue;
        }
        removed += old.map_or(0, |old| text_size(key) + value_size(old));
        added += match value {
            Value::Null => 0,
            Value::Object(object) => text_size(key) + delta(&Map::new(), object).0,
            leaf => text_size(key) + value_size(leaf),
        };
    }
    (added, removed)
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text_size(text),
        Value::Array(items) => items.iter().map(value_size).sum(),
        Value::Object(object) => size(object),
    }
}

/// What a section takes up, counted so that nothing is free: keys and texts as they are, and a little for each value.
pub(crate) fn weight(values: &Map<String, Value>) -> usize {
    values.iter().map(|(key, value)| key.len() + value_weight(value)).sum()
}

fn value_weight(value: &Value) -> usize {
    const EACH: usize = 4;
    EACH + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(value_weight).sum(),
        Value::Object(object) => weight(object),
    }
}

fn text_size(text: &str) -> usize {
    text.chars().filter(|c| !c.is_control()).map(char::len_utf8).sum()
}

#[cfg(test)]
mod tests;
