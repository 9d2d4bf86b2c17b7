//! Names and handles of links (§2.6.1, §2.6.2, §2.7.3).

use super::support::{Checked, attach_more, list, names, next_event, send, set_up};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::{Refused, closes_in_peace, should},
    server::{Attached, ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    messaging::DeliveryState,
    performative::{Attach, Performative},
};
use amqp1_script::{AmqpFrame, Got, Refusal, Scope, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.1-1",
        rule: "A name identifies a link among those of one direction, so that one in each direction may have it (§2.6.1).",
        sends: "two attaches of the name \"x\" on one session, a sender's and a receiver's; a message on the one",
        wants: "both attached, the message accepted, and given on the other",
        needs: &[Need::Queue],
        check: Check::Server(one_name_in_each_direction),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.1-2/session",
        severity: Severity::May,
        rule: "A link that is attached elsewhere may be stolen: the second attach succeeds, and the first one is detached \
               with the error stolen (§2.6.1).",
        sends: "an attach of the same name and direction on a second session of the connection",
        wants: "the first link detached with amqp:link:stolen, or the second one refused",
        needs: &[Need::Sessions],
        check: Check::Server(stolen_on_a_session),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.1-2/connection",
        severity: Severity::May,
        rule: "A link that is attached elsewhere may be stolen: the second attach succeeds, and the first one is detached \
               with the error stolen (§2.6.1).",
        sends: "an attach of the same name and direction on a second connection of the same container",
        wants: "the first link detached with amqp:link:stolen, or the second one refused",
        check: Check::Server(stolen_on_a_connection),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.2-1",
        rule: "Each end chooses its own handle for a link, which need not be the partner's (§2.6.2).",
        sends: "an attach on handle 7, and a transfer on it",
        wants: "flows on the handle of the server's attach, and the message accepted",
        check: Check::Server(handles_differ),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.2-2",
        severity: Severity::May,
        rule: "A handle is free again once the link is detached at both ends (§2.6.2).",
        sends: "a detach that is answered, another link on the same handle, and a message",
        wants: "the link attached, and the message accepted",
        check: Check::Server(handle_is_used_again),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.3-2",
        rule: "An attach on a handle that a link has already is answered by a close with handle-in-use (§2.7.3); since the \
               condition is one of sessions, an end counts as well.",
        sends: "a second attach on handle 0, of another name",
        wants: "close or end with amqp:session:handle-in-use",
        twin: Some(&twins::ATTACH_SENDER),
        check: Check::Server(handle_in_use),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.3-3",
        severity: Severity::Should,
        rule: "The lowest free handle is assigned to a link (§2.7.3, recommended).",
        sends: "three attaches, a detach of the second, and another attach",
        wants: "attaches on the handles 0, 1, 2 and 1",
        check: Check::Server(|trial| should(lowest_handle(trial))),
        ..Case::SERVER
    },
];

fn one_name_in_each_direction(trial: &mut ServerTrial<'_>) -> Checked {
    let mut sender = trial.sender_with(frames::attach_sender("x", 0, trial.node()))?;
    let receiver = attach_more(&mut sender, frames::attach_receiver("x", 1, trial.node()))?;
    send(&mut sender, 0, "message");
    let disposition = sender.disposition_of(0)?;
    if disposition.state != Some(DeliveryState::Accepted) {
        return Ok(Outcome::fail(format!("the message was answered by {:?}", disposition.state)));
    }
    let mut receiving = Attached { link: receiver, ..sender };
    receiving.give_credit(1);
    let delivery = receiving.delivery()?;
    receiving.settle(&delivery, DeliveryState::Accepted);
    Ok(closes_in_peace(&mut receiving.connection))
}

/// The name is attached twice. `first` and `second` are the frames on each side after the second attach.
fn judge_theft(first: &Got, second: &Got) -> Outcome {
    let is_attached = second.name() == "attach";
    let stolen = Refusal::of(first).filter(|refusal| refusal.error.condition == ErrorCondition::STOLEN);
    match (stolen, Refusal::of(first), Refusal::of(second)) {
        (Some(_), _, None) if is_attached => Outcome::pass_with("the first link was stolen"),
        (None, Some(refusal), None) if is_attached => Outcome::fail(format!(
            "the second link was attached, and the first one ended with {}, not amqp:link:stolen",
            refusal.error.condition
        )),
        (_, _, Some(refusal)) => {
            Outcome::pass_with(format!("the second link was refused with {}", refusal.error.condition))
        }
        _ if is_attached => Outcome::info(format!("both links are attached: the first one got {}", first.name())),
        _ => Outcome::fail(format!("the second attach was answered by {second}, the first link got {first}")),
    }
}

fn stolen_on_a_session(trial: &mut ServerTrial<'_>) -> Checked {
    let Attached { mut connection, session, .. } = trial.attached(lasting(trial.node()))?;
    let other = connection.begun(1).map_err(set_up)?;
    connection.send(other.channel, lasting(trial.node()));
    let (mut first, mut second) = (nothing(), nothing());
    // One of the two is answered by an attach that a detach may follow, the other by a detach.
    for _ in 0..3 {
        let got = next_event(&mut connection);
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Attach(_)), .. }) => {
                second = got;
                connection.send(0, frames::close());
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Close(close)), .. }) if close.error.is_none() => break,
            Got::Frame(AmqpFrame { channel, .. }) if *channel == session.remote_channel => first = got,
            _ => second = got,
        }
    }
    Ok(judge_theft(&first, &second))
}

fn stolen_on_a_connection(trial: &mut ServerTrial<'_>) -> Checked {
    let Attached { connection: mut one, .. } = trial.attached(lasting(trial.node()))?;
    let crate::server::Begun { connection: mut two, session, .. } = trial.begun()?;
    two.send(session.channel, lasting(trial.node()));
    let mut second = next_event(&mut two);
    if second.name() == "attach" {
        two.send(0, frames::close());
        let after = next_event(&mut two);
        if Refusal::of(&after).is_some() {
            second = after;
        }
    }
    one.send(0, frames::close());
    let first = next_event(&mut one);
    Ok(judge_theft(&first, &second))
}

fn nothing() -> Got {
    Got::Timeout { waited: std::time::Duration::ZERO, unfinished: 0 }
}

/// A receiver whose terminus outlives it, so that its name matters.
fn lasting(node: &str) -> Attach {
    use amqp1_codec::messaging::{Source, TerminusExpiryPolicy};
    let source = Source { expiry_policy: TerminusExpiryPolicy::ConnectionClose, ..Source::at(node) };
    Attach { source: Some(Box::new(source)), ..frames::attach_receiver("stolen", 0, node) }
}

fn handles_differ(trial: &mut ServerTrial<'_>) -> Checked {
    let begun = trial.begun()?;
    if begun.session.begin.handle_max < 7 {
        return Ok(Outcome::skip(format!("handle-max is {}", begun.session.begin.handle_max)));
    }
    let mut connection = begun.connection;
    let link = connection.attached(&begun.session, frames::attach_sender("sender", 7, trial.node()))?;
    // Only a flow on the handle of its own attach counts.
    let credit = connection.credited(&link)?;
    let mut attached = Attached {
        connection,
        open: begun.open,
        session: begun.session,
        link,
        credit,
        progress: crate::server::Progress::default(),
    };
    send(&mut attached, 0, "message");
    attached.disposition_of(0)?;
    let own = attached.link.attach.handle;
    let detach = attached.connection.detached(&attached.link)?;
    if detach.handle != own {
        return Ok(Outcome::fail(format!("attach had the handle {own}, detach has {}", detach.handle)));
    }
    Ok(closes_in_peace(&mut attached.connection))
}

fn handle_is_used_again(trial: &mut ServerTrial<'_>) -> Checked {
    let mut attached = trial.sender()?;
    let link = attached.link.clone();
    attached.connection.detached(&link).map_err(set_up)?;
    let again = attach_more(&mut attached, frames::attach_sender("another", 0, trial.node()))?;
    attached.credit = attached.connection.credited(&again)?;
    attached.link = again;
    send(&mut attached, 0, "message");
    attached.disposition_of(0)?;
    Ok(closes_in_peace(&mut attached.connection))
}

fn handle_in_use(trial: &mut ServerTrial<'_>) -> Checked {
    let Attached { mut connection, session, .. } = trial.sender()?;
    let (source, target) = (b"\0\x53\x28\x45", b"\0\x53\x29\x45");
    connection.raw(list(
        0x12,
        &[b"\xa1\x05other", b"\x43", b"\x42", b"\x40", b"\x40", source, target, b"\x40", b"\x40", b"\x43"],
    ));
    Ok(Refused::by(Scope::Session).with(&IN_USE).judge_on(&session, &mut connection, trial.is_strict()))
}

static IN_USE: [ErrorCondition; 1] = [ErrorCondition::HANDLE_IN_USE];

fn lowest_handle(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut attached = trial.attached(frames::attach_sender("a", 0, trial.node()))?;
    let mut handles = vec![attached.link.attach.handle];
    let second = attach_more(&mut attached, frames::attach_receiver("b", 1, trial.node())).map_err(set_up)?;
    let third = attach_more(&mut attached, frames::attach_sender("c", 2, trial.node())).map_err(set_up)?;
    handles.extend([second.attach.handle, third.attach.handle]);
    attached.connection.detached(&second).map_err(set_up)?;
    let fourth = attach_more(&mut attached, frames::attach_sender("d", 1, trial.node())).map_err(set_up)?;
    handles.push(fourth.attach.handle);
    if fourth.role != Role::Sender || handles != [0, 1, 2, 1] {
        return Ok(Outcome::fail(format!("the attaches have the handles {handles:?}")));
    }
    let frames = attached.ends()?;
    Ok(Outcome::pass_with(if frames.is_empty() { String::new() } else { format!("before end: {}", names(&frames)) }))
}
