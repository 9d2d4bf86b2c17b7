//! Transactions that end (§4.2, §4.3).

use super::support::{Answer, COMMIT, Controller, DECLARE, ROLLBACK, UNKNOWN, UNKNOWN_ID, discharge, set_up};
use crate::{
    case::{Case, Check, Need},
    server::ServerTrial,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    definitions::ErrorCondition,
    messaging::{DeliveryState, Source},
    performative::{Attach, Detach},
};
use amqp1_script::{Skip, frames};

const NEEDS: &[Need] = &[Need::Coordinator];
const WITH_QUEUE: &[Need] = &[Need::Coordinator, Need::Queue];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "X-4.3-1/commit",
        rule: "A discharge whose fail is false commits, and is accepted (§4.3).",
        sends: "declare, a message, discharge",
        wants: "accepted, and then the message is in the queue",
        needs: WITH_QUEUE,
        check: Check::Server(|trial| ended(trial, Some(false))),
        ..Case::SERVER
    },
    Case {
        id: "X-4.3-1/rollback",
        rule: "A discharge whose fail is true rolls back, and is accepted (§4.3).",
        sends: "declare, a message, discharge with fail",
        wants: "accepted, and then the message is not in the queue",
        needs: WITH_QUEUE,
        check: Check::Server(|trial| ended(trial, Some(true))),
        ..Case::SERVER
    },
    Case {
        id: "X-4.3-1/absent",
        rule: "A discharge without fail commits (§4.3, §4.5.3).",
        sends: "declare, a message, discharge of the id alone",
        wants: "accepted, and then the message is in the queue",
        needs: WITH_QUEUE,
        check: Check::Server(|trial| ended(trial, None)),
        ..Case::SERVER
    },
    Case {
        id: "X-4.3-2",
        rule: "A discharge of a transaction that does not exist fails with amqp:transaction:unknown-id (§4.3, §4.5.8).",
        sends: "discharge of an id that was not declared",
        wants: "rejected, or the end of the control link, with amqp:transaction:unknown-id",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(unknown),
        ..Case::SERVER
    },
    Case {
        id: "X-4.3-3",
        rule: "A transaction that cannot be committed fails with amqp:transaction:rollback (§4.3, §4.5.8).",
        sends: "a message in a transaction to a dynamic node, which is deleted before the discharge",
        wants: "rejected, or the end of the control link, with amqp:transaction:rollback",
        needs: &[Need::Coordinator, Need::DynamicSource],
        twin: Some(&COMMIT),
        check: Check::Server(deleted_node),
        ..Case::SERVER
    },
    Case {
        id: "X-4.3-4",
        rule: "A discharge whose fail is true always succeeds (§4.3).",
        sends: "declare, an unfinished delivery in the transaction, its abort, discharge with fail",
        wants: "accepted",
        needs: WITH_QUEUE,
        twin: Some(&COMMIT),
        check: Check::Server(rollback_succeeds),
        ..Case::SERVER
    },
    Case {
        id: "X-4.3-5/discharge",
        rule: "After its discharge a transaction's id is not known any more (§4.3).",
        sends: "two discharges of one transaction",
        wants: "accepted, then rejected or the end of the control link with amqp:transaction:unknown-id",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(discharged_twice),
        ..Case::SERVER
    },
    Case {
        id: "X-4.3-5/transfer",
        rule: "After its discharge a transaction takes no more work (§4.3).",
        sends: "discharge, then a message in the transaction",
        wants: "a refusal with amqp:transaction:unknown-id",
        needs: WITH_QUEUE,
        twin: Some(&COMMIT),
        check: Check::Server(posted_too_late),
        ..Case::SERVER
    },
    Case {
        id: "X-4.2-7/detach",
        rule: "When its control link is closed a transaction that is not discharged is rolled back (§4.1).",
        sends: "a message in a transaction, then a detach of the control link",
        wants: "the message is not in the queue",
        needs: WITH_QUEUE,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| lost(trial, Loss::Detach)),
        ..Case::SERVER
    },
    Case {
        id: "X-4.2-7/end",
        rule: "When its session ends a transaction that is not discharged is rolled back (§4.1).",
        sends: "a message in a transaction, then end",
        wants: "the message is not in the queue",
        needs: WITH_QUEUE,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| lost(trial, Loss::End)),
        ..Case::SERVER
    },
    Case {
        id: "X-4.2-7/close",
        rule: "When its connection is closed a transaction that is not discharged is rolled back (§4.1).",
        sends: "a message in a transaction, then close",
        wants: "the message is not in the queue",
        needs: WITH_QUEUE,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| lost(trial, Loss::Close)),
        ..Case::SERVER
    },
    Case {
        id: "X-4.2-7/resumed",
        rule: "A control link cannot be resumed (§4.2).",
        sends: "declare; a detach with closed=false, and an attach of the same name; discharge of the id",
        wants: "a refusal with amqp:transaction:unknown-id",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(resumed),
        ..Case::SERVER
    },
    Case {
        id: "X-4.5.4-1/length",
        rule: "A txn-id has up to 32 octets (§4.5.4).",
        sends: "discharge of an id of 33 octets",
        wants: "rejected, or the end of the control link, with an error",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| refused(trial, &discharge(&[b'x'; 33], false))),
        ..Case::SERVER
    },
    Case {
        id: "X-4.5.4-1/type",
        rule: "A txn-id is binary (§4.5.4).",
        sends: "discharge of an id that is a string",
        wants: "rejected, or the end of the control link, with an error",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| refused(trial, b"\0\x53\x77\0\x53\x32\xc0\x05\x02\xa1\x01x\x42")),
        ..Case::SERVER
    },
    Case {
        id: "X-4.5.4-1/absent",
        rule: "The txn-id of a discharge is mandatory (§4.5.3).",
        sends: "discharge without fields",
        wants: "rejected, or the end of the control link, with an error",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| refused(trial, b"\0\x53\x77\0\x53\x32\x45")),
        ..Case::SERVER
    },
    Case {
        id: "X-4.5.8-1",
        rule: "The errors of transactions have conditions of their own (§4.5.8).",
        sends: "discharge of an id that was not declared",
        wants: "an error whose condition begins with amqp:transaction:",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(condition_is_of_transactions),
        ..Case::SERVER
    },
];

/// The set-up of most cases: a transaction in which a message was posted to the empty queue.
fn with_message(trial: &mut ServerTrial<'_>) -> Result<(Controller, bytes::Bytes), Stop> {
    trial.purge()?;
    let mut controller = Controller::new(trial)?;
    let link = controller.sender(trial)?;
    let txn = controller.declared()?;
    controller.posted(&link, &txn, "in a transaction")?;
    Ok((controller, txn))
}

/// What the queue must hold in the end.
fn holds(trial: &mut ServerTrial<'_>, wanted: &[&str]) -> Result<Outcome, Stop> {
    let all = trial.emptied()?;
    let texts: Vec<String> = all.iter().map(crate::server::Delivered::text).collect();
    if texts == wanted {
        Ok(Outcome::pass())
    } else {
        Ok(Outcome::fail(format!("expected {wanted:?} in the queue, got {texts:?}")))
    }
}

fn ended(trial: &mut ServerTrial<'_>, fail: Option<bool>) -> Result<Outcome, Stop> {
    let (mut controller, txn) = with_message(trial)?;
    let length = u8::try_from(txn.len()).unwrap_or(u8::MAX);
    let body = match fail {
        Some(fail) => discharge(&txn, fail),
        None => {
            let head = [length.saturating_add(3), 1, 0xa0, length];
            [b"\0\x53\x77\0\x53\x32\xc0", &head[..], &txn].concat()
        }
    };
    let id = controller.command(&body)?;
    match controller.answer(id)? {
        Answer::State(DeliveryState::Accepted) => {}
        answer => return Ok(Outcome::fail(format!("expected accepted, got {answer}"))),
    }
    if fail == Some(true) { holds(trial, &[]) } else { holds(trial, &["in a transaction"]) }
}

fn unknown(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    Ok(controller.discharge(UNKNOWN, false)?.judge(&UNKNOWN_ID, trial.is_strict()))
}

/// A message goes to a dynamic node, whose link is closed before the discharge.
fn deleted_node(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let source = Source { dynamic: true, ..Source::default() };
    let attach = Attach { source: Some(Box::new(source)), ..frames::attach_receiver("dynamic", 2, "") };
    let dynamic = controller.receiver(attach)?;
    let address = dynamic.attach.source.as_ref().and_then(|source| source.address.clone());
    let Some(address) = address else { return Err(Stop::SetUp(String::from("the dynamic node has no address"))) };
    let link = controller.sender_with(frames::attach_sender("sender", 1, address))?;
    let txn = controller.declared()?;
    controller.posted(&link, &txn, "lost")?;
    controller.connection.send(0, frames::detach(2));
    loop {
        // The sender's link ends as well, with its node.
        let detach = set_up(controller.connection.expect_skipping::<Detach>(Skip::CHATTER))?;
        if detach.handle == link.attach.handle {
            controller.connection.send(0, frames::detach(1));
        }
        if detach.handle == dynamic.attach.handle {
            break;
        }
    }
    let id = controller.command(&discharge(&txn, false))?;
    let answer = loop {
        match controller.answer(id)? {
            Answer::Refused(refusal)
                if refusal.error.condition != ErrorCondition::TRANSACTION_ROLLBACK
                    && refusal.scope == amqp1_script::Scope::Link =>
            {
                // The end of the sender's link.
                controller.connection.send(0, frames::detach(1));
            }
            answer => break answer,
        }
    };
    if answer == Answer::State(DeliveryState::Accepted) {
        return Ok(Outcome::info("the node, or its message, was not gone yet: the commit is accepted"));
    }
    Ok(answer.judge(&ROLLBACK, trial.is_strict()))
}

fn rollback_succeeds(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let link = controller.sender(trial)?;
    let txn = controller.declared()?;
    let state = Some(super::support::in_txn(&txn, None));
    let first =
        amqp1_codec::performative::Transfer { state: state.clone(), more: true, ..controller.transfer(link.handle) };
    let abort = amqp1_codec::performative::Transfer { aborted: true, more: false, ..first.clone() };
    controller.connection.send_with(0, first, b"\0\x53\x75\xa0\x08half");
    controller.connection.send(0, abort);
    match controller.discharge(&txn, true)? {
        Answer::State(DeliveryState::Accepted) => Ok(Outcome::pass()),
        answer => Ok(Outcome::fail(format!("expected accepted, got {answer}"))),
    }
}

fn discharged_twice(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let txn = controller.declared()?;
    controller.discharged(&txn, false)?;
    Ok(controller.discharge(&txn, false)?.judge(&UNKNOWN_ID, trial.is_strict()))
}

fn posted_too_late(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let mut controller = Controller::new(trial)?;
    let link = controller.sender(trial)?;
    let txn = controller.declared()?;
    controller.discharged(&txn, false)?;
    let id = controller.post(&link, &txn, "too late");
    let outcome = controller.answer(id)?.judge(&UNKNOWN_ID, trial.is_strict());
    drop(controller);
    let left = holds(trial, &[])?;
    Ok(if left.verdict == crate::Verdict::Pass { outcome } else { left })
}

#[derive(Clone, Copy)]
enum Loss {
    Detach,
    End,
    Close,
}

fn lost(trial: &mut ServerTrial<'_>, loss: Loss) -> Result<Outcome, Stop> {
    let (mut controller, _) = with_message(trial)?;
    match loss {
        Loss::Detach => drop(controller.connection.detached(&controller.control)?),
        Loss::End => drop(controller.connection.ended(&controller.session)?),
        Loss::Close => drop(controller.connection.closed()?),
    }
    let outcome = holds(trial, &[])?;
    drop(controller);
    Ok(outcome)
}

fn resumed(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let txn = controller.declared()?;
    controller.connection.send(0, Detach { closed: false, ..frames::detach(0) });
    set_up(controller.connection.expect_skipping::<Detach>(Skip::CHATTER))?;
    let session = controller.session.clone();
    controller.control = set_up(controller.connection.attached(&session, super::support::control()))?;
    set_up(controller.connection.credited(&controller.control))?;
    Ok(controller.discharge(&txn, false)?.judge(&UNKNOWN_ID, trial.is_strict()))
}

fn refused(trial: &mut ServerTrial<'_>, body: &[u8]) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let id = controller.command(body)?;
    Ok(controller.answer(id)?.judge(&[], trial.is_strict()))
}

fn condition_is_of_transactions(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut controller = Controller::new(trial)?;
    let id = controller.command(DECLARE)?;
    set_up(controller.answer(id))?;
    let error = match controller.discharge(UNKNOWN, false)? {
        Answer::State(DeliveryState::Rejected(Some(error))) => *error,
        Answer::Refused(refusal) => refusal.error,
        answer => return Ok(Outcome::fail(format!("expected an error, got {answer}"))),
    };
    let condition = error.condition.to_string();
    if condition.starts_with("amqp:transaction:") {
        Ok(Outcome::pass_with(condition))
    } else {
        Ok(Outcome::fail(format!("the condition is {condition}")))
    }
}
