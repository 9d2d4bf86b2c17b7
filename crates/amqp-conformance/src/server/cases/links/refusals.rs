//! Links that the server refuses (§2.6.3, §2.6.5).

use super::support::{Checked, credit, next_event};
use crate::{
    case::{Case, Check, Severity},
    judge::{Refused, closes_in_peace, should},
    server::{Begun, ServerTrial, twins},
    verdict::{Outcome, Stop, Verdict},
    wire::Connection,
};
use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    messaging::{Source, Target},
    performative::{Attach, Detach, Performative, Unsettled},
};
use amqp1_script::{AmqpFrame, Got, Refusal, Scope, Session, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.6.3-2/receiver",
        rule: "Where no source is made for a link, the attach is answered by one without a source, and a detach follows at \
               once (§2.6.3).",
        sends: "an attach as receiver from a node that does not exist",
        wants: "attach without a source, then detach with closed=true and an error",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| is_refused(trial, Role::Receiver)),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.3-2/sender",
        rule: "Where no target is made for a link, the attach is answered by one without a target, and a detach follows at \
               once (§2.6.3).",
        sends: "an attach as sender to a node that does not exist, or that has both an address and dynamic=true",
        wants: "attach without a target, then detach with closed=true and an error",
        twin: Some(&twins::ATTACH_SENDER),
        check: Check::Server(|trial| is_refused(trial, Role::Sender)),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.3-7/unknown",
        severity: Severity::May,
        rule: "A link that is to be recovered and that is not known has no terminus: the answer to its attach has none \
               (§2.6.3).",
        sends: "an attach as receiver of a new name, without a source, and with an empty unsettled map",
        wants: "attach without a source, then detach; or a refusal",
        check: Check::Server(unknown_is_recovered),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.3-7/created",
        severity: Severity::May,
        rule: "A link that is to be resumed and that is not known may be created from the terminus of its attach (§2.6.3).",
        sends: "an attach as receiver of a new name, with a source and an empty unsettled map",
        wants: "attach, or a refusal",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(unknown_is_resumed),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.3-9/source",
        rule: "A link without a source never produces messages (§2.7.3).",
        sends: "an attach as receiver without a source, and credit, where the queue has a message",
        wants: "no transfer",
        check: Check::Server(no_source_sends_nothing),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.3-9/target",
        rule: "A link without a target never permits messages (§2.7.3).",
        sends: "an attach as sender without a target",
        wants: "no credit",
        check: Check::Server(no_target_takes_nothing),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.5-1",
        rule: "A link with an error is detached, and the detach carries the error (§2.6.5).",
        sends: "an attach from a node that does not exist",
        wants: "detach with an error",
        check: Check::Server(error_is_carried),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.5-2",
        rule: "Input for a link that was detached with an error ends the session with errant-link (§2.6.5).",
        sends: "an attach that is refused, and a transfer on its handle",
        wants: "end with amqp:session:errant-link",
        check: Check::Server(transfer_on_errant_link),
        ..Case::SERVER
    },
    Case {
        id: "T-2.6.5-3",
        rule: "After a link was detached with an error, an attach that does not resume it ends the session with \
               errant-link (§2.6.5).",
        sends: "a link whose attach is refused by a detach with closed=false, a detach with closed=false, and an attach of the \
                same name",
        wants: "end with amqp:session:errant-link",
        check: Check::Server(attach_of_errant_link),
        ..Case::SERVER
    },
    Case {
        id: "T-2.7.7-2/error",
        severity: Severity::Should,
        rule: "The error of a detach names the condition and describes the cause (§2.7.7).",
        sends: "an attach from a node that does not exist",
        wants: "detach with a condition and a description",
        check: Check::Server(|trial| should(error_is_described(trial))),
        ..Case::SERVER
    },
];

/// A link that the server does not want.
struct Rejected {
    connection: Connection,
    session: Session,
    name: String,
    role: Role,
    /// The server's answers, in their order: up to the frame that refuses the link.
    answers: Vec<Got>,
}

impl Rejected {
    fn attach(&self) -> Option<&Attach> {
        self.answers.iter().find_map(|got| match got {
            Got::Frame(AmqpFrame { body: Some(Performative::Attach(attach)), .. }) => Some(&**attach),
            _ => None,
        })
    }

    fn detach(&self) -> Option<&Detach> {
        self.answers.iter().find_map(|got| match got {
            Got::Frame(AmqpFrame { body: Some(Performative::Detach(detach)), .. }) => Some(&**detach),
            _ => None,
        })
    }
}

/// `true` if the server's attach has the terminus that is its own.
fn has_terminus(attach: &Attach) -> bool {
    match attach.role {
        Role::Sender => attach.source.is_some(),
        Role::Receiver => attach.target.is_some(),
    }
}

const MISSING: &str = "amqp-conformance/missing";

fn candidates(role: Role) -> [Attach; 2] {
    match role {
        Role::Receiver => [
            frames::attach_receiver("refused", 0, MISSING),
            Attach { source: Some(Box::default()), ..frames::attach_receiver("refused", 0, "") },
        ],
        Role::Sender => [
            frames::attach_sender("refused", 0, MISSING),
            Attach {
                target: Some(Target { dynamic: true, ..Target::at(MISSING) }.into()),
                ..frames::attach_sender("refused", 0, "")
            },
        ],
    }
}

/// A link that the server has refused.
fn rejected(trial: &mut ServerTrial<'_>, role: Role) -> Result<Rejected, Stop> {
    for attach in candidates(role) {
        let Begun { mut connection, session, .. } = trial.begun()?;
        let name = attach.name.to_string();
        connection.send(session.channel, attach);
        let mut answers = vec![next_event(&mut connection)];
        if let [Got::Frame(AmqpFrame { body: Some(Performative::Attach(attach)), .. })] = &answers[..] {
            if has_terminus(attach) {
                connection.send(session.channel, frames::end());
            }
            answers.push(next_event(&mut connection));
        }
        let is_ended = answers.last().is_some_and(|got| got.name() == "end" && Refusal::of(got).is_none());
        if !is_ended {
            return Ok(Rejected { connection, session, name, role, answers });
        }
    }
    Err(Outcome::skip("the server refuses no link that was tried").into())
}

fn is_refused(trial: &mut ServerTrial<'_>, role: Role) -> Checked {
    let rejected = rejected(trial, role)?;
    let (Some(attach), Some(detach)) = (rejected.attach(), rejected.detach()) else {
        let last = rejected.answers.last();
        return Ok(match last.and_then(Refusal::of) {
            Some(refusal) if refusal.scope != Scope::Link => {
                Outcome::new(Verdict::PassWider, format!("{:?} ended with {}", refusal.scope, refusal.error.condition))
            }
            _ if last.is_some_and(Got::is_end) => Outcome::new(Verdict::PassWider, "the connection was dropped"),
            _ => Outcome::fail(format!("expected attach and detach, got {}", super::support::names(&rejected.answers))),
        });
    };
    if has_terminus(attach) {
        return Ok(Outcome::fail("the attach has a terminus, though the link is refused"));
    }
    Ok(match (&detach.error, detach.closed) {
        (Some(error), true) => Outcome::pass_with(format!("detach with {}", error.condition)),
        (Some(error), false) if !trial.is_strict() => {
            Outcome::pass_with(format!("detach with {}, not closed", error.condition))
        }
        (Some(_), false) => Outcome::fail("the detach has closed=false"),
        (None, _) => Outcome::fail("the detach has no error"),
    })
}

fn unknown_is_recovered(trial: &mut ServerTrial<'_>) -> Checked {
    let Begun { mut connection, session, .. } = trial.begun()?;
    let attach = Attach {
        source: None,
        unsettled: Some(Unsettled::new()),
        ..frames::attach_receiver("never-seen-before", 0, trial.node())
    };
    connection.send(session.channel, attach);
    let got = next_event(&mut connection);
    if Refusal::of(&got).is_some() {
        return Ok(Outcome::new(Verdict::PassWider, format!("{got}, without an attach")));
    }
    let Got::Frame(AmqpFrame { body: Some(Performative::Attach(attach)), .. }) = &got else {
        return Ok(Outcome::fail(format!("expected attach, got {got}")));
    };
    if attach.source.is_some() {
        return Ok(Outcome::fail("the attach has a source for a link of which the server has no record"));
    }
    let got = next_event(&mut connection);
    Ok(match got.name() {
        "detach" => Outcome::pass_with(got.to_string()),
        _ => Outcome::fail(format!("expected detach after an attach without a source, got {got}")),
    })
}

fn unknown_is_resumed(trial: &mut ServerTrial<'_>) -> Checked {
    let Begun { mut connection, session, .. } = trial.begun()?;
    let attach =
        Attach { unsettled: Some(Unsettled::new()), ..frames::attach_receiver("never-seen-either", 0, trial.node()) };
    connection.send(session.channel, attach);
    let got = next_event(&mut connection);
    match &got {
        Got::Frame(AmqpFrame { body: Some(Performative::Attach(attach)), .. }) if has_terminus(attach) => {
            connection.send(session.channel, frames::detach(0));
            let detach = next_event(&mut connection);
            if detach.name() != "detach" {
                return Ok(Outcome::fail(format!("expected detach, got {detach}")));
            }
            Ok(closes_in_peace(&mut connection))
        }
        Got::Frame(AmqpFrame { body: Some(Performative::Attach(_)), .. }) => {
            let detach = next_event(&mut connection);
            Ok(match detach.name() {
                "detach" => Outcome::pass_with("no terminus was created"),
                _ => Outcome::fail(format!("expected detach after an attach without a source, got {detach}")),
            })
        }
        _ if Refusal::of(&got).is_some() => Ok(Outcome::new(Verdict::PassWider, got.to_string())),
        _ => Ok(Outcome::fail(format!("expected attach, got {got}"))),
    }
}

/// The frames up to the server's own end or close.
fn until_over(connection: &mut Connection, session: &Session) -> Vec<Got> {
    connection.send(session.channel, frames::end());
    let deadline = connection.now().saturating_add(connection.patience());
    let mut all = Vec::new();
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        let is_last = !matches!(got, Got::Frame(_)) || matches!(got.name(), "end" | "close");
        all.push(got);
        if is_last {
            return all;
        }
    }
}

fn no_source_sends_nothing(trial: &mut ServerTrial<'_>) -> Checked {
    trial.queued(&["message"])?;
    let Begun { mut connection, session, .. } = trial.begun()?;
    let attach = Attach { source: None, ..frames::attach_receiver("no-source", 0, trial.node()) };
    connection.send(session.channel, attach);
    connection.send(session.channel, credit(&session, 0, 1));
    let mut frames = vec![next_event(&mut connection)];
    // A message may come a moment after the credit.
    let moment = connection.patience() / 10;
    while let got @ Got::Frame(_) = connection.next_within(moment) {
        frames.push(got);
    }
    frames.extend(until_over(&mut connection, &session));
    judge_none(&frames, "transfer", |_| true)
}

fn no_target_takes_nothing(trial: &mut ServerTrial<'_>) -> Checked {
    let Begun { mut connection, session, .. } = trial.begun()?;
    let attach = Attach { target: None, ..frames::attach_sender("no-target", 0, trial.node()) };
    connection.send(session.channel, attach);
    let got = next_event(&mut connection);
    let mut frames = vec![got];
    frames.extend(until_over(&mut connection, &session));
    judge_none(
        &frames,
        "flow",
        |got| matches!(got, Got::Frame(AmqpFrame { body: Some(Performative::Flow(flow)), .. }) if flow.link_credit > Some(0)),
    )
}

/// Passes if there is no such frame, and the server was there to the end.
fn judge_none(frames: &[Got], name: &str, is_meant: impl Fn(&Got) -> bool) -> Checked {
    if let Some(got) = frames.iter().find(|got| got.name() == name && is_meant(got)) {
        return Ok(Outcome::fail(format!("expected no {name}, got {got}")));
    }
    if let Some(refusal) = frames.iter().find_map(Refusal::of) {
        return Ok(Outcome::pass_with(format!("{:?} ended with {}", refusal.scope, refusal.error.condition)));
    }
    let remark = super::support::names(frames);
    Ok(match frames.last() {
        Some(Got::Frame(_)) => Outcome::pass_with(remark),
        Some(got) if got.is_end() => Outcome::new(Verdict::PassWider, "the connection was dropped without close"),
        _ => Outcome::fail(format!("expected end, got {remark}")),
    })
}

fn error_is_carried(trial: &mut ServerTrial<'_>) -> Checked {
    let mut rejected = rejected(trial, Role::Receiver)?;
    let Some(error) = rejected.answers.last().and_then(Refusal::of) else {
        return Ok(Outcome::fail(format!("no error: {}", super::support::names(&rejected.answers))));
    };
    let remark = format!("{:?} ended with {}", error.scope, error.error.condition);
    if error.scope != Scope::Link {
        return Ok(Outcome::new(Verdict::PassWider, remark));
    }
    // The endpoint is gone, and its handle is free once the detach is answered.
    let node = trial.node();
    rejected.connection.send(rejected.session.channel, frames::detach(0));
    let link = rejected.connection.attached(&rejected.session, frames::attach_receiver("next", 0, node))?;
    rejected.connection.detached(&link)?;
    Ok(closes_in_peace(&mut rejected.connection))
}

static ERRANT: [ErrorCondition; 1] = [ErrorCondition::ERRANT_LINK];

fn errant(trial: &mut ServerTrial<'_>) -> Result<Rejected, Stop> {
    let rejected = match rejected(trial, Role::Sender) {
        Err(Stop::Known(_)) => rejected(trial, Role::Receiver)?,
        other => other?,
    };
    match rejected.answers.last().and_then(Refusal::of) {
        Some(refusal) if refusal.scope == Scope::Link => Ok(rejected),
        _ => Err(Stop::SetUp(format!(
            "no link was detached with an error: {}",
            super::support::names(&rejected.answers)
        ))),
    }
}

fn transfer_on_errant_link(trial: &mut ServerTrial<'_>) -> Checked {
    let Rejected { mut connection, session, .. } = errant(trial)?;
    connection.send_with(session.channel, frames::transfer(0, 0), frames::message("errant"));
    Ok(Refused::by(Scope::Session).with(&ERRANT).judge_on(&session, &mut connection, trial.is_strict()))
}

fn attach_of_errant_link(trial: &mut ServerTrial<'_>) -> Checked {
    let rejected = errant(trial)?;
    if rejected.detach().is_some_and(|detach| detach.closed) {
        // A link that one end closes while the other detaches it is attached again (§2.6.6).
        return Ok(Outcome::skip("the server closes the links that it refuses"));
    }
    let Rejected { mut connection, session, name, role, .. } = rejected;
    connection.send(session.channel, Detach { closed: false, ..frames::detach(0) });
    let again = match role {
        Role::Sender => frames::attach_sender(name, 1, trial.node()),
        Role::Receiver => {
            Attach { source: Some(Box::new(Source::at(trial.node()))), ..frames::attach_receiver(name, 1, "") }
        }
    };
    connection.send(session.channel, again);
    Ok(Refused::by(Scope::Session).with(&ERRANT).judge_on(&session, &mut connection, trial.is_strict()))
}

fn error_is_described(trial: &mut ServerTrial<'_>) -> Checked {
    let rejected = rejected(trial, Role::Receiver)?;
    let Some(Refusal { error, .. }) = rejected.answers.last().and_then(Refusal::of) else {
        return Ok(Outcome::fail(format!("no error: {}", super::support::names(&rejected.answers))));
    };
    Ok(match &error.description {
        Some(text) if !text.is_empty() => Outcome::pass_with(error.condition.to_string()),
        _ => Outcome::fail(format!("{} without a description", error.condition)),
    })
}
