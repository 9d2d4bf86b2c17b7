//! Messages of the client's after their outcome (§3.4.2 to §3.4.5).

use super::outcomes::SENDS;
use crate::{
    case::{Case, Check, Severity},
    client::{ClientTrial, Scenario},
    delivery::Delivery,
    judge::should,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    Message, Symbol,
    definitions::{AmqpError, ErrorCondition, Fields, Role},
    messaging::{DeliveryState, Modified},
    performative::{Disposition, Performative},
};
use amqp1_script::{AmqpFrame, Got, frames};

const fn send(check: fn(&mut ClientTrial<'_>) -> Result<Outcome, Stop>) -> Check {
    Check::Client(Scenario::Send, check)
}

/// A case on what the client does with its message after this outcome.
const SENT: Case = Case { twin: Some(&SENDS), ..Case::CLIENT };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.4.2-1",
        rule: "Accepted retires the message from its source (§3.4.2).",
        sends: "accepted for each of three messages",
        wants: "three deliveries and no more",
        check: send(|trial| sent_once(trial, false)),
        ..SENT
    },
    Case {
        id: "M-3.5.2-1",
        rule: "A message that was accepted on a link is not sent on it again (§3.5.2).",
        sends: "accepted for each of three messages, unsettled at first and then settled",
        wants: "three deliveries and no more",
        check: send(|trial| sent_once(trial, true)),
        ..SENT
    },
    Case {
        id: "M-3.4.3-1",
        rule: "A rejected message is not sent on that link again (§3.4.3).",
        sends: "rejected with an error for the message",
        wants: "no other delivery on the link",
        check: send(|trial| {
            let error = AmqpError::from(ErrorCondition::from_static("amqp-conformance:invalid"));
            not_again(trial, DeliveryState::rejected(error))
        }),
        ..SENT
    },
    Case {
        id: "M-3.4.3-2",
        severity: Severity::Should,
        rule: "Rejected does not arise at the source by itself (§3.4.3).",
        sends: "a flow with echo, before the outcome",
        wants: "no disposition of the sender's with rejected",
        check: send(|trial| should(by_itself(trial, |state| !matches!(state, DeliveryState::Rejected(_))))),
        ..SENT
    },
    Case {
        id: "M-3.4.4-1",
        rule: "Released leaves the message's delivery-count (§3.4.4).",
        sends: "released for the message",
        wants: "the message with a delivery-count of 0 if it comes again",
        check: send(|trial| counted(trial, DeliveryState::Released, 0)),
        ..SENT
    },
    Case {
        id: "M-3.4.4-2",
        severity: Severity::May,
        rule: "A source may release a message by itself, and then says so (§3.4.4).",
        sends: "a flow with echo, before the outcome",
        wants: "no disposition of the sender's, or one with released or modified",
        check: send(|trial| {
            by_itself(trial, |state| matches!(state, DeliveryState::Released | DeliveryState::Modified(_)))
        }),
        ..SENT
    },
    Case {
        id: "M-3.4.5-1/failed",
        rule: "Modified with delivery-failed raises the delivery-count (§3.4.5).",
        sends: "modified(delivery-failed=true) for the message",
        wants: "the message with a delivery-count of 1 if it comes again",
        check: send(|trial| counted(trial, modified(Modified { delivery_failed: true, ..Modified::default() }), 1)),
        ..SENT
    },
    Case {
        id: "M-3.4.5-1/null",
        rule: "Modified without delivery-failed leaves the delivery-count (§3.4.5).",
        sends: "modified without fields for the message",
        wants: "the message with a delivery-count of 0 if it comes again",
        check: send(|trial| counted(trial, modified(Modified::default()), 0)),
        ..SENT
    },
    Case {
        id: "M-3.4.5-2",
        rule: "Modified with undeliverable-here keeps the message off that link (§3.4.5).",
        sends: "modified(undeliverable-here=true) for the message",
        wants: "no other delivery on the link",
        check: send(|trial| not_again(trial, modified(Modified { undeliverable_here: true, ..Modified::default() }))),
        ..SENT
    },
    Case {
        id: "M-3.4.5-3",
        severity: Severity::Should,
        rule: "The message-annotations of modified become those of the message (§3.4.5).",
        sends: "modified(message-annotations={x-opt-conformance: \"new\"}) for the message",
        wants: "the message with that annotation if it comes again",
        check: send(|trial| should(annotated(trial))),
        ..SENT
    },
];

fn modified(modified: Modified) -> DeliveryState {
    DeliveryState::Modified(Box::new(modified))
}

/// Gives each delivery an outcome, in their order, the last outcome to all that follow, and returns them once the client
/// has ended the connection. The outcome comes unsettled at first if it is to be settled `later`.
fn all_deliveries(trial: &mut ClientTrial<'_>, later: bool, outcomes: &[DeliveryState]) -> Result<Vec<Delivery>, Stop> {
    let mut client = trial.sender()?;
    client.give_credit(10);
    let max_frame_size = client.open.max_frame_size;
    let mut all: Vec<Delivery> = Vec::new();
    loop {
        let got = client.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => {
                let Some(delivery) = client.progress.note(&got) else { continue };
                let state = outcomes.get(all.len()).or_else(|| outcomes.last()).cloned();
                let answer = frames::settled(Role::Receiver, delivery.number(), state);
                if later {
                    client.connection.send(client.session.channel, Disposition { settled: false, ..answer.clone() });
                }
                client.connection.send(client.session.channel, answer);
                all.push(delivery);
                if all.len() > 20 {
                    return Err(Outcome::fail("more than 20 deliveries came").into());
                }
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => {
                client.connection.send(0, frames::close());
                return Ok(all);
            }
            Got::Frame(_) => client.progress.answer(&mut client.connection, &got, max_frame_size),
            _ if got.is_end() => return Ok(all),
            // A client may wait for more than it is given.
            Got::Timeout { .. } if !all.is_empty() => return Ok(all),
            _ => return Err(Outcome::fail(format!("expected the client to go on, got {got}")).into()),
        }
    }
}

fn sent_once(trial: &mut ClientTrial<'_>, later: bool) -> Result<Outcome, Stop> {
    trial.set_count(3);
    match all_deliveries(trial, later, &[DeliveryState::Accepted])?.len() {
        3 => Ok(Outcome::pass()),
        count => Ok(Outcome::fail(format!("{count} deliveries came"))),
    }
}

/// The deliveries after the first one, which has this outcome; the others are accepted.
fn again(trial: &mut ClientTrial<'_>, outcome: DeliveryState) -> Result<Vec<Delivery>, Stop> {
    let mut all = all_deliveries(trial, false, &[outcome, DeliveryState::Accepted])?;
    if all.is_empty() {
        return Err(Stop::SetUp(String::from("the client sends nothing")));
    }
    all.remove(0);
    Ok(all)
}

fn not_again(trial: &mut ClientTrial<'_>, outcome: DeliveryState) -> Result<Outcome, Stop> {
    let again = again(trial, outcome)?;
    if again.is_empty() { Ok(Outcome::pass()) } else { Ok(Outcome::fail("the message came on the link again")) }
}

fn counted(trial: &mut ClientTrial<'_>, outcome: DeliveryState, wanted: u32) -> Result<Outcome, Stop> {
    let again = again(trial, outcome)?;
    let Some(delivery) = again.first() else { return Ok(Outcome::pass_with("the message does not come again")) };
    let message = Message::from_bytes(delivery.message.clone()).ok();
    let header = message.and_then(|message| message.header().ok()).flatten().unwrap_or_default();
    if header.delivery_count == wanted {
        Ok(Outcome::pass_with("the message comes again"))
    } else {
        Ok(Outcome::fail(format!("the delivery-count is {}, expected {wanted}", header.delivery_count)))
    }
}

fn annotated(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut annotations = Fields::new();
    annotations.insert(Symbol::from_static("x-opt-conformance"), "new");
    let again = again(trial, modified(Modified { message_annotations: Some(annotations), ..Modified::default() }))?;
    let Some(delivery) = again.first() else { return Ok(Outcome::pass_with("the message does not come again")) };
    let message = Message::from_bytes(delivery.message.clone()).ok();
    let annotations = message.and_then(|message| message.message_annotations().ok()).flatten();
    let found = annotations.and_then(|annotations| annotations.get("x-opt-conformance").cloned());
    match found.as_ref().and_then(|value| value.as_text()) {
        Some("new") => Ok(Outcome::pass()),
        _ => Ok(Outcome::fail("the message comes again without the annotation")),
    }
}

/// The dispositions of the client's that come before its message has an outcome.
fn by_itself(trial: &mut ClientTrial<'_>, is_allowed: fn(&DeliveryState) -> bool) -> Result<Outcome, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(10)?;
    let echo = amqp1_codec::performative::Flow { echo: true, ..client.flow(9) };
    client.connection.send(client.session.channel, echo);
    let max_frame_size = client.open.max_frame_size;
    loop {
        let got = client.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. }) => {
                if disposition.role != Role::Sender || !disposition.state.as_ref().is_some_and(is_allowed) {
                    return Ok(Outcome::fail(format!("without a cause came {got}")));
                }
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Flow(_)), .. }) => break,
            // The answer to echo is another rule's.
            Got::Timeout { .. } => break,
            Got::Frame(_) => client.progress.answer(&mut client.connection, &got, max_frame_size),
            _ => return Ok(Outcome::fail(format!("expected a flow, got {got}"))),
        }
    }
    client.accept(&delivery);
    Ok(client.finishes())
}
