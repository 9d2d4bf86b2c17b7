//! The disposition performative (§2.7.6).

use super::{
    AnyLink, Checked, LinkTrial,
    octets::{frame, list},
    transfer,
};
use crate::{
    case::Tag,
    either::cases,
    judge::tolerable,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{SequenceNo, definitions::Role, messaging::DeliveryState, performative::Disposition};
use amqp1_script::frames;

cases! {
    "T-2.7.6-1/empty" like TRANSFER => refuses(&[0, 0x53, 0x15, 0x45]):
        "A disposition has a role and a first delivery-id (§2.7.6).",
        "a disposition without fields",
        "a refusal with amqp:decode-error or amqp:invalid-field";
    "T-2.7.6-1/no-first" like TRANSFER => refuses(&[0, 0x53, 0x15, 0xc0, 2, 1, 0x41]):
        "A disposition has a role and a first delivery-id (§2.7.6).",
        "a disposition with role alone",
        "a refusal with amqp:decode-error or amqp:invalid-field";
    "T-2.7.6-1/role-null" like TRANSFER => refuses(&list(0x15, &[b"\x40", b"\x43", b"\x40", b"\x41", b"\0\x53\x24\x45"])):
        "A disposition has a role and a first delivery-id (§2.7.6).",
        "a disposition whose role is null",
        "a refusal with amqp:decode-error or amqp:invalid-field";
    "T-2.7.6-2" => wrong_role_is_no_matter():
        "A disposition is about deliveries of the direction that its role names (§2.7.6).",
        "accepted for a delivery of the peer's, with role=sender",
        "the delivery is still unsettled";
    "T-2.7.6-3/wrap" => range_wraps():
        "The range of a disposition is one of serial numbers, and may wrap around (§2.7.6).",
        "accepted for the range from four delivery-ids before the peer's delivery to two after it, by serial arithmetic",
        "the delivery is settled";
    "T-2.7.6-4" => unknown_ids_are_skipped():
        "Delivery-ids in the range of a disposition that are not known or settled already are passed over (§2.7.6).",
        "accepted for delivery-ids that were never used, and for a range that holds the peer's delivery and others",
        "no refusal, and the delivery is settled";
    "T-2.7.6-5" => huge_range_is_cheap():
        "A disposition of 2^31 ids takes time for the live deliveries alone (robustness).",
        "accepted for the range of 2^31-1 ids that holds the peer's delivery",
        "the delivery is settled, and echo is answered in time",
        tags: &[Tag::Hostile];
    "T-2.7.6-7" => unsettled_outcome_informs():
        "A disposition with an outcome and settled=false informs the sender, and the delivery stays unsettled until that \
         settles it (§2.6.12, §2.7.6).",
        "accepted with settled=false for the peer's delivery, on a link of rcv-settle-mode second",
        "a disposition with role=sender and settled=true";
}

fn refuses<T: LinkTrial>(trial: &mut T, body: &[u8]) -> Checked {
    let mut link = trial.receiving(1)?;
    let session = link.session();
    link.connection().raw(frame(session.channel, body));
    Ok(transfer::undecodable().judge_on(&session, link.connection(), trial.is_strict()))
}

/// Waits for the peer's only message.
fn delivered<T: LinkTrial>(trial: &mut T) -> Result<(T::Link, crate::Delivery), Stop> {
    let mut link = trial.receiving(1)?;
    link.give_credit(1);
    let delivery = link.delivery().map_err(|unexpected| Stop::set_up(&unexpected))?;
    if delivery.is_settled() {
        return Err(Outcome::skip("the peer settles what it sends").into());
    }
    Ok((link, delivery))
}

fn accepted(first: SequenceNo, last: Option<SequenceNo>) -> Disposition {
    Disposition { last, ..frames::settled(Role::Receiver, first.0, DeliveryState::Accepted) }
}

fn wrong_role_is_no_matter<T: LinkTrial>(trial: &mut T) -> Checked {
    let (mut link, delivery) = delivered(trial)?;
    link.send(Disposition { role: Role::Sender, ..accepted(delivery.id().unwrap_or_default(), None) });
    trial.is_unsettled(link, &delivery)
}

fn range_wraps<T: LinkTrial>(trial: &mut T) -> Checked {
    let (mut link, delivery) = delivered(trial)?;
    let id = delivery.id().unwrap_or_default();
    link.send(accepted(SequenceNo(id.0.wrapping_sub(4)), Some(id.plus(2))));
    // The range holds ids that were never used, since a case cannot wait for those to wrap around.
    let is_strict = trial.is_strict();
    match trial.is_settled(link) {
        Err(Stop::Known(outcome)) => Err(Stop::Known(tolerable(outcome, is_strict))),
        other => other.map(|outcome| tolerable(outcome, is_strict)),
    }
}

fn unknown_ids_are_skipped<T: LinkTrial>(trial: &mut T) -> Checked {
    let (mut link, delivery) = delivered(trial)?;
    let id = delivery.id().unwrap_or_default();
    link.send(accepted(id.plus(0x3039), None));
    link.send(accepted(id, Some(id.plus(7))));
    // All of these are settled by now.
    link.send(accepted(id, Some(id.plus(9))));
    trial.is_settled(link)
}

fn huge_range_is_cheap<T: LinkTrial>(trial: &mut T) -> Checked {
    let (mut link, delivery) = delivered(trial)?;
    let id = delivery.id().unwrap_or_default();
    link.send(accepted(id, Some(id.plus(0x7fff_ffff))));
    trial.is_settled(link)
}

fn unsettled_outcome_informs<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving_with(1, |attach| {
        attach.rcv_settle_mode = amqp1_codec::definitions::ReceiverSettleMode::Second;
    })?;
    link.give_credit(1);
    let delivery = link.delivery().map_err(|unexpected| Stop::set_up(&unexpected))?;
    if delivery.is_settled() {
        return Ok(Outcome::skip("the peer settles what it sends"));
    }
    let id = delivery.id().unwrap_or_default();
    link.send(Disposition { settled: false, ..accepted(id, None) });
    let settled = match link.sender_disposition() {
        Ok(settled) => settled,
        // No sentence says that the sender has to, but the receiver waits for it.
        Err(unexpected) if matches!(unexpected.got.name(), "nothing" | "detach" | "end" | "close") => {
            return Ok(Outcome::warn("the sender does not settle the delivery, for which the receiver waits"));
        }
        Err(unexpected) => return Err(unexpected.into()),
    };
    if !settled.settled || !crate::server::covers(&settled, id.0) {
        return Ok(Outcome::fail("the sender's disposition does not settle the delivery"));
    }
    trial.is_settled(link)
}
