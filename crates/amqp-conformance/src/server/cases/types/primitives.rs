//! Primitive types (§1.6.1 to §1.6.21).

use super::{
    conversation::converses,
    support::{self, bad_properties, relayed},
    twins,
};
use crate::{
    case::{Case, Check},
    octets::{self, Body, Item, Style, hex, vector},
};

const BOOLEAN: &str = "A boolean is 0x41, 0x42, or 0x56 with the octet 00 or 01 (§1.6.2).";
const CHAR: &str = "A char is one Unicode scalar value in UTF-32BE (§1.6.16).";
const STRING: &str = "A string is valid UTF-8 (§1.6.20).";
const SYMBOL: &str = "A symbol holds ASCII alone (§1.6.21).";
const BINARY: &str = "A binary has a length of one octet or of four, and may be empty (§1.6.19).";

/// A case that holds a whole conversation in another style.
macro_rules! converses {
    ($id:literal, $rule:expr, $sends:literal, $($field:ident),+) => {
        Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "the same answers as ever",
                check: Check::Server(|trial| converses(trial, &Style { $($field: true,)+ ..Style::COMPACT })),
            ..Case::SERVER
        }
    };
}

pub(super) const CASES: &[Case] = &[
    relayed!("Y-1.6.1-1", "Null is 0x40 (§1.6.1).", "null", "list-nulls-3", "map-null-value"),
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
    relayed!(
        "Y-1.6.2-2",
        "An array of booleans has one constructor: 0x56, or 0x41 or 0x42 where all are the same (§1.6.2).",
        "array-boolean",
        "array-all-true",
        "array-all-false",
        "array-empty-boolean",
    ),
    relayed!("Y-1.6.3-1", "A ubyte is 0x50 (§1.6.3).", "ubyte-0", "ubyte-1", "ubyte-128", "ubyte-255"),
    relayed!(
        "Y-1.6.4-1",
        "A ushort is 0x60, its high octet first (§1.6.4).",
        "ushort-0",
        "ushort-1",
        "ushort-256",
        "ushort-32768",
        "ushort-65535",
    ),
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
    relayed!(
        "Y-1.6.5-1/relayed",
        "A uint is 0x70, 0x52 or 0x43 (§1.6.5).",
        "uint-0",
        "uint-1",
        "uint-127",
        "uint-128",
        "uint-255",
        "uint-256",
        "uint-65535",
        "uint-65536",
        "uint-2147483647",
    ),
    relayed!(
        "Y-1.6.6-1",
        "A ulong is 0x80, 0x53 or 0x44, and keeps all of its 64 bits (§1.6.6).",
        "ulong-0",
        "ulong-1",
        "ulong-127",
        "ulong-128",
        "ulong-256",
        "ulong-4294967296",
        "ulong-9007199254740992",
        "ulong-9223372036854775808",
        "ulong-18446744073709551615",
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
    relayed!(
        "Y-1.6.7-1",
        "A byte is 0x51, in two's complement (§1.6.7).",
        "byte-neg128",
        "byte-neg1",
        "byte-0",
        "byte-1"
    ),
    relayed!(
        "Y-1.6.8-1",
        "A short is 0x61, in two's complement (§1.6.8).",
        "short-neg32768",
        "short-neg129",
        "short-0",
        "short-255",
        "short-32767",
    ),
    relayed!(
        "Y-1.6.9-1",
        "An int is 0x71, or 0x54 with its sign extended (§1.6.9).",
        "int-neg2147483648",
        "int-neg129",
        "int-neg128",
        "int-neg1",
        "int-0",
        "int-127",
        "int-128",
        "int-2147483647",
    ),
    relayed!(
        "Y-1.6.10-1",
        "A long is 0x81, or 0x55 with its sign extended (§1.6.10).",
        "long-neg9223372036854775808",
        "long-neg9007199254740993",
        "long-neg4294967297",
        "long-neg128",
        "long-neg1",
        "long-0",
        "long-127",
        "long-4294967296",
        "long-9007199254740993",
        "long-9223372036854775807",
    ),
    relayed!(
        "Y-1.6.11-1",
        "A float is binary32 of IEEE 754, infinities, negative zero and NaN included (§1.6.11).",
        "float-pos0",
        "float-neg0",
        "float-1",
        "float-pi",
        "float-max",
        "float-min-subnormal",
        "float-inf",
        "float-neginf",
        "float-qnan",
    ),
    relayed!(
        "Y-1.6.12-1",
        "A double is binary64 of IEEE 754, infinities, negative zero and NaN included (§1.6.12).",
        "double-pos0",
        "double-neg0",
        "double-pi",
        "double-max",
        "double-min-normal",
        "double-inf",
        "double-neginf",
        "double-qnan",
        "double-0.1",
    ),
    relayed!(
        "Y-1.6.13-1",
        "A decimal is 0x74, 0x84 or 0x94, and keeps its bits (§1.6.13 to §1.6.15).",
        "decimal32-0",
        "decimal32-neg1",
        "decimal32-inf",
        "decimal64-1",
        "decimal64-inf",
        "decimal128-neg1",
        "decimal128-inf",
    ),
    relayed!("Y-1.6.16-1", CHAR, "char-nul", "char-A", "char-euro", "char-post-surrogate", "char-bmp-last", "char-max",),
    bad_properties!("Y-1.6.16-1/invalid", CHAR, "bad-char-above-max", "bad-char-ffffffff"),
    relayed!(
        "Y-1.6.17-1",
        "A timestamp is 0x83, milliseconds from 1970 as a signed number of 64 bits (§1.6.17).",
        "timestamp-neg9223372036854775808",
        "timestamp-neg1",
        "timestamp-1311704463521",
        "timestamp-253402300799999",
        "timestamp-9223372036854775807",
    ),
    relayed!("Y-1.6.18-1", "A uuid is 0x98, 16 octets in their order (§1.6.18).", "uuid-v4", "uuid-seq"),
    relayed!("Y-1.6.19-1", BINARY, "binary-len0", "binary-len1", "binary-len127", "binary-len128", "binary-len256"),
    converses!(
        "Y-1.6.19-1/wide",
        BINARY,
        "a whole conversation with tags, strings and symbols of the wide form",
        wide_texts
    ),
    relayed!(
        "Y-1.6.20-1",
        STRING,
        "string-ascii-len1",
        "string-nul-inside",
        "string-2byte",
        "string-cjk",
        "string-nonchar",
        "string-max-scalar",
        "string-ascii-len257",
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
    relayed!("Y-1.6.21-1", SYMBOL, "symbol-len0", "symbol-len1", "symbol-amqp", "symbol-punct", "symbol-len128"),
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
