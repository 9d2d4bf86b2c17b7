//! Constructors and their bodies (§1.1.2, §1.2).

use super::support::{self, bad_open, bad_property, conversation, taken};
use crate::{
    case::{Case, Check, Tag},
    client::Scenario,
    octets::{self, Descriptor, Item, Style, hex, vector},
};

const DESCRIPTORS: &str = "A numeric descriptor may be a smallulong or a ulong (§1.1.2, §1.6.6).";
const COMPOUND: &str = "The size of a compound value counts all that follows it, the count included (§1.2.3).";
const COUNT: &str = "The count of a compound value is the number of its items (§1.2.3).";
const ARRAY: &str = "An array is size, count, one constructor, and the bodies (§1.2.4).";
const CODES: &str = "A format code that is not in the table of encodings is an error (§1.2, §1.6).";
const BODIES: &str = "The body of a frame is one of the performatives (§1.5, §2.3.2).";

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
    taken!(
        "Y-1.1.2-2",
        "A value with an unknown descriptor is a value still (§1.1.2).",
        "described-string-value",
        "described-ulong-big",
        "described-nested-value",
        "described-null",
    ),
    taken!(
        "Y-1.2.1-1",
        "The first digit of a format code says how many octets a value of fixed width has (§1.2.1).",
        "null",
        "bool-true",
        "bool-false",
        "ubyte-255",
        "ushort-256",
        "uint-0",
        "uint-127",
        "uint-65536",
        "ulong-0",
        "ulong-127",
        "ulong-4294967296",
        "byte-neg1",
        "short-neg129",
        "int-neg1",
        "int-65536",
        "long-neg1",
        "long-4294967296",
        "float-1",
        "double-1",
        "decimal32-1",
        "decimal64-1",
        "decimal128-neg1",
        "char-A",
        "timestamp-1",
        "uuid-seq",
    ),
    taken!(
        "Y-1.2.2-1",
        "The length of a value of variable width counts octets (§1.2.2).",
        "string-255-bytes-multibyte",
        "string-64-emoji",
        "string-ascii-len255",
        "string-ascii-len256",
        "binary-len254",
        "binary-len256",
        "symbol-len255",
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
    taken!("Y-1.2.4-1/message", ARRAY, "array-symbol", "array-string", "array-ushort", "array-uuid"),
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
    taken!(
        "Y-1.2.4-3",
        "The constructor of an array may be described, once for all its elements (§1.2.4).",
        "array-described-symbol",
        "array-described-empty",
    ),
    taken!(
        "Y-1.2.4-4",
        "The elements of an array may take no octets (§1.2.4, §1.6).",
        "array-null",
        "array-all-true",
        "array-all-false",
        "array-ulong0",
        "array-of-empty-lists",
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
