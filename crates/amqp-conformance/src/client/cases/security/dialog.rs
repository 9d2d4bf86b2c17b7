//! The SASL dialog (§5.1, §5.3.2, §5.3.3).

use super::support::{LOGIN, MECHANISMS, OK, asked, chosen, fatal_after_init, fatal_first, offering, opens};
use crate::{
    case::{Case, Check, Severity, Twin},
    client::{ClientTrial, Scenario},
    judge::should,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    frame::ProtocolHeader,
    performative::Begin,
    sasl::{SaslBody, SaslInit, SaslResponse},
};
use amqp1_script::{Got, frames};

const FATAL: Case = Case { wants: "the end of the stream, and no AMQP header", twin: Some(&LOGIN), ..Case::CLIENT };

const fn send(check: fn(&mut ClientTrial<'_>) -> Result<Outcome, Stop>) -> Check {
    Check::Client(Scenario::Send, check)
}

pub(super) const CASES: &[Case] = &[
    Case {
        id: "S-5.1-1",
        rule: "When a security layer fails, the connection's stream is closed in both directions (§5.1).",
        sends: "the outcome auth",
        wants: "the end of the stream, and nothing before it",
        twin: Some(&LOGIN),
        check: send(|trial| fatal_after_init(trial, &outcome(1))),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.2-3",
        rule: "A client chooses one of the mechanisms that are offered (§5.3.2).",
        sends: "a mechanism alone that does not exist",
        wants: "the end of the stream, and no sasl-init for another mechanism",
        twin: Some(&LOGIN),
        check: send(nothing_to_choose),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.2-4",
        severity: Severity::Should,
        rule: "A client chooses a mechanism that it can do, wherever that stands in the list (§5.3.3.2).",
        sends: "a mechanism that does not exist, then PLAIN and ANONYMOUS",
        wants: "a sasl-init for PLAIN or ANONYMOUS",
        twin: Some(&LOGIN),
        check: send(|trial| should(last_in_the_list(trial))),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.2-6/outcome-first",
        rule: "A dialog begins with the server's mechanisms (§5.3.2).",
        sends: "the outcome ok before any mechanism",
        check: send(|trial| fatal_first(trial, OK)),
        ..FATAL
    },
    Case {
        id: "S-5.3.2-6/challenge-first",
        rule: "A dialog begins with the server's mechanisms (§5.3.2).",
        sends: "sasl-challenge before any mechanism",
        check: send(|trial| fatal_first(trial, CHALLENGE)),
        ..FATAL
    },
    Case {
        id: "S-5.3.2-6/mechanisms-twice",
        rule: "A dialog has one list of mechanisms (§5.3.2).",
        sends: "sasl-mechanisms again, after sasl-init",
        check: send(|trial| fatal_after_init(trial, MECHANISMS)),
        ..FATAL
    },
    Case {
        id: "S-5.3.2-6/outcome-twice",
        rule: "A dialog has one outcome (§5.3.2).",
        sends: "the outcome ok twice",
        wants: "the end of the connection; the AMQP header of the client may come before it",
        twin: Some(&LOGIN),
        check: send(outcome_twice),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.2-7",
        rule: "After the outcome ok, headers are exchanged again (§5.3.3.5).",
        sends: "the outcome ok, and the AMQP header when the client's has come",
        wants: "the AMQP header and an open",
        check: send(|trial| {
            let (mut connection, _) = chosen(trial)?;
            connection.raw(OK);
            opens(&mut connection)
        }),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.2-7/no-header",
        rule: "No frame of the AMQP layer comes before its header (§2.2, §5.3.3.5).",
        sends: "the outcome ok, and an open without a header",
        wants: "the end of the connection, or close; no begin",
        twin: Some(&LOGIN),
        check: send(open_without_header),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.2-8",
        severity: Severity::May,
        rule: "What comes in one write with the outcome is not lost (§5.3.2).",
        sends: "the outcome ok, the AMQP header and an open in one write",
        wants: "the AMQP header, an open and a begin",
        twin: Some(&LOGIN),
        check: send(pipelined),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.3.1-1/empty",
        rule: "The list of mechanisms is not empty (§5.3.3.1).",
        sends: "sasl-mechanisms with an empty array",
        check: send(|trial| fatal_first(trial, b"\0\0\0\x12\x02\x01\0\0\0\x53\x40\xc0\x05\x01\xe0\x02\x00\xa3")),
        ..FATAL
    },
    Case {
        id: "S-5.3.3.1-1/null",
        rule: "The list of mechanisms is not null (§5.3.3.1).",
        sends: "sasl-mechanisms with null",
        check: send(|trial| fatal_first(trial, b"\0\0\0\x0f\x02\x01\0\0\0\x53\x40\xc0\x02\x01\x40")),
        ..FATAL
    },
    Case {
        id: "S-5.3.3.1-1/one",
        rule: "One mechanism may be sent as a symbol (§1.4, §5.3.3.1).",
        sends: "sasl-mechanisms with the symbol ANONYMOUS",
        wants: "sasl-init for ANONYMOUS",
        twin: Some(&ANONYMOUS),
        check: send(one_symbol),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.3.2-1",
        rule: "The mechanism of sasl-init is mandatory, and a symbol (§5.3.3.2).",
        sends: "ANONYMOUS and PLAIN",
        wants: "a sasl-init that names one of them",
        check: send(init_names_one),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.3.2-3",
        rule: "A client that sends no initial-response answers a challenge; one that sends it has said all (§5.3.3.2).",
        sends: "an empty challenge, if the client's sasl-init has no initial-response",
        wants: "sasl-response, and the open after the outcome",
        check: send(initial_response),
        ..Case::CLIENT
    },
    Case {
        id: "S-5.3.3.3-1",
        rule: "The challenge of sasl-challenge is mandatory (§5.3.3.3).",
        sends: "sasl-challenge without fields",
        check: send(|trial| fatal_after_init(trial, b"\0\0\0\x0c\x02\x01\0\0\0\x53\x42\x45")),
        ..FATAL
    },
    Case {
        id: "S-5.3.3.3-1/type",
        rule: "The challenge of sasl-challenge is binary (§5.3.3.3).",
        sends: "sasl-challenge with a string",
        check: send(|trial| fatal_after_init(trial, b"\0\0\0\x13\x02\x01\0\0\0\x53\x42\xc0\x06\x01\xa1\x03abc")),
        ..FATAL
    },
    Case {
        id: "S-5.3.3.5-1/no-code",
        rule: "The code of sasl-outcome is mandatory (§5.3.3.5).",
        sends: "sasl-outcome without fields",
        check: send(|trial| fatal_after_init(trial, b"\0\0\0\x0c\x02\x01\0\0\0\x53\x44\x45")),
        ..FATAL
    },
    Case {
        id: "S-5.3.3.6-1/sys",
        rule: "The code 2 is a failure (§5.3.3.6).",
        sends: "the outcome sys",
        check: send(|trial| fatal_after_init(trial, &outcome(2))),
        ..FATAL
    },
    Case {
        id: "S-5.3.3.6-1/sys-perm",
        rule: "The code 3 is a failure (§5.3.3.6).",
        sends: "the outcome sys-perm",
        check: send(|trial| fatal_after_init(trial, &outcome(3))),
        ..FATAL
    },
    Case {
        id: "S-5.3.3.6-1/sys-temp",
        rule: "The code 4 is a failure (§5.3.3.6).",
        sends: "the outcome sys-temp",
        check: send(|trial| fatal_after_init(trial, &outcome(4))),
        ..FATAL
    },
    Case {
        id: "S-5.3.3.6-1/unknown",
        rule: "There is no code above 4 (§5.3.3.6).",
        sends: "an outcome with the code 5",
        check: send(|trial| fatal_after_init(trial, &outcome(5))),
        ..FATAL
    },
    Case {
        id: "S-5.3.3.6-1/type",
        rule: "The code is a ubyte (§5.3.3.6).",
        sends: "an outcome whose code is the uint 0",
        check: send(|trial| fatal_after_init(trial, b"\0\0\0\x0f\x02\x01\0\0\0\x53\x44\xc0\x02\x01\x43")),
        ..FATAL
    },
];

/// The client chooses ANONYMOUS where that alone is offered, as an array.
static ANONYMOUS: Twin = Twin {
    name: "anonymous",
    check: send(|trial| {
        let mut connection = asked(trial)?;
        connection.raw(b"\0\0\0\x1c\x02\x01\0\0\0\x53\x40\xc0\x0f\x01\xe0\x0c\x01\xa3\x09ANONYMOUS");
        connection.expect::<SaslInit>()?;
        Ok(Outcome::pass())
    }),
};

/// `sasl-challenge` of three octets.
const CHALLENGE: &[u8] = b"\0\0\0\x13\x02\x01\0\0\0\x53\x42\xc0\x06\x01\xa0\x03abc";

/// `sasl-outcome` with this code.
fn outcome(code: u8) -> Vec<u8> {
    [&b"\0\0\0\x10\x02\x01\0\0\0\x53\x44\xc0\x03\x01\x50"[..], &[code]].concat()
}

fn nothing_to_choose(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = asked(trial)?;
    connection.raw(offering(&["X-NO-SUCH-M"]));
    match connection.next() {
        got if got.is_end() => Ok(Outcome::pass()),
        Got::Sasl(SaslBody::Init(init)) => {
            Ok(Outcome::fail(format!("sasl-init for {}, which was not offered or does not exist", init.mechanism)))
        }
        got => Ok(Outcome::fail(format!("expected the end of the stream, got {got}"))),
    }
}

fn last_in_the_list(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = asked(trial)?;
    connection.raw(offering(&["X-NO-SUCH-M", "PLAIN", "ANONYMOUS"]));
    let init = connection.expect::<SaslInit>()?;
    match init.mechanism.as_str() {
        name @ ("PLAIN" | "ANONYMOUS") => Ok(Outcome::pass_with(name)),
        name => Ok(Outcome::fail(format!("sasl-init for {name}"))),
    }
}

fn outcome_twice(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut connection, _) = chosen(trial)?;
    connection.raw([OK, OK].concat());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            got if got.is_end() => return Ok(Outcome::pass()),
            // Sent before the second outcome was read.
            Got::Header(ProtocolHeader::AMQP) => {}
            Got::Frame(frame) if frame.body.as_ref().is_some_and(|body| matches!(body.name(), "open" | "close")) => {}
            got => return Ok(Outcome::fail(format!("expected the end of the stream, got {got}"))),
        }
    }
}

/// The client may have opened and begun before it reads; what it must not do is to go on as if a header had come.
fn open_without_header(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut connection, _) = chosen(trial)?;
    connection.raw(OK);
    connection.expect_header(ProtocolHeader::AMQP)?;
    connection.send(0, frames::open("amqp-conformance"));
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if got.is_end() || got.name() == "close" {
            return Ok(Outcome::pass());
        }
        if !matches!(got.name(), "open" | "empty") {
            return Ok(Outcome::fail(format!("expected the end of the stream, got {got}")));
        }
    }
}

fn pipelined(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut connection, _) = chosen(trial)?;
    let open = frames::encode(0, frames::open("amqp-conformance"), b"");
    connection.raw([OK, b"AMQP\x00\x01\x00\x00", &open].concat());
    connection.expect_header(ProtocolHeader::AMQP)?;
    connection.expect::<amqp1_codec::performative::Open>()?;
    connection.expect::<Begin>()?;
    Ok(Outcome::pass())
}

fn one_symbol(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = asked(trial)?;
    connection.raw(b"\0\0\0\x19\x02\x01\0\0\0\x53\x40\xc0\x0c\x01\xa3\x09ANONYMOUS");
    match connection.next() {
        Got::Sasl(SaslBody::Init(init)) if init.mechanism.as_str() == "ANONYMOUS" => Ok(Outcome::pass()),
        got => Ok(Outcome::fail(format!("expected sasl-init for ANONYMOUS, got {got}"))),
    }
}

fn init_names_one(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = asked(trial)?;
    connection.raw(MECHANISMS);
    let init = connection.expect::<SaslInit>()?;
    match init.mechanism.as_str() {
        name @ ("PLAIN" | "ANONYMOUS") => Ok(Outcome::pass_with(name)),
        name => Ok(Outcome::fail(format!("sasl-init for {name}"))),
    }
}

fn initial_response(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let (mut connection, init) = chosen(trial)?;
    let remark = match &init.initial_response {
        Some(response) => format!("{} with an initial-response of {} octets", init.mechanism, response.0.len()),
        None => {
            connection.raw(b"\0\0\0\x10\x02\x01\0\0\0\x53\x42\xc0\x03\x01\xa0\x00");
            connection.expect::<SaslResponse>()?;
            format!("{} with a response to an empty challenge", init.mechanism)
        }
    };
    if init.mechanism.as_str() == "PLAIN"
        && let Some(response) = &init.initial_response
        && response.0.iter().filter(|octet| **octet == 0).count() != 2
    {
        return Ok(Outcome::fail("the PLAIN message does not have two NULs (RFC 4616)"));
    }
    connection.raw(OK);
    opens(&mut connection)?;
    Ok(Outcome::pass_with(remark))
}
