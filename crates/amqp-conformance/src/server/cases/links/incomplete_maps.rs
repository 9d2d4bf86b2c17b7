//! Links that are resumed with incomplete unsettled maps (§2.6.13, §2.7.3).

use super::{
    resumption::{RESUME, Suspended, attach, is_resumed, over, small_frames, suspended, suspended_with},
    support::{Checked, left, set_up, transfers},
};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::{Refused, closes_in_peace},
    server::ServerTrial,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    DeliveryTag, Value,
    definitions::ReceiverSettleMode,
    messaging::{DeliveryState, Target, TerminusExpiryPolicy},
    performative::{Attach, Detach, Flow, Transfer, Unsettled},
};
use amqp1_script::{Scope, Skip, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.13-4",
        rule: "Where an unsettled map is incomplete, what is known is resumed and settled, and the link is resumed again \
               (§2.6.13).",
        sends: "an attach with one of two unsettled deliveries and incomplete-unsettled=true, accepted for it, and an attach \
                with the other",
        wants: "the one resumed, and then the other",
        check: Check::Server(incomplete_then_complete),
        ..RESUME
    },
    Case {
        id: "T-2.7.3-13",
        severity: Severity::Should,
        rule: "An unsettled map that is too large for a frame is given in part, with incomplete-unsettled=true (§2.7.3).",
        sends: "an open with max-frame-size 512, and an attach that resumes a link with 100 unsettled deliveries",
        wants: "an attach of at most 512 octets, with incomplete-unsettled=true",
        check: Check::Server(large_map_is_incomplete),
        ..RESUME
    },
    Case {
        id: "T-2.7.3-14",
        rule: "A sender that has received an incomplete unsettled map sends no new deliveries (§2.7.3).",
        sends: "an attach with incomplete-unsettled=true, and credit 5, where the queue has another message",
        wants: "no transfer without resume=true",
        check: Check::Server(nothing_new_while_incomplete),
        ..RESUME
    },
    Case {
        id: "T-2.7.3-15",
        rule: "A receiver that has sent an incomplete unsettled map detaches with an error when a new delivery comes (§2.7.3).",
        sends: "an attach as sender, in frames of 512 octets, that resumes a link with 100 unsettled deliveries, and a new \
                message",
        wants: "detach with an error, if the server's map was incomplete",
        needs: &[Need::Queue, Need::SettleSecond],
        check: Check::Server(new_while_incomplete_is_refused),
        ..Case::SERVER
    },
];

fn incomplete_then_complete(trial: &mut ServerTrial<'_>) -> Checked {
    let mut suspended = suspended_with(trial, &["1", "2"], 2)?;
    let tags = std::mem::take(&mut suspended.tags);
    for (index, tag) in tags.iter().enumerate() {
        let is_incomplete = index == 0;
        let map = [(*tag, Value::Null)].into_iter().collect();
        let mut attached = suspended.resume(trial.node(), map, is_incomplete)?;
        attached.give_credit(5);
        // Another that the server has it may resume too: it is ignored.
        let delivery = loop {
            let delivery = attached.delivery()?;
            if !is_resumed(&delivery) {
                return Ok(Outcome::fail("a delivery without resume=true came"));
            }
            if delivery.tag() == tag.as_slice() {
                break delivery;
            }
        };
        attached.settle(&delivery, DeliveryState::Accepted);
        if !is_incomplete {
            let outcome = over(attached)?;
            return Ok(if left(trial)?.is_empty() {
                outcome
            } else {
                Outcome::fail("a message is in the queue again")
            });
        }
        let channel = attached.session.channel;
        attached.connection.send(channel, Detach { closed: false, ..frames::detach(0) });
        loop {
            let got = attached.connection.next();
            match got.name() {
                "detach" => break,
                "transfer" => drop(attached.progress.add(&transfer_of(got)?)),
                "flow" | "disposition" | "empty" => {}
                _ => return Err(attached.connection.unexpected("detach", got).into()),
            }
        }
        suspended = Suspended { attached, tags: Vec::new() };
    }
    Ok(Outcome::fail("there are no deliveries"))
}

fn transfer_of(got: amqp1_script::Got) -> Result<amqp1_script::Received<Transfer>, Stop> {
    use amqp1_script::Body;
    Transfer::of(got).map_err(|got| Outcome::fail(format!("expected a transfer, got {got}")).into())
}

fn large_map_is_incomplete(trial: &mut ServerTrial<'_>) -> Checked {
    trial.purge()?;
    trial.fill(&vec![frames::message("one of many"); 100])?;
    let attached = small_frames(trial, attach(trial.node(), Some(Unsettled::new())))?;
    let suspended = suspended(attached, 100)?;
    let attached = suspended.resume(trial.node(), Unsettled::new(), true);
    let attached = match attached {
        Err(Stop::Known(outcome)) => return Ok(Outcome::warn(outcome.reason)),
        other => other?,
    };
    let attach = &attached.link.attach;
    let count = attach.unsettled.as_ref().map_or(0, Unsettled::len);
    if !attach.incomplete_unsettled && count < 100 {
        return Ok(Outcome::warn(format!("the attach has {count} of 100 deliveries and incomplete-unsettled=false")));
    }
    over(attached)
}

fn nothing_new_while_incomplete(trial: &mut ServerTrial<'_>) -> Checked {
    let suspended = suspended_with(trial, &["1", "2"], 1)?;
    let map = suspended.map(&Value::Null);
    let mut attached = suspended.resume(trial.node(), map, true)?;
    attached.give_credit(5);
    let delivery = attached.delivery()?;
    attached.settle(&delivery, DeliveryState::Accepted);
    let flow = Flow { echo: true, ..attached.flow(5) };
    attached.connection.send(attached.session.channel, flow);
    let rest = attached.ends()?;
    let has_new = !is_resumed(&delivery) || transfers(&rest).iter().any(|transfer| !transfer.resume);
    if has_new {
        return Ok(Outcome::fail("a new delivery came after an incomplete unsettled map"));
    }
    let outcome = closes_in_peace(&mut attached.connection);
    drop(attached);
    over(trial.attached(attach(trial.node(), None))?)?;
    Ok(outcome)
}

fn new_while_incomplete_is_refused(trial: &mut ServerTrial<'_>) -> Checked {
    let target =
        Target { expiry_policy: TerminusExpiryPolicy::ConnectionClose, timeout: 60, ..Target::at(trial.node()) };
    let attach = Attach {
        target: Some(target.into()),
        rcv_settle_mode: ReceiverSettleMode::Second,
        unsettled: Some(Unsettled::new()),
        ..frames::attach_sender("incomplete", 0, trial.node())
    };
    let mut attached = small_frames(trial, attach.clone())?;
    let mut tags = Vec::new();
    for id in 0..100u32 {
        while attached.credit == 0 {
            attached.credit = attached.connection.credited(&attached.link).map_err(set_up)?;
        }
        attached.credit = attached.credit.saturating_sub(1);
        attached.connection.send_with(0, frames::transfer(0, id), frames::message("one of many"));
        attached.disposition_of(id).map_err(set_up)?;
        tags.push(DeliveryTag::from(id));
    }
    attached.connection.send(0, Detach { closed: false, ..frames::detach(0) });
    attached.connection.expect_skipping::<Detach>(Skip::CHATTER).map_err(set_up)?;
    let map = tags.iter().take(20).map(|tag| (*tag, Value::Null)).collect();
    let session = attached.session.clone();
    let again = Attach { unsettled: Some(map), incomplete_unsettled: true, ..attach };
    let link = attached.connection.attached(&session, again).map_err(set_up)?;
    if !link.attach.incomplete_unsettled {
        return Ok(Outcome::skip("the server's unsettled map is complete"));
    }
    let transfer = Transfer { delivery_tag: DeliveryTag::new(b"new").ok(), ..frames::transfer(0, 100) };
    attached.connection.send_with(0, transfer, frames::message("new"));
    Ok(Refused::by(Scope::Link).judge_on(&session, &mut attached.connection, trial.is_strict()))
}
