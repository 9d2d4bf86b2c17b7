//! The choices that a client writes (§2.8.1 to §2.8.3), in octets.

use crate::{
    case::{Case, Check},
    client::{ClientTrial, Scenario, twins},
    octets::{self, Value},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_script::{AmqpFrame, Got, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.8.1-1/sender",
        rule: "The role false is sender (§2.8.1).",
        sends: "a session",
        wants: "an attach with role false",
        twin: Some(&twins::BEGIN),
        check: Check::Client(Scenario::Send, |trial| field_is(trial, 2, &[0])),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.8.1-1/receiver",
        rule: "The role true is receiver (§2.8.1).",
        sends: "a session",
        wants: "an attach with role true",
        twin: Some(&twins::BEGIN),
        check: Check::Client(Scenario::Receive, |trial| field_is(trial, 2, &[1])),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.8.2-1",
        rule: "The sender-settle-mode is 0, 1 or 2, and 2 where it is absent (§2.8.2).",
        sends: "a session",
        wants: "an attach with a mode of these",
        twin: Some(&twins::BEGIN),
        check: Check::Client(Scenario::Send, |trial| field_is(trial, 3, &[0, 1, 2])),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.8.3-1",
        rule: "The receiver-settle-mode is 0 or 1, and 0 where it is absent (§2.8.3).",
        sends: "a session",
        wants: "an attach with a mode of these",
        twin: Some(&twins::BEGIN),
        check: Check::Client(Scenario::Receive, |trial| field_is(trial, 4, &[0, 1])),
        ..Case::CLIENT
    },
];

/// The field of the client's first attach is absent or one of these; the role is not absent.
fn field_is(trial: &mut ClientTrial<'_>, index: usize, choices: &[u64]) -> Result<Outcome, Stop> {
    let connection = trial.opened()?.connection;
    let attach = attach_octets(connection)?;
    let body = octets::read_one(attach.get(8..).unwrap_or_default());
    let Ok(Value::Described(_, fields)) = body else { return Ok(Outcome::fail("the attach cannot be read")) };
    let Value::List(fields) = *fields else { return Ok(Outcome::fail("the attach is no list")) };
    let value = fields.get(index).filter(|value| !value.is_null());
    Ok(match value {
        None if index > 2 => Outcome::pass_with("absent"),
        Some(value) if value.number().is_some_and(|number| choices.contains(&number)) => Outcome::pass(),
        value => Outcome::fail(format!("the field is {value:?}")),
    })
}

/// Answers sessions until an attach comes, which is returned as it stands.
fn attach_octets(mut connection: Connection) -> Result<bytes::Bytes, Stop> {
    let mut channels = 0..;
    loop {
        match connection.next() {
            Got::Frame(AmqpFrame { channel, body: Some(body), octets, .. }) => match body.name() {
                "begin" => {
                    connection.send(channels.next().unwrap_or_default(), frames::begin_answering(channel));
                }
                "attach" => return Ok(octets),
                _ => return Err(Outcome::fail(format!("expected an attach, got {}", body.name())).into()),
            },
            Got::Frame(_) => {}
            // The codec may see what this case is about.
            Got::Undecodable { octets, .. } => return Ok(octets),
            got => return Err(Outcome::fail(format!("expected an attach, got {got}")).into()),
        }
    }
}
