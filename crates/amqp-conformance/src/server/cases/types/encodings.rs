//! Constructors and their bodies (§1.1.2, §1.2).

use super::{
    conversation::converses,
    support::{self, bad_opens, bad_properties},
    twins,
};
use crate::{
    case::{Case, Check, Tag},
    either::types::rules::{ARRAY, COMPOUND, COUNT, DESCRIPTORS},
    octets::{self, Descriptor, Item, Style, hex},
    server::ServerTrial,
    verdict::{Outcome, Stop},
};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "Y-1.1.2-1/smallulong",
        rule: DESCRIPTORS,
        sends: "a whole conversation with smallulong descriptors",
        wants: "the same answers as to any other conversation",
        check: Check::Server(|trial| converses(trial, &Style::COMPACT)),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.1.2-1/ulong",
        rule: DESCRIPTORS,
        sends: "a whole conversation with ulong descriptors of eight octets",
        wants: "the same answers as to any other conversation",
        check: Check::Server(|trial| converses(trial, &Style { descriptor: Descriptor::Wide, ..Style::COMPACT })),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.2.3-1",
        rule: COMPOUND,
        sends: "an open as list8, and one as list32",
        wants: "an open",
        check: Check::Server(|trial| {
            let open = support::open(trial);
            let wide = Style { wide_lists: true, ..Style::COMPACT };
            support::opens(trial, &[open.encode(&Style::COMPACT), open.encode(&wide)])
        }),
        ..Case::SERVER
    },
    bad_properties!(
        "Y-1.2.3-1/size",
        COMPOUND,
        "bad-list8-size-0",
        "bad-list8-size-short",
        "bad-list8-size-over",
        "bad-list8-elem-over-end",
        "bad-map8-size-0",
    ),
    Case {
        id: "Y-1.2.3-1/open-size",
        rule: COMPOUND,
        sends: "an open whose list ends within its container-id",
        wants: "close with amqp:decode-error",
        twin: Some(&twins::RAW_OPEN),
        check: Check::Server(|trial| support::refuses_opens(trial, &[("open", hex("005310 c003 01 a10163"))])),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.2.3-2",
        rule: COUNT,
        sends: "an open that claims a field more than it has",
        wants: "close with amqp:decode-error, by the reading that size and count have to agree",
        tags: &[Tag::Strict],
        twin: Some(&twins::RAW_OPEN),
        check: Check::Server(|trial| support::refuses_opens(trial, &[("open", hex("005310 c004 02 a10163"))])),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.2.3-2/surplus",
        rule: COUNT,
        sends: "an open with an octet after its last field",
        wants: "close with amqp:decode-error, by the reading that size and count have to agree",
        tags: &[Tag::Strict],
        twin: Some(&twins::RAW_OPEN),
        check: Check::Server(|trial| support::refuses_opens(trial, &[("open", hex("005310 c005 01 a10163 40"))])),
        ..Case::SERVER
    },
    Case { tags: &[Tag::Strict], ..bad_properties!("Y-1.2.3-2/property", COUNT, "bad-map8-count-over") },
    Case {
        id: "Y-1.2.4-1",
        rule: ARRAY,
        sends: "an open with capabilities as array8 and as array32, of sym8 and of sym32",
        wants: "an open",
        check: Check::Server(arrays_of_capabilities),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.2.4-2",
        rule: "An array without elements has a constructor (§1.2.4).",
        sends: "an open with an array of capabilities that is empty",
        wants: "an open",
        check: Check::Server(|trial| {
            let open = support::open(trial).with(7, Item::Raw(hex("e0 02 00 a3")));
            support::opens(trial, &[open.encode(&Style::COMPACT)])
        }),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.2.4-2/missing",
        rule: "An array without elements has a constructor (§1.2.4).",
        sends: "an open with an array that has no constructor",
        wants: "close with amqp:decode-error",
        twin: Some(&twins::RAW_OPEN),
        check: Check::Server(|trial| {
            let open = support::open(trial).with(7, Item::Raw(hex("e0 01 00")));
            support::refuses_open(trial, &open)
        }),
        ..Case::SERVER
    },
    bad_properties!(
        "Y-1.2.5-1/property",
        "A format code that is not in the table of encodings is an error (§1.2, §1.6).",
        "bad-unknown-ctor-01",
        "bad-unknown-ctor-3f",
        "bad-unknown-ctor-46",
        "bad-unknown-ctor-57",
        "bad-unknown-ctor-62",
        "bad-unknown-ctor-75",
        "bad-unknown-ctor-9a",
        "bad-unknown-ctor-a2",
        "bad-unknown-ctor-d2",
        "bad-unknown-ctor-f1",
    ),
    Case {
        id: "Y-1.2.5-1/field",
        rule: "A format code that is not in the table of encodings is an error (§1.2, §1.6).",
        sends: "an open whose hostname has the format code 0x57",
        wants: "close with amqp:decode-error",
        twin: Some(&twins::RAW_OPEN),
        check: Check::Server(|trial| {
            let open = support::open(trial).with(1, Item::Raw(hex("57 00")));
            support::refuses_open(trial, &open)
        }),
        ..Case::SERVER
    },
    bad_opens!(
        "Y-1.5-1",
        "A numeric descriptor is a ulong, a symbolic one a symbol (§1.5).",
        "bad-open-desc-uint",
        "bad-open-desc-string",
    ),
    bad_opens!(
        "Y-1.5-1/unknown",
        "The body of a frame is one of the performatives (§1.5, §2.3.2).",
        "bad-body-undescribed",
        "bad-body-unknown-code",
        "bad-body-unknown-symbol",
        "bad-body-section-descriptor",
        "bad-body-sasl-in-amqp",
    ),
];

fn arrays_of_capabilities(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let open = support::open(trial);
    let bodies: Vec<Vec<u8>> = octets::encodings("array-symbol")
        .into_iter()
        .map(|array| open.clone().with(7, Item::Raw(array)).encode(&Style::COMPACT))
        .collect();
    support::opens(trial, &bodies)
}
