//! What a source grants: outcomes, distribution modes (§3.5.2, §3.5.3, §3.5.7).

use super::support::{ROUND_TRIP, comes_again, finish, from_source, holds, set_up, texts};
use crate::{
    case::{Case, Check, Need},
    server::{Consumer, ServerTrial},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    Symbol,
    messaging::{DeliveryState, DistributionMode, Source},
};
use amqp1_script::Refusal;

const QUEUE: Case = Case { needs: &[Need::Queue], twin: Some(&ROUND_TRIP), ..Case::SERVER };
const BROWSE: Case = Case { needs: &[Need::Queue, Need::Browse], twin: Some(&ROUND_TRIP), ..Case::SERVER };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.5.2-1",
        rule: "A message that was accepted on a link is not sent on it again (§3.5.2).",
        sends: "a browser that takes each message and accepts it; a second drain on the same link",
        wants: "nothing in the second drain",
        check: Check::Server(browsed_once),
        ..BROWSE
    },
    Case {
        id: "M-3.5.3-5/reply",
        rule: "The outcomes of a source are those that it supports (§3.5.3).",
        sends: "an attach with the outcomes accepted and one that does not exist",
        wants: "an attach whose outcomes lack the one that does not exist, or a refusal",
        check: Check::Server(unknown_outcome),
        ..QUEUE
    },
    Case {
        id: "M-3.5.3-5",
        rule: "A source that allows accepted alone survives an outcome that it does not allow (§3.5.3).",
        sends: "an attach with the outcome accepted alone, and released for a message",
        wants: "the message again, or an error; and the server still serves",
        check: Check::Server(outcome_not_allowed),
        ..QUEUE
    },
    Case {
        id: "M-3.5.3-6/released",
        rule: "The default outcome applies to a delivery that is settled without an outcome (§3.5.3).",
        sends: "an attach with default-outcome released; a disposition that settles without a state",
        wants: "the message again, if the source has granted that",
        check: Check::Server(|trial| settled_without_outcome(trial, &DeliveryState::Released)),
        ..QUEUE
    },
    Case {
        id: "M-3.5.3-6/accepted",
        rule: "The default outcome applies to a delivery that is settled without an outcome (§3.5.3).",
        sends: "an attach with default-outcome accepted; a disposition that settles without a state",
        wants: "the message is gone, if the source has granted that",
        check: Check::Server(|trial| settled_without_outcome(trial, &DeliveryState::Accepted)),
        ..QUEUE
    },
    Case {
        id: "M-3.5.3-6/destroyed",
        rule: "The default outcome applies to what is unsettled when the source is destroyed (§3.5.3).",
        sends: "an attach with default-outcome modified(delivery-failed); detach with closed=true with a delivery unsettled",
        wants: "the message again, with a delivery-count of 1, if the source has granted that",
        check: Check::Server(destroyed),
        ..QUEUE
    },
    Case {
        id: "M-3.5.3-7",
        rule: "A sender says which distribution mode is in force (§3.5.3).",
        sends: "an attach with distribution-mode copy",
        wants: "an attach whose source says copy or move",
        check: Check::Server(mode_is_said),
        ..BROWSE
    },
    Case {
        id: "M-3.5.7-1/copy",
        rule: "A source that copies leaves the message for others (§3.5.7).",
        sends: "a browser that accepts a message; then a consumer",
        wants: "the message on both",
        check: Check::Server(copied),
        ..BROWSE
    },
    Case {
        id: "M-3.5.7-1/move",
        rule: "A source that moves takes the message away once it is accepted (§3.5.7).",
        sends: "an attach with distribution-mode move, and accepted",
        wants: "the message is gone",
        check: Check::Server(moved),
        ..QUEUE
    },
];

/// A link from the queue by this mode.
fn by(trial: &mut ServerTrial<'_>, mode: Symbol) -> Result<Consumer, Stop> {
    let source = Source { distribution_mode: Some(mode), ..Source::at(trial.node()) };
    trial.consumer_with(from_source("consumer", source))
}

fn browsed_once(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.queued(&["one", "two"])?;
    let mut browser = by(trial, DistributionMode::COPY)?;
    let first = browser.drain(10)?;
    for delivered in &first {
        browser.settle(delivered, DeliveryState::Accepted);
    }
    let again = texts(&browser.drain(10)?);
    set_up(browser.close())?;
    trial.purge()?;
    if first.len() == 2 && again.is_empty() {
        Ok(Outcome::pass())
    } else {
        Ok(Outcome::fail(format!("first {:?}, then {again:?}", texts(&first))))
    }
}

fn unknown_outcome(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let outcomes = ["amqp:accepted:list", "amqp-conformance:no-such-outcome"];
    let source =
        Source { outcomes: outcomes.into_iter().map(Symbol::from_static).collect(), ..Source::at(trial.node()) };
    let begun = trial.begun()?;
    let (mut connection, session) = (begun.connection, begun.session);
    let attached = connection.attached(&session, from_source("consumer", source));
    if let Some(refusal) = attached.as_ref().err().and_then(|unexpected| Refusal::of(&unexpected.got)) {
        return Ok(Outcome::pass_with(format!("refused with {}", refusal.error.condition)));
    }
    let link = attached?;
    let granted = link.attach.source.as_ref().map(|source| source.outcomes.clone()).unwrap_or_default();
    let names: Vec<&str> = granted.iter().map(|outcome| outcome.as_str()).collect();
    if names.contains(&"amqp-conformance:no-such-outcome") {
        return Ok(Outcome::fail("the reply has the outcome that does not exist"));
    }
    connection.detached(&link)?;
    Ok(Outcome::pass_with(names.join(" ")))
}

fn outcome_not_allowed(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.queued(&["sane"])?;
    let outcomes = std::iter::once(Symbol::from_static("amqp:accepted:list")).collect();
    let source = Source { outcomes, ..Source::at(trial.node()) };
    let mut consumer = trial.consumer_with(from_source("consumer", source))?;
    let delivered = set_up(consumer.take())?;
    consumer.settle(&delivered, DeliveryState::Released);
    let link = consumer.link.clone();
    let outcome = match consumer.connection.detached(&link) {
        Ok(detach) => match detach.error {
            Some(error) => Outcome::pass_with(format!("detach with {}", error.condition)),
            None => Outcome::pass(),
        },
        Err(unexpected) => match Refusal::of(&unexpected.got) {
            Some(refusal) => Outcome::pass_with(format!("{:?} ended with {}", refusal.scope, refusal.error.condition)),
            None => Outcome::fail(format!("expected detach, got {}", unexpected.got)),
        },
    };
    drop(consumer);
    trial.purge()?;
    Ok(outcome)
}

/// A delivery on a link whose source has this default outcome; a skip if it is not granted.
fn with_default(
    trial: &mut ServerTrial<'_>,
    default: &DeliveryState,
) -> Result<(Consumer, crate::server::Delivered), Stop> {
    trial.queued(&["default"])?;
    let source = Source { default_outcome: Some(default.clone()), ..Source::at(trial.node()) };
    let mut consumer = trial.consumer_with(from_source("consumer", source))?;
    let granted = consumer.link.attach.source.as_ref().and_then(|source| source.default_outcome.clone());
    if granted.as_ref() != Some(default) {
        return Err(Outcome::skip("the source does not grant this default-outcome").into());
    }
    let delivered = set_up(consumer.take())?;
    Ok((consumer, delivered))
}

fn settled_without_outcome(trial: &mut ServerTrial<'_>, default: &DeliveryState) -> Result<Outcome, Stop> {
    let (mut consumer, delivered) = with_default(trial, default)?;
    consumer.settle(&delivered, None);
    finish(consumer)?;
    if *default == DeliveryState::Accepted {
        return holds(trial, &[]);
    }
    comes_again(trial)?;
    Ok(Outcome::pass())
}

fn destroyed(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let modified = amqp1_codec::messaging::Modified { delivery_failed: true, ..Default::default() };
    let (consumer, _) = with_default(trial, &DeliveryState::Modified(Box::new(modified)))?;
    finish(consumer)?;
    match comes_again(trial)?.header()?.delivery_count {
        1 => Ok(Outcome::pass()),
        count => Ok(Outcome::fail(format!("the delivery-count is {count}"))),
    }
}

fn mode_is_said(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let consumer = by(trial, DistributionMode::COPY)?;
    match consumer.link.attach.source.as_ref().and_then(|source| source.distribution_mode.clone()) {
        Some(mode) if mode == DistributionMode::COPY || mode == DistributionMode::MOVE => {
            Ok(Outcome::pass_with(mode.to_string()))
        }
        Some(mode) => Ok(Outcome::fail(format!("the mode is {mode}"))),
        None => Ok(Outcome::fail("the reply does not say the mode")),
    }
}

fn copied(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.queued(&["copied"])?;
    let mut browser = by(trial, DistributionMode::COPY)?;
    let delivered = browser.take()?;
    browser.settle(&delivered, DeliveryState::Accepted);
    finish(browser)?;
    holds(trial, &["copied"])
}

fn moved(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.queued(&["moved"])?;
    let mut consumer = by(trial, DistributionMode::MOVE)?;
    let delivered = consumer.take()?;
    consumer.settle(&delivered, DeliveryState::Accepted);
    finish(consumer)?;
    holds(trial, &[])
}
