//! Deliveries that the peer sends (§2.6.12, §2.7.5).

use super::{AnyLink, Checked, LinkTrial, transfers};
use crate::{
    either::cases,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    definitions::{ReceiverSettleMode, SenderSettleMode},
    messaging::DeliveryState,
    performative::{Attach, Disposition},
};
use amqp1_script::frames;

cases! {
    "T-2.7.5-2/sends" => delivery_ids_are_there():
        "The first transfer of a delivery has a delivery-id (§2.7.5).",
        "credit for three messages",
        "transfers with delivery-ids";
    "T-2.7.5-3/sends" => delivery_ids_are_consecutive():
        "The delivery-ids of a session are consecutive serial numbers (§2.6, §2.8.6).",
        "credit for three messages",
        "three deliveries, each with the delivery-id after the one before";
    "T-2.7.5-5/sends" => delivery_tags_are_there():
        "The first transfer of a delivery has a delivery-tag (§2.7.5), which has at most 32 octets (§2.8.7).",
        "credit for three messages",
        "transfers with delivery-tags";
    "T-2.7.5-15" => nothing_is_resumed():
        "A sender does not resume deliveries that are not in its unsettled map (§2.7.5).",
        "credit for three messages on a new link",
        "transfers without resume=true";
    "T-2.6.12-1/sends" => delivery_tags_are_unique():
        "The delivery-tag is unique among the deliveries of a link that either end may take for unsettled (§2.6.12).",
        "credit for three messages, and no disposition",
        "different delivery-tags";
    "T-2.7.5-8" => settled_mode_settles():
        "On a link of snd-settle-mode settled each delivery has settled=true on one of its transfers (§2.7.5).",
        "an attach with snd-settle-mode settled, and credit for three messages",
        "settled deliveries, if the peer states that mode";
    "T-2.7.5-9/sends" => unsettled_mode_does_not_settle():
        "On a link of snd-settle-mode unsettled no transfer has settled=true (§2.7.5).",
        "an attach with snd-settle-mode unsettled, and credit for three messages",
        "unsettled deliveries, if the peer states that mode";
    "T-2.6.12-4" as Receive like TRANSFER => settles_second():
        "On a link of rcv-settle-mode second the receiver states the outcome, and settles when the sender has (§2.6.12).",
        "an attach with rcv-settle-mode second, a message, and a settled disposition after the outcome",
        "a disposition with an outcome and settled=false, if the peer states that mode";
    "T-2.7.5-13/second" as Receive like TRANSFER => second_link_settles_first():
        "A delivery with rcv-settle-mode first is settled by its receiver without waiting (§2.7.5).",
        "an attach with rcv-settle-mode second, and a transfer with first",
        "a disposition with settled=true, if the peer states the mode second";
}

/// Three deliveries of the peer's, each accepted before the next is waited for.
fn three<T: LinkTrial>(trial: &mut T, change: fn(&mut Attach)) -> Result<(T::Link, Vec<crate::Delivery>), Stop> {
    let mut link = trial.receiving_with(4, change)?;
    link.give_credit(3);
    let mut deliveries = Vec::new();
    for _ in 0..3 {
        let delivery = link.delivery()?;
        if !delivery.is_settled() {
            link.settle(&delivery, DeliveryState::Accepted);
        }
        deliveries.push(delivery);
    }
    Ok((link, deliveries))
}

/// Passes if every first transfer does.
fn every<T: LinkTrial>(
    trial: &mut T,
    reason: &str,
    is_right: fn(&amqp1_codec::performative::Transfer) -> bool,
) -> Checked {
    let (mut link, deliveries) = three(trial, |_| ())?;
    if !deliveries.iter().all(|delivery| delivery.first().is_some_and(is_right)) {
        return Ok(Outcome::fail(reason));
    }
    Ok(link.closes_in_peace())
}

fn delivery_ids_are_there<T: LinkTrial>(trial: &mut T) -> Checked {
    every(trial, "the first transfer of a delivery has no delivery-id", |transfer| transfer.delivery_id.is_some())
}

fn delivery_tags_are_there<T: LinkTrial>(trial: &mut T) -> Checked {
    every(trial, "the first transfer of a delivery has no delivery-tag", |transfer| transfer.delivery_tag.is_some())
}

fn nothing_is_resumed<T: LinkTrial>(trial: &mut T) -> Checked {
    every(trial, "a delivery on a new link has resume=true", |transfer| !transfer.resume)
}

fn delivery_ids_are_consecutive<T: LinkTrial>(trial: &mut T) -> Checked {
    let (mut link, deliveries) = three(trial, |_| ())?;
    let ids: Vec<_> = deliveries.iter().filter_map(crate::Delivery::id).collect();
    let is_next = |pair: &[amqp1_codec::SequenceNo]| matches!(pair, [before, after] if *after == before.next());
    if ids.len() != 3 || !ids.windows(2).all(is_next) {
        return Ok(Outcome::fail(format!("the delivery-ids are {ids:?}")));
    }
    Ok(link.closes_in_peace())
}

fn delivery_tags_are_unique<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(3)?;
    link.give_credit(3);
    // A client may wait for the outcome of one before it sends another.
    let mut tags = Vec::new();
    for _ in 0..if T::SENDS_FIRST { 1 } else { 3 } {
        tags.extend(link.delivery()?.first().and_then(|transfer| transfer.delivery_tag));
    }
    let rest = link.rest()?;
    tags.extend(transfers(&rest).iter().filter_map(|transfer| transfer.delivery_tag));
    let count = tags.len();
    if count == 0 {
        return Ok(Outcome::fail("no transfer has a delivery-tag"));
    }
    tags.sort_by(|one, other| one.as_slice().cmp(other.as_slice()));
    tags.dedup_by(|one, other| one.as_slice() == other.as_slice());
    Ok(match tags.len() {
        different if different == count => Outcome::pass_with(format!("{count} unsettled deliveries")),
        different => Outcome::fail(format!("{count} unsettled deliveries have {different} delivery-tags")),
    })
}

/// Passes if every delivery is settled or not, as the link's mode says.
fn keeps_mode<T: LinkTrial>(trial: &mut T, mode: SenderSettleMode, change: fn(&mut Attach)) -> Checked {
    let (mut link, deliveries) = three(trial, change)?;
    let stated = link.link().attach.snd_settle_mode;
    if stated != mode {
        return Ok(Outcome::skip(format!("the peer states {stated:?}")));
    }
    let is_settled = mode == SenderSettleMode::Settled;
    if !deliveries.iter().all(|delivery| delivery.is_settled() == is_settled) {
        return Ok(Outcome::fail(format!("a delivery on a link of mode {mode:?} is settled={}", !is_settled)));
    }
    Ok(link.closes_in_peace())
}

fn settled_mode_settles<T: LinkTrial>(trial: &mut T) -> Checked {
    keeps_mode(trial, SenderSettleMode::Settled, |attach| attach.snd_settle_mode = SenderSettleMode::Settled)
}

fn unsettled_mode_does_not_settle<T: LinkTrial>(trial: &mut T) -> Checked {
    keeps_mode(trial, SenderSettleMode::Unsettled, |attach| attach.snd_settle_mode = SenderSettleMode::Unsettled)
}

/// A link on which the peer's receiver settles second.
fn second<T: LinkTrial>(trial: &mut T) -> Result<T::Link, Stop> {
    let mut link = trial.sending_with(1, |attach| {
        if attach.role == amqp1_codec::definitions::Role::Sender {
            attach.rcv_settle_mode = ReceiverSettleMode::Second;
        }
    })?;
    link.credited().map_err(|unexpected| Stop::set_up(&unexpected))?;
    if link.link().attach.rcv_settle_mode == ReceiverSettleMode::First {
        return Err(Outcome::skip("the peer states the mode first").into());
    }
    Ok(link)
}

fn settles_second<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = second(trial)?;
    link.message(0, "message");
    let disposition = link.disposition_of(0)?;
    let is_outcome = disposition.state.as_ref().is_some_and(DeliveryState::is_outcome);
    if disposition.settled || !is_outcome {
        return Ok(Outcome::fail(format!("expected an outcome with settled=false, got {disposition:?}")));
    }
    let settled = frames::settled(amqp1_codec::definitions::Role::Sender, 0, disposition.state);
    link.send(Disposition { ..settled });
    trial.has_taken(link, &["message"])
}

fn second_link_settles_first<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = second(trial)?;
    let transfer = amqp1_codec::performative::Transfer {
        rcv_settle_mode: Some(ReceiverSettleMode::First),
        ..frames::transfer(link.link().handle, 0)
    };
    link.transfer(transfer, frames::message("message"));
    if !link.disposition_of(0)?.settled {
        return Ok(Outcome::fail("the disposition has settled=false"));
    }
    trial.has_taken(link, &["message"])
}
