//! The flow performative (§2.7.4).

use super::{AnyLink, Checked, LinkTrial, credit::sender_flow, octets::list, transfer, transfers};
use crate::{
    case::Severity,
    either::cases,
    judge::should,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{SequenceNo, performative::Flow};
use amqp1_script::{Got, Refusal, frames};

cases! {
    "T-2.7.4-1/empty" as Receive like TRANSFER => refuses(&[0, 0x53, 0x13, 0x45]):
        "A flow has incoming-window, next-outgoing-id and outgoing-window (§2.7.4).",
        "a flow without fields",
        "a refusal with amqp:decode-error or amqp:invalid-field";
    "T-2.7.4-1/no-outgoing-window" as Receive like TRANSFER => refuses(&list(0x13, &[b"\x43", b"\x52\x01", b"\x43"])):
        "A flow has incoming-window, next-outgoing-id and outgoing-window (§2.7.4).",
        "a flow without outgoing-window",
        "a refusal with amqp:decode-error or amqp:invalid-field";
    "T-2.7.4-2" as Receive like TRANSFER => next_incoming_id_is_set():
        "A flow has next-incoming-id once the partner's begin was received (§2.7.4).",
        "two messages, and a flow with echo after each",
        "flows with next-incoming-id 1 and 2";
    "T-2.7.4-3" as Receive like TRANSFER => refuses_unattached():
        "A flow on a handle to which no link is attached ends the session with unattached-handle (§2.7.4).",
        "a flow on handle 99",
        "end with amqp:session:unattached-handle";
    "T-2.7.4-4/sends" => session_flow_has_no_link_fields():
        "A flow without a handle has none of delivery-count, link-credit, available and drain (§2.7.4).",
        "a flow of the session with echo, where a link is attached",
        "a flow in answer; without a handle it has no field of a link";
    "T-2.7.4-4/receives" => credit_without_handle():
        "A flow without a handle has none of delivery-count, link-credit, available and drain; no reaction is named (§2.7.4).",
        "a flow without a handle and with link-credit 5, where a link without credit has a message to send",
        "a refusal, or no message";
    "T-2.7.4-6" as Receive like TRANSFER => receiver_states_our_count():
        "The flow of a receiver has the delivery-count that it knows of the sender (§2.7.4).",
        "an attach as sender with initial-delivery-count 1000, two messages, and a flow with echo",
        "flows with delivery-count 1000 at first, and 1002 at the end";
    "T-2.7.4-7/session" => answers_session_echo():
        "A flow with echo is answered soon by one with the own state (§2.7.4).",
        "a flow of the session with echo",
        "a flow",
        severity: Severity::Should;
    "T-2.7.4-7/link" => answers_link_echo():
        "A flow with echo is answered soon by one with the own state (§2.7.4).",
        "a flow of a link with echo",
        "a flow of that link",
        severity: Severity::Should;
    "T-2.7.4-8" => answer_has_no_echo():
        "The answer to echo does not have echo itself, or two ends would answer each other without end (§2.7.4).",
        "a flow of the session with echo",
        "a flow with echo=false",
        severity: Severity::Should;
    "T-2.7.4-9" => several_echoes():
        "Several flows with echo may be answered by one (§2.7.4).",
        "three flows of the session with echo in one go",
        "one flow to three",
        severity: Severity::May;
    "T-2.7.4-10/credit" as Receive like TRANSFER => senders_credit_is_ignored():
        "A sender's copy of link-credit does not change the receiver's (§2.7.4).",
        "as sender, a flow with link-credit 1000000 and echo",
        "a flow with the credit that the peer gave";
    "T-2.7.4-10/available" => receivers_available_is_ignored():
        "A receiver's copy of available does not change the sender's (§2.7.4).",
        "as receiver, credit 2 with available=0, where there are two messages",
        "two messages";
}

fn refuses<T: LinkTrial>(trial: &mut T, body: &[u8]) -> Checked {
    transfer::refuses_frame(trial, body, transfer::undecodable())
}

fn refuses_unattached<T: LinkTrial>(trial: &mut T) -> Checked {
    let fields: &[&[u8]] = &[b"\x43", b"\x52\x01", b"\x43", b"\x52\x01", b"\x52\x63", b"\x43", b"\x52\x05"];
    transfer::refuses_frame(trial, &list(0x13, fields), transfer::unattached().after(&["detach"]))
}

/// A flow of the session with echo, on which no transfer has passed.
fn echo(link: &impl AnyLink) -> Flow {
    Flow { next_incoming_id: Some(link.session().begin.next_outgoing_id), echo: true, ..frames::flow() }
}

fn next_incoming_id_is_set<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(3)?;
    for sent in 1..=2u32 {
        link.message(sent.wrapping_sub(1), "message");
        link.disposition_of(sent.wrapping_sub(1))?;
        let echo = Flow { next_outgoing_id: SequenceNo(sent), ..echo(&link) };
        link.send(echo);
        // A flow that gives credit may have left before.
        for _ in 0..4 {
            match link.any_answer_to_echo()?.next_incoming_id {
                Some(id) if id == SequenceNo(sent) => break,
                Some(SequenceNo(id)) if id < sent => {}
                id => return Ok(Outcome::fail(format!("expected next-incoming-id {sent}, got {id:?}"))),
            }
        }
    }
    Ok(link.closes_in_peace())
}

fn session_flow_has_no_link_fields<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(1)?;
    let echo = echo(&link);
    link.send(echo);
    let flow = link.any_answer_to_echo()?;
    let has_link_fields =
        flow.delivery_count.is_some() || flow.link_credit.is_some() || flow.available.is_some() || flow.drain;
    Ok(match flow.handle {
        Some(_) => Outcome::pass_with("the answer is a flow of the link"),
        None if has_link_fields => Outcome::fail("a flow without a handle has fields of a link"),
        None => link.closes_in_peace(),
    })
}

fn credit_without_handle<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(1)?;
    let flow = Flow { link_credit: Some(5), ..echo(&link) };
    link.send(flow);
    match link.rest() {
        Ok(rest) if transfers(&rest).is_empty() => Ok(Outcome::pass_with("the credit is ignored")),
        Ok(_) => Ok(Outcome::fail("a credit that names no link was given to one")),
        Err(unexpected) => match Refusal::of(&unexpected.got) {
            Some(refusal) => {
                Ok(Outcome::pass_with(format!("{:?} ended with {}", refusal.scope, refusal.error.condition)))
            }
            None if unexpected.got.is_end() => Ok(Outcome::pass_with("the connection was dropped")),
            None => Err(Stop::from(unexpected)),
        },
    }
}

fn receiver_states_our_count<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending_with(3, |attach| attach.initial_delivery_count = Some(SequenceNo(1000)))?;
    let first = link.link_flow()?;
    // A client may have sent it before it had the answer to its attach. What it says then is another rule.
    let is_early = T::SENDS_FIRST && (first.delivery_count.is_none() || first.next_incoming_id.is_none());
    if first.delivery_count != Some(SequenceNo(1000)) && !is_early {
        return Ok(Outcome::fail(format!("expected delivery-count 1000, got {:?}", first.delivery_count)));
    }
    for id in 0..2 {
        link.message(id, "message");
        link.disposition_of(id)?;
    }
    let flow = Flow { link_credit: first.link_credit, echo: true, ..sender_flow(&link, 1000, 2) };
    link.send(flow);
    for _ in 0..4 {
        match link.answer_to_echo()?.delivery_count {
            Some(SequenceNo(1002)) => return Ok(link.closes_in_peace()),
            Some(SequenceNo(1000 | 1001)) => {}
            count => return Ok(Outcome::fail(format!("expected delivery-count 1002, got {count:?}"))),
        }
    }
    Ok(Outcome::fail("no flow has delivery-count 1002"))
}

fn answers_session_echo<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(1)?;
    let echo = echo(&link);
    link.send(echo);
    should(link.any_flow().map(|_| Outcome::pass()).map_err(Stop::from))
}

fn answers_link_echo<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(1)?;
    let echo = Flow { echo: true, ..link.flow(0) };
    link.send(echo);
    should(link.link_flow().map(|_| Outcome::pass()).map_err(Stop::from))
}

fn answer_has_no_echo<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(1)?;
    let echo = echo(&link);
    link.send(echo);
    Ok(if link.any_answer_to_echo()?.echo { Outcome::warn("the answer has echo=true") } else { Outcome::pass() })
}

fn several_echoes<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(1)?;
    let one = frames::encode(link.session().channel, echo(&link), b"");
    link.connection().raw(one.repeat(3));
    link.any_answer_to_echo()?;
    let rest: Vec<Got> = link.rest()?;
    // The peer is asked once more before it is left.
    let most = 4;
    let flows = rest.iter().filter(|got| got.name() == "flow").count().saturating_add(1);
    Ok(match flows {
        flows if flows <= most => Outcome::pass_with(format!("{flows} flows in answer to {most}")),
        flows => Outcome::fail(format!("{flows} flows in answer to {most}")),
    })
}

fn senders_credit_is_ignored<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(1)?;
    let flow = Flow { link_credit: Some(1_000_000), echo: true, ..sender_flow(&link, 0, 0) };
    link.send(flow);
    Ok(match link.answer_to_echo()?.link_credit {
        Some(1_000_000) => Outcome::fail("the peer took over the sender's link-credit"),
        Some(credit) => Outcome::pass_with(format!("link-credit {credit}")),
        None => Outcome::fail("the receiver's flow of the link has no link-credit"),
    })
}

fn receivers_available_is_ignored<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(2)?;
    let flow = Flow { available: Some(0), ..link.flow(2) };
    link.send(flow);
    link.take(2)?;
    link.ends_after(0)
}
