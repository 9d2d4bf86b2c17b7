//! Messages that a link has acquired and says nothing of (§3.3, §3.4).

use super::{
    outcomes::QUEUE,
    support::{comes_again, finish, set_up, taken, texts},
};
use crate::{
    case::{Case, Check, Severity},
    judge::should,
    server::ServerTrial,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{definitions::Role, messaging::DeliveryState, performative::Performative};
use amqp1_script::{AmqpFrame, Got, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "M-3.3-1",
        rule: "A message that one link has acquired is not sent on another until it is released (§3.3).",
        sends: "two receivers for one message; the first one takes it, the second drains; then a release",
        wants: "nothing on the second link before the release, and the message after it",
        check: Check::Server(acquired_once),
        ..QUEUE
    },
    Case {
        id: "M-3.3-2/connection",
        rule: "A message that is not settled becomes available again when its connection is lost (§3.3, §3.5.3).",
        sends: "a receiver that takes a message; the connection is cut",
        wants: "the message on another link",
        check: Check::Server(|trial| abandoned(trial, Loss::Cut)),
        ..QUEUE
    },
    Case {
        id: "M-3.3-2/session",
        rule: "A message that is not settled becomes available again when its session ends (§3.3, §3.5.6).",
        sends: "a receiver that takes a message; end",
        wants: "the message on another link",
        check: Check::Server(|trial| abandoned(trial, Loss::End)),
        ..QUEUE
    },
    Case {
        id: "M-3.3-2/link",
        rule: "A message that is not settled becomes available again when its link is closed (§3.3, §3.5.3).",
        sends: "a receiver that takes a message; detach with closed=true",
        wants: "the message on another link",
        check: Check::Server(|trial| abandoned(trial, Loss::Detach)),
        ..QUEUE
    },
    Case {
        id: "M-3.4.3-2",
        severity: Severity::Should,
        rule: "Rejected does not arise at the source by itself (§3.4.3).",
        sends: "a receiver that takes a message and says nothing of it, and a detach",
        wants: "no disposition with rejected",
        check: Check::Server(|trial| should(spontaneous(trial, |state| !matches!(state, DeliveryState::Rejected(_))))),
        ..QUEUE
    },
    Case {
        id: "M-3.4.4-2",
        severity: Severity::May,
        rule: "A source may release a message by itself, and then says so (§3.4.4).",
        sends: "a receiver that takes a message and says nothing of it, and a detach",
        wants: "no disposition, or one with released or modified",
        check: Check::Server(|trial| {
            spontaneous(trial, |state| matches!(state, DeliveryState::Released | DeliveryState::Modified(_)))
        }),
        ..QUEUE
    },
];

fn acquired_once(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (mut first, delivered) = taken(trial, "one")?;
    let mut second = trial.consumer("second")?;
    let early = texts(&set_up(second.drain(1))?);
    if !early.is_empty() {
        return Ok(Outcome::fail("the second link has the message that the first has acquired"));
    }
    first.settle(&delivered, DeliveryState::Released);
    finish(first)?;
    let again = second.take()?;
    second.settle(&again, DeliveryState::Accepted);
    set_up(second.close())?;
    Ok(Outcome::pass())
}

#[derive(Clone, Copy)]
enum Loss {
    Cut,
    End,
    Detach,
}

fn abandoned(trial: &mut ServerTrial<'_>, loss: Loss) -> Result<Outcome, Stop> {
    let (mut consumer, _) = taken(trial, "abandoned")?;
    let (session, link) = (consumer.session.clone(), consumer.link.clone());
    match loss {
        Loss::Cut => drop(consumer),
        Loss::End => {
            set_up(consumer.connection.ended(&session))?;
            comes_again(trial)?;
            return Ok(Outcome::pass());
        }
        Loss::Detach => {
            set_up(consumer.connection.detached(&link))?;
            comes_again(trial)?;
            return Ok(Outcome::pass());
        }
    }
    comes_again(trial)?;
    Ok(Outcome::pass())
}

/// Detaches the link, and judges the dispositions of the sender's that come before its answer.
fn spontaneous(trial: &mut ServerTrial<'_>, is_allowed: fn(&DeliveryState) -> bool) -> Result<Outcome, Stop> {
    let (mut consumer, _) = taken(trial, "left alone")?;
    consumer.connection.send(0, frames::detach(0));
    let outcome = loop {
        let got = consumer.connection.next();
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Disposition(disposition)), .. }) => {
                let state = disposition.state.as_ref();
                if disposition.role != Role::Sender || !state.is_some_and(is_allowed) {
                    break Outcome::fail(format!("without a cause came {got}"));
                }
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Detach(_)), .. }) => break Outcome::pass(),
            Got::Frame(AmqpFrame { body: None | Some(Performative::Flow(_)), .. }) => {}
            _ => break Outcome::fail(format!("expected detach, got {got}")),
        }
    };
    drop(consumer);
    trial.purge()?;
    Ok(outcome)
}
