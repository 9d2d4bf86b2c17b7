//! Primitive types (§1.6.1 to §1.6.21).

use super::{
    support::{self, bad_open, bad_property, conversation},
    twins,
};
use crate::{
    case::{Case, Check},
    client::Scenario,
    either::types::rules::{BINARY, BOOLEAN, CHAR, STRING, SYMBOL, UINT},
    octets::{self, Item, Style, hex, vector},
};

pub(super) const CASES: &[Case] = &[
    conversation!("Y-1.6.2-1/send", BOOLEAN, "every boolean as 0x56", Send, boolean_octets: true),
    conversation!("Y-1.6.2-1/receive", BOOLEAN, "every boolean as 0x56", Receive, boolean_octets: true),
    Case {
        id: "Y-1.6.2-1/octet-02",
        rule: BOOLEAN,
        sends: "an attach whose role is 56 02",
        wants: "detach, end or close with amqp:decode-error",
        twin: Some(&twins::RAW_SEND),
        check: Check::Client(Scenario::Send, |trial| {
            support::refuses_attach(trial, |attach| attach.with(2, Item::Raw(hex("5602"))).encode(&Style::COMPACT))
        }),
        ..Case::CLIENT
    },
    conversation!("Y-1.6.5-1/uint", UINT, "every uint as 0x70", Receive, wide_numbers: true),
    conversation!("Y-1.6.5-1/uint-send", UINT, "every uint as 0x70", Send, wide_numbers: true),
    conversation!("Y-1.6.5-1/smalluint", UINT, "every zero as 52 00", Send, small_zeros: true),
    Case {
        id: "Y-1.6.6-1/message-id",
        rule: "A ulong keeps all of its 64 bits (§1.6.6).",
        sends: "a message with the message-id 2^64 - 1",
        wants: "accepted, and the rest of the scenario",
        check: Check::Client(Scenario::Receive, |trial| {
            let properties = octets::described(0x73, &octets::list(&[&vector("ulong-18446744073709551615")]));
            support::takes(trial, &[properties, vector("msg-value")].concat())
        }),
        ..Case::CLIENT
    },
    bad_property!("Y-1.6.16-1/invalid", CHAR, "bad-char-above-max"),
    conversation!("Y-1.6.19-1/wide", BINARY, "every tag, string and symbol of the wide form", Receive, wide_texts: true),
    conversation!("Y-1.6.20-1/wide", STRING, "every string of the wide form", Send, wide_texts: true),
    bad_open!(
        "Y-1.6.20-1/overlong",
        STRING,
        "an open whose container-id is overlong UTF-8",
        support::open().with(0, Item::Raw(vector("bad-utf8-overlong"))).encode(&Style::COMPACT)
    ),
    bad_open!(
        "Y-1.6.20-1/surrogate",
        STRING,
        "an open whose container-id holds a surrogate",
        support::open().with(0, Item::Raw(vector("bad-utf8-surrogate"))).encode(&Style::COMPACT)
    ),
    bad_open!(
        "Y-1.6.20-1/continuation",
        STRING,
        "an open whose container-id is a continuation octet",
        support::open().with(0, Item::Raw(vector("bad-utf8-lone-continuation"))).encode(&Style::COMPACT)
    ),
    bad_open!(
        "Y-1.6.21-1/invalid",
        SYMBOL,
        "an open with a capability that holds the octet 80",
        support::open().with(7, Item::Raw(vector("bad-symbol-high-bit"))).encode(&Style::COMPACT)
    ),
];
