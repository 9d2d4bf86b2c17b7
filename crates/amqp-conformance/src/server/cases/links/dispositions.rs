//! Dispositions of several deliveries (§2.7.6), and states of transfers (§2.7.5).

use super::support::{Checked, attach_more, holds, set_up};
use crate::{
    case::{Case, Check, Need},
    judge::closes_in_peace,
    server::{Attached, Progress, ServerTrial},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    Message, Value,
    definitions::Role,
    messaging::DeliveryState,
    performative::{Attach, Disposition, TargetArchetype, Transfer},
    transaction::{Coordinator, TransactionalState},
};
use amqp1_script::frames;

const QUEUE: Case = Case { needs: &[Need::Queue], ..Case::SERVER };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.7.6-1/last",
        rule: "A disposition without last is about the delivery first alone (§2.7.6).",
        sends: "accepted for the first of two deliveries, without last, and an end",
        wants: "the second message is in the queue again",
        check: Check::Server(last_is_first),
        ..QUEUE
    },
    Case {
        id: "T-2.7.6-3/links",
        rule: "The range of a disposition holds both its ends, and may span the links of a session (§2.7.6).",
        sends: "one accepted for four deliveries on two links",
        wants: "all four settled",
        check: Check::Server(range_spans_links),
        ..QUEUE
    },
    Case {
        id: "T-2.7.6-4/settled",
        rule: "Delivery-ids in the range of a disposition that are settled already are passed over (§2.7.6).",
        sends: "released for the second of three deliveries, and accepted for all three",
        wants: "the second message alone is in the queue again",
        check: Check::Server(settled_are_skipped),
        ..QUEUE
    },
    Case {
        id: "T-2.7.5-18",
        rule: "The state of a transfer is that of its delivery at the sender, as if a disposition had come before it (§2.7.5).",
        sends: "a message whose transfer has a transactional-state, and a discharge that rolls back",
        wants: "the message is not in the queue",
        needs: &[Need::Queue, Need::Coordinator],
        check: Check::Server(state_of_transfer_counts),
        ..Case::SERVER
    },
];

fn accepted(first: &crate::Delivery, last: Option<&crate::Delivery>) -> Disposition {
    let last = last.and_then(crate::Delivery::id);
    Disposition { last, ..frames::settled(Role::Receiver, first.number(), DeliveryState::Accepted) }
}

/// A link from the queue, on which this many messages came.
fn received(trial: &mut ServerTrial<'_>, texts: &[&'static str]) -> Result<(Attached, Vec<crate::Delivery>), Stop> {
    trial.queued(texts)?;
    let mut attached = trial.receiver()?;
    attached.give_credit(u32::try_from(texts.len()).unwrap_or(1));
    let deliveries: Result<Vec<_>, _> = texts.iter().map(|_| attached.delivery()).collect();
    Ok((attached, deliveries.map_err(set_up)?))
}

/// Ends the session and closes, so that the server has read everything.
fn over(mut attached: Attached) -> Result<(), Stop> {
    attached.ends()?;
    attached.connection.closed().map(drop).map_err(set_up)
}

fn last_is_first(trial: &mut ServerTrial<'_>) -> Checked {
    let (mut attached, deliveries) = received(trial, &["1", "2"])?;
    let [first, _] = &deliveries[..] else { return Err(Stop::SetUp(String::from("two deliveries were expected"))) };
    attached.connection.send(attached.session.channel, accepted(first, None));
    over(attached)?;
    holds(trial, &["2"], "")
}

fn range_spans_links(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1", "2", "3", "4"])?;
    let mut attached = trial.receiver()?;
    attached.give_credit(2);
    let mut deliveries = vec![attached.delivery().map_err(set_up)?, attached.delivery().map_err(set_up)?];
    let link = attach_more(&mut attached, frames::attach_receiver("other", 1, trial.node())).map_err(set_up)?;
    let mut other = Attached { link, progress: Progress::after(2), ..attached };
    other.give_credit(2);
    deliveries.extend([other.delivery().map_err(set_up)?, other.delivery().map_err(set_up)?]);
    let [first, .., last] = &deliveries[..] else { return Ok(Outcome::fail("four deliveries were expected")) };
    other.connection.send(other.session.channel, accepted(first, Some(last)));
    over(other)?;
    holds(trial, &[], "")
}

fn settled_are_skipped(trial: &mut ServerTrial<'_>) -> Checked {
    let (mut attached, deliveries) = received(trial, &["1", "2", "3"])?;
    let [first, second, third] = &deliveries[..] else { return Ok(Outcome::fail("three deliveries were expected")) };
    let channel = attached.session.channel;
    let released = frames::settled(Role::Receiver, second.number(), DeliveryState::Released);
    attached.connection.send(channel, released);
    attached.connection.send(channel, accepted(first, Some(third)));
    over(attached)?;
    holds(trial, &["2"], "")
}

fn state_of_transfer_counts(trial: &mut ServerTrial<'_>) -> Checked {
    trial.purge()?;
    let coordinator = TargetArchetype::Coordinator(Coordinator::default());
    let attach = frames::attach_sender("coordinator", 0, "");
    let mut attached = trial.sender_with(Attach { target: Some(coordinator), ..attach })?;
    let declare = Message::builder().value(Value::described(0x31u64, Value::List(vec![])));
    attached.connection.send_with(0, frames::transfer(0, 0), declare.build().into_parts().concat());
    let state = attached.disposition_of(0).map_err(set_up)?.state;
    let Some(DeliveryState::Declared(declared)) = state else {
        return Err(Stop::SetUp(format!("declare was answered by {state:?}")));
    };
    let link = attach_more(&mut attached, frames::attach_sender("sender", 1, trial.node())).map_err(set_up)?;
    attached.connection.credited(&link).map_err(set_up)?;
    let state = TransactionalState { txn_id: declared.txn_id.clone(), outcome: None };
    let transfer = Transfer { state: Some(DeliveryState::Transactional(Box::new(state))), ..frames::transfer(1, 1) };
    attached.connection.send_with(0, transfer, frames::message("rolled back"));
    let answer = attached.disposition_of(1)?;
    if !matches!(answer.state, Some(DeliveryState::Transactional(_))) {
        return Ok(Outcome::fail(format!("the delivery was answered by {:?}, outside its transaction", answer.state)));
    }
    let fields = vec![declared.txn_id.into(), true.into()];
    let discharge = Message::builder().value(Value::described(0x32u64, Value::List(fields)));
    attached.connection.send_with(0, frames::transfer(0, 2), discharge.build().into_parts().concat());
    let state = attached.disposition_of(2)?.state;
    if state != Some(DeliveryState::Accepted) {
        return Ok(Outcome::fail(format!("the discharge was answered by {state:?}")));
    }
    let outcome = closes_in_peace(&mut attached.connection);
    if outcome != Outcome::pass() {
        return Ok(outcome);
    }
    drop(attached);
    holds(trial, &[], "")
}
