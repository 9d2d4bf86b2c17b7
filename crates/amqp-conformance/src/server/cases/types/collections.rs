//! Lists, maps and arrays (§1.6.22 to §1.6.24).

use super::{
    support::{self, bad_properties, relayed},
    twins,
};
use crate::{
    case::{Case, Check},
    octets::{Body, Item, Style, hex},
    server::ServerTrial,
    verdict::{Outcome, Stop},
};

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
    bad_properties!(
        "Y-1.6.23-1/property",
        "A map has an even number of items (§1.6.23).",
        "bad-map8-odd",
        "bad-map8-odd-3"
    ),
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
        "Y-1.6.23-2/property",
        "A map has no key twice, whatever its encodings (§1.6.23).",
        "bad-map8-dup-key",
        "bad-map8-dup-key-mixed-enc",
        "bad-map8-dup-uint-enc",
    ),
    Case {
        id: "Y-1.6.23-1/unsettled",
        rule: "A map has an even number of items (§1.6.23).",
        sends: "an attach whose unsettled map has one item",
        wants: "detach, end or close with amqp:decode-error",
        twin: Some(&twins::RAW_ATTACH),
        check: Check::Server(|trial| with_unsettled(trial, "c1 04 01 a00130")),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.6.23-2/unsettled",
        rule: "A map has no key twice, whatever its encodings (§1.6.23).",
        sends: "an attach whose unsettled map has the same tag twice",
        wants: "detach, end or close with amqp:decode-error",
        twin: Some(&twins::RAW_ATTACH),
        check: Check::Server(|trial| with_unsettled(trial, "c1 0f 04 a00130 00532445 a00130 00532445")),
        ..Case::SERVER
    },
    relayed!("Y-1.6.23-3", "The order of a map is kept (§1.6.23).", "map-order-ab", "map-symbol-keys", "map-127-pairs"),
    relayed!("Y-1.6.23-4", "Keys of different types are different keys (§1.6.23).", "map-mixed-key-types"),
    relayed!("Y-1.6.23-1/list-key", "The key of a map may be a list (§1.6.23).", "map-list-key"),
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

/// Attaches a sender to the queue with these octets as its unsettled map. Passes if the server refuses it.
fn with_unsettled(trial: &mut ServerTrial<'_>, map: &str) -> Result<Outcome, Stop> {
    let attach = Body::attach("sender", 0, false, None, Some(trial.node())).with(7, Item::Raw(hex(map)));
    support::refuses_attach(trial, &attach.encode(&Style::COMPACT))
}
