//! The SASL dialog (§5.1, §5.3.2).

use super::support::{AMQP, HEADER, INIT_UNKNOWN, LOGIN, frame, gives_up, init_body, logs_in, offered, offered_with};
use crate::{
    case::{Case, Check, Need, Severity},
    judge::should,
    server::{Login, ServerTrial},
    verdict::{Outcome, Stop, Verdict},
};
use amqp1_codec::{
    frame::ProtocolHeader,
    performative::Open,
    sasl::{SaslBody, SaslCode, SaslMechanisms, SaslOutcome},
};
use amqp1_script::{Body, Got, frames};

const NEEDS: &[Need] = &[Need::Sasl];

const FATAL: Case =
    Case { wants: "the end of the connection, without a success", needs: NEEDS, twin: Some(&LOGIN), ..Case::SERVER };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "S-5.1-1",
        rule: "When a security layer fails, the connection's stream is closed in both directions (§5.1).",
        sends: "a sasl-init for a mechanism that does not exist",
        wants: "a failed outcome or none, and the end of the stream",
        needs: NEEDS,
        twin: Some(&LOGIN),
        check: Check::Server(stream_ends),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.2-1",
        rule: "The server announces its mechanisms first (§5.3.2).",
        sends: "the SASL header, and nothing more",
        wants: "sasl-mechanisms",
        needs: NEEDS,
        check: Check::Server(mechanisms_come),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.2-2",
        severity: Severity::Should,
        rule: "A server that asks for no authentication offers ANONYMOUS alone (§5.3.3.1).",
        sends: "the SASL header",
        wants: "sasl-mechanisms with ANONYMOUS alone, or without it",
        needs: NEEDS,
        check: Check::Server(|trial| should(anonymous_alone(trial))),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.2-5",
        rule: "A mechanism that the server does not support fails, and the connection is closed (§5.3.3.2).",
        sends: "a sasl-init for a mechanism that does not exist",
        check: Check::Server(|trial| fatal(trial, INIT_UNKNOWN)),
        ..FATAL
    },
    Case {
        id: "S-5.3.2-6/response-first",
        rule: "A sasl-response answers a challenge, and a dialog begins with sasl-init (§5.3.2).",
        sends: "sasl-response before sasl-init",
        check: Check::Server(|trial| fatal(trial, b"\0\0\0\x1c\x02\x01\0\0\0\x53\x43\xc0\x0f\x01\xa0\x0cc=biws,r=abc")),
        ..FATAL
    },
    Case {
        id: "S-5.3.2-6/init-twice",
        rule: "A dialog has one sasl-init (§5.3.2).",
        sends: "two sasl-inits",
        wants: "no second outcome, and the end of the connection",
        needs: NEEDS,
        twin: Some(&LOGIN),
        check: Check::Server(init_twice),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.2-7",
        rule: "After the outcome ok, headers are exchanged again (§5.3.3.5).",
        sends: "sasl-init; the AMQP header after the outcome",
        wants: "the outcome ok and the AMQP header",
        needs: NEEDS,
        check: Check::Server(header_after_outcome),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.2-7/skipped",
        rule: "The AMQP layer does not begin before the SASL dialog has succeeded (§5.3.2).",
        sends: "the SASL header, the AMQP header and an open, without a sasl-init",
        check: Check::Server(|trial| {
            fatal(trial, b"AMQP\x00\x01\x00\x00\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c")
        }),
        ..FATAL
    },
    Case {
        id: "S-5.3.2-7/after-failure",
        rule: "The AMQP layer does not begin after a SASL dialog that has failed (§5.3.3.5).",
        sends: "a sasl-init for a mechanism that does not exist, the AMQP header and an open at once",
        check: Check::Server(|trial| {
            const OPEN: &[u8] = b"\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c";
            fatal(trial, &[INIT_UNKNOWN, AMQP, OPEN].concat())
        }),
        ..FATAL
    },
    Case {
        id: "S-5.3.2-8",
        severity: Severity::May,
        rule: "What a client sends behind its sasl-init, knowing the mechanism beforehand, is not lost (§5.3.2).",
        sends: "both headers, sasl-init and open in one write",
        wants: "mechanisms, outcome, header and open",
        needs: NEEDS,
        check: Check::Server(pipelined),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.3.1-1",
        rule: "The list of mechanisms is neither null nor empty (§5.3.3.1).",
        sends: "the SASL header",
        wants: "sasl-mechanisms with a mechanism",
        needs: NEEDS,
        check: Check::Server(list_is_not_empty),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.3.2-1",
        rule: "The mechanism of sasl-init is mandatory (§5.3.3.2).",
        sends: "a sasl-init without fields",
        check: Check::Server(|trial| fatal(trial, b"\0\0\0\x0c\x02\x01\0\0\0\x53\x41\x45")),
        ..FATAL
    },
    Case {
        id: "S-5.3.3.2-1/string",
        rule: "The mechanism of sasl-init is a symbol (§5.3.3.2).",
        sends: "a sasl-init whose mechanism is a string",
        check: Check::Server(|trial| fatal(trial, b"\0\0\0\x19\x02\x01\0\0\0\x53\x41\xc0\x0c\x01\xa1\x09ANONYMOUS")),
        ..FATAL
    },
    Case {
        id: "S-5.3.3.2-2",
        severity: Severity::Should,
        rule: "Where sasl-init names no host, the server takes its own default (§5.3.3.2).",
        sends: "a sasl-init without a hostname, then an open without one",
        wants: "the outcome ok, and an open",
        needs: NEEDS,
        check: Check::Server(|trial| should(no_hostname(trial))),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.3.5-1",
        rule: "A failed outcome has a code of 1 to 4, and no additional data (§5.3.3.5).",
        sends: "a sasl-init for a mechanism that does not exist",
        wants: "an outcome with a code of a failure and null additional-data",
        needs: NEEDS,
        check: Check::Server(failed_outcome),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.3.6-1",
        rule: "The outcome's code is a ubyte, and 1 says that the credentials were not taken (§5.3.3.6).",
        sends: "a sasl-init for a mechanism that does not exist",
        wants: "an outcome whose code is encoded as a ubyte, and says auth",
        needs: NEEDS,
        check: Check::Server(code_is_auth),
        ..Case::SERVER
    },
];

fn fatal(trial: &mut ServerTrial<'_>, octets: &[u8]) -> Result<Outcome, Stop> {
    let mut connection = offered(trial)?;
    connection.raw(octets);
    Ok(gives_up(&mut connection))
}

fn stream_ends(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = offered(trial)?;
    connection.raw(INIT_UNKNOWN);
    let mut got = connection.next();
    if got.name() == "sasl-outcome" {
        let outcome = SaslOutcome::of(got).map_err(|got| connection.unexpected("sasl-outcome", got))?;
        if outcome.code == SaslCode::Ok {
            return Ok(Outcome::fail("the outcome is ok"));
        }
        got = connection.next();
    }
    match got {
        Got::Eof { unfinished } if unfinished.is_empty() => Ok(Outcome::pass()),
        Got::Reset { unfinished } if unfinished.is_empty() => Ok(Outcome::pass_with("the connection was reset")),
        got => Ok(Outcome::fail(format!("expected the end of the stream, got {got}"))),
    }
}

fn mechanisms_come(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.raw(HEADER);
    connection.expect_header(ProtocolHeader::SASL)?;
    let offered = connection.expect::<SaslMechanisms>()?;
    let names: Vec<&str> = offered.sasl_server_mechanisms.iter().map(|name| name.as_str()).collect();
    let is_name = |name: &&str| {
        (1..=20).contains(&name.len())
            && name.bytes().all(|octet| matches!(octet, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_'))
    };
    match names.iter().find(|name| !is_name(name)) {
        Some(name) => Ok(Outcome::fail(format!("{name:?} is not the name of a mechanism (RFC 4422 §3.1)"))),
        None => Ok(Outcome::pass_with(names.join(" "))),
    }
}

fn anonymous_alone(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let (_, offered) = offered_with(trial)?;
    let names: Vec<&str> = offered.sasl_server_mechanisms.iter().map(|name| name.as_str()).collect();
    if names.len() > 1 && names.contains(&"ANONYMOUS") {
        return Ok(Outcome::fail(format!("ANONYMOUS beside others: {}", names.join(" "))));
    }
    Ok(Outcome::pass_with(names.join(" ")))
}

/// The server may have ended the SASL layer with the first outcome; the second `sasl-init` is then no AMQP header.
fn init_twice(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = offered(trial)?;
    let init = frame(2, 1, [0, 0], &init_body(trial));
    connection.raw([&init[..], &init].concat());
    let deadline = connection.now().saturating_add(connection.patience());
    let (mut outcomes, mut is_challenged) = (0u32, false);
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            Got::Sasl(SaslBody::Outcome(_)) if outcomes == 0 => outcomes = 1,
            // A mechanism of several steps goes on before the second one is read.
            Got::Sasl(SaslBody::Challenge(_)) if outcomes == 0 && !is_challenged => is_challenged = true,
            // A server that does not find its header answers with the header that it supports (§2.2).
            Got::Header(ProtocolHeader::AMQP | ProtocolHeader::SASL) => {}
            got if got.is_end() => return Ok(Outcome::pass()),
            got => return Ok(Outcome::fail(format!("expected the end of the connection, got {got}"))),
        }
    }
}

fn header_after_outcome(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = offered(trial)?;
    connection.raw(frame(2, 1, [0, 0], &init_body(trial)));
    let outcome = logs_in(trial, &mut connection)?;
    if outcome.verdict != Verdict::Pass {
        return Ok(outcome);
    }
    connection.header(ProtocolHeader::AMQP);
    connection.expect_header(ProtocolHeader::AMQP)?;
    connection.send(0, trial.open());
    connection.expect::<Open>()?;
    Ok(Outcome::pass())
}

fn pipelined(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    if let Login::Scram { .. } = trial.target().login {
        return Ok(Outcome::skip("SCRAM does not end with sasl-init"));
    }
    let mut connection = trial.connected()?;
    let init = frame(2, 1, [0, 0], &init_body(trial));
    let open = frames::encode(0, trial.open(), b"");
    connection.raw([HEADER, &init, AMQP, &open].concat());
    connection.expect_header(ProtocolHeader::SASL)?;
    connection.expect::<SaslMechanisms>()?;
    if connection.expect::<SaslOutcome>()?.code != SaslCode::Ok {
        return Ok(Outcome::fail("the dialog has failed"));
    }
    connection.expect_header(ProtocolHeader::AMQP)?;
    connection.expect::<Open>()?;
    Ok(Outcome::pass())
}

/// Reads the octets, since a list that is null or empty cannot be decoded.
fn list_is_not_empty(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.raw(HEADER);
    connection.expect_header(ProtocolHeader::SASL)?;
    match connection.next() {
        Got::Sasl(SaslBody::Mechanisms(offered)) if !offered.sasl_server_mechanisms.is_empty() => Ok(Outcome::pass()),
        got => Ok(Outcome::fail(format!("expected sasl-mechanisms with a mechanism, got {got}"))),
    }
}

fn no_hostname(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = offered(trial)?;
    connection.raw(frame(2, 1, [0, 0], &init_body(trial)));
    let outcome = logs_in(trial, &mut connection)?;
    if outcome.verdict != Verdict::Pass {
        return Ok(outcome);
    }
    connection.header(ProtocolHeader::AMQP);
    connection.send(0, Open { hostname: None, ..trial.open() });
    connection.expect_header(ProtocolHeader::AMQP)?;
    connection.expect::<Open>()?;
    Ok(Outcome::pass())
}

/// The outcome after a mechanism that does not exist; a server may also end the connection without one (§5.3.3.2).
fn outcome_of_failure(trial: &mut ServerTrial<'_>) -> Result<SaslOutcome, Stop> {
    let mut connection = offered(trial)?;
    connection.raw(INIT_UNKNOWN);
    Ok(connection.expect::<SaslOutcome>()?.body)
}

fn failed_outcome(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let outcome = outcome_of_failure(trial)?;
    match (outcome.code, outcome.additional_data) {
        (SaslCode::Ok, _) => Ok(Outcome::fail("the outcome is ok")),
        (code, None) => Ok(Outcome::pass_with(format!("{code:?}"))),
        (code, Some(_)) => Ok(Outcome::fail(format!("outcome {code:?} with additional-data"))),
    }
}

fn code_is_auth(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let outcome = outcome_of_failure(trial).map_err(|stop| match stop {
        // That an outcome comes is another rule.
        Stop::Known(outcome) => Stop::SetUp(outcome.reason),
        stop => stop,
    })?;
    match outcome.code {
        SaslCode::Auth => Ok(Outcome::pass()),
        SaslCode::Ok => Ok(Outcome::fail("the outcome is ok")),
        code if trial.is_strict() => Ok(Outcome::fail(format!("code {code:?}"))),
        code => Ok(Outcome::pass_with(format!("code {code:?}, where the cause is the client's choice"))),
    }
}
