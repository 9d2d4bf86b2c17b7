//! The control link, and what a controller sends on it (§4.1, §4.2, §4.5).

use super::outcomes::{goes_on, is_discharge};
use crate::{
    case::{Case, Check, Severity, Twin},
    client::{Attached, ClientTrial, Scenario, sends_to_coordinator, sends_to_node},
    delivery::Delivery,
    judge::should,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    Message, Symbol, Value,
    performative::{Performative, TargetArchetype},
    transaction::Coordinator,
};
use amqp1_script::{AmqpFrame, Got, frames};

const fn controller(check: fn(&mut ClientTrial<'_>) -> Result<Outcome, Stop>) -> Check {
    Check::Client(Scenario::Transaction, check)
}

/// The client plays its transaction to the end.
pub(super) static TRANSACTION: Twin = Twin { name: "transaction", check: controller(plays) };

fn plays(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut control = trial.coordinator()?;
    let declare = control.delivery()?;
    control.accept(&declare);
    Ok(control.finishes())
}

/// A case about what the client sends when everything goes well.
const OBSERVED: Case = Case { sends: "declared and accepted, as a coordinator does", ..Case::CLIENT };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "X-4.1-1",
        severity: Severity::Should,
        rule: "A controller survives a peer without a coordinator (§4.1, §2.6.3).",
        sends: "an attach without a target, and a detach with amqp:not-implemented",
        wants: "a detach, and the end of the connection; no transaction",
        twin: Some(&TRANSACTION),
        check: controller(|trial| should(no_coordinator(trial))),
        ..Case::CLIENT
    },
    Case {
        id: "X-4.1-2",
        rule: "No transactional work is done on the control link (§4.1).",
        wants: "a declare and a discharge on the control link, and nothing else",
        check: controller(commands_alone),
        ..OBSERVED
    },
    Case {
        id: "X-4.2-1",
        rule: "A declare is a message of one amqp-value section, and is not sent settled (§4.2).",
        wants: "a declare in an amqp-value section, unsettled",
        check: controller(declare_is_right),
        ..OBSERVED
    },
    Case {
        id: "X-4.2-6",
        severity: Severity::Should,
        rule: "A control link allows the outcome rejected (§4.2).",
        wants: "an attach whose source has rejected among its outcomes",
        check: controller(|trial| should(allows_rejected(trial))),
        ..OBSERVED
    },
    Case {
        id: "X-4.2-7/unsettled",
        rule: "A control link cannot be resumed (§4.2).",
        wants: "an attach without an unsettled map",
        check: controller(is_not_resumed),
        ..OBSERVED
    },
    Case {
        id: "X-4.2-7/lost",
        rule: "The loss of the control link rolls back, so that the controller does not go on with the transaction (§4.1).",
        sends: "a detach of the control link with amqp:transaction:rollback, after a message was posted",
        wants: "a detach, and no discharge of that transaction on another control link",
        twin: Some(&TRANSACTION),
        check: controller(control_link_lost),
        ..Case::CLIENT
    },
    Case {
        id: "X-4.5.1-1",
        rule: "The target of a control link is a coordinator, whose capabilities are those of transactions (§4.5.1).",
        wants: "an attach with a coordinator, whose capabilities are known ones",
        check: controller(asks_for_known_capabilities),
        ..OBSERVED
    },
    Case {
        id: "X-4.5.1-1/array",
        rule: "A coordinator may have several capabilities (§4.5.1).",
        sends: "a coordinator with each capability of §4.5.7",
        wants: "a declare",
        check: controller(|trial| answered_with(trial, &ALL)),
        ..Case::CLIENT
    },
    Case {
        id: "X-4.5.2-1",
        rule: "A declare has a global-id only where the coordinator has distributed transactions (§4.5.2).",
        sends: "a coordinator with amqp:local-transactions alone",
        wants: "a declare without a global-id",
        check: controller(no_global_id),
        ..Case::CLIENT
    },
    Case {
        id: "X-4.5.7-1",
        rule: "Without amqp:multi-txns-per-ssn a session has one transaction, and without amqp:multi-ssns-per-txn all \
               work is done on the session of the control link (§4.5.7).",
        sends: "a coordinator with amqp:local-transactions alone",
        wants: "no second declare before the discharge, and the sender on the session of the control link",
        check: controller(one_at_a_time),
        ..Case::CLIENT
    },
];

const ALL: [&str; 5] = [
    "amqp:local-transactions",
    "amqp:distributed-transactions",
    "amqp:promotable-transactions",
    "amqp:multi-txns-per-ssn",
    "amqp:multi-ssns-per-txn",
];

/// The body of a command: its descriptor's code, and its fields; `None` if the message is not one `amqp-value` section.
pub(super) fn command(delivery: &Delivery) -> Option<(u64, Vec<Value>)> {
    let message = Message::from_bytes(delivery.message.clone()).ok()?;
    let Value::Described(body) = message.value().ok()?? else { return None };
    let code = match &body.descriptor {
        Value::Symbol(name) if name.as_str() == "amqp:declare:list" => 0x31,
        Value::Symbol(name) if name.as_str() == "amqp:discharge:list" => 0x32,
        descriptor => u64::try_from(descriptor.as_integer()?).ok()?,
    };
    match body.value {
        Value::List(fields) => Some((code, fields)),
        _ => None,
    }
}

pub(super) const DECLARE: u64 = 0x31;
pub(super) const DISCHARGE: u64 = 0x32;

/// Each delivery of the client's, in its order, until it closes; each is answered as a broker does.
pub(super) fn played(control: &mut Attached) -> Result<Vec<Delivery>, Stop> {
    let mut all = Vec::new();
    let max_frame_size = control.open.max_frame_size;
    loop {
        let got = control.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Close(close)), .. }) => {
                if let Some(error) = &close.error {
                    return Err(Outcome::fail(format!("close with {}", error.condition)).into());
                }
                control.connection.send(0, frames::close());
                return Ok(all);
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => {
                if let Some(delivery) = control.progress.note(&got) {
                    control.accept(&delivery);
                    all.push(delivery);
                }
            }
            Got::Frame(_) => control.progress.answer(&mut control.connection, &got, max_frame_size),
            _ => return Err(Outcome::fail(format!("expected the client to play its transaction, got {got}")).into()),
        }
    }
}

/// The deliveries on the control link.
pub(super) fn on_control<'a>(control: &Attached, all: &'a [Delivery]) -> Vec<&'a Delivery> {
    let (channel, handle) = (control.link.remote_channel, control.link.attach.handle);
    let is_on_it = |delivery: &&Delivery| {
        delivery.channel == channel && delivery.first().is_some_and(|transfer| transfer.handle == handle)
    };
    all.iter().filter(is_on_it).collect()
}

fn no_coordinator(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut attaching = trial.link_where(sends_to_coordinator)?;
    attaching.answer.target = None;
    let mut control = attaching.answered();
    control.detach(true, Some(amqp1_codec::definitions::ErrorCondition::NOT_IMPLEMENTED.into()));
    let mut is_detached = false;
    loop {
        let got = control.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Detach(_)), .. }) => is_detached = true,
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(transfer)), .. })
                if transfer.handle == control.link.attach.handle =>
            {
                return Ok(Outcome::fail("the client declares on a link that was refused"));
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => {
                return Ok(if is_detached {
                    Outcome::pass()
                } else {
                    Outcome::pass_with("the client closes the connection at once")
                });
            }
            Got::Frame(_) => {
                let max_frame_size = control.open.max_frame_size;
                control.progress.answer(&mut control.connection, &got, max_frame_size);
            }
            _ if got.is_end() => return Ok(Outcome::pass_with("the client drops the connection")),
            _ => return Ok(Outcome::fail(format!("expected close, got {got}"))),
        }
    }
}

fn commands_alone(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut control = trial.coordinator()?;
    let all = played(&mut control)?;
    let codes: Vec<Option<u64>> =
        on_control(&control, &all).into_iter().map(|delivery| command(delivery).map(|(code, _)| code)).collect();
    match codes.as_slice() {
        [] => Ok(Outcome::fail("nothing came on the control link")),
        codes if codes.iter().all(|code| matches!(code, Some(DECLARE | DISCHARGE))) => Ok(Outcome::pass()),
        codes => Ok(Outcome::fail(format!("the control link had {codes:?}"))),
    }
}

fn declare_is_right(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut control = trial.coordinator()?;
    let declare = control.delivery()?;
    if declare.is_settled() {
        return Ok(Outcome::fail("the declare is settled"));
    }
    match command(&declare) {
        Some((DECLARE, _)) => {}
        Some((code, _)) => return Ok(Outcome::fail(format!("the first command has the descriptor {code:#x}"))),
        None => return Ok(Outcome::fail("the first message is not one amqp-value section with a described list")),
    }
    control.accept(&declare);
    Ok(control.finishes())
}

fn allows_rejected(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let control = trial.coordinator()?;
    let outcomes = control.link.attach.source.as_ref().map(|source| source.outcomes.clone()).unwrap_or_default();
    if outcomes.iter().any(|outcome| outcome.as_str() == "amqp:rejected:list") {
        Ok(Outcome::pass())
    } else {
        let names: Vec<&str> = outcomes.iter().map(|outcome| outcome.as_str()).collect();
        Ok(Outcome::fail(format!("the outcomes are {names:?}")))
    }
}

fn is_not_resumed(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let attaching = trial.link_where(sends_to_coordinator)?;
    match &attaching.attach.unsettled {
        Some(unsettled) if !unsettled.is_empty() => Ok(Outcome::fail("the attach has an unsettled map")),
        _ => Ok(Outcome::pass()),
    }
}

fn control_link_lost(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut control = trial.coordinator()?;
    let declare = control.delivery()?;
    control.accept(&declare);
    control.until("a message in the transaction", |progress, got| {
        (got.name() == "transfer").then(|| progress.note(got))
    })?;
    control.detach(true, Some(amqp1_codec::definitions::ErrorCondition::TRANSACTION_ROLLBACK.into()));
    let mut is_detached = false;
    loop {
        let got = control.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Detach(_)), .. }) => {
                is_detached = true;
                let max_frame_size = control.open.max_frame_size;
                control.progress.answer(&mut control.connection, &got, max_frame_size);
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Transfer(_)), .. }) => {
                let delivery = control.progress.note(&got);
                if is_detached && delivery.as_ref().and_then(is_discharge).is_some() {
                    return Ok(Outcome::fail("the client discharges a transaction whose control link is gone"));
                }
                if let Some(delivery) = delivery.filter(|_| is_detached) {
                    goes_on(&mut control, &delivery);
                }
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => return Ok(Outcome::pass()),
            Got::Frame(_) => {
                let max_frame_size = control.open.max_frame_size;
                control.progress.answer(&mut control.connection, &got, max_frame_size);
            }
            _ if got.is_end() => return Ok(Outcome::pass_with("the client drops the connection")),
            _ => return Ok(Outcome::fail(format!("expected detach and close, got {got}"))),
        }
    }
}

fn asks_for_known_capabilities(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let attaching = trial.link_where(sends_to_coordinator)?;
    let Some(TargetArchetype::Coordinator(coordinator)) = &attaching.attach.target else {
        return Ok(Outcome::fail("the target is not a coordinator"));
    };
    let names: Vec<&str> = coordinator.capabilities.iter().map(|capability| capability.as_str()).collect();
    let is_strict = trial.is_strict();
    match names.iter().find(|name| !ALL.contains(name) && (is_strict || name.starts_with("amqp:"))) {
        Some(name) => Ok(Outcome::fail(format!("the capability {name} is not in §4.5.7"))),
        None => Ok(Outcome::pass_with(names.join(" "))),
    }
}

/// The control link, answered with a coordinator that has these capabilities.
pub(super) fn coordinator_with(trial: &mut ClientTrial<'_>, names: &[&'static str]) -> Result<Attached, Stop> {
    let mut attaching = trial.link_where(sends_to_coordinator)?;
    let capabilities = names.iter().map(|name| Symbol::from_static(name)).collect();
    attaching.answer.target = Some(TargetArchetype::Coordinator(Coordinator { capabilities }));
    let mut control = attaching.answered();
    control.give_credit(10);
    Ok(control)
}

fn answered_with(trial: &mut ClientTrial<'_>, names: &[&'static str]) -> Result<Outcome, Stop> {
    let mut control = coordinator_with(trial, names)?;
    let declare = control.delivery()?;
    control.accept(&declare);
    Ok(control.finishes())
}

fn no_global_id(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut control = coordinator_with(trial, &["amqp:local-transactions"])?;
    let declare = control.delivery()?;
    match command(&declare) {
        Some((DECLARE, fields)) if fields.iter().all(Value::is_null) => Ok(Outcome::pass()),
        Some((DECLARE, _)) => Ok(Outcome::fail("the declare has a global-id")),
        _ => Ok(Outcome::fail("the first message is not a declare")),
    }
}

fn one_at_a_time(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut control = coordinator_with(trial, &["amqp:local-transactions"])?;
    let all = played(&mut control)?;
    let mut live = 0u32;
    for delivery in on_control(&control, &all) {
        match command(delivery).map(|(code, _)| code) {
            Some(DECLARE) if live > 0 => {
                return Ok(Outcome::fail("a second transaction is declared before the discharge"));
            }
            Some(DECLARE) => live = live.saturating_add(1),
            _ => live = live.saturating_sub(1),
        }
    }
    let channel = control.link.remote_channel;
    let mut senders = control.progress.links().filter(|link| sends_to_node(&link.attach));
    match senders.find(|link| link.remote_channel != channel) {
        Some(_) => Ok(Outcome::fail("the sender is on another session than the control link")),
        None => Ok(Outcome::pass()),
    }
}
