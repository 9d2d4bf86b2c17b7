//! Initial responses, challenges, and mechanisms besides PLAIN (§5.3.3, RFC 4422).

use super::support::{INIT, LOGIN, frame, gives_up, offered_with, offers, succeeds};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::{closes_in_peace, should},
    server::{Attached, PasswordMechanism, SCRAM_NONCE as NONCE, ScramHash, ServerTrial},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    messaging::DeliveryState,
    performative::Disposition,
    sasl::{SaslBody, SaslCode},
};
use amqp1_script::{Got, Received, Skip, frames};

const NEEDS: &[Need] = &[Need::Sasl];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "S-5.3.3.2-3/null",
        rule: "An initial-response that is null differs from one that is empty (§5.3.3.2).",
        sends: "a sasl-init for ANONYMOUS without an initial-response, and an empty response if that is asked for",
        wants: "the outcome ok",
        needs: NEEDS,
        check: Check::Server(anonymous_without_response),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.3.2-3/empty",
        rule: "An initial-response that is empty is a response, so that no other is asked for (§5.3.3.2).",
        sends: "a sasl-init for ANONYMOUS with an initial-response of no octets",
        wants: "the outcome ok, without a challenge",
        needs: NEEDS,
        twin: Some(&LOGIN),
        check: Check::Server(anonymous_with_empty_response),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.3.2-3/type",
        rule: "An initial-response is binary (§5.3.3.2).",
        sends: "a sasl-init for ANONYMOUS whose initial-response is a string",
        wants: "the end of the connection, without a success",
        needs: NEEDS,
        twin: Some(&LOGIN),
        check: Check::Server(string_response),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.3.3-1",
        rule: "The response of a sasl-response is mandatory (§5.3.3.4).",
        sends: "a sasl-init for PLAIN or SCRAM; a sasl-response without fields after the challenge",
        wants: "the end of the connection, without a success",
        needs: NEEDS,
        twin: Some(&LOGIN),
        check: Check::Server(response_without_fields),
        ..Case::SERVER
    },
    Case {
        id: "S-scram-1",
        severity: Severity::Should,
        rule: "SCRAM begins with the server's nonce, which begins with the client's, a salt and a count (RFC 5802 §3).",
        sends: "the client's first message, then a proof that is wrong",
        wants: "a challenge of that form, then a failed outcome",
        needs: &[Need::Sasl, Need::Scram],
        twin: Some(&LOGIN),
        check: Check::Server(|trial| should(scram(trial))),
        ..Case::SERVER
    },
    Case {
        id: "S-scram-1/login",
        severity: Severity::Should,
        rule: "A SCRAM dialog with the right proof succeeds, and the server proves that it knows the password too (RFC 5802 \
               §3).",
        sends: "both messages of the client, for the user and the password of the tool",
        wants: "the outcome ok, with the server's signature in its additional-data or in a challenge before it",
        needs: &[Need::Sasl, Need::Scram],
        check: Check::Server(|trial| should(scram_login(trial))),
        ..Case::SERVER
    },
    Case {
        id: "S-ext-1",
        severity: Severity::May,
        rule: "EXTERNAL takes the identity that a lower layer has shown, so that it fails where no certificate was shown (RFC 4422).",
        sends: "a sasl-init for EXTERNAL on a connection without TLS",
        wants: "the end of the connection, without a success",
        needs: NEEDS,
        twin: Some(&LOGIN),
        check: Check::Server(external),
        ..Case::SERVER
    },
    Case {
        id: "S-conf-1",
        severity: Severity::Should,
        rule: "A server that listens on TCP has SASL with PLAIN and SCRAM-SHA-1 (§5.3).",
        sends: "the SASL header",
        wants: "sasl-mechanisms with PLAIN and SCRAM-SHA-1, or ANONYMOUS alone where no login is needed",
        check: Check::Server(|trial| should(recommended(trial))),
        ..Case::SERVER
    },
    Case {
        id: "S-conf-2",
        rule: "Peers work together without any extension (§2.4.1).",
        sends: "an open without capabilities or properties, and a message of one data section",
        wants: "the outcome accepted",
        check: Check::Server(no_extension),
        ..Case::SERVER
    },
];

fn anonymous_without_response(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = offers(trial, "ANONYMOUS")?;
    connection.raw(INIT);
    match connection.next() {
        Got::Sasl(SaslBody::Outcome(outcome)) if outcome.code == SaslCode::Ok => Ok(Outcome::pass()),
        Got::Sasl(SaslBody::Challenge(challenge)) if challenge.challenge.0.is_empty() => {
            connection.raw(b"\0\0\0\x10\x02\x01\0\0\0\x53\x43\xc0\x03\x01\xa0\x00");
            succeeds(&mut connection)
        }
        got => Ok(Outcome::fail(format!("expected the outcome ok, got {got}"))),
    }
}

fn anonymous_with_empty_response(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = offers(trial, "ANONYMOUS")?;
    connection.raw(b"\0\0\0\x1b\x02\x01\0\0\0\x53\x41\xc0\x0e\x02\xa3\x09ANONYMOUS\xa0\x00");
    succeeds(&mut connection)
}

fn string_response(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = offers(trial, "ANONYMOUS")?;
    connection.raw(b"\0\0\0\x1c\x02\x01\0\0\0\x53\x41\xc0\x0f\x02\xa3\x09ANONYMOUS\xa1\x01a");
    Ok(gives_up(&mut connection))
}

/// `n,,n=user,r=nonce`: the client's first message.
const SCRAM_FIRST: &[u8] = b"n,,n=amqp-conformance,r=fyko+d2lbbFgONRv9qkxdawL";

fn init_with(mechanism: &str, response: &[u8]) -> Vec<u8> {
    let init = amqp1_codec::sasl::SaslInit {
        mechanism: amqp1_codec::Symbol::new(mechanism).unwrap_or_default(),
        initial_response: Some(amqp1_codec::sasl::Secret(bytes::Bytes::copy_from_slice(response))),
        hostname: None,
    };
    frames::sasl(&SaslBody::Init(init)).to_vec()
}

fn response(octets: &[u8]) -> Vec<u8> {
    let body = [
        b"\0\x53\x43\xd0",
        &length(octets.len().saturating_add(9))[..],
        b"\0\0\0\x01\xb0",
        &length(octets.len()),
        octets,
    ];
    frame(2, 1, [0, 0], &body.concat())
}

fn length(octets: usize) -> [u8; 4] {
    u32::try_from(octets).unwrap_or(u32::MAX).to_be_bytes()
}

/// The strongest of these mechanisms that the server offers, and its challenge to the client's first message.
fn challenged(trial: &mut ServerTrial<'_>) -> Result<(crate::wire::Connection, bytes::Bytes), Stop> {
    let (mut connection, offered) = offered_with(trial)?;
    let has = |name: &str| offered.sasl_server_mechanisms.iter().any(|mechanism| mechanism.as_str() == name);
    let name = ["SCRAM-SHA-256", "SCRAM-SHA-1"].into_iter().find(|name| has(name));
    match name {
        Some(name) => connection.raw(init_with(name, SCRAM_FIRST)),
        None if has("PLAIN") => connection.raw(super::support::INIT_PLAIN),
        None if has("ANONYMOUS") => connection.raw(INIT),
        None => return Err(Outcome::skip("no mechanism that the tool knows is offered").into()),
    };
    match connection.next() {
        Got::Sasl(SaslBody::Challenge(challenge)) => Ok((connection, challenge.challenge.0)),
        got => Err(Outcome::skip(format!("the server does not challenge, but sends {got}")).into()),
    }
}

fn response_without_fields(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (mut connection, _) = challenged(trial)?;
    connection.raw(b"\0\0\0\x0c\x02\x01\0\0\0\x53\x43\x45");
    Ok(gives_up(&mut connection))
}

fn scram(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (mut connection, challenge) = challenged(trial)?;
    let text = String::from_utf8_lossy(&challenge).into_owned();
    let attribute = |name: &str| text.split(',').find_map(|part| part.strip_prefix(name));
    let Some(nonce) = attribute("r=").filter(|nonce| nonce.starts_with(NONCE) && nonce.len() > NONCE.len()) else {
        return Ok(Outcome::fail(format!("the server's nonce does not begin with the client's: {text:?}")));
    };
    let is_count = attribute("i=").and_then(|count| count.parse().ok()).is_some_and(|count: u32| count >= 4096);
    if attribute("s=").is_none_or(str::is_empty) || !is_count {
        return Ok(Outcome::fail(format!("no salt, or a count below 4096: {text:?}")));
    }
    let wrong = format!("c=biws,r={nonce},p=AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    connection.raw(response(wrong.as_bytes()));
    Ok(gives_up(&mut connection))
}

/// By the strongest of the mechanisms that the server offers.
fn scram_login(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (mut connection, offered) = offered_with(trial)?;
    let is_offered = |hash: &ScramHash| {
        offered.sasl_server_mechanisms.iter().any(|mechanism| mechanism.as_str() == hash.mechanism())
    };
    let hash = ScramHash::ALL.into_iter().rev().find(is_offered);
    let login = &trial.target().login;
    let Some(((hash, user), password)) = hash.zip(login.user()).zip(login.password()) else {
        return Ok(Outcome::skip("the tool has no user, or no SCRAM is offered"));
    };
    let login = PasswordMechanism::Scram(hash).login(user, password).map_err(|error| Stop::SetUp(error.to_string()))?;
    connection.sasl(SaslBody::Init(login.init().unwrap_or_default()));
    match login.outcome(&mut connection) {
        Ok(outcome) if outcome.code == SaslCode::Ok => Ok(Outcome::pass_with(hash.mechanism())),
        Ok(outcome) => Ok(Outcome::fail(format!("{} ends with {:?}", hash.mechanism(), outcome.code))),
        Err(Stop::SetUp(reason) | Stop::Refused(reason)) => Ok(Outcome::fail(reason)),
        Err(other) => Err(other),
    }
}

fn external(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = offers(trial, "EXTERNAL")?;
    connection.raw(b"\0\0\0\x1a\x02\x01\0\0\0\x53\x41\xc0\x0d\x02\xa3\x08EXTERNAL\xa0\x00");
    Ok(gives_up(&mut connection))
}

fn recommended(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Ok((_, offered)) = offered_with(trial) else { return Ok(Outcome::fail("the server has no SASL")) };
    let names: Vec<&str> = offered.sasl_server_mechanisms.iter().map(|name| name.as_str()).collect();
    let is_open = names == ["ANONYMOUS"];
    let missing: Vec<&str> =
        ["PLAIN", "SCRAM-SHA-1"].into_iter().filter(|name| !is_open && !names.contains(name)).collect();
    if missing.is_empty() {
        Ok(Outcome::pass_with(names.join(" ")))
    } else {
        Ok(Outcome::fail(format!("{} is not offered, but {}", missing.join(" and "), names.join(" "))))
    }
}

fn no_extension(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Attached { mut connection, link, .. } = trial.sender()?;
    connection.send_with(link.channel, frames::transfer(link.handle, 0), frames::message("plain"));
    connection.expect_where(Skip::FLOWS, "disposition accepted", |answer: &Received<Disposition>| {
        answer.state == Some(DeliveryState::Accepted)
    })?;
    connection.detached(&link)?;
    Ok(closes_in_peace(&mut connection))
}
