//! AMQP over WebSocket (AMQP WebSocket Binding 1.0).

use crate::{
    case::{Case, Check, Need},
    client::{ClientTrial, Scenario},
    either::{AnyTrial as _, until_close},
    verdict::{Outcome, Stop},
};
use amqp1_codec::performative::Begin;
use amqp1_script::{Got, frames};
use std::io;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "E-ws-1",
        rule: "The sub-protocol is amqp, and AMQP's octets are in binary messages (WebSocket binding §2.1, §2.4).",
        sends: "the answer to the client's WebSocket request",
        wants: "a request that offers the sub-protocol amqp, and a header in binary messages",
        needs: &[Need::WebSocket],
        check: Check::Client(Scenario::Send, sub_protocol),
        ..Case::CLIENT
    },
    Case {
        id: "E-ws-1/boundaries",
        rule: "The boundaries of WebSocket messages mean nothing to AMQP (WebSocket binding §2.4).",
        sends: "an open in two messages, then the answer to the client's begin and a close in one",
        wants: "a begin, and a close without an error",
        needs: &[Need::WebSocket],
        check: Check::Client(Scenario::Send, boundaries),
        ..Case::CLIENT
    },
];

/// A client that comes of itself has no sheet that says so.
fn needs_web_socket(trial: &ClientTrial<'_>) -> Result<(), Stop> {
    match trial.has_web_socket() {
        true => Ok(()),
        false => Err(Outcome::skip("the tool listens without --ws").into()),
    }
}

fn sub_protocol(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    needs_web_socket(trial)?;
    let mut connection = match trial.connected() {
        Err(Stop::NoConnection(error)) if error.kind() == io::ErrorKind::InvalidData => {
            return Ok(Outcome::fail(error.to_string()));
        }
        connected => connected?,
    };
    connection.expect_any_header()?;
    Ok(Outcome::pass())
}

fn boundaries(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    needs_web_socket(trial)?;
    let mut connection = trial.opening()?;
    let open = frames::encode(0, trial.own_open(), b"");
    let (first, second) = open.split_at(open.len() / 2);
    connection.raw(first);
    connection.raw(second);
    let begin = connection.expect::<Begin>()?;
    let answer = frames::encode(0, frames::begin_answering(begin.channel), b"");
    connection.raw([answer, frames::encode(0, frames::close(), b"")].concat());
    Ok(match until_close(&mut connection) {
        Ok(_) => Outcome::pass(),
        Err(got) if matches!(*got, Got::Eof { .. }) => Outcome::pass_with("the connection was dropped without close"),
        Err(got) => Outcome::fail(format!("expected close, got {got}")),
    })
}
