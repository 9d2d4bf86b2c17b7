//! Constructors and their bodies (§1.1.2, §1.2).

use super::support::{self, bad_open, bad_property, conversation};
use crate::{
    case::{Case, Check, Tag},
    client::Scenario,
    either::types::rules::{ARRAY, BODIES, CODES, COMPOUND, COUNT, DESCRIPTORS},
    octets::{self, Descriptor, Item, Style, hex, vector},
};

/// A case that answers with an open whose capabilities are these octets, and wants the client to go on.
macro_rules! capabilities {
    ($id:literal, $rule:expr, $sends:literal, $octets:expr) => {
        Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "a begin, and a close without an error",
            check: Check::Client(Scenario::Send, |trial| {
                let open = support::open().with(7, Item::Raw($octets));
                support::takes_open(trial, &open.encode(&Style::COMPACT))
            }),
            ..Case::CLIENT
        }
    };
}

pub(super) const CASES: &[Case] = &[
    conversation!("Y-1.1.2-1/smallulong", DESCRIPTORS, "every frame with a smallulong as descriptor", Send, list0: true),
    conversation!(
        "Y-1.1.2-1/ulong",
        DESCRIPTORS,
        "every frame with a ulong of eight octets as descriptor",
        Receive,
        descriptor: Descriptor::Wide
    ),
    conversation!("Y-1.2.3-1", COMPOUND, "every list as list32", Receive, wide_lists: true),
    bad_open!(
        "Y-1.2.3-1/open-size",
        COMPOUND,
        "an open whose list ends within its container-id",
        hex("005310 c003 01 a10163")
    ),
    bad_property!("Y-1.2.3-1/short", COMPOUND, "bad-list8-size-short"),
    bad_property!("Y-1.2.3-1/over", COMPOUND, "bad-list8-size-over"),
    Case {
        tags: &[Tag::Strict],
        ..bad_open!(
            "Y-1.2.3-2/over",
            COUNT,
            "an open that claims a field more than it has",
            hex("005310 c004 02 a10163")
        )
    },
    Case {
        tags: &[Tag::Strict],
        ..bad_open!(
            "Y-1.2.3-2/surplus",
            COUNT,
            "an open with an octet after its last field",
            hex("005310 c005 01 a10163 40")
        )
    },
    capabilities!("Y-1.2.4-1/array8", ARRAY, "an open with capabilities as array8 of sym8", vector("array-symbol")),
    capabilities!(
        "Y-1.2.4-1/array32",
        ARRAY,
        "an open with capabilities as array32 of sym32",
        octets::encodings("array-symbol").pop().unwrap_or_default()
    ),
    capabilities!(
        "Y-1.2.4-2",
        "An array without elements has a constructor (§1.2.4).",
        "an open with an array of capabilities that is empty",
        hex("e0 02 00 a3")
    ),
    bad_open!(
        "Y-1.2.4-2/missing",
        "An array without elements has a constructor (§1.2.4).",
        "an open with an array that has no constructor",
        support::open().with(7, Item::Raw(hex("e0 01 00"))).encode(&Style::COMPACT)
    ),
    bad_open!(
        "Y-1.2.5-1",
        CODES,
        "an open whose hostname has the format code 0x57",
        support::open().with(1, Item::Raw(hex("57 00"))).encode(&Style::COMPACT)
    ),
    bad_property!("Y-1.2.5-1/01", CODES, "bad-unknown-ctor-01"),
    bad_property!("Y-1.2.5-1/9a", CODES, "bad-unknown-ctor-9a"),
    bad_open!(
        "Y-1.5-1/uint",
        "A numeric descriptor is a ulong (§1.5).",
        "an open whose descriptor is a uint",
        vector("bad-open-desc-uint")
    ),
    bad_open!(
        "Y-1.5-1/string",
        "A symbolic descriptor is a symbol (§1.5).",
        "an open whose descriptor is a string",
        vector("bad-open-desc-string")
    ),
    bad_open!("Y-1.5-1/unknown", BODIES, "a frame with an unknown descriptor", vector("bad-body-unknown-code")),
    bad_open!("Y-1.5-1/undescribed", BODIES, "a frame whose body is not described", vector("bad-body-undescribed")),
    bad_open!(
        "Y-1.5-1/section",
        BODIES,
        "a frame whose body is a section of a message",
        vector("bad-body-section-descriptor")
    ),
];
