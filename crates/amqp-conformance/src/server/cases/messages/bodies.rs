//! The sections of a body (§3.2.6 to §3.2.8).

use super::support::{bad_message, bad_messages, relayed_message};
use crate::{
    case::{Case, Check},
    octets::{hex, vector},
};

const DATA: &str = "A data section holds binary; several follow each other, and stay several (§3.2.6).";
const SEQUENCE: &str = "An amqp-sequence section holds a list; several follow each other (§3.2.7).";
const VALUE: &str = "An amqp-value section holds one value, null included (§3.2.8).";

pub(super) const CASES: &[Case] = &[
    relayed_message!("M-3.2.6-1", DATA, "a message with three data sections", vector("msg-data-multi")),
    relayed_message!("M-3.2.6-1/empty", DATA, "a message with an empty data section", hex("005375 a000")),
    bad_messages!("M-3.2.6-1/string", DATA, "bad-msg-data-string"),
    relayed_message!(
        "M-3.2.7-1",
        SEQUENCE,
        "a message with two amqp-sequence sections",
        hex("005376 c005 02 5201 5202 005376 45")
    ),
    bad_message!("M-3.2.7-1/map", SEQUENCE, "a message whose amqp-sequence is a map", hex("005376 c10100")),
    relayed_message!("M-3.2.8-1/null", VALUE, "a message whose value is null", vector("msg-value-null")),
    Case {
        id: "M-3.2.8-1",
        rule: VALUE,
        sends: "messages whose values are a map, a list, an array, and a described value",
        wants: "the same values from the queue",
        check: Check::Server(|trial| {
            for name in ["amqp-value-array", "msg-value-list", "msg-props-value", "amqp-value-declare"] {
                let outcome = trial.relays_values(&vector(name))?;
                if outcome.verdict != crate::Verdict::Pass {
                    return Ok(outcome);
                }
            }
            Ok(crate::Outcome::pass())
        }),
        ..Case::SERVER
    },
];
