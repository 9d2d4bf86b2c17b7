//! Sends octets at each state of the set-up, and judges the answer.

use crate::{
    either::types::TypeTrial,
    judge::{self, Refused},
    octets::{self, Body, Style},
    server::{Attached, Begun, Opened, ServerTrial},
    verdict::{Outcome, Stop, Verdict},
    wire::Entry,
};
use amqp1_codec::{
    definitions::ErrorCondition,
    frame::ProtocolHeader,
    performative::{Attach, Open},
};
use amqp1_script::{Body as _, Scope, frames};

/// The conditions with which malformed octets may be refused.
pub(in crate::server::cases) static MALFORMED: [ErrorCondition; 3] =
    [ErrorCondition::DECODE_ERROR, ErrorCondition::INVALID_FIELD, ErrorCondition::FRAMING_ERROR];

impl TypeTrial for ServerTrial<'_> {
    const WRITES_MESSAGES: bool = false;

    fn converses(&mut self, style: &Style) -> Result<Outcome, Stop> {
        super::conversation::converses(self, style)
    }

    fn takes(&mut self, message: &[u8]) -> Result<Outcome, Stop> {
        self.relays_values(message)
    }

    fn logs(&self) -> Vec<Vec<Entry>> {
        Self::logs(self)
    }
}

/// The open that raw cases send, to be changed.
pub(super) fn open(trial: &ServerTrial<'_>) -> Body {
    Body::open(&trial.target().container_id, Some(&trial.target().hostname))
}

/// Opens a connection with each of these bodies. Passes if the server opens and closes in turn.
pub(super) fn opens(trial: &mut ServerTrial<'_>, bodies: &[Vec<u8>]) -> Result<Outcome, Stop> {
    for body in bodies {
        let mut connection = trial.authenticated()?;
        connection.header(ProtocolHeader::AMQP);
        connection.raw(octets::frame(0, body));
        connection.expect_header(ProtocolHeader::AMQP)?;
        connection.expect::<Open>()?;
        let outcome = judge::closes_in_peace(&mut connection);
        if outcome != Outcome::pass() {
            return Ok(outcome);
        }
    }
    Ok(Outcome::pass())
}

/// Sends each of these bodies as an open. Passes if the server refuses all.
pub(super) fn refuses_opens(trial: &mut ServerTrial<'_>, bodies: &[(&str, Vec<u8>)]) -> Result<Outcome, Stop> {
    let mut worst = Outcome::pass();
    for (name, body) in bodies {
        let mut connection = trial.authenticated()?;
        connection.header(ProtocolHeader::AMQP);
        connection.raw(octets::frame(0, body));
        // A server that opens closes at once as well.
        connection.send(0, frames::close());
        connection.expect_header(ProtocolHeader::AMQP)?;
        let refused = Refused::by(Scope::Connection).with(&MALFORMED).after(&["open"]).after_close();
        let outcome = named(refused.judge(&mut connection, trial.is_strict()), name, bodies.len());
        if outcome.verdict > worst.verdict {
            worst = outcome;
        } else if worst.reason.is_empty() {
            worst.reason = outcome.reason;
        }
        if worst.verdict >= Verdict::Fail {
            break;
        }
    }
    Ok(worst)
}

/// Puts the vector's name before the reason where a case has several.
fn named(outcome: Outcome, name: &str, count: usize) -> Outcome {
    match count {
        1 => outcome,
        _ => Outcome::new(outcome.verdict, format!("{name}: {}", outcome.reason)),
    }
}

/// Sends opens that are these malformed vectors. Passes if the server refuses all.
pub(super) fn refuses_open_vectors(trial: &mut ServerTrial<'_>, names: &[&str]) -> Result<Outcome, Stop> {
    let bodies: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (*name, octets::vector(name))).collect();
    refuses_opens(trial, &bodies)
}

/// Sends opens whose properties hold these malformed vectors. Passes if the server refuses all.
pub(super) fn refuses_properties(trial: &mut ServerTrial<'_>, names: &[&str]) -> Result<Outcome, Stop> {
    let open = open(trial);
    let bodies: Vec<(&str, Vec<u8>)> = names
        .iter()
        .map(|name| (*name, octets::open_with_vector(open.clone(), name).encode(&Style::COMPACT)))
        .collect();
    refuses_opens(trial, &bodies)
}

/// Sends this open. Passes if the server refuses it.
pub(super) fn refuses_open(trial: &mut ServerTrial<'_>, open: &Body) -> Result<Outcome, Stop> {
    refuses_opens(trial, &[("open", open.encode(&Style::COMPACT))])
}

/// The frames that may come before a refusal of a link's frame.
const ON_LINK: &[&str] = &["begin", "attach", "transfer"];

/// Sends this body on an open connection, before any session. Passes if the server refuses it.
pub(super) fn refuses_after_open(trial: &mut ServerTrial<'_>, body: &[u8]) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened()?;
    connection.raw(octets::frame(0, body));
    connection.send(0, frames::close());
    Ok(Refused::at_any_scope().with(&MALFORMED).after(ON_LINK).after_close().judge(&mut connection, trial.is_strict()))
}

/// Sends this attach on a session. Passes if the server refuses it.
pub(super) fn refuses_attach(trial: &mut ServerTrial<'_>, body: &[u8]) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun()?;
    connection.raw(octets::frame(session.channel, body));
    let refused = Refused::at_any_scope().with(&MALFORMED).after(ON_LINK);
    let got = connection.next();
    if let Some(outcome) = refused.judge_one(&got, trial.is_strict()) {
        return Ok(outcome);
    }
    if let Ok(attach) = Attach::of(got)
        && attach.source.is_some()
        && attach.target.is_some()
    {
        // The link is attached: what follows is no refusal.
        connection.send(session.channel, frames::end());
    }
    Ok(refused.judge(&mut connection, trial.is_strict()))
}

/// Sends this body on a session with a link to the queue, on handle 0. Passes if the server refuses it.
pub(super) fn refuses_on_link(trial: &mut ServerTrial<'_>, body: &[u8]) -> Result<Outcome, Stop> {
    let Attached { mut connection, session, .. } = trial.sender()?;
    connection.raw(octets::frame(session.channel, body));
    Ok(Refused::at_any_scope().with(&MALFORMED).after(ON_LINK).judge(&mut connection, trial.is_strict()))
}

/// A case that sends opens whose properties hold malformed vectors.
macro_rules! bad_properties {
    ($id:literal, $rule:expr, $first:literal $(, $name:literal)* $(,)?) => {
        $crate::case::Case {
            id: $id,
            rule: $rule,
            sends: concat!("an open whose properties hold the octets of ", $first $(, ", then ", $name)*),
            wants: "close with amqp:decode-error",
            twin: Some(&$crate::server::cases::types::twins::OPEN_WITH_PROPERTY),
            check: $crate::case::Check::Server(|trial| {
                $crate::server::cases::types::support::refuses_properties(trial, &[$first $(, $name)*])
            }),
            ..$crate::case::Case::SERVER
        }
    };
}

/// A case that sends opens that are malformed vectors.
macro_rules! bad_opens {
    ($id:literal, $rule:expr, $first:literal $(, $name:literal)* $(,)?) => {
        $crate::case::Case {
            id: $id,
            rule: $rule,
            sends: concat!("the malformed open ", $first $(, ", then ", $name)*),
            wants: "close with amqp:decode-error",
            twin: Some(&$crate::server::cases::types::twins::RAW_OPEN),
            check: $crate::case::Check::Server(|trial| {
                $crate::server::cases::types::support::refuses_open_vectors(trial, &[$first $(, $name)*])
            }),
            ..$crate::case::Case::SERVER
        }
    };
}

pub(super) use {bad_opens, bad_properties};
