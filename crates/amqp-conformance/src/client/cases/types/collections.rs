//! Lists, maps and arrays (§1.6.22 to §1.6.24).

use super::{
    support::{self, bad_property, conversation},
    twins,
};
use crate::{
    case::{Case, Check},
    client::{ClientTrial, Scenario},
    octets::{Item, Style, hex},
    verdict::{Outcome, Stop},
};

pub(super) const CASES: &[Case] = &[
    conversation!("Y-1.6.22-1/frames", "A list is list0, list8 or list32 (§1.6.22).", "every list as list32", Send, wide_lists: true),
    bad_property!("Y-1.6.23-1/property", "A map has an even number of items (§1.6.23).", "bad-map8-odd"),
    Case {
        id: "Y-1.6.23-1",
        rule: "A map has an even number of items (§1.6.23).",
        sends: "an attach whose unsettled map has one item",
        wants: "detach, end or close with amqp:decode-error",
        twin: Some(&twins::RAW_SEND),
        check: Check::Client(Scenario::Send, |trial| with_unsettled(trial, "c1 04 01 a00130")),
        ..Case::CLIENT
    },
    bad_property!(
        "Y-1.6.23-2/property",
        "A map has no key twice, whatever its encodings (§1.6.23).",
        "bad-map8-dup-key-mixed-enc"
    ),
    Case {
        id: "Y-1.6.23-2",
        rule: "A map has no key twice, whatever its encodings (§1.6.23).",
        sends: "an attach whose unsettled map has the same tag twice",
        wants: "detach, end or close with amqp:decode-error",
        twin: Some(&twins::RAW_SEND),
        check: Check::Client(Scenario::Send, |trial| with_unsettled(trial, "c1 0f 04 a00130 00532445 a00130 00532445")),
        ..Case::CLIENT
    },
];

/// Answers the attach of the client's sender with these octets as the unsettled map. Passes if the client refuses it.
fn with_unsettled(trial: &mut ClientTrial<'_>, map: &str) -> Result<Outcome, Stop> {
    support::refuses_attach(trial, |attach| attach.with(7, Item::Raw(hex(map))).encode(&Style::COMPACT))
}
