//! Messages that a client must accept.

use super::support::{BODY, before_body, taken_message};
use crate::{
    case::{Case, Check, Severity},
    client::Scenario,
    octets::{self, hex, vector},
    verdict::Outcome,
};
use amqp1_codec::{definitions::ErrorCondition, messaging::DeliveryState};
use amqp1_script::Refusal;

const FORMAT: &str = "Every peer that handles messages handles the format 0 (§3.1, §3.2.16).";
const SYMBOLIC: &str = "The descriptor of a section may be a symbol (§3.2).";
const DEFAULTS: &str = "A message without a header, or without one of its fields, has the default values (§3.2.1).";
const IDS: &str = "A message-id or correlation-id is a ulong, a uuid, a binary or a string (§3.2.4).";

pub(super) const CASES: &[Case] = &[
    taken_message!("M-3.1-1/data", FORMAT, "a message with a data section", vector("msg-data")),
    taken_message!("M-3.1-1/sequence", FORMAT, "a message with an amqp-sequence section", hex("005376 c003 01 5201")),
    taken_message!("M-3.1-1/value", FORMAT, "a message with an amqp-value section", vector("msg-value")),
    taken_message!(
        "M-3.2-1",
        "The sections have an order, and each may be absent but for the body (§3.2).",
        "a message with every section, in order",
        octets::every_section()
    ),
    taken_message!(
        "M-3.2-5/data",
        SYMBOLIC,
        "a message whose data section has a symbolic descriptor",
        vector("data-symbolic")
    ),
    taken_message!(
        "M-3.2-5/header",
        SYMBOLIC,
        "a message whose header has a symbolic descriptor",
        [vec![0x00], octets::symbol("amqp:header:list"), vec![0x45], vector("msg-data")].concat()
    ),
    taken_message!("M-3.2.1-1/absent", DEFAULTS, "a message without header", hex(BODY)),
    taken_message!("M-3.2.1-1/empty", DEFAULTS, "a message with an empty header", before_body("005370 45")),
    taken_message!(
        "M-3.2.1-1/nulls",
        DEFAULTS,
        "a message whose header is five nulls",
        before_body("005370 c006 05 4040404040")
    ),
    Case {
        id: "M-3.2.1-2",
        rule: "A durable message is kept, or it is refused with amqp:precondition-failed (§3.2.1).",
        sends: "a message whose header says durable",
        wants: "accepted, or rejected or detached with amqp:precondition-failed",
        check: Check::Client(Scenario::Receive, |trial| {
            let mut client = trial.sending_to_client()?;
            let id = client.deliver(before_body("005370 c002 01 41"));
            let refusal = match client.disposition_of(id) {
                Ok(disposition) => match disposition.body.state {
                    None | Some(DeliveryState::Accepted) => return Ok(client.finishes()),
                    Some(DeliveryState::Rejected(error)) => error.map(|error| error.condition),
                    Some(state) => return Ok(Outcome::fail(format!("the outcome is {state:?}"))),
                },
                Err(unexpected) => Refusal::of(&unexpected.got).map(|refusal| refusal.error.condition),
            };
            Ok(match refusal {
                Some(condition) if condition == ErrorCondition::PRECONDITION_FAILED => Outcome::pass_with("refused"),
                condition => Outcome::fail(format!("refused with {condition:?}, not amqp:precondition-failed")),
            })
        }),
        ..Case::CLIENT
    },
    taken_message!(
        "M-3.2.2-1",
        "Delivery annotations are from the last hop alone (§3.2.2).",
        "a message with delivery annotations",
        [vector("delivery-annotations"), hex(BODY)].concat()
    ),
    Case {
        id: "M-3.2.4-1",
        rule: IDS,
        sends: "a message with a uuid as message-id and a ulong as correlation-id",
        wants: "accepted, and the rest of the scenario",
        check: Check::Client(Scenario::Receive, |trial| {
            let (id, correlation) = (vector("uuid-seq"), vector("ulong-18446744073709551615"));
            let null = [0x40];
            let properties = octets::described(0x73, &octets::list(&[&id, &null, &null, &null, &null, &correlation]));
            super::super::types::takes(trial, &[properties, hex(BODY)].concat())
        }),
        ..Case::CLIENT
    },
    taken_message!(
        "M-3.2.4-1/binary",
        IDS,
        "a message with binaries as ids",
        [vector("properties-id-binary"), hex(BODY)].concat()
    ),
    taken_message!(
        "M-3.2.4-2",
        "The fields of properties have their types (§3.2.4).",
        "a message with every property but user-id",
        octets::every_property()
    ),
    Case {
        severity: Severity::May,
        ..taken_message!(
            "M-3.2.4-6",
            "A message-id may occur twice (§3.2.4).",
            "a message with a message-id",
            before_body("005373 c009 01 a106 74776963652d")
        )
    },
    taken_message!(
        "M-3.2.5-1",
        "Application-properties have strings as keys and simple values (§3.2.5).",
        "a message with application-properties of many types",
        [vector("application-properties"), hex(BODY)].concat()
    ),
    taken_message!(
        "M-3.2.6-1",
        "Several data sections follow each other (§3.2.6).",
        "a message with three data sections",
        vector("msg-data-multi")
    ),
    taken_message!(
        "M-3.2.7-1",
        "Several amqp-sequence sections follow each other (§3.2.7).",
        "a message with two amqp-sequence sections",
        hex("005376 c005 02 5201 5202 005376 45")
    ),
    taken_message!(
        "M-3.2.8-1",
        "An amqp-value section holds one value, null included (§3.2.8).",
        "a message whose value is null",
        vector("msg-value-null")
    ),
    taken_message!(
        "M-3.2.8-1/array",
        "An amqp-value section holds one value (§3.2.8).",
        "a message whose value is an array",
        vector("msg-value-array")
    ),
    taken_message!(
        "M-3.2.9-1",
        "A footer follows the body (§3.2.9).",
        "a message with a footer",
        [vector("msg-data"), vector("footer")].concat()
    ),
    taken_message!(
        "M-3.2.10-1",
        "The key of an annotation is a symbol or a ulong (§3.2.10).",
        "a message with a ulong as key of an annotation",
        [vector("message-annotations-ulong-key"), hex(BODY)].concat()
    ),
    taken_message!(
        "M-3.2.10-2",
        "An unknown annotation whose key begins with x-opt- is ignored (§3.2.10).",
        "a message with such annotations, of the message and of the delivery",
        [vector("delivery-annotations"), vector("message-annotations"), hex(BODY)].concat()
    ),
];
