//! Primitive types (§1.6.1 to §1.6.21).

use super::{
    conversation::converses,
    support::{self, bad_properties},
    twins,
};
use crate::{
    case::{Case, Check},
    either::types::rules::{BINARY, BOOLEAN, CHAR, STRING, SYMBOL},
    octets::{self, Body, Item, Style, hex, vector},
};

/// A case that holds a whole conversation in another style.
macro_rules! converses {
    ($id:literal, $rule:expr, $sends:literal, $($field:ident),+) => {
        Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "the same answers as to any other conversation",
                check: Check::Server(|trial| converses(trial, &Style { $($field: true,)+ ..Style::COMPACT })),
            ..Case::SERVER
        }
    };
}

pub(super) const CASES: &[Case] = &[
    converses!("Y-1.6.2-1", BOOLEAN, "a whole conversation with booleans as 0x56", boolean_octets),
    Case {
        id: "Y-1.6.2-1/octet-02",
        rule: BOOLEAN,
        sends: "an attach whose role is 56 02",
        wants: "detach, end or close with amqp:decode-error",
        twin: Some(&twins::RAW_ATTACH),
        check: Check::Server(|trial| {
            let attach = Body::attach("sender", 0, false, None, Some(trial.node())).with(2, Item::Raw(hex("5602")));
            support::refuses_attach(trial, &attach.encode(&Style::COMPACT))
        }),
        ..Case::SERVER
    },
    converses!(
        "Y-1.6.5-1/uint",
        "A uint is 0x70, 0x52 or 0x43 (§1.6.5).",
        "a whole conversation with uints as 0x70",
        wide_numbers
    ),
    converses!(
        "Y-1.6.5-1/smalluint",
        "A uint is 0x70, 0x52 or 0x43 (§1.6.5).",
        "a whole conversation with zeros as 52 00",
        small_zeros
    ),
    Case {
        id: "Y-1.6.6-1/message-id",
        rule: "A ulong keeps all of its 64 bits (§1.6.6).",
        sends: "a message with the message-id 2^64 - 1",
        wants: "the same message-id from the queue",
        check: Check::Server(|trial| {
            let properties = octets::described(0x73, &octets::list(&[&vector("ulong-18446744073709551615")]));
            trial.relays_values(&[properties, vector("msg-value")].concat())
        }),
        ..Case::SERVER
    },
    bad_properties!("Y-1.6.16-1/invalid", CHAR, "bad-char-above-max", "bad-char-ffffffff"),
    converses!(
        "Y-1.6.19-1/wide",
        BINARY,
        "a whole conversation with tags, strings and symbols of the wide form",
        wide_texts
    ),
    Case {
        id: "Y-1.6.20-1/invalid",
        rule: STRING,
        sends: "opens whose container-id is not UTF-8",
        wants: "close with amqp:decode-error",
        twin: Some(&twins::RAW_OPEN),
        check: Check::Server(|trial| {
            let open = support::open(trial);
            let names = [
                "bad-utf8-lone-continuation",
                "bad-utf8-overlong",
                "bad-utf8-surrogate",
                "bad-utf8-above-max",
                "bad-utf8-truncated",
                "bad-utf8-fe",
            ];
            let bodies =
                names.map(|name| (name, open.clone().with(0, Item::Raw(vector(name))).encode(&Style::COMPACT)));
            support::refuses_opens(trial, &bodies)
        }),
        ..Case::SERVER
    },
    Case {
        id: "Y-1.6.21-1/invalid",
        rule: SYMBOL,
        sends: "an open with a capability that holds the octet 80",
        wants: "close with amqp:decode-error",
        twin: Some(&twins::RAW_OPEN),
        check: Check::Server(|trial| {
            let open = support::open(trial).with(7, Item::Raw(vector("bad-symbol-high-bit")));
            support::refuses_open(trial, &open)
        }),
        ..Case::SERVER
    },
];
