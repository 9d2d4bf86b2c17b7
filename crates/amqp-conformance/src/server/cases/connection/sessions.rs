//! Several sessions, and sessions that come back (§2.5, §2.7.2).

use crate::{
    case::{Case, Check, Need},
    either::AnyTrial,
    judge::{Refused, closes_in_peace},
    server::{Attached, Begun, Opened, ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    definitions::ErrorCondition,
    messaging::{Source, TerminusExpiryPolicy},
    performative::{Attach, Begin, Flow, Performative},
};
use amqp1_script::{AmqpFrame, Got, Link, Refusal, Scope, Session, frames};

static HANDLE_IN_USE: [ErrorCondition; 1] = [ErrorCondition::HANDLE_IN_USE];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.5.1-7",
        rule: "The sessions of a connection are independent of one another, up to channel-max (§2.5.1).",
        sends: "eight sessions with a link in each, and the end of some of them",
        wants: "all are answered, and the others still work",
        needs: &[Need::Sessions],
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(sessions_are_independent),
        ..Case::SERVER
    },
    Case {
        id: "T-2.5.1-8",
        rule: "A link is attached to at most one session at a time (§2.5, §2.6.1).",
        sends: "the attach of one link on two sessions",
        wants: "the first is detached, or the second is refused",
        needs: &[Need::Sessions],
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(one_link_on_two_sessions),
        ..Case::SERVER
    },
    Case {
        id: "T-2.5.2-2",
        rule: "Once a session has ended in both directions, its channels are free again (§2.5.2).",
        sends: "begin and end, three times on the same channel",
        wants: "begin and end, three times",
        twin: Some(&twins::BEGIN),
        check: Check::Server(|trial| {
            let Opened { mut connection, .. } = trial.opened()?;
            for _ in 0..3 {
                let session = connection.begun(0)?;
                connection.ended(&session)?;
            }
            Ok(closes_in_peace(&mut connection))
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-2.5.2-3",
        rule: "The end of a session detaches its links, so that they can be attached again (§2.5.2, §2.6.1).",
        sends: "a link, the end of its session, and the link's attach on another session",
        wants: "an attach that is not refused",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(link_outlives_session),
        ..Case::SERVER
    },
    Case {
        id: "T-2.5.5-1/discarding",
        rule: "A session that has ended for an error is unmapped by its partner's end, and its channel is free (§2.5.5).",
        sends: "a flow for a handle without a link, an end once it is refused, and a begin",
        wants: "end with an error, then a begin",
        twin: Some(&twins::BEGIN),
        check: Check::Server(begins_after_errored_end),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.2-2",
        rule: "Handles above the partner's handle-max are not used (§2.7.2).",
        sends: "a begin with handle-max 0, and two attaches",
        wants: "an attach with handle 0, and none with another",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(keeps_to_handle_max),
        ..Case::SERVER
    },
    Case {
        id: "T-2.8.17-1/sent",
        rule: "An attach on a handle that is in use is refused with amqp:session:handle-in-use (§2.7.3, §2.8.17).",
        sends: "two attaches on the same handle",
        wants: "end or close with amqp:session:handle-in-use",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| {
            let Attached { mut connection, .. } = trial.receiver()?;
            connection.send(0, frames::attach_receiver("another", 0, trial.node()));
            let refused = Refused::by(Scope::Session).or_wider().with(&HANDLE_IN_USE);
            Ok(refused.judge(&mut connection, trial.is_strict()))
        }),
        ..Case::SERVER
    },
];

fn sessions_are_independent(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Opened { mut connection, open } = trial.opened()?;
    let count = open.channel_max.saturating_add(1).min(8);
    let mut sessions: Vec<Session> = Vec::new();
    for channel in 0..count {
        sessions.push(connection.begun(channel)?);
    }
    let mut links: Vec<Link> = Vec::new();
    for session in &sessions {
        let name = format!("independent-{}", session.channel);
        links.push(connection.attached(session, frames::attach_receiver(name, 0, trial.node()))?);
    }
    // Every other session ends.
    for session in sessions.iter().step_by(2) {
        connection.ended(session)?;
    }
    for link in links.iter().skip(1).step_by(2) {
        connection.detached(link)?;
    }
    Ok(closes_in_peace(&mut connection))
}

fn one_link_on_two_sessions(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    // The termini outlive the session, so that it is one link on both.
    let source = Source { expiry_policy: TerminusExpiryPolicy::ConnectionClose, ..Source::at(trial.node()) };
    let attach = Attach { source: Some(Box::new(source)), ..frames::attach_receiver("on-two", 0, trial.node()) };
    let Attached { mut connection, .. } = trial.attached(attach.clone())?;
    let session = connection.begun(1).map_err(|unexpected| Stop::set_up(&unexpected))?;
    connection.send(session.channel, attach);
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if let Some(refusal) = Refusal::of(&got) {
            return Ok(Outcome::pass_with(format!("channel {}: {}", refusal.channel, refusal.error.condition)));
        }
        match got.name() {
            "attach" | "flow" | "empty" => {}
            "detach" => return Ok(Outcome::pass_with("detached without an error")),
            _ => return Ok(Outcome::fail(format!("expected one of both to be detached, got {got}"))),
        }
    }
}

fn link_outlives_session(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Attached { mut connection, session, .. } = trial.receiver()?;
    connection.ended(&session)?;
    let session = connection.begun(0)?;
    let link = connection.attached(&session, frames::attach_receiver("receiver", 0, trial.node()))?;
    // The answer to a detach shows that no refusal has followed the attach.
    connection.detached(&link)?;
    Ok(closes_in_peace(&mut connection))
}

fn begins_after_errored_end(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun()?;
    let next_incoming_id = Some(session.begin.next_outgoing_id);
    connection.send(0, Flow { next_incoming_id, ..frames::credit(42, 1) });
    match connection.next() {
        got if matches!(Refusal::of(&got), Some(Refusal { scope: Scope::Session, .. })) => {}
        got => return Err(Stop::SetUp(format!("expected end with an error, got {got}"))),
    }
    connection.send(session.channel, frames::end());
    let session = connection.begun(session.channel)?;
    connection.ended(&session)?;
    Ok(closes_in_peace(&mut connection))
}

fn keeps_to_handle_max(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let begin = Begin { handle_max: 0, ..frames::begin() };
    let open = trial.open();
    let Begun { mut connection, session, .. } = trial.begun_by(open, begin)?;
    let first = connection.attached(&session, frames::attach_receiver("first", 0, trial.node()))?;
    if first.attach.handle != 0 {
        return Ok(Outcome::fail(format!("an attach with handle {}", first.attach.handle)));
    }
    connection.send(0, frames::attach_receiver("second", 1, trial.node()));
    connection.send(0, frames::end());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        match &got {
            Got::Frame(AmqpFrame { body: Some(Performative::Attach(attach)), .. }) => {
                return Ok(Outcome::fail(format!("a second link on handle {}", attach.handle)));
            }
            Got::Frame(AmqpFrame { body: Some(Performative::End(_) | Performative::Close(_)), .. }) => {
                return Ok(Outcome::pass_with(got.to_string()));
            }
            Got::Frame(_) => {}
            _ => return Ok(Outcome::fail(format!("expected end, got {got}"))),
        }
    }
}
