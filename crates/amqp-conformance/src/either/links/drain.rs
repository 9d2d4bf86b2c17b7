//! Draining a link (§2.6.7, §2.6.8).

use super::{AnyLink, Checked, LinkTrial};
use crate::{case::Severity, either::cases, judge::should, verdict::Outcome};
use amqp1_codec::performative::{Flow, Performative};
use amqp1_script::{AmqpFrame, Got};

cases! {
    "T-2.6.7-7" => drains(1, 1):
        "A sender that is to drain and has no messages uses up its credit by its delivery-count, and sends a flow (§2.6.7).",
        "credit 5 with drain=true, where there are no messages but one that was sent and is not settled",
        "a flow with delivery-count five more and link-credit 0";
    "T-2.6.7-8" => drains(2, 0):
        "A sender that is to drain sends the messages that it has, and uses up the rest of its credit (§2.6.7).",
        "credit 5 with drain=true, where there are two messages",
        "the messages, then a flow with delivery-count five more and link-credit 0";
    "T-2.6.7-8/again" => drained_link_goes_on():
        "A link that was drained takes credit again (§2.6.7).",
        "credit 5 with drain=true, and credit 10 after the flow that ends it, where there are eight messages",
        "all of them, and no more than the credit allows";
    "T-2.6.8-1/message" => gets_one():
        "A get with a time limit is credit 1, and drain at its end: it gives one message or a flow (§2.6.8).",
        "credit 1, where there are two messages, and after the first the same limit with drain=true",
        "one message",
        severity: Severity::Should;
    "T-2.6.8-1/none" => gets_none():
        "A get with a time limit is credit 1, and drain at its end: it gives one message or a flow (§2.6.8).",
        "credit 1, where there is no message, and then the same with drain=true",
        "a flow with link-credit 0",
        severity: Severity::Should;
}

/// Sends this credit with drain=true, and waits for the flow that ends the drain. The messages before it are accepted, and
/// their number is returned.
fn drain(link: &mut impl AnyLink, credit: u32) -> Result<u32, amqp1_script::Unexpected> {
    let flow = Flow { drain: true, ..link.flow(credit) };
    let limit = flow.delivery_count.unwrap_or_default().plus(credit);
    link.send(flow);
    let mut taken = 0u32;
    loop {
        let (flow, deliveries) = link.deliveries_before_flow()?;
        for delivery in &deliveries {
            taken = taken.saturating_add(1);
            link.settle(delivery, amqp1_codec::messaging::DeliveryState::Accepted);
        }
        if flow.link_credit == Some(0) {
            if flow.delivery_count == Some(limit) {
                link.count_drained(limit);
                return Ok(taken);
            }
            let got = Got::Frame(AmqpFrame {
                channel: link.session().remote_channel,
                body: Some(Performative::Flow(flow)),
                payload: bytes::Bytes::new(),
                octets: bytes::Bytes::new(),
            });
            return Err(link.connection().unexpected(format!("a flow with delivery-count {limit}"), got));
        }
    }
}

/// `sent` of the `count` messages are sent before, and not settled.
fn drains<T: LinkTrial>(trial: &mut T, count: u32, sent: u32) -> Checked {
    let mut link = trial.receiving(count)?;
    let mut unsettled = Vec::new();
    if sent > 0 {
        link.give_credit(sent);
        for _ in 0..sent {
            unsettled.push(link.delivery()?);
        }
    }
    let taken = drain(&mut link, 5)?;
    // A client may not have come to its messages.
    let left = count.saturating_sub(sent);
    if taken > left || (taken < left && !T::SENDS_FIRST) {
        return Ok(Outcome::fail(format!("{taken} messages came of {left}")));
    }
    Ok(link.closes_in_peace())
}

fn drained_link_goes_on<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(8)?;
    let taken = drain(&mut link, 5)?;
    if taken > 5 {
        return Ok(Outcome::fail(format!("{taken} messages came for a credit of 5")));
    }
    link.give_credit(10);
    link.take(8u32.saturating_sub(taken))?;
    link.ends_after(0)
}

fn gets_one<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(2)?;
    let limit = link.flow(1);
    link.send(limit.clone());
    link.take(1)?;
    let next_incoming_id = link.flow(0).next_incoming_id;
    link.send(Flow { drain: true, next_incoming_id, ..limit });
    should(link.ends_after(0))
}

fn gets_none<T: LinkTrial>(trial: &mut T) -> Checked {
    let mut link = trial.receiving(1)?;
    link.give_credit(1);
    let delivery = link.delivery()?;
    // As long as it is not settled, a client that waits for each outcome has nothing more, and a server neither.
    link.give_credit(1);
    let drained = drain(&mut link, 1);
    if drained.is_ok() {
        link.settle(&delivery, amqp1_codec::messaging::DeliveryState::Accepted);
    }
    should(drained.map_err(crate::Stop::from).map(|taken| match taken {
        0 => Outcome::pass(),
        taken => Outcome::fail(format!("{taken} messages came where there are none")),
    }))
}
