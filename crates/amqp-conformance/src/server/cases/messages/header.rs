//! The header (§3.2.1).

use super::support::{BODY, Fate, bad_messages, before_body, fate_of, field, name, section};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::should,
    octets::hex,
    server::ServerTrial,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{definitions::ErrorCondition, messaging::DeliveryState};
use amqp1_script::Refusal;
use std::{thread, time::Duration};

/// The codes of the sections.
const HEADER: u8 = 0x70;
const VALUE: u8 = 0x77;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.2.1-1",
        rule: "A message without a header, or without one of its fields, has the default values (§3.2.1).",
        sends: "a message without header, and one with an empty header",
        wants: "messages of which a header, if any, has the defaults",
        needs: &[Need::Queue],
        check: Check::Server(|trial| {
            let mut remark = String::new();
            for message in [hex(BODY), before_body("005370 45"), before_body("005370 c006 05 4040404040")] {
                let relayed = trial.relayed(&message)?;
                let header = section(&relayed.message, HEADER)?;
                let numbers: Vec<Option<u64>> =
                    (0..5).map(|index| field(header.as_ref(), index).and_then(|value| value.number())).collect();
                // A node may have defaults of its own. first-acquirer is true where no other acquirer is known.
                match numbers.as_slice() {
                    [None | Some(0), None | Some(4), None, _, None | Some(0)] => {}
                    [durable, priority, None, _, None | Some(0)] => {
                        remark = format!("by a default of the node, durable is {durable:?} and priority {priority:?}");
                    }
                    _ => {
                        let fields = "durable, priority, ttl, first-acquirer and delivery-count";
                        return Ok(Outcome::fail(format!("{fields} are {numbers:?}")));
                    }
                }
            }
            Ok(Outcome::pass_with(remark))
        }),
        ..Case::SERVER
    },
    bad_messages!(
        "M-3.2.1-1/type",
        "The fields of a header have their types (§3.2.1).",
        "bad-msg-header-priority-uint",
        "bad-msg-header-durable-ubyte"
    ),
    bad_messages!("M-3.2.1-1/fields", "A header has five fields (§3.2.1, §1.3.4).", "bad-msg-header-too-many"),
    Case {
        id: "M-3.2.1-2",
        rule: "A durable message is kept, or it is refused with amqp:precondition-failed (§3.2.1).",
        sends: "a message whose header says durable",
        wants: "rejected or detached with amqp:precondition-failed, or accepted, and still durable when it is read",
        needs: &[Need::Queue],
        check: Check::Server(durable),
        ..Case::SERVER
    },
    Case {
        id: "M-3.2.1-6",
        severity: Severity::Should,
        rule: "The ttl of a message that is sent on is less by the time that it has spent (§3.2.1).",
        sends: "a message with a ttl of 60 s, which is received half a second later",
        wants: "a ttl of less than 60 s",
        needs: &[Need::Queue],
        check: Check::Server(|trial| should(ttl(trial))),
        ..Case::SERVER
    },
    Case {
        id: "M-3.2.1-7",
        severity: Severity::Should,
        rule: "A message whose ttl has passed is not delivered (§3.2.1).",
        sends: "a message with a ttl of 100 ms, and one without; credit half a second later",
        wants: "the second message alone",
        needs: &[Need::Queue],
        check: Check::Server(|trial| should(expired(trial))),
        ..Case::SERVER
    },
];

fn durable(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let message = before_body("005370 c002 01 41");
    match fate_of(trial, &message)? {
        Fate::State(DeliveryState::Accepted) => {}
        Fate::State(DeliveryState::Rejected(rejected)) => {
            let condition = rejected.map(|error| error.condition);
            return Ok(match condition {
                Some(condition) if condition == ErrorCondition::PRECONDITION_FAILED => {
                    Outcome::pass_with("rejected with amqp:precondition-failed")
                }
                condition => Outcome::fail(format!("rejected with {condition:?}, not amqp:precondition-failed")),
            });
        }
        Fate::State(state) => return Ok(Outcome::fail(format!("the outcome is {}", name(&state)))),
        Fate::Other(got) => {
            return Ok(match Refusal::of(&got) {
                Some(refusal) if refusal.error.condition == ErrorCondition::PRECONDITION_FAILED => {
                    Outcome::pass_with("detach with amqp:precondition-failed")
                }
                _ => Outcome::fail(format!("expected an outcome, got {got}")),
            });
        }
    }
    let mut receiver = trial.receiver()?;
    receiver.give_credit(1);
    let delivery = receiver.delivery()?;
    receiver.settle(&delivery, DeliveryState::Accepted);
    let header = section(&delivery.message, HEADER)?;
    match field(header.as_ref(), 0).and_then(|durable| durable.number()) {
        Some(1) => Ok(Outcome::pass_with("accepted, and durable when it is read")),
        _ => Ok(Outcome::fail("accepted, and not durable when it is read")),
    }
}

/// The time that messages spend in the queue.
const SPENT: Duration = Duration::from_millis(500);

/// A minute in milliseconds.
const MINUTE: u64 = 60_000;

fn ttl(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.fill(&[before_body("005370 c009 03 42 5004 70 0000ea60")])?;
    thread::sleep(SPENT);
    let mut receiver = trial.receiver()?;
    receiver.give_credit(1);
    let delivery = receiver.delivery()?;
    receiver.settle(&delivery, DeliveryState::Accepted);
    let header = section(&delivery.message, HEADER)?;
    Ok(match field(header.as_ref(), 2).and_then(|ttl| ttl.number()) {
        Some(ttl) if ttl <= MINUTE.saturating_sub(400) => Outcome::pass_with(format!("{ttl} ms")),
        Some(ttl) => Outcome::fail(format!("the ttl is {ttl} ms after half a second")),
        None => Outcome::fail("there is no ttl any more"),
    })
}

fn expired(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let short = [hex("005370 c005 03 40 40 5264"), hex("005377 a105 73686f7274")].concat();
    trial.fill(&[short, hex(BODY)])?;
    thread::sleep(SPENT);
    let mut receiver = trial.receiver()?;
    receiver.give_credit(2);
    let delivery = receiver.delivery()?;
    receiver.settle(&delivery, DeliveryState::Accepted);
    let sent = section(&hex(BODY), VALUE)?;
    match section(&delivery.message, VALUE)? == sent {
        true => Ok(Outcome::pass()),
        false => Ok(Outcome::fail("the message was delivered after its ttl was over")),
    }
}
