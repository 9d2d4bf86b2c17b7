//! Who watches the desired properties of a twin, and which changes they have not taken yet.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::size;
use crate::hub::ids::ConsumerId;
use crate::hub::service_error::{ErrorCode, ServiceError};

/// Most changes that wait for one who watches. From then on the newest of them is merged with what follows, so that
/// one who does not read misses intermediate states only.
pub const MAX_PENDING_CHANGES: usize = 16;

/// Most that may watch one twin. A client has one link for it; this bounds what those hold that do not read.
const MAX_WATCHERS: usize = 64;

/// The size beyond which a merged change becomes the whole section: it then holds many keys that came and went.
const MAX_MERGED: usize = 128 * 1024;

/// A change of desired properties, for a device that watches them.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredChange {
    pub(crate) values: Map<String, Value>,
    pub(crate) version: u64,
    /// Whether the values are all of them, as after a replacement.
    pub(crate) replaced: bool,
}

impl DesiredChange {
    /// `$version` of the desired properties after the change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What the device is sent: the patch with its nulls or, after a replacement, all properties; and `$version`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut document = self.values.clone();
        document.insert("$version".into(), self.version.into());
        Value::Object(document)
    }

    /// This change and then `later` as one.
    fn followed_by(&self, later: &Self, current: &Map<String, Value>) -> Self {
        if later.replaced {
            return later.clone();
        }
        let mut values = self.values.clone();
        overlay(&mut values, &later.values);
        if size(&values) > MAX_MERGED {
            return Self { values: current.clone(), version: later.version, replaced: true };
        }
        Self { values, version: later.version, replaced: self.replaced }
    }
}

/// Makes one patch of two: like a merge, but nulls stay.
fn overlay(values: &mut Map<String, Value>, later: &Map<String, Value>) {
    for (key, value) in later {
        match (values.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(object)) => overlay(inner, object),
            (Some(old), value) => *old = value.clone(),
            (None, value) => _ = values.insert(key.clone(), value.clone()),
        }
    }
}

/// Those who watch one twin.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Vec<(ConsumerId, VecDeque<Arc<DesiredChange>>)>);

impl Watchers {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one who watches from now on.
    ///
    /// # Errors
    /// *ThrottlingException*: there are too many.
    pub(crate) fn add(&mut self, consumer: ConsumerId) -> Result<(), ServiceError> {
        if self.0.iter().any(|(known, _)| *known == consumer) {
            return Ok(());
        }
        if self.0.len() >= MAX_WATCHERS {
            let text = format!("{MAX_WATCHERS} links watch this twin, which is the most");
            return Err(ServiceError::new(ErrorCode::ThrottlingException, text));
        }
        self.0.push((consumer, VecDeque::new()));
        Ok(())
    }

    pub(crate) fn remove(&mut self, consumer: ConsumerId) {
        self.0.retain(|(known, _)| *known != consumer);
    }

    /// Adds a change for all. `current` are the properties after it.
    pub(crate) fn push(&mut self, change: DesiredChange, current: &Map<String, Value>) {
        let change = Arc::new(change);
        for (_, pending) in &mut self.0 {
            let full = pending.len() >= MAX_PENDING_CHANGES;
            match pending.back_mut().filter(|_| full) {
                Some(last) => *last = Arc::new(last.followed_by(&change, current)),
                None => pending.push_back(change.clone()),
            }
        }
    }

    pub(crate) fn take(&mut self, consumer: ConsumerId) -> Option<Arc<DesiredChange>> {
        self.0.iter_mut().find(|(known, _)| *known == consumer)?.1.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(version: u64, values: Value, replaced: bool) -> DesiredChange {
        let Value::Object(values) = values else { panic!("an object") };
        DesiredChange { values, version, replaced }
    }

    fn take_all(watchers: &mut Watchers, consumer: ConsumerId) -> Vec<Value> {
        core::iter::from_fn(|| watchers.take(consumer)).map(|change| change.to_json()).collect()
    }

    #[test]
    fn each_watcher_takes_each_change_once_from_when_it_began() {
        let [early, late] = [ConsumerId(1), ConsumerId(2)];
        let mut watchers = Watchers::default();
        watchers.add(early).unwrap();
        watchers.push(change(2, json!({ "a": 1 }), false), &Map::new());
        watchers.add(late).unwrap();
        watchers.push(change(3, json!({ "a": null }), false), &Map::new());
        assert_eq!(
            take_all(&mut watchers, early),
            [json!({ "a": 1, "$version": 2 }), json!({ "a": null, "$version": 3 })]
        );
        assert_eq!(take_all(&mut watchers, late), [json!({ "a": null, "$version": 3 })]);
        watchers.remove(early);
        watchers.push(change(4, json!({}), false), &Map::new());
        assert!(watchers.take(early).is_none() && !watchers.is_empty());
    }

    #[test]
    fn changes_that_are_not_taken_are_merged_and_lose_no_key() {
        let consumer = ConsumerId(1);
        let mut watchers = Watchers::default();
        watchers.add(consumer).unwrap();
        for version in 2..=100 {
            let values = json!({ "n": version, format!("k{}", version % 3): version, "o": { "gone": null } });
            watchers.push(change(version, values, false), &Map::new());
        }
        let taken = take_all(&mut watchers, consumer);
        assert_eq!(taken.len(), MAX_PENDING_CHANGES);
        assert_eq!(taken[14]["$version"], 16);
        let expected = json!({ "n": 100, "k0": 99, "k1": 100, "k2": 98, "o": { "gone": null }, "$version": 100 });
        assert_eq!(taken[15], expected);
    }

    #[test]
    fn a_bounded_number_may_watch_and_one_that_leaves_makes_room() {
        let mut watchers = Watchers::default();
        for n in 0..64 {
            watchers.add(ConsumerId(n)).unwrap();
        }
        assert_eq!(watchers.add(ConsumerId(63)), Ok(()), "it watches already");
        assert_eq!(watchers.add(ConsumerId(64)).unwrap_err().code(), ErrorCode::ThrottlingException);
        watchers.remove(ConsumerId(7));
        assert_eq!(watchers.add(ConsumerId(64)), Ok(()));
    }

    #[test]
    fn a_replacement_takes_the_place_of_what_it_is_merged_with() {
        let first = change(2, json!({ "a": 1 }), false);
        let whole = change(3, json!({ "b": 2 }), true);
        assert_eq!(first.followed_by(&whole, &Map::new()), whole);
        let patch = change(4, json!({ "b": null, "c": 3 }), false);
        assert_eq!(whole.followed_by(&patch, &Map::new()), change(4, json!({ "b": null, "c": 3 }), true));
    }

    #[test]
    fn a_merged_change_of_many_keys_becomes_the_whole_section() {
        let current = json!({ "now": true });
        let many = |salt: u32| (0..70).map(|n| (format!("{:01000}", n + salt * 100), Value::Null)).collect();
        let first = DesiredChange { values: many(0), version: 2, replaced: false };
        let second = DesiredChange { values: many(1), version: 3, replaced: false };
        let merged = first.followed_by(&second, current.as_object().unwrap());
        assert_eq!(merged, change(3, current, true));
    }
}
