//! Detaching, attaching again, and closing (§2.6.4, §2.6.6, §2.7.6, §2.7.7).

use super::support::{Checked, left, next_event, send, set_up};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::closes_in_peace,
    server::{Attached, ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    messaging::{DeliveryState, Source, TerminusExpiryPolicy},
    performative::{Attach, Detach, Performative},
};
use amqp1_script::{AmqpFrame, Got, Link, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.4-1",
        rule: "A detach frees the handle, and is answered by a detach; the link may be attached again (§2.6.4).",
        sends: "detach with closed=false, an attach of the same name, and a message",
        wants: "detach with closed=false, attach, and the message accepted",
        twin: Some(&twins::TRANSFER),
        check: Check::Server(is_attached_again),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.4-2",
        severity: Severity::May,
        rule: "The deliveries of a link that is detached and not closed may still be settled by their ids (§2.6.4).",
        sends: "detach with closed=false of a link with an unsettled delivery, and a disposition of the delivery",
        wants: "no refusal",
        needs: &[Need::Queue],
        check: Check::Server(disposition_after_detach),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.6-6",
        rule: "Deliveries of a link that was neither closed nor detached with an error are live, and their state is updated \
               (§2.7.6).",
        sends: "detach with closed=false of a link whose terminus lasts, and accepted for its delivery",
        wants: "the message is gone from the queue",
        needs: &[Need::Queue],
        check: Check::Server(detached_delivery_is_settled),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.4-3",
        rule: "An attach that attaches a link again has no unsettled map (§2.6.4, §2.7.3).",
        sends: "detach with closed=false, and an attach of the same name without an unsettled map",
        wants: "attach without an unsettled map",
        check: Check::Server(no_map_on_reattach),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.6-2",
        rule: "An end that is to close a link that is detached attaches it again, and closes it then (§2.6.6).",
        sends: "detach with closed=false, and in one go an attach of the same name and detach with closed=true",
        wants: "attach, then detach with closed=true",
        check: Check::Server(closes_by_attaching_again),
        ..Case::SERVER
    },
];

fn leave(attached: &mut Attached) {
    let handle = attached.link.handle;
    attached.connection.send(attached.session.channel, Detach { closed: false, ..frames::detach(handle) });
}

/// Detaches the link without closing it. Returns the server's answer.
fn detach(attached: &mut Attached) -> Result<Detach, amqp1_script::Unexpected> {
    leave(attached);
    let got = next_event(&mut attached.connection);
    match &got {
        Got::Frame(AmqpFrame { body: Some(Performative::Detach(detach)), .. })
            if detach.handle == attached.link.attach.handle =>
        {
            Ok(Detach::clone(detach))
        }
        _ => Err(attached.connection.unexpected("detach", got)),
    }
}

fn attach_again(attached: &mut Attached, attach: Attach) -> Result<Link, amqp1_script::Unexpected> {
    let session = attached.session.clone();
    attached.connection.attached(&session, attach)
}

fn is_attached_again(trial: &mut ServerTrial<'_>) -> Checked {
    let attach = frames::attach_sender("again", 0, trial.node());
    let mut attached = trial.sender_with(attach.clone())?;
    let answer = detach(&mut attached)?;
    if let Some(error) = answer.error {
        return Ok(Outcome::fail(format!("the detach is answered by one with {}", error.condition)));
    }
    attached.link = attach_again(&mut attached, attach)?;
    attached.connection.credited(&attached.link)?;
    send(&mut attached, 0, "message");
    attached.disposition_of(0)?;
    let outcome = closes_in_peace(&mut attached.connection);
    Ok(match answer.closed {
        false => outcome,
        // Nothing forbids an end to close a link whose partner detaches it.
        true if trial.is_strict() => Outcome::fail("detach with closed=false is answered by closed=true"),
        true => Outcome::warn("detach with closed=false is answered by closed=true: the link is closed, not detached"),
    })
}

/// A link from the queue that is detached while its one delivery is not settled.
fn detached_with_delivery(trial: &mut ServerTrial<'_>, attach: Attach) -> Result<(Attached, u32), Stop> {
    trial.queued(&["message"])?;
    let mut attached = trial.attached(attach)?;
    attached.give_credit(1);
    let delivery = attached.delivery().map_err(set_up)?;
    let answer = detach(&mut attached).map_err(set_up)?;
    if answer.closed {
        return Err(Outcome::skip("the server closes a link that is detached").into());
    }
    Ok((attached, delivery.number()))
}

fn disposition_after_detach(trial: &mut ServerTrial<'_>) -> Checked {
    let attach = frames::attach_receiver("left", 0, trial.node());
    let (mut attached, id) = detached_with_delivery(trial, attach)?;
    let accepted = frames::settled(amqp1_codec::definitions::Role::Receiver, id, DeliveryState::Accepted);
    attached.connection.send(attached.session.channel, accepted);
    attached.ends()?;
    let outcome = closes_in_peace(&mut attached.connection);
    drop(attached);
    let left = left(trial)?.len();
    Ok(match left {
        0 => Outcome { reason: String::from("the delivery was settled"), ..outcome },
        _ => Outcome { reason: String::from("the message is back in the queue"), ..outcome },
    })
}

fn detached_delivery_is_settled(trial: &mut ServerTrial<'_>) -> Checked {
    let source = Source { expiry_policy: TerminusExpiryPolicy::ConnectionClose, ..Source::at(trial.node()) };
    let attach = Attach { source: Some(Box::new(source)), ..frames::attach_receiver("live", 0, trial.node()) };
    let (mut attached, id) = detached_with_delivery(trial, attach.clone())?;
    let accepted = frames::settled(amqp1_codec::definitions::Role::Receiver, id, DeliveryState::Accepted);
    attached.connection.send(attached.session.channel, accepted);
    // The link is closed, so that nothing else is kept for it.
    attached.link = attach_again(&mut attached, attach)?;
    let link = attached.link.clone();
    attached.connection.detached(&link)?;
    let outcome = closes_in_peace(&mut attached.connection);
    drop(attached);
    let left = left(trial)?;
    Ok(if left.is_empty() { outcome } else { Outcome::fail(format!("the queue still holds {left:?}")) })
}

fn no_map_on_reattach(trial: &mut ServerTrial<'_>) -> Checked {
    let attach = frames::attach_receiver("again", 0, trial.node());
    let mut attached = trial.attached(attach.clone())?;
    detach(&mut attached).map_err(set_up)?;
    let link = attach_again(&mut attached, attach)?;
    if let Some(unsettled) = &link.attach.unsettled {
        return Ok(Outcome::fail(format!("the attach has an unsettled map of {} deliveries", unsettled.len())));
    }
    Ok(closes_in_peace(&mut attached.connection))
}

fn closes_by_attaching_again(trial: &mut ServerTrial<'_>) -> Checked {
    let attach = frames::attach_sender("closing", 0, trial.node());
    let mut attached = trial.sender_with(attach.clone())?;
    detach(&mut attached).map_err(set_up)?;
    let channel = attached.session.channel;
    attached.connection.send(channel, attach);
    attached.connection.send(channel, frames::detach(0));
    let got = next_event(&mut attached.connection);
    if got.name() != "attach" {
        return Err(attached.connection.unexpected("attach", got).into());
    }
    let got = next_event(&mut attached.connection);
    match &got {
        Got::Frame(AmqpFrame { body: Some(Performative::Detach(detach)), .. }) if detach.error.is_none() => {
            if !detach.closed {
                return Ok(Outcome::fail("the answer has closed=false"));
            }
            Ok(closes_in_peace(&mut attached.connection))
        }
        _ => Err(attached.connection.unexpected("detach with closed=true", got).into()),
    }
}
