//! Mechanisms besides PLAIN and ANONYMOUS, and connections without any extension (RFC 4422, RFC 5802).

use super::support::{LOGIN, OK, asked, gives_up, offering, opens};
use crate::{
    case::{Case, Check, Severity, Twin},
    client::{ClientTrial, Scenario},
    judge::should,
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::sasl::{SaslBody, SaslCode, SaslInit, SaslOutcome, SaslResponse, Secret};
use amqp1_script::{Got, frames};
use bytes::Bytes;

const fn send(check: fn(&mut ClientTrial<'_>) -> Result<Outcome, Stop>) -> Check {
    Check::Client(Scenario::Send, check)
}

pub(super) const CASES: &[Case] = &[
    Case {
        id: "S-scram-1",
        severity: Severity::Should,
        rule: "A SCRAM client aborts where the server's signature is wrong (RFC 5802 §3).",
        sends: "SCRAM-SHA-1 and SCRAM-SHA-256; an outcome ok whose additional-data has a wrong signature",
        wants: "the end of the stream, and no AMQP header",
        twin: Some(&SCRAM),
        check: send(|trial| should(wrong_signature(trial))),
        ..Case::CLIENT
    },
    Case {
        id: "S-ext-1",
        severity: Severity::May,
        rule: "A client to which EXTERNAL alone is offered uses that, or gives up (RFC 4422).",
        sends: "EXTERNAL alone",
        wants: "sasl-init for EXTERNAL and the open after the outcome, or the end of the stream",
        twin: Some(&LOGIN),
        check: send(external),
        ..Case::CLIENT
    },
    Case {
        id: "S-conf-2",
        rule: "Peers work together without any extension (§2.4.1).",
        sends: "an open without capabilities or properties; accepted for each message",
        wants: "a message, and a close without an error",
        check: send(no_extension),
        ..Case::CLIENT
    },
];

/// The client uses SCRAM, and answers the server's first message. Only what knows its password can go on.
static SCRAM: Twin = Twin { name: "scram", check: send(|trial| answers_challenge(trial).map(|_| Outcome::pass())) };

/// The client must have credentials, and know SCRAM. Returns the connection after its final message.
fn answers_challenge(trial: &mut ClientTrial<'_>) -> Result<Connection, Stop> {
    let mut connection = asked(trial)?;
    connection.raw(offering(&["SCRAM-SHA-256", "SCRAM-SHA-1"]));
    let init = match connection.next() {
        Got::Sasl(SaslBody::Init(init)) => init,
        got => return Err(Stop::SetUp(format!("the client does not use SCRAM: {got}"))),
    };
    let first = init.initial_response.map(|response| String::from_utf8_lossy(&response.0).into_owned());
    let first = first.unwrap_or_default();
    let Some(nonce) = first.split(',').find_map(|part| part.strip_prefix("r=")) else {
        return Err(Outcome::fail("the client's first message has no nonce").into());
    };
    let challenge = format!("r={nonce}conformance,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    connection.sasl(SaslBody::Challenge(amqp1_codec::sasl::SaslChallenge { challenge: secret(challenge) }));
    let response = connection.expect::<SaslResponse>()?;
    let text = String::from_utf8_lossy(&response.response.0).into_owned();
    if !text.contains(&format!("r={nonce}conformance")) || !text.contains(",p=") {
        return Err(Outcome::fail("the client's final message lacks the nonce or the proof").into());
    }
    Ok(connection)
}

fn wrong_signature(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = answers_challenge(trial)?;
    let additional_data = Some(secret("v=AAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    connection.sasl(SaslBody::Outcome(SaslOutcome { code: SaslCode::Ok, additional_data }));
    Ok(gives_up(&mut connection))
}

fn secret(text: impl Into<String>) -> Secret {
    Secret(Bytes::from(text.into().into_bytes()))
}

fn external(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = asked(trial)?;
    connection.raw(offering(&["EXTERNAL"]));
    match connection.next() {
        got if got.is_end() => Ok(Outcome::pass_with("the client gives up")),
        Got::Sasl(SaslBody::Init(SaslInit { mechanism, .. })) if mechanism.as_str() == "EXTERNAL" => {
            connection.raw(OK);
            opens(&mut connection)?;
            Ok(Outcome::pass_with("the client uses EXTERNAL"))
        }
        got => Ok(Outcome::fail(format!("expected sasl-init for EXTERNAL, got {got}"))),
    }
}

fn no_extension(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let bare = amqp1_codec::performative::Open { ..frames::open("s") };
    let mut attached = trial.link_after(bare, crate::client::sends_to_node)?.answered();
    attached.give_credit(10);
    let delivery = attached.delivery()?;
    attached.accept(&delivery);
    Ok(attached.finishes())
}
