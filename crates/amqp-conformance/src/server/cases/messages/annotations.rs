//! Annotations, of deliveries, messages and footers (§3.2.2, §3.2.3, §3.2.9, §3.2.10).

use super::support::{accepts, bad_message, bad_messages, before_body, relayed_message, section};
use crate::{
    case::{Case, Check, Need, Tag},
    octets::{self, Value, vector},
    server::ServerTrial,
    verdict::{Outcome, Stop},
};

const KEYS: &str = "The key of an annotation is a symbol or a ulong (§3.2.10).";

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.2.2-1",
        rule: "Delivery annotations are for the next hop alone (§3.2.2).",
        sends: "a message with delivery annotations",
        wants: "a message without them from the queue",
        needs: &[Need::Queue],
        check: Check::Server(|trial| {
            let message = [vector("delivery-annotations"), vector("msg-data")].concat();
            let relayed = trial.relayed(&message)?;
            match (section(&relayed.message, 0x71)?, section(&message, 0x71)?) {
                (Some(Value::Map(received)), Some(Value::Map(sent)))
                    if sent.iter().any(|pair| received.contains(pair)) =>
                {
                    Ok(Outcome::fail("the delivery annotations were sent on"))
                }
                _ => Ok(Outcome::pass()),
            }
        }),
        ..Case::SERVER
    },
    Case {
        id: "M-3.2.3-1",
        rule: "Message annotations are sent on (§3.2.3).",
        sends: "a message with message annotations",
        wants: "the same annotations from the queue, others besides them or not",
        needs: &[Need::Queue],
        check: Check::Server(|trial| keeps_annotations(trial, &vector("message-annotations"))),
        ..Case::SERVER
    },
    relayed_message!(
        "M-3.2.9-1",
        "A footer follows the body (§3.2.9).",
        "a message with a footer",
        [vector("msg-data"), vector("footer")].concat()
    ),
    bad_message!(
        "M-3.2.9-1/keys",
        "The keys of a footer are symbols or ulongs (§3.2.9, §3.2.10).",
        "a message whose footer has a string as key",
        [vector("msg-data"), octets::hex("005378 c107 02 a1036b6579 40")].concat()
    ),
    bad_messages!("M-3.2.10-1/string", KEYS, "bad-msg-ann-string-key"),
    bad_message!(
        "M-3.2.10-1/uint",
        KEYS,
        "a message with an annotation whose key is a uint",
        before_body("005372 c106 02 5201 a10176")
    ),
    Case {
        id: "M-3.2.10-1/ulong",
        rule: KEYS,
        sends: "a message with an annotation whose key is a ulong",
        wants: "the same annotation from the queue",
        needs: &[Need::Queue],
        tags: &[Tag::Strict],
        check: Check::Server(|trial| keeps_annotations(trial, &vector("message-annotations-ulong-key"))),
        ..Case::SERVER
    },
    Case {
        id: "M-3.2.10-2",
        rule: "An unknown annotation whose key begins with x-opt- is ignored (§3.2.10).",
        sends: "messages with such an annotation, among those of the message and of the delivery",
        wants: "accepted",
        check: Check::Server(|trial| {
            for code in [0x72, 0x71] {
                let key = octets::symbol("x-opt-amqp-conformance");
                let annotations = octets::described(code, &octets::map(&[&key, &octets::string("value")]));
                let outcome = accepts(trial, &[annotations, vector("msg-data")].concat())?;
                if outcome != Outcome::pass() {
                    return Ok(outcome);
                }
            }
            Ok(Outcome::pass())
        }),
        ..Case::SERVER
    },
    Case {
        id: "M-3.2.10-3",
        rule: "An unknown annotation whose key does not begin with x-opt- is not ignored: detach (§3.2.10).",
        sends: "a message with the annotation foo",
        wants: "by the text a detach with amqp:not-implemented; in practice accepted, and kept",
        check: Check::Server(unknown_annotation),
        ..Case::SERVER
    },
];

/// Sends these annotations with a message through the queue. Passes if they come back.
fn keeps_annotations(trial: &mut ServerTrial<'_>, annotations: &[u8]) -> Result<Outcome, Stop> {
    let message = [annotations, &vector("msg-data")].concat();
    let relayed = trial.relayed(&message)?;
    let Some(Value::Map(sent)) = section(&message, 0x72)? else {
        return Err(Stop::SetUp(String::from("no annotations")));
    };
    let received = match section(&relayed.message, 0x72)? {
        Some(Value::Map(received)) => received,
        _ => Vec::new(),
    };
    match sent.iter().find(|pair| !received.contains(pair)) {
        None => Ok(Outcome::pass()),
        Some((key, _)) => Ok(Outcome::fail(format!("the annotation {:?} was not sent on", key.symbol()))),
    }
}

fn unknown_annotation(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let annotations = octets::described(0x72, &octets::map(&[&octets::symbol("foo"), &octets::string("bar")]));
    let message = [annotations, vector("msg-data")].concat();
    match super::support::fate_of(trial, &message)? {
        super::support::Fate::State(amqp1_codec::messaging::DeliveryState::Accepted) => {
            Ok(Outcome::pass_with("accepted, as everywhere in practice"))
        }
        super::support::Fate::State(state) => {
            Ok(Outcome::fail(format!("the outcome is {}", super::support::name(&state))))
        }
        super::support::Fate::Other(got) => match amqp1_script::Refusal::of(&got) {
            Some(refusal) => Ok(Outcome::pass_with(format!("refused with {}", refusal.error.condition))),
            None => Ok(Outcome::fail(format!("expected accepted or a detach, got {got}"))),
        },
    }
}
