//! Messages that a client must not accept.

use super::support::{bad_message, before_body};
use crate::{
    case::{Case, Tag},
    octets::{hex, vector},
};

const ORDER: &str = "The sections have an order, and those other than the body occur at most once (§3.2).";
const BODIES: &str = "A body is data sections, amqp-sequence sections, or one amqp-value section (§3.2).";
const MALFORMED: &str = "A message that cannot be read is rejected, or its link detached (§3.2; robustness).";
const HEADER: &str = "The fields of a header have their types (§3.2.1).";
const PROPERTIES: &str = "The fields of properties have their types (§3.2.4).";
const SIMPLE: &str = "Application-properties have strings as keys and simple values (§3.2.5).";
const KEYS: &str = "The key of an annotation is a symbol or a ulong (§3.2.10).";

pub(super) const CASES: &[Case] = &[
    bad_message!("M-3.2-1/order", ORDER, "properties before the header", vector("bad-msg-properties-before-header")),
    bad_message!("M-3.2-1/late", ORDER, "delivery annotations after the body", vector("bad-msg-da-after-props")),
    bad_message!("M-3.2-1/footer", ORDER, "a footer before the body", vector("bad-msg-footer-before-body")),
    bad_message!("M-3.2-1/twice", ORDER, "two headers", vector("bad-msg-header-twice")),
    bad_message!("M-3.2-2/two", BODIES, "two amqp-value sections", vector("bad-msg-two-values")),
    bad_message!("M-3.2-2/mixed", BODIES, "a data and an amqp-sequence section", vector("bad-msg-data-and-sequence")),
    bad_message!("M-3.2-2/value-data", BODIES, "an amqp-value and a data section", vector("bad-msg-value-then-data")),
    Case {
        tags: &[Tag::Strict],
        ..bad_message!("M-3.2-2/none", BODIES, "a header alone", vector("bad-msg-header-only"))
    },
    bad_message!("M-3.2-6/garbage", MALFORMED, "octets that are no section", hex("ff ff ff")),
    bad_message!(
        "M-3.2-6/truncated",
        MALFORMED,
        "a section that ends before its octets do",
        vector("bad-msg-trunc-body")
    ),
    bad_message!("M-3.2-6/trailing", MALFORMED, "octets after the last section", vector("bad-msg-trailing")),
    bad_message!(
        "M-3.2-6/section",
        MALFORMED,
        "a section with an unknown descriptor",
        vector("bad-msg-unknown-section")
    ),
    bad_message!("M-3.2-6/map", MALFORMED, "annotations with an odd number of items", vector("bad-msg-ann-odd-map")),
    Case {
        tags: &[Tag::Hostile],
        ..bad_message!(
            "M-3.2-6/count",
            MALFORMED,
            "annotations that claim four billion items",
            vector("bad-msg-ann-bomb")
        )
    },
    bad_message!("M-3.2.1-1/type", HEADER, "a uint as priority", vector("bad-msg-header-priority-uint")),
    bad_message!(
        "M-3.2.1-1/fields",
        "A header has five fields (§3.2.1, §1.3.4).",
        "a header of six fields",
        vector("bad-msg-header-too-many")
    ),
    bad_message!("M-3.2.4-1/int", PROPERTIES, "an int as message-id", vector("bad-msg-props-id-int")),
    bad_message!("M-3.2.4-2/user-id", PROPERTIES, "a string as user-id", before_body("005373 c006 02 40 a1026d65")),
    bad_message!("M-3.2.4-2/content-type", PROPERTIES, "a string as content-type", vector("bad-msg-props-ct-string")),
    bad_message!("M-3.2.4-2/creation-time", PROPERTIES, "a long as creation-time", vector("bad-msg-props-ctime-long")),
    bad_message!(
        "M-3.2.5-1/key",
        SIMPLE,
        "a symbol as key of an application-property",
        vector("bad-msg-app-props-symbol-key")
    ),
    bad_message!(
        "M-3.2.5-1/list",
        SIMPLE,
        "a list among the application-properties",
        before_body("005374 c105 02 a1016b 45")
    ),
    bad_message!(
        "M-3.2.6-1/string",
        "A data section holds binary (§3.2.6).",
        "a string as data section",
        vector("bad-msg-data-string")
    ),
    bad_message!(
        "M-3.2.7-1/map",
        "An amqp-sequence section holds a list (§3.2.7).",
        "a map as amqp-sequence section",
        hex("005376 c10100")
    ),
    bad_message!(
        "M-3.2.9-1/keys",
        "The keys of a footer are symbols or ulongs (§3.2.9).",
        "a string as key of a footer",
        [vector("msg-data"), hex("005378 c107 02 a1036b6579 40")].concat()
    ),
    bad_message!("M-3.2.10-1/string", KEYS, "a string as key of an annotation", vector("bad-msg-ann-string-key")),
    bad_message!("M-3.2.10-1/uint", KEYS, "a uint as key of an annotation", before_body("005372 c106 02 5201 a10176")),
];
