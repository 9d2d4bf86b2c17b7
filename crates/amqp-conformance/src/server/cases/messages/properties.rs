//! Properties and application-properties (§3.2.4, §3.2.5).

use super::support::{BODY, Fate, accepts, bad_message, bad_messages, before_body, fate_of, name, relayed_message};
use crate::{
    case::{Case, Check, Need, Severity},
    octets::{self, hex, list, vector},
    server::ServerTrial,
    verdict::{Outcome, Stop},
};
use amqp1_codec::messaging::DeliveryState;

const IDS: &str = "A message-id or correlation-id is a ulong, a uuid, a binary or a string (§3.2.4).";
const TYPES: &str = "The fields of properties have their types (§3.2.4).";
const SIMPLE: &str = "Application-properties have strings as keys and simple values (§3.2.5).";

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.2.4-1",
        rule: IDS,
        sends: "messages with a message-id and a correlation-id of each of these types",
        wants: "the same ids from the queue",
        check: Check::Server(ids),
        ..Case::SERVER
    },
    bad_messages!("M-3.2.4-1/int", IDS, "bad-msg-props-id-int"),
    bad_message!(
        "M-3.2.4-1/symbol",
        IDS,
        "a message whose correlation-id is a symbol",
        before_body("005373 c00a 06 40 40 40 40 40 a3026964")
    ),
    relayed_message!("M-3.2.4-2", TYPES, "a message with every property but user-id", octets::every_property()),
    bad_message!(
        "M-3.2.4-2/user-id",
        TYPES,
        "a message whose user-id is a string",
        before_body("005373 c006 02 40 a1026d65")
    ),
    bad_messages!("M-3.2.4-2/content-type", TYPES, "bad-msg-props-ct-string"),
    bad_messages!("M-3.2.4-2/creation-time", TYPES, "bad-msg-props-ctime-long"),
    bad_message!(
        "M-3.2.4-2/subject",
        TYPES,
        "a message whose subject is a symbol",
        before_body("005373 c008 04 40 40 40 a30173")
    ),
    bad_messages!("M-3.2.4-2/fields", "Properties have thirteen fields (§3.2.4, §1.3.4).", "bad-msg-props-too-many"),
    Case {
        id: "M-3.2.4-3",
        rule: "Properties are sent on unaltered (§3.2.4).",
        sends: "a message with every property but user-id, times before 1970 among them",
        wants: "the same octets from the queue",
        needs: &[Need::Queue],
        check: Check::Server(unaltered),
        ..Case::SERVER
    },
    Case {
        id: "M-3.2.4-5",
        severity: Severity::May,
        rule: "A server may hold the user-id of a message against the user who sends it (§3.2.4).",
        sends: "a message with the user-id of another user",
        wants: "an outcome, or a detach",
        check: Check::Server(|trial| settled(trial, &before_body("005373 c00e 02 40 a00a 736f6d652d6f74686572"))),
        ..Case::SERVER
    },
    Case {
        id: "M-3.2.4-6",
        severity: Severity::May,
        rule: "A server may drop a message with the message-id of an earlier one (§3.2.4).",
        sends: "two messages with the same message-id",
        wants: "an outcome for both",
        check: Check::Server(|trial| {
            let message = before_body("005373 c009 01 a106 74776963652d");
            let outcome = settled(trial, &message)?;
            if outcome.verdict == crate::Verdict::Fail { Ok(outcome) } else { settled(trial, &message) }
        }),
        ..Case::SERVER
    },
    relayed_message!(
        "M-3.2.5-1",
        SIMPLE,
        "a message with application-properties of many types",
        [vector("application-properties"), hex(BODY)].concat()
    ),
    bad_messages!("M-3.2.5-1/key", SIMPLE, "bad-msg-app-props-symbol-key", "bad-msg-app-props-null-key"),
    bad_message!(
        "M-3.2.5-1/list",
        SIMPLE,
        "a message with a list among its application-properties",
        before_body("005374 c105 02 a1016b 45")
    ),
    bad_message!(
        "M-3.2.5-1/map",
        SIMPLE,
        "a message with a map among its application-properties",
        before_body("005374 c107 02 a1016b c10100")
    ),
    bad_message!(
        "M-3.2.5-1/array",
        SIMPLE,
        "a message with an array among its application-properties",
        before_body("005374 c108 02 a1016b e0020050")
    ),
    Case {
        id: "M-3.2.5-1/empty",
        rule: SIMPLE,
        sends: "a message with empty application-properties, as map8 and as map32",
        wants: "accepted",
        check: Check::Server(|trial| {
            for map in ["005374 c10100", "005374 d10000000400000000"] {
                let outcome = accepts(trial, &before_body(map))?;
                if outcome.verdict != crate::Verdict::Pass {
                    return Ok(outcome);
                }
            }
            Ok(Outcome::pass())
        }),
        ..Case::SERVER
    },
];

fn ids(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    for id in
        ["53 2a", "80 ffffffffffffffff", "98 00112233445566778899aabbccddeeff", "a0 02 0102", "a0 00", "a1 02 6964"]
    {
        let id = hex(id);
        let null = [0x40];
        let properties = octets::described(0x73, &list(&[&id, &null, &null, &null, &null, &id]));
        let outcome = trial.relays_values(&[properties, hex(BODY)].concat())?;
        if outcome.verdict != crate::Verdict::Pass {
            return Ok(outcome);
        }
    }
    Ok(Outcome::pass())
}

fn unaltered(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let message = octets::every_property();
    let sent = octets::bare(&message).map_err(|flaw| Stop::SetUp(flaw.to_string()))?;
    let relayed = trial.relayed(&message)?;
    match octets::bare(&relayed.message) {
        Ok(received) if received == sent => Ok(Outcome::pass()),
        Ok(_) => Ok(Outcome::fail("the octets have changed")),
        Err(flaw) => Ok(Outcome::fail(format!("the message cannot be read any more: {flaw}"))),
    }
}

/// Sends a message. Passes if it has an outcome, or the link is detached with an error; which of them is a remark.
fn settled(trial: &mut ServerTrial<'_>, message: &[u8]) -> Result<Outcome, Stop> {
    match fate_of(trial, message)? {
        Fate::State(DeliveryState::Received(_)) => Ok(Outcome::fail("the state is not an outcome")),
        Fate::State(state) => Ok(Outcome::pass_with(name(&state))),
        Fate::Other(got) => match amqp1_script::Refusal::of(&got) {
            Some(refusal) => Ok(Outcome::pass_with(format!("refused with {}", refusal.error.condition))),
            None => Ok(Outcome::fail(format!("expected an outcome, got {got}"))),
        },
    }
}
