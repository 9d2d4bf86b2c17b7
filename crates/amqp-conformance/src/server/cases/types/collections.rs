//! Lists, maps and arrays (§1.6.22 to §1.6.24).

use super::{
    support::{self, bad_properties},
    twins,
};
use crate::{
    case::{Case, Check},
    octets::{Body, Item, Style, hex},
    server::ServerTrial,
    verdict::{Outcome, Stop},
};

pub(super) const CASES: &[Case] = &[
    bad_properties!(
        "Y-1.6.23-1/property",
        "A map has an even number of items (§1.6.23).",
        "bad-map8-odd",
        "bad-map8-odd-3"
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
];

/// Attaches a sender to the queue with these octets as its unsettled map. Passes if the server refuses it.
fn with_unsettled(trial: &mut ServerTrial<'_>, map: &str) -> Result<Outcome, Stop> {
    let attach = Body::attach("sender", 0, false, None, Some(trial.node())).with(7, Item::Raw(hex(map)));
    support::refuses_attach(trial, &attach.encode(&Style::COMPACT))
}
