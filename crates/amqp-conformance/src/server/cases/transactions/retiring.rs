//! Deliveries whose outcome is part of a transaction (§4.4.2, §4.4.4).

use super::support::{Answer, COMMIT, Controller, ROLLBACK, UNKNOWN, UNKNOWN_ID, discharge, in_txn, set_up};
use crate::{
    case::{Case, Check, Need},
    server::{Delivered, ServerTrial},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    messaging::{DeliveryState, Source},
    performative::{Attach, Performative},
};
use amqp1_script::{AmqpFrame, Got, Link, Refusal, Skip, frames};
use bytes::Bytes;

const NEEDS: &[Need] = &[Need::Coordinator, Need::Queue];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "X-4.4.2-1/commit",
        rule: "An outcome in a transaction is applied when that is committed (§4.4.2).",
        sends: "accepted in a transaction, discharge",
        wants: "the message is gone",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(committed),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.2-1/rollback",
        rule: "An outcome in a transaction is not applied when that is rolled back (§4.4.2).",
        sends: "accepted in a transaction, discharge with fail; then the link is closed",
        wants: "the message is not available before the link is closed, and is afterwards",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(rolled_back),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.2-2",
        rule: "A delivery that one transaction has retired is not retired in another: that ends the control link with \
               amqp:transaction:rollback (§4.4.2).",
        sends: "accepted in one transaction, then in another that is live as well",
        wants: "the end of the control link with amqp:transaction:rollback",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(two_transactions),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.2-3",
        rule: "After a rollback a delivery that is not settled can be given another outcome (§4.4.2).",
        sends: "accepted in a transaction and unsettled, discharge with fail, then accepted without a transaction",
        wants: "the message is gone",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(settled_afterwards),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.2-3/other-transaction",
        rule: "After a rollback a delivery that is not settled can be retired in another transaction (§4.4.2).",
        sends: "accepted in a transaction that is rolled back, then in one that is committed",
        wants: "the message is gone",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(retired_afterwards),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.2-4",
        rule: "An outcome in a transaction that does not exist is refused with amqp:transaction:unknown-id (§4.4.2).",
        sends: "accepted in a transaction that was not declared",
        wants: "the end of the control link or of the link, with amqp:transaction:unknown-id",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(unknown),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.4-1/rollback",
        rule: "When a transaction is rolled back, the default outcome applies to a delivery that was settled in it (§4.4.4).",
        sends: "default-outcome released; accepted in a transaction and settled, discharge with fail",
        wants: "the message is available again",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| default_outcome(trial, true)),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.4-1/commit",
        rule: "When a transaction is committed, the controller's outcome applies, not the default (§4.4.4).",
        sends: "default-outcome released; accepted in a transaction and settled, discharge",
        wants: "the message is gone",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(|trial| default_outcome(trial, false)),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.4-2/rolled-back",
        rule: "After a rollback no outcome is associated with a delivery that is not settled (§4.4.4).",
        sends: "accepted in a transaction and unsettled, discharge with fail",
        wants: "no disposition that settles the delivery",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(no_outcome_after_rollback),
        ..Case::SERVER
    },
];

/// A controller with a transaction and a delivery from the queue, which holds nothing else.
struct Retiring {
    controller: Controller,
    link: Link,
    txn: Bytes,
    delivered: Delivered,
}

fn retiring(trial: &mut ServerTrial<'_>) -> Result<Retiring, Stop> {
    let attach = frames::attach_receiver("receiver", 2, trial.node());
    retiring_with(trial, attach)
}

fn retiring_with(trial: &mut ServerTrial<'_>, attach: Attach) -> Result<Retiring, Stop> {
    trial.queued(&["one"])?;
    let mut controller = Controller::new(trial)?;
    let link = controller.receiver(attach)?;
    let delivered = controller.taken(&link, 0)?;
    let txn = controller.declared()?;
    Ok(Retiring { controller, link, txn, delivered })
}

fn left(trial: &mut ServerTrial<'_>) -> Result<Vec<String>, Stop> {
    Ok(trial.emptied()?.iter().map(Delivered::text).collect())
}

fn is_empty(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let left = left(trial)?;
    if left.is_empty() { Ok(Outcome::pass()) } else { Ok(Outcome::fail(format!("the queue holds {left:?}"))) }
}

fn accepted(txn: &[u8]) -> DeliveryState {
    in_txn(txn, Some(DeliveryState::Accepted))
}

fn committed(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Retiring { mut controller, txn, delivered, .. } = retiring(trial)?;
    controller.dispose(&delivered, true, accepted(&txn));
    match controller.discharge(&txn, false)? {
        Answer::State(DeliveryState::Accepted) => {}
        answer => return Ok(Outcome::fail(format!("expected accepted, got {answer}"))),
    }
    set_up(controller.connection.closed())?;
    is_empty(trial)
}

fn rolled_back(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Retiring { mut controller, link, txn, delivered } = retiring(trial)?;
    controller.dispose(&delivered, false, accepted(&txn));
    match controller.discharge(&txn, true)? {
        Answer::State(DeliveryState::Accepted) => {}
        answer => return Ok(Outcome::fail(format!("expected accepted, got {answer}"))),
    }
    let early = left(trial)?;
    if !early.is_empty() {
        return Ok(Outcome::fail("the message is available, though it is still acquired by the link"));
    }
    controller.dispose(&delivered, true, DeliveryState::Released);
    set_up(controller.connection.detached(&link))?;
    set_up(controller.connection.closed())?;
    let mut consumer = trial.consumer("reader")?;
    let again = consumer.take()?;
    consumer.settle(&again, DeliveryState::Accepted);
    consumer.close()?;
    Ok(Outcome::pass())
}

fn two_transactions(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Retiring { mut controller, txn, delivered, .. } = retiring(trial)?;
    let id = controller.command(super::support::DECLARE)?;
    let other = match set_up(controller.answer(id))? {
        Answer::State(DeliveryState::Declared(declared)) => declared.txn_id,
        _ => return Ok(Outcome::skip("the coordinator has one transaction at a time")),
    };
    controller.dispose(&delivered, false, accepted(&txn));
    controller.dispose(&delivered, false, accepted(&other));
    let outcome = refusal(&mut controller, &ROLLBACK, trial.is_strict())?;
    drop(controller);
    trial.purge()?;
    Ok(outcome)
}

/// Judges the refusal of a disposition. A discharge is the barrier: if it is answered, there was none.
fn refusal(
    controller: &mut Controller,
    conditions: &'static [amqp1_codec::definitions::ErrorCondition],
    is_strict: bool,
) -> Result<Outcome, Stop> {
    let id = controller.command(&discharge(UNKNOWN, true))?;
    match controller.answer(id)? {
        answer @ Answer::State(_) => Ok(Outcome::fail(format!("no refusal, and the next command is {answer}"))),
        answer => Ok(answer.judge(conditions, is_strict)),
    }
}

fn settled_afterwards(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Retiring { mut controller, txn, delivered, .. } = retiring(trial)?;
    controller.dispose(&delivered, false, accepted(&txn));
    controller.discharged(&txn, true)?;
    controller.dispose(&delivered, true, DeliveryState::Accepted);
    controller.connection.closed()?;
    is_empty(trial)
}

fn retired_afterwards(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Retiring { mut controller, txn, delivered, .. } = retiring(trial)?;
    controller.dispose(&delivered, false, accepted(&txn));
    controller.discharged(&txn, true)?;
    let other = controller.declared()?;
    controller.dispose(&delivered, true, accepted(&other));
    match controller.discharge(&other, false)? {
        Answer::State(DeliveryState::Accepted) => {}
        answer => return Ok(Outcome::fail(format!("expected accepted, got {answer}"))),
    }
    controller.connection.closed()?;
    is_empty(trial)
}

fn unknown(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Retiring { mut controller, delivered, .. } = retiring(trial)?;
    controller.dispose(&delivered, false, accepted(UNKNOWN));
    let deadline = controller.connection.now().saturating_add(controller.connection.patience());
    // The refusal, or the answer to a declare that is sent as a barrier.
    let id = controller.command(super::support::DECLARE)?;
    let outcome = loop {
        let got = controller.connection.next_within(deadline.saturating_sub(controller.connection.now()));
        if let Some(refusal) = Refusal::of(&got) {
            break Answer::Refused(refusal).judge(&UNKNOWN_ID, trial.is_strict());
        }
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. }) => {
                if super::support::covers(disposition, id) {
                    break Outcome::fail("no refusal before the next declare was answered");
                }
            }
            Got::Frame(AmqpFrame { body: None | Some(Performative::Flow(_)), .. }) => {}
            _ if got.is_end() => break Answer::Dropped.judge(&UNKNOWN_ID, trial.is_strict()),
            _ => break Outcome::fail(format!("expected a refusal, got {got}")),
        }
    };
    drop(controller);
    trial.purge()?;
    Ok(outcome)
}

fn default_outcome(trial: &mut ServerTrial<'_>, fail: bool) -> Result<Outcome, Stop> {
    let source = Source { default_outcome: Some(DeliveryState::Released), ..Source::at(trial.node()) };
    let attach = Attach { source: Some(Box::new(source)), ..frames::attach_receiver("receiver", 2, trial.node()) };
    let Retiring { mut controller, link, txn, delivered } = retiring_with(trial, attach)?;
    let granted = link.attach.source.as_ref().and_then(|source| source.default_outcome.clone());
    if granted != Some(DeliveryState::Released) {
        return Ok(Outcome::skip("the source has no default-outcome released"));
    }
    controller.dispose(&delivered, true, accepted(&txn));
    controller.discharged(&txn, fail)?;
    set_up(controller.connection.closed())?;
    if !fail {
        return is_empty(trial);
    }
    let mut consumer = trial.consumer("reader")?;
    let again = consumer.take()?;
    consumer.settle(&again, DeliveryState::Accepted);
    consumer.close()?;
    Ok(Outcome::pass())
}

fn no_outcome_after_rollback(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Retiring { mut controller, txn, delivered, .. } = retiring(trial)?;
    controller.dispose(&delivered, false, accepted(&txn));
    controller.discharged(&txn, true)?;
    // The answer to another command is the barrier.
    let id = controller.command(super::support::DECLARE)?;
    let deadline = controller.deadline();
    loop {
        let got = controller.next_within(deadline);
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. })
                if disposition.role == amqp1_codec::definitions::Role::Sender =>
            {
                let has_outcome = disposition.state.as_ref().is_some_and(DeliveryState::is_outcome);
                if disposition.settled || has_outcome {
                    return Ok(Outcome::fail(format!("after the rollback came {got}")));
                }
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. })
                if super::support::covers(disposition, id) =>
            {
                break;
            }
            Got::Frame(AmqpFrame {
                body: None | Some(Performative::Flow(_) | Performative::Disposition(_)), ..
            }) => {}
            _ => return Ok(Outcome::fail(format!("expected the state of a command, got {got}"))),
        }
    }
    controller.dispose(&delivered, true, DeliveryState::Accepted);
    controller.connection.send(0, frames::close());
    controller.connection.expect_skipping::<amqp1_codec::performative::Close>(Skip::CHATTER)?;
    is_empty(trial)
}
