//! Credit (§2.6.7 to §2.6.10).

use super::{AnyLink, Checked, LinkTrial, transfers};
use crate::{case::Severity, either::cases, judge::should, verdict::Outcome};
use amqp1_codec::{
    SequenceNo,
    messaging::DeliveryState,
    performative::{Flow, Performative},
};
use amqp1_script::{AmqpFrame, Got, frames};

cases! {
    "T-2.6.7-1/sender" => count_goes_up(4):
        "The sender's delivery-count begins at its initial-delivery-count, and goes up by one with each delivery (§2.6.7).",
        "credit for four messages, and then a flow with echo",
        "a flow whose delivery-count is four more than the initial one";
    "T-2.6.7-1/wrap" as Receive like TRANSFER => count_wraps():
        "The delivery-count is a serial number that wraps around (§2.6.7, RFC 1982).",
        "an attach as sender with initial-delivery-count 4294967294, and four messages",
        "each message accepted, and a flow whose delivery-count is 2";
    "T-2.6.7-2" => credit_is_absolute():
        "The sender's credit is the receiver's delivery-count plus its link-credit, less the sender's delivery-count (§2.6.7).",
        "credit 4 and, after four messages, credit 10 from the old delivery-count, where there are twelve",
        "six more messages, not ten";
    "T-2.6.7-4" => credit_is_kept():
        "A sender without credit sends nothing (§2.6.7).",
        "credit 3, where there are five messages",
        "three messages";
    "T-2.6.7-4/none" => no_credit_no_message():
        "A sender without credit sends nothing (§2.6.7): the credit of a new link is 0.",
        "no credit, where there is a message",
        "no message";
    "T-2.6.7-5" => credit_is_lowered():
        "Credit may be lowered while transfers are in flight (§2.6.7).",
        "credit 3, and at once credit 0 with echo, where there are five messages",
        "at most three messages, a flow, and none after it",
        severity: Severity::May;
    "T-2.6.7-9" as Receive like TRANSFER => more_than_available():
        "A sender may send although its last flow had available=0 (§2.6.7).",
        "a flow with available=0, and two messages",
        "both accepted";
    "T-2.6.7-10" => settling_gives_no_credit():
        "Settling a delivery does not add credit (§2.6.7).",
        "credit 1, and accepted for the message that comes, where there are three",
        "no other message; and one when there is credit again";
    "T-2.6.9-1" => comes_without_more_flows():
        "With credit left, messages come as they become available, without another flow (§2.6.9).",
        "credit 10, and accepted for each message, where there are three",
        "three messages",
        severity: Severity::Should;
    "T-2.6.10-1" => stops():
        "Credit 0 stops a link, and the answer to echo shows when it has come to rest (§2.6.10).",
        "credit 2, after two of five messages credit 0 with echo",
        "a flow with link-credit 0, and no message after it",
        severity: Severity::Should;
    "T-2.7.4-5" => count_goes_up(2):
        "The flow of a sender has its current delivery-count (§2.7.4).",
        "credit 2, and a flow with echo after two messages",
        "a flow whose delivery-count is two more than the initial one";
}

fn count_goes_up<T: LinkTrial>(trial: &mut T, count: u32) -> Checked {
    let mut link = trial.receiving(count.saturating_add(1))?;
    link.give_credit(count);
    link.take(count)?;
    let echo = Flow { echo: true, ..link.flow(0) };
    link.send(echo);
    let (flow, wanted) = (link.answer_to_echo()?, link.initial_count().plus(count));
    if flow.delivery_count != Some(wanted) {
        return Ok(Outcome::fail(format!("expected delivery-count {wanted}, got {:?}", flow.delivery_count)));
    }
    Ok(link.closes_in_peace())
}

/// A flow of a link on which the tool has sent this many deliveries, each of one transfer, from this delivery-count on.
pub(super) fn sender_flow(link: &impl AnyLink, initial: u32, sent: u32) -> Flow {
    Flow {
        next_incoming_id: Some(link.session().begin.next_outgoing_id),
        next_outgoing_id: SequenceNo(sent),
        handle: Some(link.link().handle),
        delivery_count: Some(SequenceNo(initial).plus(sent)),
        ..frames::flow()
    }
}

fn count_wraps<T: LinkTrial>(trial: &mut T) -> Checked {
    const INITIAL: u32 = 0xffff_fffe;
    let mut link = trial.sending_with(5, |attach| attach.initial_delivery_count = Some(SequenceNo(INITIAL)))?;
    let mut credit = link.credited()?;
    for id in 0..4 {
        if credit == 0 {
            credit = link.credited()?;
        }
        credit = credit.saturating_sub(1);
        link.message(id, "message");
        let disposition = link.disposition_of(id)?;
        if disposition.state != Some(DeliveryState::Accepted) {
            return Ok(Outcome::fail(format!("message {id} was answered by {:?}", disposition.state)));
        }
    }
    let echo = Flow { link_credit: Some(credit), echo: true, ..sender_flow(&link, INITIAL, 4) };
    link.send(echo);
    // Flows that came for the first deliveries may be before it.
    for _ in 0..8 {
        if link.answer_to_echo()?.delivery_count == Some(SequenceNo(2)) {
            return Ok(link.closes_in_peace());
        }
    }
    Ok(Outcome::fail("no flow has delivery-count 2"))
}

fn credit_is_absolute<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(12)?;
    link.give_credit(4);
    link.take(4)?;
    let flow = Flow { delivery_count: Some(link.initial_count()), ..link.flow(10) };
    link.send(flow);
    link.take(6)?;
    link.ends_after(0)
}

fn credit_is_kept<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(5)?;
    link.give_credit(3);
    link.take(3)?;
    link.ends_after(0)
}

fn no_credit_no_message<T: LinkTrial>(trial: &mut T) -> Checked {
    trial.receiving(1)?.ends_after(0)
}

fn credit_is_lowered<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(5)?;
    let (more, less) = (link.flow(3), Flow { echo: true, ..link.flow(0) });
    link.send(more);
    link.send(less);
    let rest = link.rest()?;
    let is_stopped = |got: &Got| matches!(got, Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. }) if flow.link_credit == Some(0));
    let (in_flight, after) = rest.split_at(rest.iter().position(is_stopped).unwrap_or(rest.len()));
    let (in_flight, after) = (transfers(in_flight).len(), transfers(after).len());
    Ok(match (in_flight, after) {
        (0..=3, 0) => Outcome::pass_with(format!("{in_flight} messages were in flight")),
        (0..=3, _) => Outcome::fail(format!("{after} messages came after the flow with link-credit 0")),
        _ => Outcome::fail(format!("{in_flight} messages came for a credit of 3")),
    })
}

fn more_than_available<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.sending(2)?;
    let flow = Flow { available: Some(0), link_credit: Some(1), ..sender_flow(&link, 0, 0) };
    link.send(flow);
    for id in 0..2 {
        link.message(id, "message");
        link.disposition_of(id)?;
    }
    trial.has_taken(link, &["message", "message"])
}

fn settling_gives_no_credit<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(3)?;
    link.give_credit(1);
    link.take(1)?;
    // A peer that answers this has read the disposition.
    let echo = Flow { echo: true, ..link.flow(0) };
    link.send(echo);
    let flow = link.answer_to_echo()?;
    if flow.link_credit > Some(0) {
        return Ok(Outcome::fail(format!("link-credit is {:?} after the only delivery", flow.link_credit)));
    }
    link.give_credit(1);
    link.take(1)?;
    link.ends_after(0)
}

fn comes_without_more_flows<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(3)?;
    link.give_credit(10);
    link.take(3)?;
    link.ends_after(0)
}

fn stops<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(5)?;
    link.give_credit(2);
    link.take(2)?;
    let echo = Flow { echo: true, ..link.flow(0) };
    link.send(echo);
    let flow = link.answer_to_echo()?;
    if flow.link_credit != Some(0) {
        return Ok(Outcome::warn(format!("expected link-credit 0, got {:?}", flow.link_credit)));
    }
    should(link.ends_after(0))
}
