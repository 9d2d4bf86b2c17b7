//! Outcomes of messages from a queue (§3.4).

use super::support::{ROUND_TRIP, comes_again, finish, holds, set_up, taken, texts};
use crate::{
    case::{Case, Check, Need, Severity, Tag},
    judge::should,
    server::{Consumer, ServerTrial},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    Symbol, Value,
    definitions::{Fields, Role},
    messaging::{DeliveryState, Modified, Received},
    performative::{Disposition, Performative},
};
use amqp1_script::{AmqpFrame, Got, Scope, Skip, frames};

const NEEDS: &[Need] = &[Need::Queue];

/// A case on what becomes of a message in the queue.
pub(super) const QUEUE: Case = Case { needs: NEEDS, twin: Some(&ROUND_TRIP), ..Case::SERVER };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.4-1/own",
        rule: "A receiver that has given a delivery its outcome gives it no other (§3.4).",
        sends: "a message, and a detach after the server's disposition",
        wants: "one outcome for the delivery",
        check: Check::Server(own_outcome),
        ..QUEUE
    },
    Case {
        id: "M-3.4-1",
        rule: "A terminal state does not change, so that a second outcome counts for nothing (§3.4).",
        sends: "accepted, unsettled, and then released for the same delivery",
        wants: "the message is gone",
        // The text does not say what to do with the second one.
        tags: &[Tag::Strict],
        check: Check::Server(second_outcome),
        ..QUEUE
    },
    Case {
        id: "M-3.4.1-1",
        rule: "The state received stands on the first transfer of a resumed delivery alone (§3.4.1).",
        sends: "a receiver for a message of many frames",
        wants: "transfers without the state received",
        check: Check::Server(no_received_state),
        ..QUEUE
    },
    Case {
        id: "M-3.4.1-2",
        severity: Severity::May,
        rule: "The receiver may say what it holds of a delivery by the state received (§3.4.1).",
        sends: "received(0, 3), then accepted",
        wants: "the message is gone",
        check: Check::Server(received_then_accepted),
        ..QUEUE
    },
    Case {
        id: "M-3.4.1-2/mandatory",
        rule: "Both fields of received are mandatory (§3.4.1).",
        sends: "a disposition with received that has a section-number alone",
        wants: "end or close with amqp:decode-error or amqp:invalid-field",
        check: Check::Server(received_without_offset),
        ..QUEUE
    },
    Case {
        id: "M-3.4.2-1",
        rule: "Accepted retires the message from its source (§3.4.2).",
        sends: "accepted",
        wants: "the message is gone",
        check: Check::Server(accepted),
        ..QUEUE
    },
    Case {
        id: "M-3.4.3-1",
        rule: "A rejected message is not sent on that link again (§3.4.3).",
        sends: "rejected with an error; then a drain on the link",
        wants: "nothing",
        check: Check::Server(rejected),
        ..QUEUE
    },
    Case {
        id: "M-3.4.4-1",
        rule: "Released makes the message available again, and leaves its delivery-count (§3.4.4).",
        sends: "released",
        wants: "the message again, with a delivery-count of 0",
        check: Check::Server(|trial| counted(trial, DeliveryState::Released, 0)),
        ..QUEUE
    },
    Case {
        id: "M-3.4.5-1/failed",
        rule: "Modified with delivery-failed raises the delivery-count (§3.4.5).",
        sends: "modified(delivery-failed=true)",
        wants: "the message again, with a delivery-count of 1",
        check: Check::Server(|trial| {
            counted(trial, modified(Modified { delivery_failed: true, ..Modified::default() }), 1)
        }),
        ..QUEUE
    },
    Case {
        id: "M-3.4.5-1/null",
        rule: "Modified without delivery-failed leaves the delivery-count (§3.4.5).",
        sends: "modified without fields",
        wants: "the message again, with a delivery-count of 0",
        check: Check::Server(|trial| counted(trial, modified(Modified::default()), 0)),
        ..QUEUE
    },
    Case {
        id: "M-3.4.5-2",
        rule: "Modified with undeliverable-here keeps the message off that link (§3.4.5).",
        sends: "modified(undeliverable-here=true); a drain on the link, and another link",
        wants: "nothing on the link; the message on the other, or at a dead-letter node",
        check: Check::Server(undeliverable_here),
        ..QUEUE
    },
    Case {
        id: "M-3.4.5-2/null",
        rule: "Modified without undeliverable-here lets the message come on that link again (§3.4.5).",
        sends: "modified without fields; credit on the same link",
        wants: "the message again",
        check: Check::Server(deliverable_here),
        ..QUEUE
    },
    Case {
        id: "M-3.4.5-3",
        severity: Severity::Should,
        rule: "The message-annotations of modified become those of the message (§3.4.5).",
        sends: "modified(message-annotations={x-opt-conformance: \"new\"})",
        wants: "the message again, with that annotation",
        check: Check::Server(|trial| should(annotated(trial))),
        ..QUEUE
    },
];

fn modified(modified: Modified) -> DeliveryState {
    DeliveryState::Modified(Box::new(modified))
}

fn own_outcome(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let mut attached = trial.sender()?;
    attached.connection.send_with(0, frames::transfer(0, 0), frames::message("one outcome"));
    attached.connection.expect_skipping::<Disposition>(Skip::FLOWS)?;
    attached.connection.send(0, frames::detach(0));
    loop {
        let got = attached.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Disposition(again)), .. })
                if again.role == Role::Receiver =>
            {
                if again.state.is_some() && again.state != Some(DeliveryState::Accepted) {
                    return Ok(Outcome::fail(format!("the outcome has changed: {got}")));
                }
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Detach(_)), .. }) => break,
            Got::Frame(AmqpFrame {
                body: None | Some(Performative::Flow(_) | Performative::Disposition(_)), ..
            }) => {}
            _ => return Ok(Outcome::fail(format!("expected detach, got {got}"))),
        }
    }
    set_up(attached.connection.closed())?;
    holds(trial, &["one outcome"])
}

fn second_outcome(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (mut consumer, delivered) = taken(trial, "terminal")?;
    consumer.state(&delivered, DeliveryState::Accepted);
    consumer.settle(&delivered, DeliveryState::Released);
    finish(consumer)?;
    holds(trial, &[])
}

fn no_received_state(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let text: String = "0123456789".repeat(300);
    trial.fill(&[frames::message(text.into_bytes())])?;
    let small = amqp1_codec::performative::Open { max_frame_size: 512, ..trial.open() };
    let mut opened = trial.opened_with(small)?;
    let session = set_up(opened.connection.begun(0))?;
    let link = set_up(opened.connection.attached_receiver(&session, 0, "receiver", trial.node()))?;
    opened.connection.send(session.channel, crate::server::credit_after(&session, &link, 0, 1));
    loop {
        let transfer = opened.connection.expect_skipping::<amqp1_codec::performative::Transfer>(Skip::CHATTER)?;
        if matches!(transfer.state, Some(DeliveryState::Received(_))) || transfer.resume {
            return Ok(Outcome::fail("a transfer of a delivery that is not resumed has the state received"));
        }
        if !transfer.more {
            break;
        }
    }
    drop(opened);
    trial.purge()?;
    Ok(Outcome::pass())
}

fn received_then_accepted(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (mut consumer, delivered) = taken(trial, "partly")?;
    consumer.state(&delivered, DeliveryState::Received(Received { section_number: 0, section_offset: 3 }));
    consumer.settle(&delivered, DeliveryState::Accepted);
    let link = consumer.link.clone();
    consumer.connection.detached(&link)?;
    set_up(consumer.close())?;
    holds(trial, &[])
}

/// disposition(role=receiver, first=…, settled=false, state=received(0)); the delivery is the session's first.
fn received_without_offset(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (mut consumer, delivered) = taken(trial, "partly")?;
    let [a, b, c, d] = delivered.id().to_be_bytes();
    let body = [b"\0\x53\x15\xc0\x10\x05\x41\x70", &[a, b, c, d][..], b"\x40\x42\0\x53\x23\xc0\x02\x01\x43"].concat();
    consumer.connection.raw(super::support::frame(&body));
    let outcome = crate::judge::Refused::by(Scope::Session)
        .with(&super::support::MALFORMED)
        .judge(&mut consumer.connection, trial.is_strict());
    drop(consumer);
    trial.purge()?;
    Ok(outcome)
}

fn accepted(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (mut consumer, delivered) = taken(trial, "accepted")?;
    consumer.settle(&delivered, DeliveryState::Accepted);
    finish(consumer)?;
    holds(trial, &[])
}

/// Drains the link once the disposition before it was acted on; the link is the only one that may take the message.
fn drained(consumer: &mut Consumer) -> Result<Vec<String>, Stop> {
    Ok(texts(&set_up(consumer.drain(1))?))
}

fn rejected(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (mut consumer, delivered) = taken(trial, "rejected")?;
    let error = amqp1_codec::definitions::ErrorCondition::from_static("amqp-conformance:invalid");
    consumer.settle(&delivered, DeliveryState::rejected(error));
    let again = drained(&mut consumer)?;
    set_up(consumer.close())?;
    trial.purge()?;
    if again.is_empty() { Ok(Outcome::pass()) } else { Ok(Outcome::fail("the message came on the same link again")) }
}

fn counted(trial: &mut ServerTrial<'_>, state: DeliveryState, wanted: u32) -> Result<Outcome, Stop> {
    let (mut consumer, delivered) = taken(trial, "counted")?;
    let before = delivered.header()?.delivery_count;
    if before != 0 {
        return Ok(Outcome::fail(format!("a new message has a delivery-count of {before}")));
    }
    consumer.settle(&delivered, state);
    finish(consumer)?;
    let count = comes_again(trial)?.header()?.delivery_count;
    if count == wanted {
        Ok(Outcome::pass())
    } else {
        Ok(Outcome::fail(format!("the delivery-count is {count}, expected {wanted}")))
    }
}

fn undeliverable_here(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (mut consumer, delivered) = taken(trial, "elsewhere")?;
    consumer.settle(&delivered, modified(Modified { undeliverable_here: true, ..Modified::default() }));
    let again = drained(&mut consumer)?;
    if !again.is_empty() {
        return Ok(Outcome::fail("the message came on the same link again"));
    }
    let elsewhere = texts(&trial.emptied()?);
    set_up(consumer.close())?;
    trial.purge()?;
    match elsewhere.len() {
        1 => Ok(Outcome::pass()),
        _ => Ok(Outcome::pass_with("the message is not on another link of the node: dead-lettered or dropped")),
    }
}

fn deliverable_here(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (mut consumer, delivered) = taken(trial, "again")?;
    consumer.settle(&delivered, modified(Modified::default()));
    let again = consumer.take()?;
    consumer.settle(&again, DeliveryState::Accepted);
    set_up(consumer.close())?;
    Ok(Outcome::pass())
}

fn annotated(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (mut consumer, delivered) = taken(trial, "annotated")?;
    let mut annotations = Fields::new();
    annotations.insert(Symbol::from_static("x-opt-conformance"), "new");
    let state = Modified { message_annotations: Some(annotations), ..Modified::default() };
    consumer.settle(&delivered, modified(state));
    finish(consumer)?;
    match comes_again(trial)?.annotation("x-opt-conformance")? {
        Value::String(text) if text == *"new" => Ok(Outcome::pass()),
        Value::Null => Ok(Outcome::fail("the message does not have the annotation")),
        _ => Ok(Outcome::fail("the annotation has another value")),
    }
}
