//! Messages that are acquired in a transaction (§4.4.3).

use super::support::{Answer, COMMIT, Controller, NOT_IMPLEMENTED, covers, discharge, in_txn, set_up};
use crate::{
    case::{Case, Check, Need},
    server::{Delivered, ServerTrial},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    Symbol, Value,
    definitions::{ErrorCondition, Fields},
    messaging::DeliveryState,
    performative::{Begin, Flow, Open, Performative},
};
use amqp1_script::{AmqpFrame, Got, Link, Refusal, Scope, Session, frames};
use bytes::Bytes;

const NEEDS: &[Need] = &[Need::Coordinator, Need::Queue];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "X-4.4.3-1",
        rule: "A flow with a txn-id makes acquisitions part of the transaction; a source that does not support that \
               detaches with amqp:not-implemented (§4.4.3).",
        sends: "a flow with credit and a txn-id in its properties",
        wants: "a transfer whose state has the txn-id, or detach with amqp:not-implemented",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(acquire),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.3-1/unknown",
        rule: "A flow with the txn-id of a transaction that does not exist is refused (§4.4.3).",
        sends: "a flow with credit and a txn-id that was not declared",
        wants: "the end of the control link or of the link, with amqp:transaction:unknown-id or amqp:not-implemented",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(acquire_in_unknown),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.3-2",
        rule: "The discharge clears the link's txn-id, and leaves its credit (§4.4.3).",
        sends: "a flow with a txn-id and credit for two, discharge after the first delivery, then a second message",
        wants: "the second message, without the txn-id",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(cleared),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.3-4",
        rule: "A message that was acquired in a transaction and is sent in part is aborted or sent whole before the rollback \
               is complete (§4.4.3).",
        sends: "a flow with a txn-id and a session window of one transfer; discharge with fail, and a wider window",
        wants: "the end or the abort of the delivery, and then accepted for the discharge",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(partly_sent),
        ..Case::SERVER
    },
    Case {
        id: "X-4.4.4-1/acquired",
        rule: "When the transaction is rolled back, the acquisition is as well (§4.4.4).",
        sends: "a message acquired and accepted in a transaction, discharge with fail",
        wants: "the message is available again",
        needs: NEEDS,
        twin: Some(&COMMIT),
        check: Check::Server(acquired_and_rolled_back),
        ..Case::SERVER
    },
];

fn with_txn(flow: Flow, txn: &[u8]) -> Flow {
    let mut properties = Fields::new();
    properties.insert(Symbol::from_static("txn-id"), Value::Binary(Bytes::copy_from_slice(txn)));
    Flow { properties: Some(properties), ..flow }
}

/// A message that was acquired in a transaction; a skip if the server does not support that.
struct Acquired {
    controller: Controller,
    link: Link,
    txn: Bytes,
    delivered: Delivered,
}

/// Asks for a message in a transaction. The refusal is the first error, the delivery the second.
fn asked(trial: &mut ServerTrial<'_>, credit: u32) -> Result<Result<Acquired, Refusal>, Stop> {
    trial.queued(&["one"])?;
    let mut controller = Controller::new(trial)?;
    let link = controller.receiver(frames::attach_receiver("receiver", 2, trial.node()))?;
    let txn = controller.declared()?;
    let flow = with_txn(controller.flow(&link, 0, credit), &txn);
    controller.connection.send(0, flow);
    let delivered = match controller.delivery() {
        Ok(delivered) => delivered,
        Err(unexpected) => match Refusal::of(&unexpected.got) {
            Some(refusal) => return Ok(Err(refusal)),
            None => return Err(unexpected.into()),
        },
    };
    Ok(Ok(Acquired { controller, link, txn, delivered }))
}

fn acquired(trial: &mut ServerTrial<'_>, credit: u32) -> Result<Acquired, Stop> {
    asked(trial, credit)?.map_err(|refusal| {
        Outcome::skip(format!("the source does not acquire in transactions: {}", refusal.error.condition)).into()
    })
}

fn is_in(delivered: &Delivered, txn: &[u8]) -> bool {
    matches!(&delivered.transfer.state, Some(DeliveryState::Transactional(state)) if state.txn_id == *txn)
}

fn acquire(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let outcome = match asked(trial, 1)? {
        Err(refusal) => Answer::Refused(refusal).judge(&NOT_IMPLEMENTED, trial.is_strict()),
        Ok(Acquired { txn, delivered, .. }) if is_in(&delivered, &txn) => Outcome::pass_with("acquired"),
        Ok(_) => Outcome::fail("the transfer is not part of the transaction"),
    };
    trial.purge()?;
    Ok(outcome)
}

fn acquire_in_unknown(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    static CONDITIONS: [ErrorCondition; 2] = [ErrorCondition::TRANSACTION_UNKNOWN_ID, ErrorCondition::NOT_IMPLEMENTED];
    trial.queued(&["one"])?;
    let mut controller = Controller::new(trial)?;
    let link = controller.receiver(frames::attach_receiver("receiver", 2, trial.node()))?;
    let flow = with_txn(controller.flow(&link, 0, 1), super::support::UNKNOWN);
    controller.connection.send(0, flow);
    let outcome =
        crate::judge::Refused::by(Scope::Link).with(&CONDITIONS).judge(&mut controller.connection, trial.is_strict());
    drop(controller);
    trial.purge()?;
    Ok(outcome)
}

fn cleared(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Acquired { mut controller, txn, delivered, .. } = acquired(trial, 2)?;
    controller.dispose(&delivered, true, in_txn(&txn, Some(DeliveryState::Accepted)));
    controller.discharged(&txn, false)?;
    trial.fill(&[frames::message("two")])?;
    let second = controller.delivery()?;
    if second.transfer.state.is_some() {
        return Ok(Outcome::fail("the second delivery is still part of a transaction"));
    }
    controller.dispose(&second, true, DeliveryState::Accepted);
    controller.connection.closed()?;
    Ok(Outcome::pass())
}

fn acquired_and_rolled_back(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Acquired { mut controller, link, txn, delivered } = acquired(trial, 1)?;
    controller.dispose(&delivered, true, in_txn(&txn, Some(DeliveryState::Accepted)));
    match controller.discharge(&txn, true)? {
        Answer::State(DeliveryState::Accepted) => {}
        answer => return Ok(Outcome::fail(format!("expected accepted, got {answer}"))),
    }
    set_up(controller.connection.detached(&link))?;
    set_up(controller.connection.closed())?;
    let mut consumer = trial.consumer("reader")?;
    let again = consumer.take()?;
    consumer.settle(&again, DeliveryState::Accepted);
    consumer.close()?;
    Ok(Outcome::pass())
}

/// A message of several frames, of which the session's window lets one pass before the rollback is asked for.
fn partly_sent(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    trial.fill(&[frames::message("0123456789".repeat(300).into_bytes())])?;
    let mut opened = trial.opened_with(Open { max_frame_size: 512, ..trial.open() })?;
    opened.connection.send(0, Begin { incoming_window: 1, ..frames::begin() });
    let begin = set_up(opened.connection.expect::<Begin>())?;
    let session = Session { channel: 0, remote_channel: begin.channel, begin: begin.body };
    let mut controller = Controller::on(opened.connection, session)?;
    let link = controller.receiver(frames::attach_receiver("receiver", 2, trial.node()))?;
    let txn = controller.declared()?;
    let flow = Flow { incoming_window: 1, ..with_txn(controller.flow(&link, 0, 1), &txn) };
    controller.connection.send(0, flow);
    let first = match controller.delivery() {
        Ok(first) => first,
        Err(unexpected) => match Refusal::of(&unexpected.got) {
            Some(_) => return Ok(Outcome::skip("the source does not acquire in transactions")),
            None => return Err(Stop::set_up(&unexpected)),
        },
    };
    if !first.transfer.more {
        return Err(Stop::SetUp(String::from("the message came in one transfer")));
    }
    let id = controller.command(&discharge(&txn, true))?;
    let wider = Flow { handle: None, delivery_count: None, link_credit: None, ..controller.flow(&link, 0, 0) };
    controller.connection.send(0, wider);
    let outcome = completed_before(&mut controller, id);
    drop(controller);
    trial.purge()?;
    Ok(outcome)
}

/// Waits for the state of the discharge, and looks whether the delivery is complete by then.
fn completed_before(controller: &mut Controller, id: u32) -> Outcome {
    let mut how = None;
    loop {
        let got = controller.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(transfer)), .. }) if how.is_none() => {
                if transfer.aborted {
                    how = Some("aborted");
                } else if !transfer.more {
                    how = Some("sent whole");
                }
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. })
                if covers(disposition, id) =>
            {
                return match (&disposition.state, how) {
                    (Some(DeliveryState::Accepted), Some(how)) => Outcome::pass_with(how),
                    (Some(DeliveryState::Accepted), None) => {
                        Outcome::fail("the rollback is complete before the delivery was aborted or sent whole")
                    }
                    _ => Outcome::fail(format!("expected accepted for the discharge, got {got}")),
                };
            }
            Got::Frame(AmqpFrame {
                body: None | Some(Performative::Flow(_) | Performative::Disposition(_)), ..
            }) => {}
            _ => return Outcome::fail(format!("expected the rest of the delivery and accepted, got {got}")),
        }
    }
}
