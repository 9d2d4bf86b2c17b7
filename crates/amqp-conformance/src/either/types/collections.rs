//! Lists, maps and arrays (§1.6.22 to §1.6.24): values that a peer takes.

use super::values;

values! {
    "Y-1.6.22-1": "A list is list0, list8 or list32 (§1.6.22).",
        ["list-empty", "list-nulls-3", "list-nested-2", "list-nested-11", "list-254-body", "list-255-nulls",
         "list-255-items", "list-of-map", "list-all-primitives"];
    "Y-1.6.23-1/relayed" or "Y-1.6.23-1/message": "A map is map8 or map32 (§1.6.23).",
        ["map-empty", "map-str-uint", "map-null-value", "map-nested", "map-128-pairs"];
    "Y-1.6.23-3": "The order of a map is kept (§1.6.23).",
        ["map-order-ab", "map-symbol-keys", "map-127-pairs"];
    "Y-1.6.23-4": "Keys of different types are different keys (§1.6.23).",
        ["map-mixed-key-types"];
    "Y-1.6.23-1/list-key": "The key of a map may be a list (§1.6.23).",
        ["map-list-key"];
    "Y-1.6.24-1": "An array is array8 or array32, and its constructor is wide enough for each element (§1.6.24).",
        ["array-string-255-256", "array-int-wide", "array-uint-wide", "array-long", "array-binary",
         "array-254-ubytes"];
    "Y-1.6.24-2": "The elements of an array may be arrays, lists and maps (§1.6.24).",
        ["array-of-arrays", "array-of-lists", "array-of-maps"];
}
