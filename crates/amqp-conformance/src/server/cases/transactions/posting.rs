//! Messages that are posted in a transaction (§4.4.1).

use super::super::extensions::relay;
use super::support::{Answer, COMMIT, Controller, ROLLBACK, UNKNOWN, UNKNOWN_ID, discharge, id_of, in_txn, set_up};
use crate::{
    case::{Case, Check, Need},
    server::{Delivered, ServerTrial},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    definitions::ErrorCondition,
    messaging::{DeliveryState, Properties, Target},
    performative::{Attach, Performative, TargetArchetype, Transfer},
};
use amqp1_script::{AmqpFrame, Got, Link, frames};
use bytes::Bytes;

const NEEDS: &[Need] = &[Need::Coordinator, Need::Queue];
const RELAY: &[Need] = &[Need::Coordinator, Need::AnonymousRelay];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "X-4.4.1-2/before",
        rule: "A message that is posted in a transaction is not available before its discharge (§4.4.1).",
        sends: "a message in a transaction; another connection looks into the queue; discharge",
        wants: "an empty queue, and the message after the discharge",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| invisible(trial, false)),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.1-2/rolled-back",
        rule: "A message whose transaction is rolled back does not become available (§4.4.1).",
        sends: "a message in a transaction; another connection looks into the queue; discharge with fail",
        wants: "an empty queue before and after the discharge",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| invisible(trial, true)),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.1-2/settled",
        rule: "A message that is posted settled in a transaction is not available before its discharge (§4.4.4).",
        sends: "a settled message in a transaction, discharge with fail",
        wants: "an empty queue",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(settled_and_rolled_back),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.1-3",
        rule: "A discharge with a delivery that is not finished ends the control link with amqp:transaction:rollback (§4.4.1).",
        sends: "the first transfer of a delivery in a transaction, then discharge",
        wants: "the end of the control link with amqp:transaction:rollback, and an empty queue",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(partial),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.1-3/whole",
        rule: "A delivery of several transfers in a transaction is one message (§4.4.1).",
        sends: "a delivery of two transfers in a transaction, then discharge",
        wants: "accepted, and the whole message in the queue",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(two_transfers),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.1-4",
        rule: "The provisional outcome of an unsettled delivery is said before its transaction is committed (§4.4.1).",
        sends: "a message and the discharge at once",
        wants: "a transactional-state with the txn-id and an outcome, then accepted for the discharge",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(outcome_first),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.1-5",
        rule: "A transaction with a settled message that cannot be processed is not committed (§4.4.4).",
        sends: "a settled message in a transaction to the relay, for an address that does not exist; discharge",
        wants: "rejected, or the end of the control link",
        needs: RELAY,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| unroutable(trial, Some(true))),
        ..Case::SERVER
    },
    Case {
        id: "E-anon-3",
        rule: "A delivery through the relay that fails in a transaction makes its discharge fail (anonymous terminus §2.2.3).",
        sends: "a message in a transaction to the relay, for an address that does not exist; discharge",
        wants: "rejected or the end of the link for the message, or rejected for the discharge",
        needs: RELAY,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| unroutable(trial, None)),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.1-6",
        rule: "A message in a transaction that does not exist is refused with amqp:transaction:unknown-id (§4.4.1).",
        sends: "a message in a transaction that was not declared",
        wants: "the end of the control link or of the link, with amqp:transaction:unknown-id",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(unknown_txn),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.4-2/committed",
        rule: "After the commit a delivery's state at the resource is the outcome that was applied (§4.4.4).",
        sends: "a message in a transaction, discharge; the link is attached again with the delivery as unsettled",
        wants: "the delivery is settled, or its outcome is accepted",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(outcome_after_commit),
        ..Case::SERVER
    },
];

fn texts(all: &[Delivered]) -> Vec<String> {
    all.iter().map(Delivered::text).collect()
}

fn invisible(trial: &mut ServerTrial<'_>, fail: bool) -> Result<Outcome, Stop> {
    trial.purge()?;
    let mut controller = Controller::new(trial)?;
    let link = controller.sender(trial)?;
    let txn = controller.declared()?;
    controller.posted(&link, &txn, "later")?;
    let before = trial.emptied()?;
    if !before.is_empty() {
        return Ok(Outcome::fail("the message was available before the discharge"));
    }
    controller.discharged(&txn, fail)?;
    let after = texts(&trial.emptied()?);
    let wanted: &[&str] = if fail { &[] } else { &["later"] };
    if after == wanted {
        Ok(Outcome::pass())
    } else {
        Ok(Outcome::fail(format!("expected {wanted:?} after the discharge, got {after:?}")))
    }
}

fn settled_and_rolled_back(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let mut controller = Controller::new(trial)?;
    let link = controller.sender(trial)?;
    let txn = controller.declared()?;
    let transfer =
        Transfer { settled: Some(true), state: Some(in_txn(&txn, None)), ..controller.transfer(link.handle) };
    controller.connection.send_with(0, transfer, frames::message("settled"));
    match controller.discharge(&txn, true)? {
        Answer::State(DeliveryState::Accepted) => {}
        answer => return Ok(Outcome::fail(format!("expected accepted, got {answer}"))),
    }
    let left = texts(&trial.emptied()?);
    if left.is_empty() { Ok(Outcome::pass()) } else { Ok(Outcome::fail(format!("the queue holds {left:?}"))) }
}

fn partial(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let mut controller = Controller::new(trial)?;
    let link = controller.sender(trial)?;
    let txn = controller.declared()?;
    let first = Transfer { more: true, state: Some(in_txn(&txn, None)), ..controller.transfer(link.handle) };
    controller.connection.send_with(0, first, b"\0\x53\x75\xa0\x08half");
    let id = controller.command(&discharge(&txn, false))?;
    let outcome = match controller.answer(id)? {
        answer @ Answer::State(DeliveryState::Rejected(_)) if trial.is_strict() => {
            Outcome::fail(format!("{answer}, where the text ends the control link"))
        }
        answer => answer.judge(&ROLLBACK, trial.is_strict()),
    };
    drop(controller);
    let left = texts(&trial.emptied()?);
    if left.is_empty() { Ok(outcome) } else { Ok(Outcome::fail(format!("the queue holds {left:?}"))) }
}

fn two_transfers(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let mut controller = Controller::new(trial)?;
    let link = controller.sender(trial)?;
    let txn = controller.declared()?;
    let state = Some(in_txn(&txn, None));
    let first = Transfer { more: true, state: state.clone(), ..controller.transfer(link.handle) };
    let id = id_of(&first);
    let last = Transfer { handle: link.handle, state, ..Transfer::default() };
    controller.connection.send_with(0, first, b"\0\x53\x75\xa0\x08half");
    controller.connection.send_with(0, last, b"half");
    match controller.answer(id)? {
        Answer::State(DeliveryState::Transactional(state))
            if state.outcome.as_deref() == Some(&DeliveryState::Accepted) => {}
        answer => return Ok(Outcome::fail(format!("expected accepted in the transaction, got {answer}"))),
    }
    controller.discharged(&txn, false)?;
    let left = texts(&trial.emptied()?);
    if left == ["halfhalf"] { Ok(Outcome::pass()) } else { Ok(Outcome::fail(format!("the queue holds {left:?}"))) }
}

fn outcome_first(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let mut controller = Controller::new(trial)?;
    let link = controller.sender(trial)?;
    let txn = controller.declared()?;
    let posted = controller.post(&link, &txn, "first");
    let discharged = controller.command(&discharge(&txn, false))?;
    let mut outcome = None;
    loop {
        let got = controller.connection.next();
        let Got::Frame(AmqpFrame { body, .. }) = &got else {
            return Ok(Outcome::fail(format!("expected dispositions, got {got}")));
        };
        let disposition = match body {
            Some(Performative::Disposition(disposition)) => disposition,
            None | Some(Performative::Flow(_)) => continue,
            Some(_) => return Ok(Outcome::fail(format!("expected dispositions, got {got}"))),
        };
        if super::support::covers(disposition, posted) {
            match &disposition.state {
                Some(DeliveryState::Transactional(state)) if state.txn_id == txn && state.outcome.is_some() => {
                    outcome = Some(());
                }
                // After the commit the outcome alone may come.
                _ if outcome.is_some() => {}
                _ => return Ok(Outcome::fail(format!("the state is not of the transaction: {got}"))),
            }
        }
        if super::support::covers(disposition, discharged) {
            return Ok(match (&disposition.state, outcome) {
                (Some(DeliveryState::Accepted), Some(())) => Outcome::pass(),
                (Some(DeliveryState::Accepted), None) => {
                    Outcome::fail("the discharge was accepted before the outcome was said")
                }
                _ => Outcome::fail(format!("expected accepted for the discharge, got {got}")),
            });
        }
    }
}

/// A link to the anonymous relay, on handle 1.
fn relay_link(controller: &mut Controller) -> Result<Link, Stop> {
    let target = Some(TargetArchetype::from(Target::default()));
    controller.sender_with(Attach { target, ..frames::attach_sender("relay", 1, "") })
}

fn message_to(address: &str) -> Bytes {
    let properties = Properties { to: Some(address.into()), ..Properties::default() };
    amqp1_codec::Message::builder().properties(properties).data("lost").build().into_parts().concat().into()
}

fn unroutable(trial: &mut ServerTrial<'_>, settled: Option<bool>) -> Result<Outcome, Stop> {
    let outcome = unroutable_answer(trial, settled)?;
    if outcome.verdict == Verdict::Fail && relay::is_made(trial) {
        return Ok(Outcome::skip("the server makes a node for every address, so that each message can be routed"));
    }
    Ok(outcome)
}

fn unroutable_answer(trial: &mut ServerTrial<'_>, settled: Option<bool>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let link = relay_link(&mut controller)?;
    let txn = controller.declared()?;
    let transfer = Transfer { settled, state: Some(in_txn(&txn, None)), ..controller.transfer(link.handle) };
    let posted = id_of(&transfer);
    controller.connection.send_with(0, transfer, message_to(relay::MISSING));
    if settled != Some(true) {
        match controller.answer(posted)? {
            Answer::State(DeliveryState::Transactional(state))
                if matches!(state.outcome.as_deref(), Some(DeliveryState::Rejected(_))) => {}
            Answer::Refused(_) => {}
            answer => return Ok(Outcome::fail(format!("expected rejected in the transaction, got {answer}"))),
        }
    }
    let id = controller.command(&discharge(&txn, false))?;
    let mut answer = controller.answer(id)?;
    if matches!(&answer, Answer::Refused(refusal) if refusal.error.condition != ErrorCondition::TRANSACTION_ROLLBACK) {
        // The link to the relay may end as well.
        controller.connection.send(0, frames::detach(link.handle));
        answer = controller.answer(id)?;
    }
    Ok(answer.judge(&ROLLBACK, trial.is_strict()))
}

fn unknown_txn(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let mut controller = Controller::new(trial)?;
    let link = controller.sender(trial)?;
    let id = controller.post(&link, UNKNOWN, "nowhere");
    let outcome = controller.answer(id)?.judge(&UNKNOWN_ID, trial.is_strict());
    drop(controller);
    let left = texts(&trial.emptied()?);
    if left.is_empty() { Ok(outcome) } else { Ok(Outcome::fail(format!("the queue holds {left:?}"))) }
}

/// After the discharge is accepted, no disposition may say anything but the outcome.
fn outcome_after_commit(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let mut controller = Controller::new(trial)?;
    let link = controller.sender(trial)?;
    let txn = controller.declared()?;
    controller.posted(&link, &txn, "applied")?;
    controller.discharged(&txn, false)?;
    controller.connection.send(0, frames::detach(link.handle));
    loop {
        let got = controller.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. }) => {
                match &disposition.state {
                    None | Some(DeliveryState::Accepted) => {}
                    Some(DeliveryState::Transactional(state))
                        if state.outcome.as_deref() == Some(&DeliveryState::Accepted) => {}
                    Some(_) => return Ok(Outcome::fail(format!("the state is not what was applied: {got}"))),
                }
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Detach(detach)), .. }) => {
                if let Some(error) = &detach.error {
                    return Ok(Outcome::fail(format!("detach with {}", error.condition)));
                }
                break;
            }
            Got::Frame(AmqpFrame { body: None | Some(Performative::Flow(_)), .. }) => {}
            _ => return Ok(Outcome::fail(format!("expected detach, got {got}"))),
        }
    }
    let left = texts(&trial.emptied()?);
    set_up(controller.connection.closed())?;
    if left == ["applied"] { Ok(Outcome::pass()) } else { Ok(Outcome::fail(format!("the queue holds {left:?}"))) }
}
