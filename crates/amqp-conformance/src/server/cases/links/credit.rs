//! Credit (§2.6.7 to §2.6.10).

use super::support::{Checked, attach_more, names, set_up, transfers};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::{closes_in_peace, should},
    server::{Attached, Begun, Progress, ServerTrial, twins},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    definitions::ErrorCondition,
    messaging::DeliveryState,
    performative::{Attach, Flow},
};
use amqp1_script::{Refusal, frames};

const QUEUE: Case = Case { needs: &[Need::Queue], ..Case::SERVER };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.7-3",
        rule: "Where the receiver does not know the delivery-count, the sender takes its initial one (§2.6.7).",
        sends: "begin, attach and a flow with credit 2 and without delivery-count, in one go",
        wants: "two messages of three",
        check: Check::Server(count_is_unknown),
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
        id: "T-2.6.7-10/links",
        rule: "Credit belongs to one link, and settling a delivery does not add any (§2.6.7).",
        sends: "credit 1 on each of two links, accepted for both messages, and an end, where the queue has five",
        wants: "one message on each link",
        check: Check::Server(settling_gives_no_credit),
        ..QUEUE
    },
    Case {
        id: "T-2.6.9-1/arriving",
        severity: Severity::Should,
        rule: "With credit left, messages come as they arrive at the node, without another flow (§2.6.9).",
        sends: "credit 10 where the queue is empty, and then three messages from another connection",
        wants: "three messages",
        check: Check::Server(|trial| should(messages_come_as_they_arrive(trial))),
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
