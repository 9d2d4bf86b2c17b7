//! Deliveries that the client resumes as their receiver (§3.4.6).

use super::{outcomes::RECEIVES, resuming::attached_again};
use crate::{
    case::{Case, Check, Severity},
    client::{Attached, ClientTrial, Scenario},
    judge::should,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    DeliveryTag, Value,
    messaging::{DeliveryState, Received},
    performative::{Attach, Transfer},
};
use amqp1_script::frames;

const fn receive(check: fn(&mut ClientTrial<'_>) -> Result<Outcome, Stop>) -> Check {
    Check::Client(Scenario::Receive, check)
}

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.4.6-15",
        severity: Severity::Should,
        rule: "A receiver keeps no entry for a delivery of which it holds nothing (§3.4.6).",
        sends: "a detach with closed=false, before a message was sent",
        wants: "an attach whose unsettled map is empty",
        twin: Some(&RECEIVES),
        check: receive(|trial| should(no_entry(trial))),
        ..Case::CLIENT
    },
    Case {
        id: "M-3.4.6-17",
        rule: "A receiver passes over what it holds of a delivery that is resumed from before that (§3.4.6).",
        sends: "half of a message; a detach with closed=false, an attach, and the whole message as the client's \
                unsettled map asks for it",
        wants: "accepted, and a close without an error",
        twin: Some(&RECEIVES),
        check: receive(from_the_start),
        ..Case::CLIENT
    },
];

fn tag() -> DeliveryTag {
    DeliveryTag::from(0)
}

/// Answers an attach of the client's, and waits for its credit.
fn answer(client: &mut Attached, attach: Attach) -> Result<(), Stop> {
    let answer = client.progress.answer_to(&client.session, &attach);
    client.connection.send(client.session.channel, answer.clone());
    client.link = client.progress.add_link(&client.session, attach, &answer);
    client.credited().map(drop).map_err(|unexpected| Stop::set_up(&unexpected))
}

fn no_entry(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut client = trial.sending_to_client()?;
    let attach = attached_again(&mut client)?;
    let count = attach.unsettled.as_ref().map_or(0, amqp1_codec::performative::Unsettled::len);
    answer(&mut client, attach)?;
    if count > 0 {
        return Ok(Outcome::fail(format!("the client's map has {count} deliveries that were never sent")));
    }
    let id = client.deliver(frames::message("message"));
    client.disposition_of(id)?;
    Ok(client.finishes())
}

/// The head of a data section of ten octets, and its halves.
const HEAD: &[u8] = b"\0\x53\x75\xa0\x0a";
const FIRST: &[u8] = b"01234";
const SECOND: &[u8] = b"56789";

fn from_the_start(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut client = trial.sending_to_client()?;
    let channel = client.session.channel;
    let first = Transfer { delivery_tag: Some(tag()), more: true, ..frames::transfer(client.link.handle, 0) };
    client.connection.send_with(channel, first, [HEAD, FIRST].concat());
    let attach = attached_again(&mut client)?;
    let map = attach.unsettled.clone().unwrap_or_default();
    let entry = map.get(&tag()).cloned();
    let is_known = entry.is_some();
    let mut reply = client.progress.answer_to(&client.session, &attach);
    reply.unsettled = Some(std::iter::once((tag(), Value::Null)).collect());
    client.connection.send(channel, reply.clone());
    client.link = client.progress.add_link(&client.session, attach, &reply);
    client.credited().map_err(|unexpected| Stop::set_up(&unexpected))?;
    let state = DeliveryState::Received(Received { section_number: 0, section_offset: 0 });
    let whole = Transfer {
        delivery_tag: Some(tag()),
        resume: is_known,
        state: is_known.then_some(state),
        ..frames::transfer(client.link.handle, 1)
    };
    client.connection.send_with(channel, whole, [HEAD, FIRST, SECOND].concat());
    let answer = client.disposition_of(1)?;
    if answer.state != Some(DeliveryState::Accepted) {
        return Ok(Outcome::fail("the message is not accepted"));
    }
    let outcome = client.finishes();
    let remark = if is_known { "resumed" } else { "the client had kept nothing, and took it as new" };
    Ok(if outcome.verdict == crate::Verdict::Pass { Outcome::pass_with(remark) } else { outcome })
}
