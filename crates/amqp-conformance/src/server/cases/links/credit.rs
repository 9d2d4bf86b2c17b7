//! Credit (§2.6.7 to §2.6.10).

use super::support::{Checked, attach_more, names, send, set_up, transfers};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::{closes_in_peace, should},
    server::{Attached, Begun, Progress, ServerTrial, twins},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    SequenceNo,
    definitions::ErrorCondition,
    messaging::DeliveryState,
    performative::{Attach, Flow},
};
use amqp1_script::{Got, Refusal, frames};

const QUEUE: Case = Case { needs: &[Need::Queue], ..Case::SERVER };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.7-1/sender",
        rule: "The sender's delivery-count begins at its initial-delivery-count, and goes up by one with each delivery \
               (§2.6.7).",
        sends: "credit for four messages, and then a flow with echo",
        wants: "a flow whose delivery-count is four more than the initial one",
        check: Check::Server(count_goes_up),
        ..QUEUE
    },
    Case {
        id: "T-2.6.7-1/wrap",
        rule: "The delivery-count is a serial number that wraps around (§2.6.7, RFC 1982).",
        sends: "an attach as sender with initial-delivery-count 4294967294, and four messages",
        wants: "each message accepted, and a flow whose delivery-count is 2",
        twin: Some(&twins::TRANSFER),
        check: Check::Server(count_wraps),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.7-2",
        rule: "The sender's credit is the receiver's delivery-count plus its link-credit, less the sender's delivery-count \
               (§2.6.7).",
        sends: "credit 4 and, after four messages, credit 10 from the old delivery-count, where the queue has twelve",
        wants: "six more messages, not ten",
        check: Check::Server(credit_is_absolute),
        ..QUEUE
    },
    Case {
        id: "T-2.6.7-3",
        rule: "Where the receiver does not know the delivery-count, the sender takes its initial one (§2.6.7).",
        sends: "begin, attach and a flow with credit 2 and without delivery-count, in one go",
        wants: "two messages of three",
        check: Check::Server(count_is_unknown),
        ..QUEUE
    },
    Case {
        id: "T-2.6.7-4",
        rule: "A sender without credit sends nothing (§2.6.7).",
        sends: "an attach as receiver, credit 3 where the queue has five messages, and an end",
        wants: "three messages",
        check: Check::Server(credit_is_kept),
        ..QUEUE
    },
    Case {
        id: "T-2.6.7-4/none",
        rule: "A sender without credit sends nothing (§2.6.7): the credit of a new link is 0.",
        sends: "an attach as receiver where the queue has a message, and an end",
        wants: "no message",
        check: Check::Server(no_credit_no_message),
        ..QUEUE
    },
    Case {
        id: "T-2.6.7-5",
        severity: Severity::May,
        rule: "Credit may be lowered while transfers are in flight (§2.6.7).",
        sends: "credit 3, and at once credit 0 with echo, where the queue has five messages",
        wants: "at most three messages, a flow, and none after it",
        check: Check::Server(credit_is_lowered),
        ..QUEUE
    },
    Case {
        id: "T-2.6.7-6",
        rule: "A receiver that gets more than it has given credit for either takes it, or detaches the link with \
               transfer-limit-exceeded (§2.6.7).",
        sends: "begin, attach and a message in one go, before any credit",
        wants: "detach with amqp:link:transfer-limit-exceeded, or the message accepted",
        twin: Some(&twins::TRANSFER),
        check: Check::Server(message_without_credit),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.7-9",
        rule: "A sender may send although its last flow had available=0 (§2.6.7).",
        sends: "a flow with available=0, and two messages",
        wants: "both accepted",
        twin: Some(&twins::TRANSFER),
        check: Check::Server(more_than_available),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.7-10",
        rule: "Credit belongs to one link, and settling a delivery does not add any (§2.6.7).",
        sends: "credit 1 on each of two links, accepted for both messages, and an end, where the queue has five",
        wants: "one message on each link",
        check: Check::Server(settling_gives_no_credit),
        ..QUEUE
    },
    Case {
        id: "T-2.6.9-1",
        severity: Severity::Should,
        rule: "With credit left, messages come as they arrive at the node, without another flow (§2.6.9).",
        sends: "credit 10 where the queue is empty, and then three messages from another connection",
        wants: "three messages",
        check: Check::Server(|trial| should(messages_come_as_they_arrive(trial))),
        ..QUEUE
    },
    Case {
        id: "T-2.6.10-1",
        severity: Severity::Should,
        rule: "Credit 0 stops a link, and the answer to echo shows when it has come to rest (§2.6.10).",
        sends: "credit 5, after two of five messages credit 0 with echo, and an end",
        wants: "a flow with link-credit 0, and no message after it",
        check: Check::Server(|trial| should(stops(trial))),
        ..QUEUE
    },
];

/// Receives this many messages and accepts them.
fn take(attached: &mut Attached, count: usize) -> Result<(), Stop> {
    for _ in 0..count {
        let delivery = attached.delivery()?;
        attached.settle(&delivery, DeliveryState::Accepted);
    }
    Ok(())
}

/// Ends the session. Passes if this many messages came before the server's end.
fn ends_after(attached: &mut Attached, count: usize) -> Checked {
    let rest = attached.ends()?;
    let found = transfers(&rest).len();
    if found != count {
        return Ok(Outcome::fail(format!("expected {count} more messages, got {found}: {}", names(&rest))));
    }
    Ok(closes_in_peace(&mut attached.connection))
}

fn initial(attached: &Attached) -> SequenceNo {
    attached.link.attach.initial_delivery_count.unwrap_or_default()
}

fn count_goes_up(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1", "2", "3", "4"])?;
    let mut attached = trial.receiver()?;
    attached.give_credit(4);
    take(&mut attached, 4)?;
    let flow = Flow { echo: true, ..attached.flow(0) };
    attached.connection.send(attached.session.channel, flow);
    let flow = attached.link_flow()?;
    let wanted = initial(&attached).plus(4);
    if flow.delivery_count != Some(wanted) {
        return Ok(Outcome::fail(format!("expected delivery-count {wanted}, got {:?}", flow.delivery_count)));
    }
    Ok(closes_in_peace(&mut attached.connection))
}

fn count_wraps(trial: &mut ServerTrial<'_>) -> Checked {
    let attach = frames::attach_sender("wrap", 0, trial.node());
    let mut attached = trial.sender_with(Attach { initial_delivery_count: Some(SequenceNo(0xffff_fffe)), ..attach })?;
    for id in 0..4 {
        if attached.credit == 0 {
            attached.credit = attached.connection.credited(&attached.link)?;
        }
        attached.credit = attached.credit.saturating_sub(1);
        send(&mut attached, id, "message");
        let disposition = attached.disposition_of(id)?;
        if disposition.state != Some(DeliveryState::Accepted) {
            return Ok(Outcome::fail(format!("message {id} was answered by {:?}", disposition.state)));
        }
    }
    let flow = Flow {
        next_incoming_id: Some(attached.session.begin.next_outgoing_id),
        next_outgoing_id: SequenceNo(4),
        handle: Some(0),
        delivery_count: Some(SequenceNo(2)),
        link_credit: Some(attached.credit),
        echo: true,
        ..frames::flow()
    };
    attached.connection.send(attached.session.channel, flow);
    // Flows that came for the first deliveries may be before it.
    for _ in 0..8 {
        let flow = attached.link_flow()?;
        if flow.delivery_count == Some(SequenceNo(2)) {
            return Ok(closes_in_peace(&mut attached.connection));
        }
    }
    Ok(Outcome::fail("no flow has delivery-count 2"))
}

fn credit_is_absolute(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"])?;
    let mut attached = trial.receiver()?;
    attached.give_credit(4);
    take(&mut attached, 4)?;
    let flow = Flow { delivery_count: Some(initial(&attached)), ..attached.flow(10) };
    attached.connection.send(attached.session.channel, flow);
    take(&mut attached, 6)?;
    ends_after(&mut attached, 0)
}

fn count_is_unknown(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1", "2", "3"])?;
    let crate::server::Opened { mut connection, open } = trial.opened()?;
    connection.send(0, frames::begin());
    connection.send(0, frames::attach_receiver("receiver", 0, trial.node()));
    connection.send(0, Flow { next_incoming_id: None, delivery_count: None, ..frames::credit(0, 2) });
    let begin = connection.expect::<amqp1_codec::performative::Begin>()?;
    let session = amqp1_script::Session { channel: 0, remote_channel: begin.channel, begin: begin.body };
    let attach = connection.expect_skipping::<Attach>(amqp1_script::Skip::FLOWS)?.body;
    let role = attach.role.opposite();
    let link = amqp1_script::Link { channel: 0, remote_channel: begin.channel, handle: 0, role, attach };
    let mut attached = Attached { connection, open, session, link, credit: 0, progress: Progress::default() };
    take(&mut attached, 2)?;
    ends_after(&mut attached, 0)
}

fn credit_is_kept(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1", "2", "3", "4", "5"])?;
    let mut attached = trial.receiver()?;
    attached.give_credit(3);
    take(&mut attached, 3)?;
    ends_after(&mut attached, 0)
}

fn no_credit_no_message(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1"])?;
    let mut attached = trial.receiver()?;
    ends_after(&mut attached, 0)
}

fn credit_is_lowered(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1", "2", "3", "4", "5"])?;
    let mut attached = trial.receiver()?;
    let channel = attached.session.channel;
    let (more, less) = (attached.flow(3), Flow { echo: true, ..attached.flow(0) });
    attached.connection.send(channel, more);
    attached.connection.send(channel, less);
    let mut excess = 0usize;
    loop {
        let got = attached.connection.next();
        match got.name() {
            "transfer" => excess = excess.saturating_add(1),
            "flow" => break,
            "empty" | "disposition" => {}
            _ => return Err(attached.connection.unexpected("a flow", got).into()),
        }
    }
    if excess > 3 {
        return Ok(Outcome::fail(format!("{excess} messages came for a credit of 3")));
    }
    let outcome = ends_after(&mut attached, 0)?;
    Ok(Outcome { reason: format!("{excess} messages were in flight {}", outcome.reason), ..outcome })
}

fn message_without_credit(trial: &mut ServerTrial<'_>) -> Checked {
    let Begun { mut connection, session, .. } = trial.begun()?;
    // In one write, so that no credit can have been given.
    let attach = frames::encode(session.channel, frames::attach_sender("eager", 0, trial.node()), b"");
    let transfer = frames::encode(session.channel, frames::transfer(0, 0), &frames::message("message"));
    connection.raw([&attach[..], &transfer[..]].concat());
    loop {
        let got = connection.next();
        if let Some(Refusal { scope, error, .. }) = Refusal::of(&got) {
            let remark = format!("{scope:?} ended with {}", error.condition);
            let is_named = error.condition == ErrorCondition::TRANSFER_LIMIT_EXCEEDED;
            return Ok(match scope {
                _ if !is_named && trial.is_strict() => Outcome::fail(remark),
                amqp1_script::Scope::Link => Outcome::pass_with(remark),
                _ => Outcome::new(Verdict::PassWider, remark),
            });
        }
        match got.name() {
            "attach" | "flow" | "empty" => {}
            "disposition" => {
                let outcome = closes_in_peace(&mut connection);
                return Ok(Outcome { reason: format!("the message was taken {}", outcome.reason), ..outcome });
            }
            _ if got.is_end() => return Ok(Outcome::new(Verdict::PassWider, "the connection was dropped")),
            _ => return Err(connection.unexpected("detach with an error, or a disposition", got).into()),
        }
    }
}

fn more_than_available(trial: &mut ServerTrial<'_>) -> Checked {
    let mut attached = trial.sender()?;
    let flow = Flow {
        next_incoming_id: Some(attached.session.begin.next_outgoing_id),
        link_credit: Some(attached.credit),
        available: Some(0),
        ..frames::credit(0, 0)
    };
    attached.connection.send(attached.session.channel, flow);
    for id in 0..2 {
        send(&mut attached, id, "message");
        attached.disposition_of(id)?;
    }
    Ok(closes_in_peace(&mut attached.connection))
}

fn settling_gives_no_credit(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1", "2", "3", "4", "5"])?;
    let mut first = trial.attached(frames::attach_receiver("first", 0, trial.node()))?;
    first.give_credit(1);
    let one = first.delivery()?;
    let link = attach_more(&mut first, frames::attach_receiver("second", 1, trial.node())).map_err(set_up)?;
    let progress = Progress::after(1);
    let mut second = Attached { link, progress, ..first };
    second.give_credit(1);
    let two = second.delivery()?;
    for delivery in [&one, &two] {
        second.settle(delivery, DeliveryState::Accepted);
    }
    // The server has read the dispositions once it answers this.
    let session = second.session.clone();
    let echo = Flow { next_incoming_id: Some(session.begin.next_outgoing_id.plus(2)), echo: true, ..frames::flow() };
    second.connection.send(session.channel, echo);
    ends_after(&mut second, 0)
}

fn messages_come_as_they_arrive(trial: &mut ServerTrial<'_>) -> Checked {
    trial.purge()?;
    let mut attached = trial.receiver()?;
    attached.give_credit(10);
    trial.fill(&[frames::message("1"), frames::message("2"), frames::message("3")])?;
    take(&mut attached, 3)?;
    ends_after(&mut attached, 0)
}

fn stops(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1", "2", "3", "4", "5"])?;
    let mut attached = trial.receiver()?;
    attached.give_credit(2);
    take(&mut attached, 2)?;
    let flow = Flow { echo: true, ..attached.flow(0) };
    attached.connection.send(attached.session.channel, flow);
    let flow = attached.link_flow()?;
    if flow.link_credit != Some(0) {
        return Ok(Outcome::fail(format!("expected link-credit 0, got {:?}", flow.link_credit)));
    }
    let rest: Vec<Got> = attached.ends()?;
    Ok(match transfers(&rest).len() {
        0 => closes_in_peace(&mut attached.connection),
        more => Outcome::fail(format!("{more} messages came after the flow")),
    })
}
