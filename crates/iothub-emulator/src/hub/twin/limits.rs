//! What tags and properties may be.

use serde_json::{Map, Value};

use super::{delta, size, weight};
use crate::hub::authentication::invalid;
use crate::hub::service_error::{ErrorCode, ServiceError};

const MAX_DEPTH: usize = 10;
const MAX_KEY: usize = 1024;
const MAX_STRING: usize = 4096;
/// How much more than its size a section may weigh, together with a patch of it.
const MAX_WEIGHT: usize = 12;
const INTEGERS: core::ops::RangeInclusive<i64> = -4_503_599_627_370_496..=4_503_599_627_370_495;

/// The limits of one section of a twin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    name: &'static str,
    max_size: usize,
}

impl Limits {
    pub(crate) const TAGS: Self = Self { name: "tags", max_size: 8 * 1024 };
    pub(crate) const DESIRED: Self = Self { name: "desired", max_size: 32 * 1024 };
    pub(crate) const REPORTED: Self = Self { name: "reported", max_size: 32 * 1024 };

    /// Checks a patch and what it makes of `values`.
    ///
    /// # Errors
    /// *ArgumentInvalid* names what is wrong; *MessageTooLarge*.
    pub(crate) fn check(&self, values: &Map<String, Value>, patch: &Map<String, Value>) -> Result<(), ServiceError> {
        self.check_object(patch, 0)?;
        let (added, removed) = delta(values, patch);
        let merged = (size(values) + added).saturating_sub(removed);
        if merged > self.max_size {
            let Self { name, max_size } = self;
            let text = format!("{name} would have {merged} octets, at most {max_size} are allowed");
            return Err(ServiceError::new(ErrorCode::MessageTooLarge, text));
        }
        // What is not counted has an end too: empty texts, nulls, empty arrays and objects, control characters. An
        // ordinary section weighs five times its size at most.
        if weight(values) + weight(patch) > MAX_WEIGHT * self.max_size {
            let text = format!("{} would have too many values that are empty", self.name);
            return Err(ServiceError::new(ErrorCode::MessageTooLarge, text));
        }
        // A patch is kept until those who watch have read it. One that does something has at most this size: it
        // removes what is there and adds what may be there.
        if size(patch) > 2 * self.max_size {
            let text = format!("the patch of {} removes more keys than there can be", self.name);
            return Err(ServiceError::new(ErrorCode::MessageTooLarge, text));
        }
        Ok(())
    }

    fn check_object(&self, object: &Map<String, Value>, depth: usize) -> Result<(), ServiceError> {
        let name = self.name;
        if depth > MAX_DEPTH {
            return Err(invalid(format!("{name}: objects are nested at most {MAX_DEPTH} deep")));
        }
        for (key, value) in object {
            if key.is_empty() || key.len() > MAX_KEY {
                return Err(invalid(format!("{name}: a key has 1 to {MAX_KEY} octets")));
            }
            if let Some(c) = key.chars().find(|c| c.is_control() || matches!(c, '.' | '$' | ' ')) {
                return Err(invalid(format!("{name}: {c:?} is not allowed in the key {key:?}")));
            }
            self.check_value(key, value, depth)?;
        }
        Ok(())
    }

    fn check_value(&self, key: &str, value: &Value, depth: usize) -> Result<(), ServiceError> {
        let name = self.name;
        match value {
            Value::Null | Value::Bool(_) => Ok(()),
            Value::Number(number) => {
                let integer = number.as_i64().map(Some).or_else(|| number.is_u64().then_some(None));
                match integer {
                    Some(integer) if !integer.is_some_and(|integer| INTEGERS.contains(&integer)) => {
                        Err(invalid(format!("{name}: the integer of {key:?} is out of range")))
                    }
                    _ => Ok(()),
                }
            }
            Value::String(text) if text.len() > MAX_STRING => {
                Err(invalid(format!("{name}: the string of {key:?} has more than {MAX_STRING} octets")))
            }
            Value::String(_) => Ok(()),
            Value::Array(items) => {
                if depth >= MAX_DEPTH {
                    return Err(invalid(format!("{name}: arrays and objects are nested at most {MAX_DEPTH} deep")));
                }
                items.iter().try_for_each(|item| self.check_value(key, item, depth + 1))
            }
            Value::Object(object) => self.check_object(object, depth + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(patch: Value) -> Result<(), ErrorCode> {
        Limits::TAGS.check(&Map::new(), patch.as_object().unwrap()).map_err(|error| error.code())
    }

    fn nested(depth: usize, inner: Value) -> Value {
        (0..depth).fold(inner, |inner, _| json!({ "k": inner }))
    }

    #[test]
    fn keys_strings_integers_and_depth_are_bounded() {
        let invalid = Err(ErrorCode::ArgumentInvalid);
        for (patch, expected) in [
            (json!({ "k".repeat(1024): 1 }), Ok(())),
            (json!({ "k".repeat(1025): 1 }), invalid),
            (json!({ "": 1 }), invalid),
            (json!({ "a.b": 1 }), invalid),
            (json!({ "a b": 1 }), invalid),
            (json!({ "a": { "$b": 1 } }), invalid),
            (json!({ "a\u{85}": 1 }), invalid),
            (json!({ "k": "x".repeat(4096) }), Ok(())),
            (json!({ "k": "x".repeat(4097) }), invalid),
            (json!({ "k": ["x".repeat(4097)] }), invalid),
            (json!({ "k": 4_503_599_627_370_495_i64, "l": -4_503_599_627_370_496_i64 }), Ok(())),
            (json!({ "k": 4_503_599_627_370_496_i64 }), invalid),
            (json!({ "k": -4_503_599_627_370_497_i64 }), invalid),
            (json!({ "k": u64::MAX }), invalid),
            (json!({ "k": [1e300, 1.5, true, null, { "l": "m" }] }), Ok(())),
            (nested(10, json!({ "property": "value" })), Ok(())),
            (nested(11, json!({ "property": "value" })), invalid),
            (nested(10, json!({ "property": [] })), invalid),
        ] {
            assert_eq!(check(patch.clone()), expected, "{patch}");
        }
    }

    #[test]
    fn the_size_is_that_of_the_merged_section() {
        let filled = json!({ "a": "x".repeat(4095), "b": "\u{1}y".repeat(2043), "n": 1, "t": true, "u": [1, false] });
        let filled = filled.as_object().unwrap();
        // Keys and strings without control characters, 8 for a number, 4 for a boolean.
        assert_eq!(size(filled), 5 + 4095 + 2043 + 8 + 4 + 12);
        let check = |patch: Value| Limits::TAGS.check(filled, patch.as_object().unwrap()).map_err(|error| error.code());
        assert_eq!(check(json!({ "c": "x".repeat(2024) })), Ok(()));
        assert_eq!(check(json!({ "c": "x".repeat(2025) })), Err(ErrorCode::MessageTooLarge));
        assert_eq!(check(json!({ "c": "x".repeat(2025), "n": null })), Ok(()));
        assert_eq!(check(json!({ "a": { "c": "x".repeat(4096) }, "d": "x".repeat(2000) })), Ok(()));
    }

    #[test]
    fn what_does_not_count_against_the_size_is_bounded_too() {
        for empty in [json!(null), json!([]), json!({}), json!(""), json!("\u{1}".repeat(4096))] {
            let few = json!({ "k": vec![empty.clone(); 20] });
            assert_eq!(check(few), Ok(()), "{empty}");
            let many = json!({ "k": vec![empty.clone(); 100_000] });
            assert_eq!(check(many), Err(ErrorCode::MessageTooLarge), "{empty}");
        }
        // As many values as ever fit, replaced by as many.
        let texts = |text: &str| json!({ "k": vec![text; 8191] });
        let values = texts("a");
        let replaced = Limits::TAGS.check(values.as_object().unwrap(), texts("b").as_object().unwrap());
        assert_eq!(replaced, Ok(()));
    }

    #[test]
    fn a_patch_of_removals_is_bounded_too() {
        let removals: Map<String, Value> = (0..3).map(|n| (format!("{n}").repeat(1000), Value::Null)).collect();
        assert_eq!(Limits::TAGS.check(&Map::new(), &removals), Ok(()));
        let removals: Map<String, Value> = (0..17).map(|n| (format!("{n:01000}"), Value::Null)).collect();
        let error = Limits::TAGS.check(&Map::new(), &removals).unwrap_err();
        assert_eq!(error.code(), ErrorCode::MessageTooLarge);
    }
}
