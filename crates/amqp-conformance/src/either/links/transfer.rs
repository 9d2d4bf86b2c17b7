//! Transfers that the peer receives (§2.7.5).

use super::{
    AnyLink, Checked, LinkTrial,
    octets::{FALSE, HELLO, NULL, TRUE, ZERO, frame, list, uint},
};
use crate::{
    case::{Severity, Tag},
    either::cases,
    judge::{Refused, tolerable},
    server::covers,
    verdict::Outcome,
};
use amqp1_codec::{
    definitions::{ErrorCondition, ReceiverSettleMode, SenderSettleMode},
    performative::Transfer,
};
use amqp1_script::{Scope, frames};

cases! {
    "T-2.7.5-1/empty" as Receive like TRANSFER => refuses_frame(&[0, 0x53, 0x14, 0x45], undecodable()):
        "A transfer has a handle (§2.7.5).",
        "a transfer without fields",
        "a refusal with amqp:decode-error or amqp:invalid-field";
    "T-2.7.5-1/unattached" as Receive like TRANSFER => refuses_frame(UNATTACHED_TRANSFER, unattached()):
        "A transfer on a handle to which no link is attached ends the session with unattached-handle (§2.7.5, §2.8.16).",
        "a transfer on handle 42",
        "end with amqp:session:unattached-handle";
    "T-2.7.5-2" as Receive like TRANSFER => refuses(&[&[NULL, TAG, ZERO]]):
        "The first transfer of a delivery has a delivery-id (§2.7.5).",
        "a transfer without delivery-id",
        "a refusal";
    "T-2.7.5-3" as Receive like TRANSFER => refuses(&[&[ZERO, TAG, ZERO], &[ZERO, OTHER_TAG, ZERO]]):
        "The delivery-ids of a session are consecutive serial numbers, so that none comes twice (§2.6, §2.8.6).",
        "two deliveries with the same delivery-id and different tags",
        "a refusal";
    "T-2.7.5-4/id" as Receive like TRANSFER => refuses(&[&[ZERO, TAG, ZERO, FALSE, TRUE], &[ONE, NULL, NULL]]):
        "A continuation has the delivery-id of the delivery's first transfer, or none (§2.7.5).",
        "a transfer with more=true, and a continuation with another delivery-id",
        "a refusal";
    "T-2.7.5-4/tag" as Receive like TRANSFER => refuses(&[&[ZERO, TAG, ZERO, FALSE, TRUE], &[ZERO, OTHER_TAG, NULL]]):
        "A continuation has the delivery-tag of the delivery's first transfer, or none (§2.7.5).",
        "a transfer with more=true, and a continuation with another delivery-tag",
        "a refusal";
    "T-2.7.5-4/format" as Receive like TRANSFER => refuses(&[&[ZERO, TAG, ZERO, FALSE, TRUE], &[ZERO, NULL, ONE]]):
        "A continuation has the message-format of the delivery's first transfer, or none (§2.7.5).",
        "a transfer with more=true, and a continuation with another message-format",
        "a refusal";
    "T-2.7.5-5/tag" as Receive like TRANSFER => refuses(&[&[ZERO, NULL, ZERO]]):
        "The first transfer of a delivery has a delivery-tag (§2.7.5).",
        "a transfer without delivery-tag",
        "a refusal";
    "T-2.7.5-5/format" as Receive like TRANSFER => takes_without_format():
        "A delivery whose message-format is absent has format 0, or lacks a field: the text says that its first transfer has \
         one, and that the field is optional (§2.7.5).",
        "a transfer without message-format",
        "a settled outcome, or a refusal";
    "T-2.7.5-6" as Receive like TRANSFER => refuses_long_tag():
        "A delivery-tag has at most 32 octets (§2.8.7).",
        "a transfer whose delivery-tag has 33 octets",
        "a refusal";
    "T-2.7.5-6/longest" as Receive like TRANSFER => takes_longest_tag():
        "A delivery-tag has at most 32 octets (§2.8.7).",
        "a transfer whose delivery-tag has 32 octets",
        "a settled outcome";
    "T-2.7.5-7/first" as Receive like TRANSFER => is_settled_by(Some(true), None):
        "A continuation without settled is settled if a transfer before it was (§2.7.5).",
        "a delivery of two transfers, settled=true on the first alone, and an unsettled message",
        "a disposition of the unsettled message alone";
    "T-2.7.5-7/last" as Receive like TRANSFER => is_settled_by(None, Some(true)):
        "A delivery is settled by its sender if one of its transfers has settled=true (§2.7.5).",
        "a delivery of two transfers, settled=true on the last alone, and an unsettled message",
        "a disposition of the unsettled message alone";
    "T-2.7.5-7/unset" as Receive like TRANSFER => is_unsettled_by_default():
        "A delivery none of whose transfers has settled is not settled (§2.7.5).",
        "a delivery of two transfers without settled",
        "a disposition of it";
    "T-2.7.5-9" as Receive like TRANSFER => refuses_settled():
        "On a link of snd-settle-mode unsettled no transfer has settled=true (§2.7.5).",
        "an attach with snd-settle-mode unsettled, and a settled transfer",
        "a refusal",
        tags: &[Tag::Strict];
    "T-2.7.5-10" as Receive like TRANSFER => drops_aborted(true, false):
        "Where more and aborted are both true, aborted counts (§2.7.5).",
        "a transfer with more=true and aborted=true, and a good message",
        "the good message alone is taken",
        severity: Severity::Should;
    "T-2.7.5-11" as Receive like TRANSFER => drops_aborted(false, true):
        "The payload of an aborted transfer is ignored (§2.7.5).",
        "a delivery of two transfers, the last with aborted=true and a payload, and a good message",
        "the good message alone is taken";
    "T-2.7.5-12" as Receive like TRANSFER => refuses(&[&[ZERO, TAG, ZERO, FALSE, FALSE, b"\x50\x01"]]):
        "A transfer does not ask for rcv-settle-mode second on a link of mode first (§2.7.5).",
        "a transfer with rcv-settle-mode second on a link of mode first",
        "a refusal";
    "T-2.7.5-13/first" as Receive like TRANSFER => settles_first():
        "A delivery with rcv-settle-mode first is settled by its receiver without waiting (§2.7.5).",
        "a transfer with rcv-settle-mode first",
        "a disposition with settled=true";
    "T-2.7.5-13/settled" as Receive like TRANSFER => mode_of_settled_is_ignored():
        "The rcv-settle-mode of a settled transfer is ignored (§2.7.5).",
        "a settled transfer with rcv-settle-mode second on a link of mode first, and an unsettled message",
        "both taken";
    "T-2.7.5-14" as Receive like TRANSFER => ignores_unknown_resume():
        "A receiver ignores a resumed delivery that is not in its unsettled map (§2.7.5).",
        "a transfer with resume=true and a tag that was never used, and a good message",
        "a disposition of the good message alone, which alone is taken";
    "T-2.7.5-17" as Receive like TRANSFER => batchable_is_a_hint():
        "The hint batchable does not change a delivery: its outcome still comes (§2.7.5).",
        "a transfer with batchable=true",
        "a settled outcome",
        severity: Severity::May;
    "T-2.6.12-1/duplicate" as Receive like TRANSFER => refuses(&[&[ZERO, TAG, ZERO], &[ONE, TAG, ZERO]]):
        "The delivery-tag is unique among the deliveries of a link that either end may take for unsettled (§2.6.12).",
        "two deliveries with the same delivery-tag in one go, neither settled",
        "a refusal",
        tags: &[Tag::Strict];
    "T-2.6.12-2" as Receive like TRANSFER => tag_is_free_again():
        "A delivery that both ends have settled is forgotten, and its tag may be used again (§2.6.12).",
        "two deliveries with the same delivery-tag, the second after the first was settled",
        "two settled outcomes";
    "T-2.6.12-3" as Receive like TRANSFER => settles_by_itself():
        "On a link of rcv-settle-mode first the receiver settles by itself, with an outcome (§2.6.12).",
        "an unsettled message",
        "a disposition with settled=true and an outcome";
}

/// The uint 1.
const ONE: &[u8] = b"\x52\x01";
const TAG: &[u8] = b"\xa0\x04flaw";
const OTHER_TAG: &[u8] = b"\xa0\x05other";
const LONG_TAG: &[u8] = b"\xa0\x21xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
/// Handle 42, delivery-id 0, a tag, format 0, and a message.
const UNATTACHED_TRANSFER: &[u8] = b"\0\x53\x14\xc0\x08\x04\x52\x2a\x43\xa0\x01\x31\x43\0\x53\x75\xa0\x05hello";

static UNDECODABLE: [ErrorCondition; 2] = [ErrorCondition::DECODE_ERROR, ErrorCondition::INVALID_FIELD];
static UNATTACHED: [ErrorCondition; 1] = [ErrorCondition::UNATTACHED_HANDLE];

pub(super) fn undecodable() -> Refused {
    Refused::at_any_scope().with(&UNDECODABLE)
}

pub(super) fn unattached() -> Refused {
    Refused::by(Scope::Session).with(&UNATTACHED)
}

/// Sends a frame with this body, which has to be refused.
pub(super) fn refuses_frame<T: LinkTrial>(trial: &mut T, body: &[u8], refused: Refused) -> Checked {
    let mut link = trial.sending(1)?;
    let session = link.session();
    link.connection().raw(frame(session.channel, body));
    Ok(refused.judge_on(&session, link.connection(), trial.is_strict()))
}

/// Sends transfers in one go, each with these fields after the handle and with a message. The last has to be refused.
fn refuses<T: LinkTrial>(trial: &mut T, transfers: &[&[&[u8]]]) -> Checked {
    let mut link = trial.sending(u32::try_from(transfers.len()).unwrap_or(1))?;
    let session = link.session();
    let handle = uint(link.link().handle);
    let encoded = |fields: &&[&[u8]]| {
        let fields = [&[&handle[..]], *fields].concat();
        frame(session.channel, &[list(0x14, &fields), HELLO.to_vec()].concat())
    };
    link.connection().raw(transfers.iter().map(encoded).collect::<Vec<_>>().concat());
    Ok(Refused::at_any_scope().judge_on(&session, link.connection(), trial.is_strict()))
}

fn refuses_long_tag<T: LinkTrial>(trial: &mut T) -> Checked {
    Ok(tolerable(refuses(trial, &[&[ZERO, LONG_TAG, ZERO]])?, trial.is_strict()))
}

/// Waits for the disposition of this delivery, and passes if it settles the delivery with an outcome.
fn settles(link: &mut impl AnyLink, id: u32) -> Checked {
    let disposition = link.disposition_of(id)?;
    Ok(match (disposition.settled, &disposition.state) {
        (true, Some(state)) if state.is_outcome() => Outcome::pass(),
        (true, state) => Outcome::fail(format!("the delivery is settled with the state {state:?}")),
        (false, _) => Outcome::fail("the disposition has settled=false"),
    })
}

/// The rest of a case after its own check: a failure of that, or the messages that the peer has taken.
pub(super) fn and_takes<T: LinkTrial>(trial: &mut T, link: T::Link, checked: Outcome, texts: &[&str]) -> Checked {
    if checked != Outcome::pass() {
        return Ok(checked);
    }
    trial.has_taken(link, texts)
}

/// Sends an unsettled message with this delivery-id. Passes if the delivery `other` is not settled apart from it.
pub(super) fn only_the_next<T: LinkTrial>(link: &mut T::Link, other: u32, id: u32, text: &'static str) -> Checked {
    link.message(id, text);
    loop {
        let disposition = link.next_disposition()?;
        match (covers(&disposition, other), covers(&disposition, id)) {
            (_, true) => return Ok(Outcome::pass()),
            (true, false) => return Ok(Outcome::fail("a delivery got a disposition that needs none")),
            (false, false) => {}
        }
    }
}

fn takes_one<T: LinkTrial>(trial: &mut T, change: impl FnOnce(&mut Transfer)) -> Checked {
    let mut link = trial.sending(1)?;
    let mut transfer = frames::transfer(link.link().handle, 0);
    change(&mut transfer);
    link.transfer(transfer, frames::message("message"));
    let checked = settles(&mut link, 0)?;
    and_takes(trial, link, checked, &["message"])
}

fn takes_without_format<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(1)?;
    let transfer = Transfer { message_format: None, ..frames::transfer(link.link().handle, 0) };
    link.transfer(transfer, frames::message("message"));
    match link.disposition_of(0) {
        Ok(disposition) if disposition.settled => trial.has_taken(link, &["message"]),
        Ok(_) => Ok(Outcome::fail("the disposition has settled=false")),
        Err(unexpected) if unexpected.got.is_end() || matches!(unexpected.got.name(), "detach" | "end" | "close") => {
            Ok(Outcome::pass_with(format!("the transfer is refused: {}", unexpected.got)))
        }
        Err(unexpected) => Err(unexpected.into()),
    }
}

fn takes_longest_tag<T: LinkTrial>(trial: &mut T) -> Checked {
    takes_one(trial, |transfer| transfer.delivery_tag = amqp1_codec::DeliveryTag::new(&[b'x'; 32]).ok())
}

fn settles_first<T: LinkTrial>(trial: &mut T) -> Checked {
    takes_one(trial, |transfer| transfer.rcv_settle_mode = Some(ReceiverSettleMode::First))
}

fn batchable_is_a_hint<T: LinkTrial>(trial: &mut T) -> Checked {
    takes_one(trial, |transfer| transfer.batchable = true)
}

fn settles_by_itself<T: LinkTrial>(trial: &mut T) -> Checked {
    takes_one(trial, |transfer| transfer.settled = Some(false))
}

/// Sends a message as two transfers, with this value of `settled` on each.
fn in_two(link: &mut impl AnyLink, id: u32, text: &'static str, settled: [Option<bool>; 2]) {
    let [first, last] = settled;
    let message = frames::message(text);
    let (head, tail) = message.split_at(message.len() / 2);
    let whole = frames::transfer(link.link().handle, id);
    link.transfer(Transfer { settled: first, more: true, ..whole.clone() }, head);
    let continued = Transfer { delivery_id: None, delivery_tag: None, message_format: None, ..whole };
    link.transfer(Transfer { settled: last, ..continued }, tail);
}

fn is_settled_by<T: LinkTrial>(trial: &mut T, first: Option<bool>, last: Option<bool>) -> Checked {
    let mut link = trial.sending(2)?;
    in_two(&mut link, 0, "settled", [first, last]);
    let checked = only_the_next::<T>(&mut link, 0, 1, "unsettled")?;
    and_takes(trial, link, checked, &["settled", "unsettled"])
}

fn is_unsettled_by_default<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(1)?;
    in_two(&mut link, 0, "message", [None, None]);
    let checked = settles(&mut link, 0)?;
    and_takes(trial, link, checked, &["message"])
}

fn refuses_settled<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending_with(1, |attach| attach.snd_settle_mode = SenderSettleMode::Unsettled)?;
    link.credited().map_err(|unexpected| crate::Stop::set_up(&unexpected))?;
    let session = link.session();
    let transfer = Transfer { settled: Some(true), ..frames::transfer(link.link().handle, 0) };
    link.transfer(transfer, frames::message("message"));
    Ok(Refused::at_any_scope().judge_on(&session, link.connection(), trial.is_strict()))
}

/// Sends a delivery that is aborted, by its first transfer or by its second one, and then a good message.
fn drops_aborted<T: LinkTrial>(trial: &mut T, at_once: bool, in_second: bool) -> Checked {
    let mut link = trial.sending(1)?;
    let whole = frames::transfer(link.link().handle, 0);
    if in_second {
        link.transfer(Transfer { more: true, ..whole.clone() }, frames::message("dropped"));
    }
    link.transfer(Transfer { more: at_once, aborted: true, ..whole }, frames::message("dropped"));
    let checked = only_the_next::<T>(&mut link, 0, 1, "good")?;
    and_takes(trial, link, checked, &["good"])
}

fn mode_of_settled_is_ignored<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(2)?;
    let transfer = Transfer {
        settled: Some(true),
        rcv_settle_mode: Some(ReceiverSettleMode::Second),
        ..frames::transfer(link.link().handle, 0)
    };
    link.transfer(transfer, frames::message("settled"));
    let checked = only_the_next::<T>(&mut link, 0, 1, "unsettled")?;
    and_takes(trial, link, checked, &["settled", "unsettled"])
}

fn ignores_unknown_resume<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(1)?;
    let transfer = Transfer { resume: true, ..frames::transfer(link.link().handle, 0) };
    link.transfer(transfer, frames::message("resumed"));
    let checked = only_the_next::<T>(&mut link, 0, 1, "good")?;
    and_takes(trial, link, checked, &["good"])
}

fn tag_is_free_again<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(2)?;
    let handle = link.link().handle;
    for (id, text) in [(0, "one"), (1, "two")] {
        let transfer = Transfer { delivery_tag: Some(7.into()), ..frames::transfer(handle, id) };
        link.transfer(transfer, frames::message(text));
        let checked = settles(&mut link, id)?;
        if checked != Outcome::pass() {
            return Ok(checked);
        }
    }
    trial.has_taken(link, &["one", "two"])
}
