//! Deliveries of several transfers (§2.6.14).

use super::{AnyLink, Checked, LinkTrial, credit::sender_flow};
use crate::{
    either::cases,
    judge::Refused,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    SequenceNo,
    messaging::DeliveryState,
    performative::{Flow, Transfer},
};
use amqp1_script::frames;

cases! {
    "T-2.6.14-1/receives" as Receive like TRANSFER => takes_in_parts():
        "A message may come in any number of transfers, all but the last with more=true (§2.6.14).",
        "a message of 5000 octets in 20 transfers",
        "a settled outcome";
    "T-2.6.14-1/one-octet" as Receive like TRANSFER => takes_octet_by_octet():
        "A message may come in any number of transfers, all but the last with more=true (§2.6.14).",
        "a small message with one octet in each transfer, and an empty last transfer",
        "a settled outcome";
    "T-2.6.14-2/receives" as Receive like TRANSFER => refuses_interleaved():
        "The deliveries of one link are not interleaved (§2.6.14).",
        "a transfer with more=true, and the first transfer of another delivery on the same link",
        "a refusal";
    "T-2.6.14-4" as Receive like TRANSFER => drops_aborted():
        "The transfers of an aborted delivery are discarded, and the delivery counts as settled (§2.6.14).",
        "two transfers of a delivery and one with aborted=true, and a good message",
        "a disposition of the good message alone, which alone is taken";
    "T-2.6.14-5/receives" as Receive like TRANSFER => counts_frames_and_deliveries():
        "A delivery takes one credit and one delivery-id, and each of its frames one transfer-id of the session (§2.6.14).",
        "a message in ten transfers, and flows with echo of the session and of the link",
        "next-incoming-id ten more, and delivery-count one more";
}

/// Sends a message in parts of this many octets.
fn in_parts(link: &mut impl AnyLink, id: u32, message: &[u8], part: usize) -> u32 {
    let whole = frames::transfer(link.link().handle, id);
    let mut sent = 0u32;
    let mut chunks = message.chunks(part).peekable();
    while let Some(chunk) = chunks.next() {
        let more = chunks.peek().is_some();
        let transfer = match sent {
            0 => Transfer { more, ..whole.clone() },
            _ => Transfer { more, delivery_id: None, delivery_tag: None, message_format: None, ..whole.clone() },
        };
        link.transfer(transfer, chunk);
        sent = sent.saturating_add(1);
    }
    sent
}

fn is_accepted(link: &mut impl AnyLink, id: u32) -> Result<(), Stop> {
    let disposition = link.disposition_of(id)?;
    match disposition.state {
        Some(DeliveryState::Accepted) => Ok(()),
        state => Err(Outcome::fail(format!("the message was answered by {state:?}")).into()),
    }
}

const LARGE: &str = {
    const OCTETS: [u8; 5000] = [b'x'; 5000];
    match std::str::from_utf8(&OCTETS) {
        Ok(text) => text,
        Err(_) => "",
    }
};

fn takes_in_parts<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(1)?;
    in_parts(&mut link, 0, &frames::message(LARGE), 251);
    is_accepted(&mut link, 0)?;
    trial.has_taken(link, &[LARGE])
}

fn takes_octet_by_octet<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(1)?;
    let message = frames::message("octets");
    let whole = frames::transfer(link.link().handle, 0);
    for (index, octet) in message.iter().enumerate() {
        let transfer = if index == 0 { whole.clone() } else { continuation(&whole) };
        link.transfer(Transfer { more: true, ..transfer }, [*octet]);
    }
    link.transfer(continuation(&whole), b"");
    is_accepted(&mut link, 0)?;
    trial.has_taken(link, &["octets"])
}

fn continuation(whole: &Transfer) -> Transfer {
    Transfer { delivery_id: None, delivery_tag: None, message_format: None, ..whole.clone() }
}

fn refuses_interleaved<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(2)?;
    let (session, handle) = (link.session(), link.link().handle);
    let first = Transfer { more: true, ..frames::transfer(handle, 0) };
    link.transfer(first, b"\0\x53\x75\xa0\x05he");
    link.message(1, "other");
    Ok(Refused::at_any_scope().judge_on(&session, link.connection(), trial.is_strict()))
}

fn drops_aborted<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(1)?;
    let whole = frames::transfer(link.link().handle, 0);
    link.transfer(Transfer { more: true, ..whole.clone() }, b"\0\x53\x75\xa0\x06dr");
    link.transfer(Transfer { more: true, ..continuation(&whole) }, b"opp");
    link.transfer(Transfer { aborted: true, ..continuation(&whole) }, b"");
    let checked = super::transfer::only_the_next::<T>(&mut link, 0, 1, "good")?;
    super::transfer::and_takes(trial, link, checked, &["good"])
}

fn counts_frames_and_deliveries<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(2)?;
    let message = frames::message("ten parts of a message");
    let sent = in_parts(&mut link, 0, &message, message.len().div_ceil(10));
    is_accepted(&mut link, 0)?;
    let flow = sender_flow(&link, 0, 1);
    link.send(Flow { next_outgoing_id: SequenceNo(sent), link_credit: Some(1), echo: true, ..flow });
    for _ in 0..4 {
        let flow = link.answer_to_echo()?;
        if flow.delivery_count == Some(SequenceNo(0)) {
            continue;
        }
        if flow.delivery_count != Some(SequenceNo(1)) {
            return Ok(Outcome::fail(format!("expected delivery-count 1, got {:?}", flow.delivery_count)));
        }
        // A flow that gave more credit on the first transfer may be before the answer.
        match flow.next_incoming_id {
            Some(SequenceNo(id)) if id == sent => return Ok(link.closes_in_peace()),
            Some(SequenceNo(id)) if id < sent => {}
            id => return Ok(Outcome::fail(format!("expected next-incoming-id {sent}, got {id:?}"))),
        }
    }
    Ok(Outcome::fail(format!("no flow has next-incoming-id {sent} and delivery-count 1")))
}
