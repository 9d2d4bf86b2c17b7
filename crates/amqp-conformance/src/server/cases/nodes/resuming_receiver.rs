//! Deliveries that the server resumes as their receiver (§3.4.6).

use super::support::{ROUND_TRIP, holds, set_up, to_target};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::should,
    server::{Attached, ServerTrial},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    DeliveryTag, Value,
    definitions::ReceiverSettleMode,
    messaging::{DeliveryState, Received, Target, TerminusExpiryPolicy},
    performative::{Attach, Detach, Disposition, Transfer, Unsettled},
};
use amqp1_script::{Received as Body, Skip, frames};

const NEEDS: &[Need] = &[Need::Queue];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.4.6-15",
        severity: Severity::Should,
        rule: "A receiver keeps no entry for a delivery of which it holds nothing (§3.4.6).",
        sends: "an attach whose unsettled map has a delivery that was never sent",
        wants: "an attach whose map lacks that delivery",
        needs: NEEDS,
        twin: Some(&ROUND_TRIP),
        check: Check::Server(|trial| should(no_entry(trial))),
        ..Case::SERVER
    },
    Case {
        id: "M-3.4.6-17",
        rule: "A receiver passes over what it holds of a delivery that is resumed from before that (§3.4.6).",
        sends: "half of a message; detach, attach, and the whole message as the server's unsettled map asks for it",
        wants: "accepted, and the message in the queue once and whole",
        needs: NEEDS,
        twin: Some(&ROUND_TRIP),
        check: Check::Server(from_the_start),
        ..Case::SERVER
    },
    Case {
        id: "M-3.4.6-1/receiver",
        rule: "A delivery that comes again after its receiver has forgotten it is not passed over (§3.4.6).",
        sends: "half of a message; detach, attach with an empty unsettled map, and another message",
        wants: "accepted, and the second message alone in the queue",
        needs: NEEDS,
        twin: Some(&ROUND_TRIP),
        check: Check::Server(sent_again),
        ..Case::SERVER
    },
    Case {
        id: "M-3.4.6-13/receiver",
        rule: "A receiver with another terminal state takes that of the sender, and settles (§3.4.6).",
        sends: "a message that is accepted; detach, attach with released in the map, a resuming transfer with released",
        wants: "a settled disposition with released",
        needs: &[Need::Queue, Need::SettleSecond],
        twin: Some(&ROUND_TRIP),
        check: Check::Server(other_outcome),
        ..Case::SERVER
    },
];

fn attach(trial: &ServerTrial<'_>, unsettled: Unsettled) -> Attach {
    let target =
        Target { expiry_policy: TerminusExpiryPolicy::ConnectionClose, timeout: 60, ..Target::at(trial.node()) };
    Attach { unsettled: Some(unsettled), ..to_target("resumed", target) }
}

fn tag() -> DeliveryTag {
    DeliveryTag::from(77)
}

/// Detaches the link, without closing it, and attaches it again with this map.
fn again(attached: &mut Attached, attach: Attach) -> Result<Unsettled, Stop> {
    attached.connection.send(0, Detach { closed: false, ..frames::detach(0) });
    set_up(attached.connection.expect_skipping::<Detach>(Skip::CHATTER))?;
    attached.link = set_up(attached.connection.attached(&attached.session, attach))?;
    set_up(attached.connection.credited(&attached.link))?;
    Ok(attached.link.attach.unsettled.clone().unwrap_or_default())
}

/// Waits until this delivery is accepted.
fn accepted(attached: &mut Attached, id: u32) -> Result<Disposition, Stop> {
    let wanted = format!("accepted for delivery {id}");
    let answer = attached.connection.expect_where(Skip::FLOWS, wanted, |answer: &Body<Disposition>| {
        answer.first.0 == id && answer.state == Some(DeliveryState::Accepted)
    })?;
    Ok(answer.body)
}

fn no_entry(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let map = [(tag(), Value::Null)].into_iter().collect();
    let attach = attach(trial, map);
    let attached = trial.sender_with(attach)?;
    let unsettled = attached.link.attach.unsettled.clone().unwrap_or_default();
    if unsettled.get(&tag()).is_some() {
        return Ok(Outcome::fail("the server's map has a delivery that was never sent"));
    }
    Ok(Outcome::pass())
}

/// The head of a data section of ten octets, and its halves.
const HEAD: &[u8] = b"\0\x53\x75\xa0\x0a";
const FIRST: &[u8] = b"01234";
const SECOND: &[u8] = b"56789";

fn half_sent(trial: &mut ServerTrial<'_>) -> Result<Attached, Stop> {
    trial.purge()?;
    let first = attach(trial, Unsettled::new());
    let mut attached = trial.sender_with(first)?;
    let transfer = Transfer { delivery_tag: Some(tag()), more: true, ..frames::transfer(0, 0) };
    attached.connection.send_with(0, transfer, [HEAD, FIRST].concat());
    Ok(attached)
}

fn from_the_start(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut attached = half_sent(trial)?;
    let map = [(tag(), Value::Null)].into_iter().collect();
    let unsettled = again(&mut attached, attach(trial, map))?;
    let entry = unsettled.get(&tag());
    let state = DeliveryState::Received(Received { section_number: 0, section_offset: 0 });
    let is_known = entry.is_some();
    let transfer = Transfer {
        delivery_tag: Some(tag()),
        resume: is_known,
        state: is_known.then_some(state),
        ..frames::transfer(0, 1)
    };
    attached.connection.send_with(0, transfer, [HEAD, FIRST, SECOND].concat());
    accepted(&mut attached, 1)?;
    set_up(attached.connection.closed())?;
    let outcome = holds(trial, &["0123456789"])?;
    let remark = if is_known { "resumed" } else { "the server had kept nothing, and took it as new" };
    Ok(if outcome.verdict == Verdict::Pass { Outcome::pass_with(remark) } else { outcome })
}

fn sent_again(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut attached = half_sent(trial)?;
    again(&mut attached, attach(trial, Unsettled::new()))?;
    attached.connection.send_with(0, frames::transfer(0, 1), frames::message("again"));
    accepted(&mut attached, 1)?;
    set_up(attached.connection.closed())?;
    holds(trial, &["again"])
}

fn other_outcome(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.purge()?;
    let second = |unsettled| Attach { rcv_settle_mode: ReceiverSettleMode::Second, ..attach(trial, unsettled) };
    let (first, next) = (
        second(Unsettled::new()),
        second([(tag(), Value::described(0x26_u64, Vec::<Value>::new()))].into_iter().collect()),
    );
    let mut attached = trial.sender_with(first)?;
    let transfer = Transfer { delivery_tag: Some(tag()), ..frames::transfer(0, 0) };
    attached.connection.send_with(0, transfer, frames::message("two outcomes"));
    if accepted(&mut attached, 0)?.settled {
        return Ok(Outcome::skip("the server settles at once, so that it keeps no state"));
    }
    let unsettled = again(&mut attached, next)?;
    if unsettled.get(&tag()).is_none_or(Value::is_null) {
        return Ok(Outcome::skip("the server keeps no state of what it has received"));
    }
    let resuming = Transfer {
        delivery_tag: Some(tag()),
        resume: true,
        state: Some(DeliveryState::Released),
        ..frames::transfer(0, 1)
    };
    attached.connection.send(0, resuming);
    attached.connection.expect_where(Skip::FLOWS, "settled, released", |answer: &Body<Disposition>| {
        answer.first.0 == 1 && answer.settled && answer.state == Some(DeliveryState::Released)
    })?;
    set_up(attached.connection.closed())?;
    trial.purge()?;
    Ok(Outcome::pass())
}
