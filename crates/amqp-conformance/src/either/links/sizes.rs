//! Sizes of messages (§2.7.3).

use super::{AnyLink, Checked, LinkTrial, transfers};
use crate::{
    either::cases,
    judge::{Refused, tolerable},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{definitions::ErrorCondition, performative::Transfer};
use amqp1_script::{Got, Refusal, Scope, frames};
use std::time::Duration;

cases! {
    "T-2.7.3-16" as Receive like TRANSFER => refuses_larger():
        "A message larger than the receiver's max-message-size is refused with message-size-exceeded (§2.7.3).",
        "a message that has one octet more, in several transfers",
        "detach with amqp:link:message-size-exceeded";
    "T-2.7.3-17" => sends_no_larger():
        "A sender keeps to the receiver's max-message-size (§2.7.3).",
        "an attach with max-message-size 3, which no message keeps, and credit",
        "no transfer";
}

/// The largest limit that is tried, in octets.
const MOST: u64 = 256 * 1024 * 1024;
static EXCEEDED: [ErrorCondition; 1] = [ErrorCondition::MESSAGE_SIZE_EXCEEDED];

fn refuses_larger<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(2)?;
    let limit = link.link().attach.max_message_size.unwrap_or_default();
    if limit == 0 {
        return Ok(Outcome::skip("the peer states no max-message-size"));
    }
    if limit > MOST {
        return Ok(Outcome::skip(format!("max-message-size is {limit}")));
    }
    let refused = Refused::by(Scope::Link).with(&EXCEEDED);
    if let Some(outcome) = send_octets(&mut link, limit.saturating_add(1), refused, trial.is_strict())? {
        return Ok(outcome);
    }
    Ok(refused.judge(link.connection(), trial.is_strict()))
}

/// Sends a message of this many octets: a data section, and frames as the peer's window allows. Returns the judgement if
/// the peer refuses it before its end.
fn send_octets(
    link: &mut impl AnyLink,
    octets: u64,
    refused: Refused,
    is_strict: bool,
) -> Result<Option<Outcome>, Stop> {
    const PART: u64 = 16 * 1024;
    let length = u32::try_from(octets.saturating_sub(8)).unwrap_or(u32::MAX).to_be_bytes();
    let start = [&b"\0\x53\x75\xb0"[..], &length].concat();
    let part = vec![b'x'; usize::try_from(PART.min(link.max_frame_size().saturating_sub(64))).unwrap_or(512)];
    let mut left = usize::try_from(octets.saturating_sub(8)).unwrap_or(usize::MAX);
    let whole = frames::transfer(link.link().handle, 0);
    link.transfer(Transfer { more: true, ..whole.clone() }, start);
    let mut window = link.session().begin.incoming_window.saturating_sub(1);
    let mut sent = 1u32;
    while left > 0 {
        let patience = if window == 0 { link.connection().patience() } else { Duration::ZERO };
        if window == 0 || sent.is_multiple_of(16) {
            let got = link.connection().next_within(patience);
            if let Some(outcome) = refused.judge_one(&got, is_strict) {
                return Ok(Some(outcome));
            }
            if let Got::Frame(amqp1_script::AmqpFrame {
                body: Some(amqp1_codec::performative::Performative::Flow(flow)),
                ..
            }) = &got
            {
                let received = flow.next_incoming_id.unwrap_or_default().0;
                window = received.wrapping_add(flow.incoming_window).wrapping_sub(sent);
            } else if window == 0 {
                return Err(Stop::set_up(&link.connection().unexpected("a flow that opens the window", got)));
            }
            if window == 0 {
                continue;
            }
        }
        let chunk = part.get(..left.min(part.len())).unwrap_or(&part);
        left = left.saturating_sub(chunk.len());
        let continued = Transfer { delivery_id: None, delivery_tag: None, message_format: None, ..whole.clone() };
        link.transfer(Transfer { more: left > 0, ..continued }, chunk);
        window = window.saturating_sub(1);
        sent = sent.wrapping_add(1);
    }
    Ok(None)
}

fn sends_no_larger<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving_with(1, |attach| attach.max_message_size = Some(3))?;
    link.give_credit(5);
    match link.rest() {
        // A link that is attached again after this is answered without a limit.
        Ok(rest) => Ok(match transfers(rest.split(|got| got.name() == "detach").next().unwrap_or_default()).len() {
            0 => Outcome::pass(),
            // The text says what the receiver does with such a message, not that none is sent.
            count => tolerable(
                Outcome::fail(format!("{count} transfers came where no message is small enough")),
                trial.is_strict(),
            ),
        }),
        Err(unexpected) => match Refusal::of(&unexpected.got) {
            Some(refusal) => {
                Ok(Outcome::pass_with(format!("{:?} ended with {}", refusal.scope, refusal.error.condition)))
            }
            None => Err(unexpected.into()),
        },
    }
}
