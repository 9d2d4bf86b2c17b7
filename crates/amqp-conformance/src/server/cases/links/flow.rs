//! The flow performative (§2.7.4).

use super::support::{Checked, frame, list, send, transfers};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::{Refused, closes_in_peace, should},
    server::{Attached, Begun, ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    SequenceNo,
    definitions::ErrorCondition,
    messaging::DeliveryState,
    performative::{Flow, Performative},
};
use amqp1_script::{AmqpFrame, Got, Refusal, Scope, Session, Skip, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.7.4-1/empty",
        rule: "A flow has incoming-window, next-outgoing-id and outgoing-window (§2.7.4).",
        sends: "a flow without fields",
        wants: "end or close with amqp:decode-error or amqp:invalid-field",
        twin: Some(&twins::BEGIN),
        check: Check::Server(|trial| {
            flawed(trial, &frame(0, b"\0\x53\x13\x45"), Refused::at_any_scope().with(&UNREADABLE))
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-1/no-outgoing-window",
        rule: "A flow has incoming-window, next-outgoing-id and outgoing-window (§2.7.4).",
        sends: "a flow without outgoing-window",
        wants: "end or close with amqp:decode-error or amqp:invalid-field",
        twin: Some(&twins::BEGIN),
        check: Check::Server(|trial| {
            flawed(trial, &list(0x13, &[b"\x43", b"\x52\x01", b"\x43"]), Refused::at_any_scope().with(&UNREADABLE))
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-2",
        rule: "A flow has next-incoming-id once the partner's begin was received (§2.7.4).",
        sends: "two messages, and a flow with echo after each",
        wants: "flows with next-incoming-id 0, 1 and 2 in their order, and none without it",
        check: Check::Server(next_incoming_id_is_set),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-3",
        rule: "A flow on a handle to which no link is attached ends the session with unattached-handle (§2.7.4).",
        sends: "a flow on handle 99",
        wants: "end with amqp:session:unattached-handle",
        twin: Some(&twins::BEGIN),
        check: Check::Server(|trial| {
            let fields: &[&[u8]] = &[b"\x43", b"\x52\x01", b"\x43", b"\x52\x01", b"\x52\x63", b"\x43", b"\x52\x05"];
            flawed(trial, &list(0x13, fields), Refused::by(Scope::Session).with(&UNATTACHED))
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-4/sends",
        rule: "A flow without a handle has none of delivery-count, link-credit, available and drain (§2.7.4).",
        sends: "a flow of the session with echo, where a link is attached",
        wants: "a flow in answer; without a handle it has no field of a link",
        check: Check::Server(session_flow_has_no_link_fields),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-4/receives",
        rule: "A flow without a handle has none of delivery-count, link-credit, available and drain; the text names no \
               reaction (§2.7.4).",
        sends: "a flow without a handle and with link-credit 5, where a link without credit is attached to a queue with a \
                message",
        wants: "a refusal, or no message",
        needs: &[Need::Queue],
        check: Check::Server(credit_without_handle),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-5",
        rule: "The flow of a sender has its current delivery-count (§2.7.4).",
        sends: "credit 2, and a flow with echo after two messages",
        wants: "a flow whose delivery-count is two more than the initial one",
        needs: &[Need::Queue],
        check: Check::Server(sender_states_its_count),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-6",
        rule: "The flow of a receiver has the delivery-count that it knows of the sender (§2.7.4).",
        sends: "an attach as sender with initial-delivery-count 1000, two messages, and a flow with echo",
        wants: "flows with delivery-count 1000 at first, and 1002 at the end",
        check: Check::Server(receiver_states_our_count),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-7/session",
        severity: Severity::Should,
        rule: "A flow with echo is answered soon by one with the own state (§2.7.4).",
        sends: "a flow of the session with echo",
        wants: "a flow",
        check: Check::Server(|trial| should(session_echo(trial).map(|_| Outcome::pass()))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-7/link",
        severity: Severity::Should,
        rule: "A flow with echo is answered soon by one with the own state (§2.7.4).",
        sends: "a flow of a link with echo",
        wants: "a flow of that link",
        check: Check::Server(|trial| should(link_echo(trial))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-8",
        severity: Severity::Should,
        rule: "The answer to echo does not have echo itself, lest two ends answer each other for ever (§2.7.4).",
        sends: "a flow of the session with echo",
        wants: "a flow with echo=false",
        check: Check::Server(|trial| should(answer_has_no_echo(trial))),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-9",
        severity: Severity::May,
        rule: "Several flows with echo may be answered by one (§2.7.4).",
        sends: "three flows of the session with echo in one go, and an end",
        wants: "one flow to three, and end",
        check: Check::Server(several_echoes),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-10/credit",
        rule: "A sender's copy of link-credit does not change the receiver's (§2.7.4).",
        sends: "as sender, a flow with link-credit 1000000 and echo",
        wants: "a flow with the credit that the server gave",
        check: Check::Server(senders_credit_is_ignored),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.4-10/available",
        rule: "A receiver's copy of available does not change the sender's (§2.7.4).",
        sends: "as receiver, credit 2 with available=0, where the queue has two messages",
        wants: "two messages",
        needs: &[Need::Queue],
        check: Check::Server(receivers_available_is_ignored),
        ..Case::SERVER
    },
];

static UNREADABLE: [ErrorCondition; 2] = [ErrorCondition::DECODE_ERROR, ErrorCondition::INVALID_FIELD];
static UNATTACHED: [ErrorCondition; 1] = [ErrorCondition::UNATTACHED_HANDLE];

fn flawed(trial: &mut ServerTrial<'_>, frame: &[u8], refused: Refused) -> Checked {
    let Begun { mut connection, session, .. } = trial.begun()?;
    connection.raw(frame);
    Ok(refused.judge_on(&session, &mut connection, trial.is_strict()))
}

/// A flow of the session with echo, after this many transfers of the tool's.
fn echo(session: &Session, sent: u32) -> Flow {
    Flow {
        next_incoming_id: Some(session.begin.next_outgoing_id),
        next_outgoing_id: SequenceNo(sent),
        echo: true,
        ..frames::flow()
    }
}

fn next_incoming_id_is_set(trial: &mut ServerTrial<'_>) -> Checked {
    let mut attached = trial.sender()?;
    for sent in 1..=2u32 {
        send(&mut attached, sent.wrapping_sub(1), "message");
        attached.disposition_of(sent.wrapping_sub(1))?;
        attached.connection.send(attached.session.channel, echo(&attached.session, sent));
        // A flow that gives credit may have left before.
        for _ in 0..4 {
            let flow = attached.connection.expect_skipping::<Flow>(DISPOSITIONS)?;
            match flow.next_incoming_id {
                Some(id) if id == SequenceNo(sent) => break,
                Some(SequenceNo(id)) if id < sent => {}
                id => return Ok(Outcome::fail(format!("expected next-incoming-id {sent}, got {id:?}"))),
            }
        }
    }
    Ok(closes_in_peace(&mut attached.connection))
}

const DISPOSITIONS: Skip = Skip { dispositions: true, ..Skip::EMPTY };

/// The server's answer to echo on a session without links.
fn session_echo(trial: &mut ServerTrial<'_>) -> Result<Flow, Stop> {
    let Begun { mut connection, session, .. } = trial.begun()?;
    connection.send(session.channel, echo(&session, 0));
    Ok(connection.expect::<Flow>()?.body)
}

fn session_flow_has_no_link_fields(trial: &mut ServerTrial<'_>) -> Checked {
    let mut attached = trial.receiver()?;
    attached.connection.send(attached.session.channel, echo(&attached.session, 0));
    let flow = attached.connection.expect_skipping::<Flow>(DISPOSITIONS)?;
    let has_link_fields =
        flow.delivery_count.is_some() || flow.link_credit.is_some() || flow.available.is_some() || flow.drain;
    match flow.handle {
        Some(_) => Ok(Outcome::pass_with("the answer is a flow of the link")),
        None if has_link_fields => Ok(Outcome::fail("a flow without a handle has fields of a link")),
        None => Ok(closes_in_peace(&mut attached.connection)),
    }
}

fn credit_without_handle(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["message"])?;
    let mut attached = trial.receiver()?;
    let flow = Flow { link_credit: Some(5), echo: true, ..echo(&attached.session, 0) };
    attached.connection.send(attached.session.channel, flow);
    match attached.connection.next() {
        Got::Frame(AmqpFrame { body: Some(Performative::Flow(_)), .. }) => {
            let rest = attached.ends()?;
            match transfers(&rest).len() {
                0 => {
                    let outcome = closes_in_peace(&mut attached.connection);
                    Ok(Outcome { reason: format!("the credit is ignored {}", outcome.reason), ..outcome })
                }
                _ => Ok(Outcome::fail("a credit that names no link was given to one")),
            }
        }
        got if got.is_end() => Ok(Outcome::pass_with("the connection was dropped")),
        got => match Refusal::of(&got) {
            Some(refusal) => {
                Ok(Outcome::pass_with(format!("{:?} ended with {}", refusal.scope, refusal.error.condition)))
            }
            None => Err(attached.connection.unexpected("a flow, or a refusal", got).into()),
        },
    }
}

fn sender_states_its_count(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1", "2"])?;
    let mut attached = trial.receiver()?;
    attached.give_credit(2);
    for _ in 0..2 {
        let delivery = attached.delivery()?;
        attached.settle(&delivery, DeliveryState::Accepted);
    }
    let flow = Flow { echo: true, ..attached.flow(3) };
    attached.connection.send(attached.session.channel, flow);
    let flow = attached.link_flow()?;
    let wanted = attached.link.attach.initial_delivery_count.unwrap_or_default().plus(2);
    match flow.delivery_count {
        Some(count) if count == wanted => Ok(closes_in_peace(&mut attached.connection)),
        count => Ok(Outcome::fail(format!("expected delivery-count {wanted}, got {count:?}"))),
    }
}

fn receiver_states_our_count(trial: &mut ServerTrial<'_>) -> Checked {
    let Begun { mut connection, open, session } = trial.begun()?;
    let attach = frames::attach_sender("count", 0, trial.node());
    let attach = amqp1_codec::performative::Attach { initial_delivery_count: Some(SequenceNo(1000)), ..attach };
    let link = connection.attached(&session, attach)?;
    let progress = crate::server::Progress::default();
    let mut attached = Attached { connection, open, session, link, credit: 0, progress };
    let first = attached.link_flow()?;
    if first.delivery_count != Some(SequenceNo(1000)) {
        return Ok(Outcome::fail(format!("expected delivery-count 1000, got {:?}", first.delivery_count)));
    }
    for id in 0..2 {
        send(&mut attached, id, "message");
        attached.disposition_of(id)?;
    }
    let flow = Flow {
        handle: Some(0),
        delivery_count: Some(SequenceNo(1002)),
        link_credit: first.link_credit,
        ..echo(&attached.session, 2)
    };
    attached.connection.send(attached.session.channel, flow);
    for _ in 0..4 {
        match attached.link_flow()?.delivery_count {
            Some(SequenceNo(1002)) => return Ok(closes_in_peace(&mut attached.connection)),
            Some(SequenceNo(1000 | 1001)) => {}
            count => return Ok(Outcome::fail(format!("expected delivery-count 1002, got {count:?}"))),
        }
    }
    Ok(Outcome::fail("no flow has delivery-count 1002"))
}

fn link_echo(trial: &mut ServerTrial<'_>) -> Checked {
    let mut attached = trial.receiver()?;
    let flow = Flow { echo: true, ..attached.flow(0) };
    attached.connection.send(attached.session.channel, flow);
    attached.link_flow()?;
    Ok(closes_in_peace(&mut attached.connection))
}

fn answer_has_no_echo(trial: &mut ServerTrial<'_>) -> Checked {
    let flow = session_echo(trial)?;
    Ok(if flow.echo { Outcome::fail("the answer has echo=true") } else { Outcome::pass() })
}

fn several_echoes(trial: &mut ServerTrial<'_>) -> Checked {
    let Begun { mut connection, session, .. } = trial.begun()?;
    let one = frames::encode(session.channel, echo(&session, 0), b"");
    connection.raw(one.repeat(3));
    connection.expect::<Flow>()?;
    connection.send(session.channel, frames::end());
    let mut flows = 1usize;
    loop {
        let got = connection.next();
        match got.name() {
            "flow" => flows = flows.saturating_add(1),
            "end" if Refusal::of(&got).is_none() => break,
            "empty" => {}
            _ => return Err(connection.unexpected("end", got).into()),
        }
    }
    Ok(match flows {
        1..=3 => Outcome::pass_with(format!("{flows} flows in answer to three")),
        _ => Outcome::fail(format!("{flows} flows in answer to three")),
    })
}

fn senders_credit_is_ignored(trial: &mut ServerTrial<'_>) -> Checked {
    let mut attached = trial.sender()?;
    let flow = Flow {
        handle: Some(0),
        delivery_count: Some(SequenceNo(0)),
        link_credit: Some(1_000_000),
        ..echo(&attached.session, 0)
    };
    attached.connection.send(attached.session.channel, flow);
    let credit = attached.link_flow()?.link_credit;
    if credit == Some(1_000_000) {
        return Ok(Outcome::fail("the server took over the sender's link-credit"));
    }
    let outcome = closes_in_peace(&mut attached.connection);
    Ok(Outcome { reason: format!("link-credit {} {}", credit.unwrap_or_default(), outcome.reason), ..outcome })
}

fn receivers_available_is_ignored(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["1", "2"])?;
    let mut attached = trial.receiver()?;
    let flow = Flow { available: Some(0), ..attached.flow(2) };
    attached.connection.send(attached.session.channel, flow);
    for _ in 0..2 {
        let delivery = attached.delivery()?;
        attached.settle(&delivery, DeliveryState::Accepted);
    }
    Ok(closes_in_peace(&mut attached.connection))
}
