//! Termini that are kept (§3.5.5, §3.5.6).

use super::support::{ROUND_TRIP, comes_again, from_source, set_up};
use crate::{
    case::{Case, Check, Need},
    server::{Consumer, ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    DeliveryTag, Value,
    messaging::{DeliveryState, Source, TerminusDurability, TerminusExpiryPolicy},
    performative::{Attach, Unsettled},
};
use std::{thread, time::Duration};

const RESUMED: Case = Case { needs: &[Need::Queue, Need::Resume], twin: Some(&ROUND_TRIP), ..Case::SERVER };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.5.5-1",
        rule: "The reply says the durability that the terminus has, which is no more than was asked for (§3.5.5).",
        sends: "an attach whose source asks for no durability, and one that asks for unsettled-state",
        wants: "none for the first, and a value of the type for the second",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(durability),
        ..Case::SERVER
    },
    Case {
        id: "M-3.5.6-1/kept",
        rule: "A terminus is kept until its expiry policy's event and its timeout have come (§3.5.6).",
        sends: "expiry-policy link-detach with a timeout of 60 s; detach, and attach at once",
        wants: "the delivery in the server's unsettled map",
        check: Check::Server(|trial| kept(trial, TerminusExpiryPolicy::LinkDetach, 60, Duration::ZERO, true)),
        ..RESUMED
    },
    Case {
        id: "M-3.5.6-1/at-once",
        rule: "A terminus with the policy link-detach and a timeout of 0 expires when its link is detached (§3.5.6).",
        sends: "expiry-policy link-detach with a timeout of 0; detach, and attach",
        wants: "an unsettled map without the delivery, and the message is available again",
        check: Check::Server(|trial| kept(trial, TerminusExpiryPolicy::LinkDetach, 0, Duration::ZERO, false)),
        ..RESUMED
    },
    Case {
        id: "M-3.5.6-1/session-end",
        rule: "A terminus with the policy session-end outlives the detach of its link (§3.5.6).",
        sends: "expiry-policy session-end with a timeout of 0; detach, and attach on the same session",
        wants: "the delivery in the server's unsettled map",
        check: Check::Server(|trial| kept(trial, TerminusExpiryPolicy::SessionEnd, 0, Duration::ZERO, true)),
        ..RESUMED
    },
    Case {
        id: "M-3.5.6-1/timeout",
        rule: "A terminus expires when its timeout has passed (§3.5.6).",
        sends: "expiry-policy link-detach with a timeout of 1 s; detach, and attach after 2.5 s",
        wants: "an unsettled map without the delivery, and the message is available again",
        check: Check::Server(|trial| {
            kept(trial, TerminusExpiryPolicy::LinkDetach, 1, Duration::from_millis(2500), false)
        }),
        ..RESUMED
    },
    Case {
        id: "M-3.5.6-1/reply",
        rule: "The reply says the expiry policy and the timeout that the terminus has (§3.5.6).",
        sends: "expiry-policy link-detach with a timeout of 60 s",
        wants: "an attach whose source says a policy of the type; a timeout of no more than 60 s if it is kept",
        check: Check::Server(policy_is_said),
        ..RESUMED
    },
];

fn durability(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut granted = Vec::new();
    for durable in [TerminusDurability::None, TerminusDurability::UnsettledState] {
        let source = Source { durable, ..Source::at(trial.node()) };
        let begun = trial.begun()?;
        let (mut connection, session) = (begun.connection, begun.session);
        let link = connection.attached(&session, from_source("durable", source))?;
        let Some(source) = &link.attach.source else {
            return Ok(Outcome::fail("the reply has no source"));
        };
        granted.push(source.durable);
        connection.detached(&link)?;
    }
    match granted.as_slice() {
        [TerminusDurability::None, second] => Ok(Outcome::pass_with(format!("asked for unsettled-state: {second:?}"))),
        _ => Ok(Outcome::fail("the terminus is durable, though that was not asked for")),
    }
}

fn attach(trial: &ServerTrial<'_>, expiry_policy: TerminusExpiryPolicy, timeout: u32, unsettled: Unsettled) -> Attach {
    let source = Source { expiry_policy, timeout, ..Source::at(trial.node()) };
    Attach { unsettled: Some(unsettled), ..from_source("expiring", source) }
}

/// Takes a delivery, detaches, waits and attaches again; the server's map has the delivery or not.
fn kept(
    trial: &mut ServerTrial<'_>,
    policy: TerminusExpiryPolicy,
    timeout: u32,
    pause: Duration,
    is_kept: bool,
) -> Result<Outcome, Stop> {
    trial.queued(&["kept"])?;
    let first = attach(trial, policy, timeout, Unsettled::new());
    let mut consumer = trial.consumer_with(first)?;
    let granted = consumer.link.attach.source.clone().unwrap_or_default();
    if granted.expiry_policy != policy || granted.timeout != timeout {
        return Err(Outcome::skip(format!(
            "the source grants {} and {} s",
            granted.expiry_policy.as_str(),
            granted.timeout
        ))
        .into());
    }
    let delivered = set_up(consumer.take())?;
    let tag = delivered.transfer.delivery_tag.unwrap_or_default();
    set_up(consumer.detach())?;
    thread::sleep(pause);
    set_up(consumer.attach(attach(trial, policy, timeout, map(tag))))?;
    let is_there = has(&consumer, tag);
    let outcome = match (is_there, is_kept) {
        (true, true) | (false, false) => Outcome::pass(),
        (false, true) => Outcome::fail("the server's map lacks the delivery"),
        (true, false) => Outcome::fail("the server's map still has the delivery"),
    };
    if !is_there {
        // It has its default outcome, and comes again.
        let link = consumer.link.clone();
        set_up(consumer.connection.detached(&link))?;
        set_up(consumer.close())?;
        comes_again(trial)?;
        return Ok(outcome);
    }
    let resumed = set_up(consumer.take())?;
    consumer.settle(&resumed, DeliveryState::Accepted);
    set_up(consumer.close())?;
    trial.purge()?;
    Ok(outcome)
}

fn map(tag: DeliveryTag) -> Unsettled {
    [(tag, Value::Null)].into_iter().collect()
}

fn has(consumer: &Consumer, tag: DeliveryTag) -> bool {
    consumer.link.attach.unsettled.as_ref().is_some_and(|unsettled| unsettled.get(&tag).is_some())
}

fn policy_is_said(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let first = attach(trial, TerminusExpiryPolicy::LinkDetach, 60, Unsettled::new());
    let mut consumer = trial.consumer_with(first)?;
    let link = consumer.link.clone();
    let Some(granted) = &link.attach.source else { return Ok(Outcome::fail("the reply has no source")) };
    consumer.connection.detached(&link)?;
    if granted.timeout > 60 {
        return Ok(Outcome::fail(format!("the timeout is {} s", granted.timeout)));
    }
    Ok(Outcome::pass_with(format!("{} and {} s", granted.expiry_policy.as_str(), granted.timeout)))
}
