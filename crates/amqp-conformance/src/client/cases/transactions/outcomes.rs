//! What a controller makes of the coordinator's answers (§4.2, §4.3, §4.5).

use super::control::{DECLARE, DISCHARGE, TRANSACTION, command};
use crate::{
    case::{Case, Check},
    client::{Attached, ClientTrial, Scenario},
    delivery::Delivery,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    Value,
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::DeliveryState,
    performative::{Performative, Transfer},
    transaction::Declared,
};
use amqp1_script::{AmqpFrame, Got, frames};
use bytes::Bytes;

const fn controller(check: fn(&mut ClientTrial<'_>) -> Result<Outcome, Stop>) -> Check {
    Check::Client(Scenario::Transaction, check)
}

const CONTROLLER: Case = Case { twin: Some(&TRANSACTION), ..Case::CLIENT };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "X-4.5.4-1/32",
        rule: "A txn-id of 32 octets is used as it is (§4.5.4).",
        sends: "declared with a txn-id of 32 octets, among them 00 and ff",
        wants: "that id on the message and in the discharge",
        check: controller(long_id),
        ..CONTROLLER
    },
    Case {
        id: "X-4.5.4-1/33",
        rule: "A txn-id has up to 32 octets (§4.5.4).",
        sends: "declared with a txn-id of 33 octets",
        wants: "no work in that transaction",
        check: controller(|trial| declared_wrongly(trial, &id_of_33())),
        ..CONTROLLER
    },
    Case {
        id: "X-4.5.4-1/type",
        rule: "A txn-id is binary (§4.5.4).",
        sends: "declared with a txn-id that is a string",
        wants: "no work in that transaction",
        check: controller(|trial| declared_wrongly(trial, b"\0\x53\x33\xc0\x04\x01\xa1\x01x")),
        ..CONTROLLER
    },
    Case {
        id: "X-4.2-5",
        rule: "A declare that is rejected has made no transaction (§4.2).",
        sends: "rejected for the declare",
        wants: "no discharge, and the end of the connection",
        check: controller(declare_is_rejected),
        ..CONTROLLER
    },
    Case {
        id: "X-4.5.8-1",
        rule: "A commit that is rejected with amqp:transaction:rollback has failed (§4.3, §4.5.8).",
        sends: "rejected with amqp:transaction:rollback for the discharge",
        wants: "no other discharge of the transaction, the end of the connection, and an exit status that is not 0",
        check: controller(commit_is_rejected),
        ..CONTROLLER
    },
    Case {
        id: "X-4.5.8-1/timeout",
        rule: "A transaction may end with amqp:transaction:timeout (§4.5.8).",
        sends: "rejected with amqp:transaction:timeout for the discharge",
        wants: "no other discharge of the transaction, and the end of the connection",
        check: controller(commit_is_late),
        ..CONTROLLER
    },
];

/// The id of a transaction that the client declares after the one that a case is about.
const NEXT: &[u8] = b"txn-2";

/// `disposition` from the coordinator that settles this delivery with the state in octets.
fn disposition(channel: u16, id: u32, state: &[u8]) -> Vec<u8> {
    let [a, b, c, d] = id.to_be_bytes();
    // role receiver, first, last null, settled true, state.
    let fields = [&[0x41, 0x70, a, b, c, d, 0x40, 0x41][..], state].concat();
    let length = u8::try_from(fields.len().saturating_add(1)).unwrap_or(u8::MAX);
    let body = [&b"\0\x53\x15\xc0"[..], &[length, 5], &fields].concat();
    let size = u32::try_from(body.len().saturating_add(8)).unwrap_or(u32::MAX);
    [&size.to_be_bytes()[..], b"\x02\0", &channel.to_be_bytes(), &body].concat()
}

/// `declared` with an id of 33 octets.
fn id_of_33() -> Vec<u8> {
    [&b"\0\x53\x33\xc0\x24\x01\xa0\x21"[..], &[b'x'; 33]].concat()
}

/// The control link and the client's declare, not answered.
fn declaring(trial: &mut ClientTrial<'_>) -> Result<(Attached, Delivery), Stop> {
    let mut control = trial.coordinator()?;
    let declare = control.delivery().map_err(|unexpected| Stop::set_up(&unexpected))?;
    Ok((control, declare))
}

fn long_id(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut control, declare) = declaring(trial)?;
    let id: Bytes = (0..32u8).map(|octet| octet.wrapping_mul(85)).collect();
    let state = DeliveryState::Declared(Box::new(Declared { txn_id: id.clone() }));
    control.settle(&declare, state);
    let mut is_posted = false;
    loop {
        let delivery = control.until("a message or a discharge", |progress, got| {
            (got.name() == "transfer").then(|| progress.note(got))
        })?;
        let Some(delivery) = delivery else { continue };
        match command(&delivery) {
            Some((DISCHARGE, fields)) => {
                let is_right = matches!(fields.first(), Some(Value::Binary(named)) if *named == id);
                return Ok(if is_right && is_posted {
                    Outcome::pass()
                } else {
                    Outcome::fail("the discharge does not have the id that was declared")
                });
            }
            _ => {
                let is_in = |transfer: &Transfer| match &transfer.state {
                    Some(DeliveryState::Transactional(state)) => state.txn_id == id,
                    _ => false,
                };
                if !delivery.first().is_some_and(is_in) {
                    return Ok(Outcome::fail("the message does not have the id that was declared"));
                }
                is_posted = true;
                control.accept(&delivery);
            }
        }
    }
}

/// Passes once the client has ended the connection without work in a transaction, or without another discharge. It may
/// declare the next transaction, and work in that.
fn no_more(control: &mut Attached, is_wrong: fn(&Delivery) -> Option<&'static str>) -> Outcome {
    let max_frame_size = control.open.max_frame_size;
    loop {
        let got = control.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => {
                control.connection.send(0, frames::close());
                control.connection.finish();
                return Outcome::pass();
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => {
                let delivery = control.progress.note(&got);
                if let Some(reason) = delivery.as_ref().and_then(is_wrong) {
                    return Outcome::fail(reason);
                }
                if let Some(delivery) = delivery {
                    goes_on(control, &delivery);
                }
            }
            Got::Frame(_) => control.progress.answer(&mut control.connection, &got, max_frame_size),
            _ if got.is_end() => return Outcome::pass_with("the client drops the connection"),
            _ => return Outcome::fail(format!("expected the end of the connection, got {got}")),
        }
    }
}

/// Accepts what the client does after the transaction that a case is about.
pub(super) fn goes_on(control: &mut Attached, delivery: &Delivery) {
    if command(delivery).is_some_and(|(code, _)| code == DECLARE) {
        let declared = Declared { txn_id: Bytes::from_static(NEXT) };
        control.settle(delivery, DeliveryState::Declared(Box::new(declared)));
    } else {
        control.accept(delivery);
    }
}

fn is_work(delivery: &Delivery) -> Option<&'static str> {
    let is_in_txn = delivery.first().is_some_and(
        |transfer| matches!(&transfer.state, Some(DeliveryState::Transactional(state)) if state.txn_id != NEXT),
    );
    is_in_txn.then_some("the client works in the transaction")
}

pub(super) fn is_discharge(delivery: &Delivery) -> Option<&'static str> {
    let (code, fields) = command(delivery)?;
    let is_of_next = matches!(fields.first(), Some(Value::Binary(id)) if *id == NEXT);
    (code == DISCHARGE && !is_of_next).then_some("the client discharges the transaction")
}

fn declared_wrongly(trial: &mut ClientTrial<'_>, state: &[u8]) -> Result<Outcome, Stop> {
    let (mut control, declare) = declaring(trial)?;
    control.connection.raw(disposition(control.session.channel, declare.number(), state));
    Ok(no_more(&mut control, is_work))
}

fn declare_is_rejected(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut control, declare) = declaring(trial)?;
    let error = AmqpError::from(ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
    control.settle(&declare, DeliveryState::rejected(error));
    Ok(no_more(&mut control, |delivery| is_work(delivery).or_else(|| is_discharge(delivery))))
}

/// The client's discharge, rejected with this condition.
fn rejected(trial: &mut ClientTrial<'_>, condition: ErrorCondition) -> Result<Outcome, Stop> {
    let (mut control, declare) = declaring(trial)?;
    control.accept(&declare);
    let id = loop {
        let delivery =
            control.until("a discharge", |progress, got| (got.name() == "transfer").then(|| progress.note(got)))?;
        let Some(delivery) = delivery else { continue };
        if is_discharge(&delivery).is_some() {
            break delivery.number();
        }
        control.accept(&delivery);
    };
    let settled = frames::settled(Role::Receiver, id, DeliveryState::rejected(AmqpError::from(condition)));
    control.connection.send(control.session.channel, settled);
    Ok(no_more(&mut control, is_discharge))
}

fn commit_is_rejected(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let outcome = rejected(trial, ErrorCondition::TRANSACTION_ROLLBACK)?;
    if outcome.verdict != crate::Verdict::Pass {
        return Ok(outcome);
    }
    match trial.exit().map_err(Stop::NoConnection)? {
        Some(status) if status.success() => Ok(Outcome::fail("the client reports success: its exit status is 0")),
        Some(status) => Ok(Outcome::pass_with(status.to_string())),
        None => Ok(Outcome::pass_with("the client is still running")),
    }
}

fn commit_is_late(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    rejected(trial, ErrorCondition::TRANSACTION_TIMEOUT)
}
