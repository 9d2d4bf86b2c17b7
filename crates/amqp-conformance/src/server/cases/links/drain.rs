//! Draining a link (§2.6.7, §2.6.8).

use super::support::Checked;
use crate::{
    case::{Case, Check, Need, Severity},
    judge::{closes_in_peace, should},
    server::{Attached, ServerTrial},
    verdict::Outcome,
};
use amqp1_codec::{
    messaging::DeliveryState,
    performative::{Flow, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Body, Got, Unexpected, frames};

const QUEUE: Case = Case { needs: &[Need::Queue], ..Case::SERVER };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.7-7",
        rule: "A sender that is to drain and has no messages advances its delivery-count until the credit is used up, and \
               sends a flow (§2.6.7).",
        sends: "credit 5 with drain=true, where the queue is empty",
        wants: "a flow with delivery-count five more and link-credit 0",
        check: Check::Server(|trial| drains(trial, &[], 5)),
        ..QUEUE
    },
    Case {
        id: "T-2.6.7-8",
        rule: "A sender that is to drain sends the messages that it has, and advances its delivery-count by the rest of the \
               credit (§2.6.7).",
        sends: "credit 5 with drain=true, where the queue has two messages",
        wants: "two messages, then a flow with delivery-count five more and link-credit 0",
        check: Check::Server(|trial| drains(trial, &["1", "2"], 5)),
        ..QUEUE
    },
    Case {
        id: "T-2.6.7-8/again",
        rule: "A link that was drained takes credit again (§2.6.7).",
        sends: "credit 5 with drain=true, where the queue is empty; then credit 1, and a message from another connection",
        wants: "a flow that ends the drain, and the message",
        check: Check::Server(drained_link_goes_on),
        ..QUEUE
    },
    Case {
        id: "T-2.6.8-1/message",
        severity: Severity::Should,
        rule: "A get with a time limit is credit 1, and drain at its end: it gives one message or a flow (§2.6.8).",
        sends: "credit 1, where the queue has two messages, and after the first the same limit with drain=true",
        wants: "one message",
        check: Check::Server(|trial| should(gets_one(trial))),
        ..QUEUE
    },
    Case {
        id: "T-2.6.8-1/none",
        severity: Severity::Should,
        rule: "A get with a time limit is credit 1, and drain at its end: it gives one message or a flow (§2.6.8).",
        sends: "credit 1, where the queue is empty, and then the same with drain=true",
        wants: "a flow with link-credit 0",
        check: Check::Server(|trial| should(gets_none(trial))),
        ..QUEUE
    },
];

/// Sends this credit with drain=true. The flow that ends the drain is waited for; the messages before it are accepted,
/// and their number is returned.
fn drain(attached: &mut Attached, credit: u32) -> Result<u32, Unexpected> {
    let before = attached.progress.deliveries;
    let flow = Flow { drain: true, ..attached.flow(credit) };
    attached.connection.send(attached.session.channel, flow);
    let mut taken = 0u32;
    loop {
        let got = attached.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. })
                if flow.handle == Some(attached.link.attach.handle) && flow.link_credit == Some(0) =>
            {
                let initial = attached.link.attach.initial_delivery_count.unwrap_or_default();
                if flow.delivery_count == Some(initial.plus(before).plus(credit)) {
                    attached.progress.deliveries = before.wrapping_add(credit);
                    return Ok(taken);
                }
                return Err(attached.connection.unexpected(format!("a flow with delivery-count {credit} more"), got));
            }
            _ if matches!(got.name(), "flow" | "empty" | "disposition") => {}
            _ => {
                let Ok(transfer) = Transfer::of(got.clone()) else {
                    return Err(attached.connection.unexpected("a flow with link-credit 0", got));
                };
                if let Some(delivery) = attached.progress.add(&transfer) {
                    taken = taken.saturating_add(1);
                    attached.settle(&delivery, DeliveryState::Accepted);
                }
            }
        }
    }
}

fn drains(trial: &mut ServerTrial<'_>, texts: &[&'static str], credit: u32) -> Checked {
    trial.queued(texts)?;
    let mut attached = trial.receiver()?;
    let taken = drain(&mut attached, credit)?;
    if usize::try_from(taken) != Ok(texts.len()) {
        return Ok(Outcome::fail(format!("{taken} messages came of {}", texts.len())));
    }
    Ok(closes_in_peace(&mut attached.connection))
}

fn drained_link_goes_on(trial: &mut ServerTrial<'_>) -> Checked {
    trial.purge()?;
    let mut attached = trial.receiver()?;
    drain(&mut attached, 5)?;
    attached.give_credit(1);
    trial.fill(&[frames::message("message")])?;
    let delivery = attached.delivery()?;
    attached.settle(&delivery, DeliveryState::Accepted);
    Ok(closes_in_peace(&mut attached.connection))
}

fn gets_one(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1", "2"])?;
    let mut attached = trial.receiver()?;
    let limit = attached.flow(1);
    attached.connection.send(attached.session.channel, limit.clone());
    let delivery = attached.delivery()?;
    attached.settle(&delivery, DeliveryState::Accepted);
    let next_incoming_id = attached.flow(0).next_incoming_id;
    attached.connection.send(attached.session.channel, Flow { drain: true, next_incoming_id, ..limit });
    let rest = attached.ends()?;
    match super::support::transfers(&rest).len() {
        0 => Ok(closes_in_peace(&mut attached.connection)),
        more => Ok(Outcome::fail(format!("{more} messages came after the one that the credit allows"))),
    }
}

fn gets_none(trial: &mut ServerTrial<'_>) -> Checked {
    trial.purge()?;
    let mut attached = trial.receiver()?;
    attached.give_credit(1);
    let taken = drain(&mut attached, 1)?;
    if taken > 0 {
        return Ok(Outcome::fail(format!("{taken} messages came from an empty queue")));
    }
    Ok(closes_in_peace(&mut attached.connection))
}
