//! Sends a client messages that it must not accept.

use crate::{
    client::{ClientTrial, cases::types::MALFORMED},
    judge::Refused,
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{definitions::ErrorCondition, messaging::DeliveryState};
use amqp1_script::Scope;

/// The octets of a body that is in order: `amqp-value` with the string "hello".
pub(super) const BODY: &str = "005377 a10568656c6c6f";

/// A message of these sections, and a body.
pub(super) fn before_body(sections: &str) -> Vec<u8> {
    [crate::octets::hex(sections), crate::octets::hex(BODY)].concat()
}

/// Sends this message. Passes if the client rejects it, or detaches the link.
pub(super) fn refuses(trial: &mut ClientTrial<'_>, message: &[u8]) -> Result<Outcome, Stop> {
    let mut client = trial.sending_to_client()?;
    let id = client.deliver(message);
    let is_strict = trial.is_strict();
    let state = match client.disposition_of(id) {
        Ok(disposition) => disposition.body.state.unwrap_or(DeliveryState::Accepted),
        Err(unexpected) => {
            let refused = Refused::by(Scope::Link).with(&MALFORMED);
            return match refused.judge_one(&unexpected.got, is_strict) {
                Some(outcome) => Ok(outcome),
                // It does not say what is wrong, and does not take the message either.
                None if matches!(unexpected.got.name(), "detach" | "end" | "close") => {
                    let reason = format!("{} without an error, and no outcome", unexpected.got.name());
                    Ok(Outcome::new(Verdict::PassWider, reason))
                }
                None => Err(unexpected.into()),
            };
        }
    };
    Ok(match state {
        DeliveryState::Rejected(error) => match error.map(|error| error.condition) {
            Some(condition) if condition == ErrorCondition::DECODE_ERROR || !is_strict => {
                Outcome::pass_with(format!("rejected with {condition}"))
            }
            None if !is_strict => Outcome::pass_with("rejected without an error"),
            condition => Outcome::fail(format!("rejected with {condition:?}, not with amqp:decode-error")),
        },
        DeliveryState::Modified(modified) if modified.undeliverable_here && !is_strict => {
            Outcome::pass_with("modified with undeliverable-here")
        }
        state => Outcome::fail(format!("the outcome is {state:?}")),
    })
}

/// A case that sends a message, and wants it accepted.
macro_rules! taken_message {
    ($id:literal, $rule:expr, $sends:literal, $octets:expr) => {
        $crate::case::Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "accepted, and the rest of the scenario",
            check: $crate::case::Check::Client($crate::client::Scenario::Receive, |trial| {
                $crate::client::cases::types::takes(trial, &$octets)
            }),
            ..$crate::case::Case::CLIENT
        }
    };
}

/// A case that sends a malformed message.
macro_rules! bad_message {
    ($id:literal, $rule:expr, $sends:literal, $octets:expr) => {
        $crate::case::Case {
            id: $id,
            rule: $rule,
            sends: $sends,
            wants: "rejected, or a detach, with amqp:decode-error",
            twin: Some(&$crate::client::twins::RECEIVE),
            check: $crate::case::Check::Client($crate::client::Scenario::Receive, |trial| {
                $crate::client::cases::messages::support::refuses(trial, &$octets)
            }),
            ..$crate::case::Case::CLIENT
        }
    };
}

pub(super) use {bad_message, taken_message};
