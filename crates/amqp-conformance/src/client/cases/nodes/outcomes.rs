//! Delivery states and outcomes (§3.4).

use crate::{
    case::{Case, Check, Twin},
    client::{ClientTrial, Scenario},
    judge::{Refused, tolerable},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    messaging::{DeliveryState, Received},
    performative::{Disposition, Performative},
};
use amqp1_script::{AmqpFrame, Got, Scope, frames};

/// The conditions of a frame whose fields cannot be what they are.
pub(super) static MALFORMED: [ErrorCondition; 2] = [ErrorCondition::DECODE_ERROR, ErrorCondition::INVALID_FIELD];

/// A message of the client's is accepted, and the client closes.
pub(super) static SENDS: Twin = Twin { name: "sends", check: Check::Client(Scenario::Send, sends) };
/// A message is accepted by the client, and the client closes.
pub(super) static RECEIVES: Twin = Twin { name: "receives", check: Check::Client(Scenario::Receive, receives) };

fn sends(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(10)?;
    client.accept(&delivery);
    Ok(client.finishes())
}

fn receives(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut client = trial.sending_to_client()?;
    let id = client.deliver(frames::message("message"));
    client.disposition_of(id)?;
    Ok(client.finishes())
}

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.4-1",
        rule: "A terminal state does not change (§3.4).",
        sends: "accepted, unsettled, and then rejected for the same delivery",
        wants: "a close without an error: the first outcome counts",
        twin: Some(&SENDS),
        check: Check::Client(Scenario::Send, second_outcome),
        ..Case::CLIENT
    },
    Case {
        id: "M-3.4-1/receiver",
        rule: "A receiver that has given a delivery its outcome gives it no other (§3.4).",
        sends: "a message, and a flow with echo after the client's disposition",
        wants: "one outcome for the delivery",
        check: Check::Client(Scenario::Receive, one_outcome),
        ..Case::CLIENT
    },
    Case {
        id: "M-3.4.1-1",
        rule: "The state received stands on the first transfer of a resumed delivery alone (§3.4.1).",
        sends: "credit",
        wants: "transfers without the state received, and without resume",
        check: Check::Client(Scenario::Send, no_received_state),
        ..Case::CLIENT
    },
    Case {
        id: "M-3.4.1-2",
        rule: "The receiver may say what it holds of a delivery by the state received (§3.4.1).",
        sends: "received(0, 3), then accepted",
        wants: "a close without an error",
        check: Check::Client(Scenario::Send, received_then_accepted),
        ..Case::CLIENT
    },
    Case {
        id: "M-3.4.1-2/mandatory",
        rule: "Both fields of received are mandatory (§3.4.1).",
        sends: "a disposition with received that has a section-number alone",
        wants: "end or close with amqp:decode-error or amqp:invalid-field",
        twin: Some(&SENDS),
        check: Check::Client(Scenario::Send, received_without_offset),
        ..Case::CLIENT
    },
];

fn second_outcome(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(10)?;
    let id = delivery.number();
    let first = Disposition { settled: false, ..frames::settled(Role::Receiver, id, DeliveryState::Accepted) };
    client.connection.send(client.session.channel, first);
    client.settle(&delivery, DeliveryState::Rejected(None));
    let outcome = client.finishes();
    if outcome.verdict != crate::Verdict::Pass {
        return Ok(outcome);
    }
    match trial.exit().map_err(Stop::NoConnection)? {
        Some(status) if !status.success() => {
            Ok(tolerable(Outcome::fail(format!("the client reports a failure: {status}")), trial.is_strict()))
        }
        _ => Ok(outcome),
    }
}

fn one_outcome(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut client = trial.sending_to_client()?;
    let id = client.deliver(frames::message("message"));
    let first = client.disposition_of(id)?.body;
    let max_frame_size = client.open.max_frame_size;
    loop {
        let got = client.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Disposition(again)), .. })
                if again.first.0 == id && again.state.is_some() && again.state != first.state =>
            {
                return Ok(Outcome::fail(format!("the outcome has changed: {got}")));
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => return Ok(Outcome::pass()),
            Got::Frame(_) => client.progress.answer(&mut client.connection, &got, max_frame_size),
            _ => return Ok(Outcome::fail(format!("expected close, got {got}"))),
        }
    }
}

fn no_received_state(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    trial.set_count(3);
    let mut client = trial.sender()?;
    client.give_credit(10);
    for _ in 0..3 {
        let delivery = client.delivery()?;
        let is_odd = delivery
            .transfers
            .iter()
            .any(|transfer| transfer.resume || matches!(transfer.state, Some(DeliveryState::Received(_))));
        if is_odd {
            return Ok(Outcome::fail("a transfer of a delivery that is not resumed has resume or the state received"));
        }
        client.accept(&delivery);
    }
    Ok(client.finishes())
}

fn received_then_accepted(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(10)?;
    let state = DeliveryState::Received(Received { section_number: 0, section_offset: 3 });
    let received = Disposition { settled: false, ..frames::settled(Role::Receiver, delivery.number(), state) };
    client.connection.send(client.session.channel, received);
    client.accept(&delivery);
    Ok(client.finishes())
}

/// disposition(role=receiver, first=…, settled=false, state=received(0)).
fn received_without_offset(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut client, delivery) = trial.receiving_from_client(10)?;
    let [a, b, c, d] = delivery.number().to_be_bytes();
    let head = &b"\0\0\0\x1b\x02\0\0\0\0\x53\x15\xc0\x10\x05\x41\x70"[..];
    client.connection.raw([head, &[a, b, c, d], b"\x40\x42\0\x53\x23\xc0\x02\x01\x43"].concat());
    Ok(Refused::by(Scope::Session).with(&MALFORMED).judge(&mut client.connection, trial.is_strict()))
}
