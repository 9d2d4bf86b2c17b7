//! Lists, maps and arrays (§1.6.22 to §1.6.24).

use super::support::{bad_properties, relayed};
use crate::case::Case;

pub(super) const CASES: &[Case] = &[
    relayed!(
        "Y-1.6.22-1",
        "A list is list0, list8 or list32 (§1.6.22).",
        "list-empty",
        "list-nulls-3",
        "list-nested-2",
        "list-nested-11",
        "list-254-body",
        "list-255-nulls",
        "list-255-items",
        "list-of-map",
        "list-all-primitives",
    ),
    bad_properties!("Y-1.6.23-1", "A map has an even number of items (§1.6.23).", "bad-map8-odd", "bad-map8-odd-3"),
    relayed!(
        "Y-1.6.23-1/relayed",
        "A map is map8 or map32 (§1.6.23).",
        "map-empty",
        "map-str-uint",
        "map-null-value",
        "map-nested",
        "map-128-pairs",
    ),
    bad_properties!(
        "Y-1.6.23-2",
        "A map has no key twice, whatever its encodings (§1.6.23).",
        "bad-map8-dup-key",
        "bad-map8-dup-key-mixed-enc",
        "bad-map8-dup-uint-enc",
    ),
    relayed!("Y-1.6.23-3", "The order of a map is kept (§1.6.23).", "map-order-ab", "map-symbol-keys", "map-127-pairs"),
    relayed!(
        "Y-1.6.23-4",
        "Keys of different types are different keys (§1.6.23).",
        "map-mixed-key-types",
        "map-list-key"
    ),
    relayed!(
        "Y-1.6.24-1",
        "An array is array8 or array32, and its constructor is wide enough for each element (§1.6.24).",
        "array-string-255-256",
        "array-int-wide",
        "array-uint-wide",
        "array-long",
        "array-binary",
        "array-254-ubytes",
    ),
    relayed!(
        "Y-1.6.24-2",
        "The elements of an array may be arrays, lists and maps (§1.6.24).",
        "array-of-arrays",
        "array-of-lists"
    ),
];
