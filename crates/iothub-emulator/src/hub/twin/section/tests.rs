use proptest::prelude::*;

use super::*;

/// Values of some keys, nested a little.
fn patches() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        3 => Just(Value::Null),
        2 => (0..9_i64).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => "[a-c\u{1}é]{0,3}".prop_map(Value::from),
        1 => Just(json!([1, { "a": null }])),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|object| Value::Object(object.into_iter().collect()))
    });
    prop::collection::btree_map("[a-c]", value, 0..3).prop_map(|object| object.into_iter().collect())
}

/// The plain reference: leaves and objects by their paths, written one after the other.
#[derive(Debug, Default)]
struct Reference {
    /// The value of a leaf, or `None` for an object; and the number of the patch that wrote it last.
    nodes: BTreeMap<Vec<String>, (Option<Value>, u64)>,
}

impl Reference {
    fn patch(&mut self, path: &[String], patch: &Map<String, Value>, number: u64) {
        self.nodes.insert(path.to_vec(), (None, number));
        for (key, value) in patch {
            let mut path = path.to_vec();
            path.push(key.clone());
            let below = |known: &Vec<String>| known.starts_with(&path);
            match value {
                Value::Object(object) => {
                    if self.nodes.get(&path).is_some_and(|(leaf, _)| leaf.is_some()) {
                        self.nodes.remove(&path);
                    }
                    self.patch(&path, object, number);
                }
                Value::Null => self.nodes.retain(|known, _| !below(known)),
                leaf => {
                    self.nodes.retain(|known, _| !below(known));
                    self.nodes.insert(path, (Some(leaf.clone()), number));
                }
            }
        }
    }

    fn children<'r>(&'r self, path: &'r [String]) -> impl Iterator<Item = &'r String> {
        let below = self.nodes.keys().filter(move |known| known.len() == path.len() + 1 && known.starts_with(path));
        below.filter_map(|known| known.last())
    }

    fn values(&self, path: &[String]) -> Value {
        match self.nodes.get(path) {
            Some((Some(leaf), _)) => leaf.clone(),
            _ => {
                let child = |key: &String| (key.clone(), self.values(&[path, core::slice::from_ref(key)].concat()));
                Value::Object(self.children(path).map(child).collect())
            }
        }
    }

    fn metadata(&self, path: &[String]) -> Value {
        let number = self.nodes.get(path).map_or(0, |(_, number)| *number);
        let mut document = json!({
            "$lastUpdated": UnixMillis(number * 1000).to_iso8601().to_string(),
            "$lastUpdatedVersion": number + 1,
        });
        for key in self.children(path) {
            document[key] = self.metadata(&[path, core::slice::from_ref(key)].concat());
        }
        document
    }
}

proptest! {
    #[test]
    fn patches_merge_and_stamp_as_the_plain_reference_does(patches in prop::collection::vec(patches(), 1..12)) {
        let mut section = Section::default();
        let mut reference = Reference::default();
        for (number, patch) in (1_u64..).zip(&patches) {
            let (added, removed) = delta(section.values(), patch);
            let expected = size(section.values()) + added - removed;
            section.patch(UnixMillis(number * 1000), true, patch);
            reference.patch(&[], patch, number);
            prop_assert_eq!(Value::Object(section.values().clone()), reference.values(&[]));
            prop_assert_eq!(section.metadata.to_json(), reference.metadata(&[]));
            prop_assert_eq!(size(section.values()), expected);
            prop_assert_eq!(section.version(), number + 1);
        }
    }

    #[test]
    fn a_replacement_leaves_nothing_of_what_was_there(before in patches(), after in patches()) {
        let after = without_nulls(&after);
        let mut section = Section::default();
        section.patch(UnixMillis(1000), true, &before);
        section.replace(UnixMillis(2000), true, after.clone());
        let mut reference = Reference::default();
        reference.patch(&[], &after, 2);
        prop_assert_eq!(section.values(), &after);
        prop_assert_eq!(section.metadata.to_json(), reference.metadata(&[]));
    }
}
