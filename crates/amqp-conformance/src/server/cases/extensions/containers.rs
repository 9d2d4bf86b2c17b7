//! One connection for a container (Enforcing Connection Uniqueness 1.0), and pairs of links (Link Pairing 1.0).

use super::super::nodes::support::{ROUND_TRIP, set_up};
use crate::{
    case::{Case, Check, Need},
    judge::closes_in_peace,
    server::{Begun, Consumer, ServerTrial},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    Symbol, Value,
    definitions::{ErrorCondition, Fields},
    messaging::DeliveryState,
    performative::{Attach, Close, Disposition, Open},
};
use amqp1_script::{Received, Refusal, Skip, frames};

const CAPABILITY: Symbol = Symbol::from_static("sole-connection-for-container");
const POLICY: Symbol = Symbol::from_static("sole-connection-enforcement-policy");
const PAIRED: Symbol = Symbol::from_static("paired");

const NEEDS: &[Need] = &[Need::SoleConnection];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "E-sole-1/refuse",
        rule: "Where a container has one connection, a second with its container-id is refused by default (connection \
               uniqueness §2.3).",
        sends: "two opens with one container-id that ask for sole-connection-for-container",
        wants: "close with amqp:invalid-field on the second, with invalid-field container-id in its info",
        needs: NEEDS,
        check: Check::Server(refuse),
        ..Case::SERVER
    },
    Case {
        id: "E-sole-1/close-existing",
        rule: "With the policy close-existing the first connection is closed (connection uniqueness §2.3).",
        sends: "two opens with one container-id, whose enforcement policy is 1",
        wants: "close with amqp:resource-locked on the first, and an open on the second",
        needs: NEEDS,
        check: Check::Server(close_existing),
        ..Case::SERVER
    },
    Case {
        id: "E-sole-1/not-asked",
        rule: "Connections that do not ask for uniqueness may share a container-id (§2.4.1).",
        sends: "two opens with one container-id, without capabilities",
        wants: "both connections stay open",
        needs: NEEDS,
        check: Check::Server(not_asked),
        ..Case::SERVER
    },
    Case {
        id: "E-pair-1",
        rule: "Two links of one name and opposite directions may be attached as a pair (link pairing §2.1, §2.6.1).",
        sends: "two attaches of one name, one as the sender and one as the receiver, both with the property paired",
        wants: "an answer to each; a message that goes in on one comes out of the other",
        needs: &[Need::Queue],
        twin: Some(&ROUND_TRIP),
        check: Check::Server(pair),
        ..Case::SERVER
    },
];

fn open(trial: &ServerTrial<'_>, container: &str, policy: Option<u32>) -> Open {
    let open = Open { container_id: container.into(), ..trial.open() };
    let Some(policy) = policy else { return open };
    let properties: Fields = std::iter::once((POLICY, Value::Uint(policy))).collect();
    Open { desired_capabilities: CAPABILITY.into(), properties: Some(properties), ..open }
}

fn refuse(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let open = open(trial, "amqp-conformance-sole-0", Some(0));
    let mut first = trial.opened_with(open.clone())?;
    let mut second = trial.opened_with(open)?;
    let close = second.connection.expect_skipping::<Close>(Skip::CHATTER)?;
    let Some(error) = &close.error else { return Ok(Outcome::fail("close without an error")) };
    let named = error.info.as_ref().and_then(|info| info.get("invalid-field")).and_then(Value::as_text);
    let is_right = error.condition == ErrorCondition::INVALID_FIELD && named == Some("container-id");
    let remark = format!("close with {}, invalid-field {named:?}", error.condition);
    let alive = closes_in_peace(&mut first.connection);
    if alive.verdict != crate::Verdict::Pass {
        return Ok(Outcome::fail(format!("the first connection: {}", alive.reason)));
    }
    if is_right || !trial.is_strict() { Ok(Outcome::pass_with(remark)) } else { Ok(Outcome::fail(remark)) }
}

fn close_existing(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let open = open(trial, "amqp-conformance-sole-1", Some(1));
    let mut first = trial.opened_with(open.clone())?;
    let mut second = trial.opened_with(open)?;
    // A server that does not know the policy refuses the second one, as by default.
    second.connection.send(0, frames::begin());
    let answer = second.connection.next();
    if let Some(refusal) = Refusal::of(&answer) {
        let remark = format!("the second connection is refused with {}", refusal.error.condition);
        return Ok(if trial.is_strict() { Outcome::fail(remark) } else { Outcome::pass_with(remark) });
    }
    let close = first.connection.expect_skipping::<Close>(Skip::CHATTER)?;
    let condition = close.error.as_ref().map(|error| error.condition.clone());
    first.connection.send(0, frames::close());
    let alive = closes_in_peace(&mut second.connection);
    if alive.verdict != crate::Verdict::Pass {
        return Ok(Outcome::fail(format!("the second connection: {}", alive.reason)));
    }
    match condition {
        Some(condition) if condition == ErrorCondition::RESOURCE_LOCKED || !trial.is_strict() => {
            Ok(Outcome::pass_with(format!("close with {condition}")))
        }
        Some(condition) => Ok(Outcome::fail(format!("close with {condition}"))),
        None => Ok(Outcome::fail("the first connection was closed without an error")),
    }
}

fn not_asked(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let open = open(trial, "amqp-conformance-sole-2", None);
    let mut first = trial.opened_with(open.clone())?;
    let mut second = trial.opened_with(open)?;
    for connection in [&mut second.connection, &mut first.connection] {
        let session = connection.begun(0)?;
        connection.ended(&session)?;
        connection.closed()?;
    }
    Ok(Outcome::pass())
}

fn pair(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let Begun { mut connection, session, .. } = trial.begun()?;
    let paired = |attach: Attach| Attach {
        properties: Some(std::iter::once((PAIRED, Value::Boolean(true))).collect()),
        ..attach
    };
    let sender = connection.attached(&session, paired(frames::attach_sender("pair", 0, trial.node())))?;
    connection.credited(&sender)?;
    let receiver = connection.attached(&session, paired(frames::attach_receiver("pair", 1, trial.node())))?;
    connection.send_with(0, frames::transfer(0, 0), frames::message("paired"));
    connection.expect_where(Skip::FLOWS, "disposition accepted", |answer: &Received<Disposition>| {
        answer.state == Some(DeliveryState::Accepted)
    })?;
    let mut consumer = Consumer::new(connection, session, receiver);
    let delivered = consumer.take()?;
    consumer.settle(&delivered, DeliveryState::Accepted);
    set_up(consumer.connection.detached(&sender))?;
    let receiver = consumer.link.clone();
    set_up(consumer.connection.detached(&receiver))?;
    set_up(consumer.close())?;
    Ok(Outcome::pass())
}
