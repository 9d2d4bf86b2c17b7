//! Sends messages, and judges their outcomes.

use crate::{
    case::Need,
    judge::Refused,
    octets::{self, Kind},
    server::{Attached, ServerTrial},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    messaging::DeliveryState,
    performative::{Disposition, Performative},
};
use amqp1_script::{AmqpFrame, Body as _, Got, Scope, frames};

/// The octets of a message that is in order: `amqp-value` with the string "hello".
pub(super) const BODY: &str = "005377 a10568656c6c6f";

/// A message of these sections, and a body.
pub(super) fn before_body(sections: &str) -> Vec<u8> {
    [octets::hex(sections), octets::hex(BODY)].concat()
}

/// The outcome of a message, or the refusal of the link.
#[derive(Debug)]
pub(super) enum Fate {
    /// The state of its disposition; accepted where the server settles without a state.
    State(DeliveryState),
    /// The thing that came instead.
    Other(Got),
}

/// Sends a message to the queue, and waits for its outcome.
pub(super) fn fate_of(trial: &mut ServerTrial<'_>, message: &[u8]) -> Result<Fate, Stop> {
    let Attached { mut connection, session, link, .. } = trial.sender()?;
    connection.send_with(session.channel, frames::transfer(link.handle, 0), message);
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        match Disposition::of(got.clone()) {
            Ok(disposition) if disposition.role == Role::Receiver => {
                return Ok(Fate::State(disposition.body.state.unwrap_or(DeliveryState::Accepted)));
            }
            _ => {}
        }
        match &got {
            Got::Frame(AmqpFrame { body: None | Some(Performative::Flow(_)), .. }) => {}
            _ => return Ok(Fate::Other(got)),
        }
    }
}

/// Sends each of these messages. Passes if the server rejects all, or detaches the link.
pub(super) fn refuses(trial: &mut ServerTrial<'_>, messages: &[(&str, Vec<u8>)]) -> Result<Outcome, Stop> {
    let mut worst = Outcome::pass();
    for (name, message) in messages {
        let outcome = refusal(trial, message)?;
        let reason = if messages.len() == 1 { outcome.reason } else { format!("{name}: {}", outcome.reason) };
        if outcome.verdict > worst.verdict || worst.reason.is_empty() {
            worst = Outcome::new(outcome.verdict.max(worst.verdict), reason);
        }
        if worst.verdict >= Verdict::Fail {
            break;
        }
    }
    Ok(worst)
}

fn refusal(trial: &mut ServerTrial<'_>, message: &[u8]) -> Result<Outcome, Stop> {
    let is_strict = trial.is_strict();
    Ok(match fate_of(trial, message)? {
        Fate::State(DeliveryState::Rejected(rejected)) => match rejected.map(|error| error.condition) {
            Some(condition) if condition == ErrorCondition::DECODE_ERROR || !is_strict => {
                Outcome::pass_with(format!("rejected with {condition}"))
            }
            None if !is_strict => Outcome::pass_with("rejected without an error"),
            condition => Outcome::fail(format!("rejected with {condition:?}, not with amqp:decode-error")),
        },
        Fate::State(DeliveryState::Accepted) if !is_strict && is_opaque(message) && comes_back(trial, message)? => {
            Outcome::info("accepted, and sent on as it is: the server does not read the bare message")
        }
        Fate::State(state) => Outcome::fail(format!("the outcome is {}", name(&state))),
        Fate::Other(got) => {
            let refused = Refused::by(Scope::Link).with(&super::super::types::MALFORMED);
            refused
                .judge_one(&got, is_strict)
                .unwrap_or_else(|| Outcome::fail(format!("expected rejected or a detach, got {got}")))
        }
    })
}

/// Returns `true` if the flaw of a message is in its bare message or footer, which an intermediary need not read, and is
/// not the order of the sections.
fn is_opaque(message: &[u8]) -> bool {
    let is_in_order = octets::check_message(message).is_err_and(|flaw| flaw.kind != Kind::Order);
    is_in_order && octets::annotated_len(message).is_some()
}

/// Receives the message from the queue. Returns `true` if all that follows the annotations is the same.
fn comes_back(trial: &mut ServerTrial<'_>, message: &[u8]) -> Result<bool, Stop> {
    if !trial.sheet().has(Need::Queue) {
        return Ok(false);
    }
    let mut receiver = trial.receiver()?;
    receiver.give_credit(1);
    let delivery = receiver.delivery()?;
    receiver.settle(&delivery, DeliveryState::Accepted);
    let bare = message.get(octets::annotated_len(message).unwrap_or_default()..).unwrap_or_default();
    Ok(delivery.message.ends_with(bare))
}

/// Sends messages that are these malformed vectors.
pub(super) fn refuses_vectors(trial: &mut ServerTrial<'_>, names: &[&str]) -> Result<Outcome, Stop> {
    let messages: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (*name, octets::vector(name))).collect();
    refuses(trial, &messages)
}

/// Sends a message. Passes if it is accepted.
pub(super) fn accepts(trial: &mut ServerTrial<'_>, message: &[u8]) -> Result<Outcome, Stop> {
    Ok(match fate_of(trial, message)? {
        Fate::State(DeliveryState::Accepted) => Outcome::pass(),
        Fate::State(state) => Outcome::fail(format!("the outcome is {}", name(&state))),
        Fate::Other(got) => Outcome::fail(format!("expected accepted, got {got}")),
    })
}

/// The name of a state, with the condition of a rejection.
pub(super) fn name(state: &DeliveryState) -> String {
    match state {
        DeliveryState::Rejected(rejected) => match rejected {
            Some(error) => format!("rejected with {}", error.condition),
            None => String::from("rejected"),
        },
        DeliveryState::Accepted => String::from("accepted"),
        DeliveryState::Released => String::from("released"),
        DeliveryState::Modified(_) => String::from("modified"),
        other => format!("{other:?}"),
    }
}

/// The value of this section of a message, if it has it.
pub(super) fn section(message: &[u8], code: u8) -> Result<Option<octets::Value>, Stop> {
    let sections = octets::sections(message)
        .map_err(|flaw| Outcome::fail(format!("the message cannot be read any more: {flaw}")))?;
    Ok(sections.into_iter().find(|section| section.code == code).map(|section| section.value))
}

/// The field at this index of a list.
pub(super) fn field(list: Option<&octets::Value>, index: usize) -> Option<octets::Value> {
    match list {
        Some(octets::Value::List(items)) => items.get(index).filter(|item| !item.is_null()).cloned(),
        _ => None,
    }
}

/// A case that sends malformed vectors as messages.
macro_rules! bad_messages {
    ($id:literal, $rule:expr, $first:literal $(, $name:literal)* $(,)?) => {
        $crate::case::Case {
            id: $id,
            rule: $rule,
            sends: concat!("the malformed message ", $first $(, ", then ", $name)*),
            wants: "rejected, or a detach, with amqp:decode-error",
            twin: Some(&$crate::server::twins::TRANSFER),
            check: $crate::case::Check::Server(|trial| {
                $crate::server::cases::messages::support::refuses_vectors(trial, &[$first $(, $name)*])
            }),
            ..$crate::case::Case::SERVER
        }
    };
}

/// A case that sends a malformed message, written by hand.
macro_rules! bad_message {
    ($id:literal, $rule:expr, $sends:literal, $octets:expr) => {
        $crate::case::Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "rejected, or a detach, with amqp:decode-error",
            twin: Some(&$crate::server::twins::TRANSFER),
            check: $crate::case::Check::Server(|trial| {
                let message = $octets;
                $crate::server::cases::messages::support::refuses(trial, &[($sends, message)])
            }),
            ..$crate::case::Case::SERVER
        }
    };
}

/// A case that sends a message through the queue, and compares its values.
macro_rules! relayed_message {
    ($id:literal, $rule:expr, $sends:literal, $octets:expr) => {
        $crate::case::Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "the same message from the queue",
            check: $crate::case::Check::Server(|trial| trial.relays_values(&$octets)),
            ..$crate::case::Case::SERVER
        }
    };
}

pub(super) use {bad_message, bad_messages, relayed_message};
