//! Frames that come together, and frames that come late (§2.1.2, §2.4.2, §2.4.6).

use crate::{
    case::{Case, Check},
    client::{ClientTrial, Scenario, twins},
    either::nothing_follows,
    judge::closes_in_peace,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    frame::ProtocolHeader,
    performative::{Begin, Close, End, Open, Performative},
    sasl::{SaslCode, SaslInit},
};
use amqp1_script::{AmqpFrame, Got, Skip, frames};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.1.2-1",
        rule: "Frames arrive and are processed in the order in which they were sent (§2.1.2).",
        sends: "in one write: begin, end and close",
        wants: "an end or none, then close, and nothing more",
        twin: Some(&twins::BEGIN),
        check: Check::Client(Scenario::Send, answers_in_order),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.4.2-1",
        rule: "A server may send frames before the client's open has come (§2.4.2).",
        sends: "each header and what follows it in one write",
        wants: "a begin",
        twin: Some(&twins::BEGIN),
        check: Check::Client(Scenario::Send, pipelining_server),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.4.6-1",
        rule: "Before the headers were exchanged every frame is illegal (§2.4.6, START).",
        sends: "an open without a header before it",
        wants: "the end of the connection",
        check: Check::Client(Scenario::Send, open_without_header),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.4.6-2",
        rule: "The server's header may come any time after the client's (§2.4.6, HDR SENT).",
        sends: "a header after a while, in two parts",
        wants: "the next header or frame of the client",
        check: Check::Client(Scenario::Send, slow_header),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.4.6-3",
        rule: "A client that has sent its header and open waits for those of the server (§2.4.6, OPEN PIPE and OPEN SENT).",
        sends: "an open after a while",
        wants: "no close before it, and a begin",
        check: Check::Client(Scenario::Send, slow_open),
        ..Case::CLIENT
    },
];

fn answers_in_order(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut opened = trial.opened()?;
    let begin = opened.connection.expect::<Begin>().map_err(|unexpected| Stop::set_up(&unexpected))?;
    let answer = frames::encode(0, frames::begin_answering(begin.channel), b"");
    let (end, close) = (frames::encode(0, frames::end(), b""), frames::encode(0, frames::close(), b""));
    opened.connection.raw([answer, end, close].concat());
    loop {
        match opened.connection.next() {
            // The close ends the session too, so that the client may leave out its end, but not send it later.
            Got::Frame(AmqpFrame { body: Some(Performative::Close(Close { error: None })), .. }) => {
                return nothing_follows(&mut opened.connection);
            }
            // What was sent before the end was read, and the end.
            Got::Frame(AmqpFrame {
                body:
                    Some(Performative::Attach(_) | Performative::Flow(_) | Performative::End(End { error: None })) | None,
                ..
            }) => {}
            got => return Ok(Outcome::fail(format!("expected end, then close, got {got}"))),
        }
    }
}

/// Header and mechanisms in one write, and outcome, header and open.
fn pipelining_server(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    let header = connection.expect_any_header().map_err(|unexpected| Stop::set_up(&unexpected))?;
    let open = frames::encode(0, frames::open("amqp-conformance"), b"");
    if header == ProtocolHeader::SASL {
        let mechanisms = frames::sasl(&frames::mechanisms(&["ANONYMOUS", "PLAIN"]));
        connection.raw([&header.encode()[..], &mechanisms].concat());
        connection.expect::<SaslInit>()?;
        let outcome = frames::sasl(&frames::outcome(SaslCode::Ok));
        connection.raw([&outcome[..], &ProtocolHeader::AMQP.encode(), &open].concat());
        connection.expect_header(ProtocolHeader::AMQP)?;
    } else {
        connection.raw([&header.encode()[..], &open].concat());
    }
    connection.expect::<Open>()?;
    connection.expect::<Begin>()?;
    Ok(closes_in_peace(&mut connection))
}

fn open_without_header(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.send(0, frames::open("amqp-conformance"));
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            got if got.is_end() => return Ok(Outcome::pass()),
            // What was sent before the open was read, or why the client leaves.
            Got::Header(_) | Got::Sasl(_) => {}
            Got::Frame(frame) if frame.body.as_ref().is_some_and(|body| matches!(body.name(), "open" | "close")) => {}
            got => return Ok(Outcome::fail(format!("expected the end, got {got}"))),
        }
    }
}

const PAUSE: Duration = Duration::from_millis(100);

fn slow_header(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    let asked = connection.expect_any_header().map_err(|unexpected| Stop::set_up(&unexpected))?;
    let octets = asked.encode();
    let (first, second) = octets.split_at(3);
    let mut early = Vec::new();
    for part in [first, second] {
        early.extend(connection.gather(PAUSE, 10));
        connection.raw(part);
    }
    if let Some(got) = early.iter().find(|got| got.is_end()) {
        return Ok(Outcome::fail(format!("expected it to wait for the header, got {got}")));
    }
    if asked == ProtocolHeader::SASL {
        connection.sasl(frames::mechanisms(&["ANONYMOUS", "PLAIN"]));
        if !early.iter().any(|got| matches!(got, Got::Sasl(_))) {
            connection.expect::<SaslInit>()?;
        }
    } else {
        connection.send(0, frames::open("amqp-conformance"));
        connection.expect_where::<Begin>(Skip::EMPTY, "begin", |_| true).or_else(|unexpected| {
            // The client's open comes first, unless it has come already.
            if unexpected.got.name() == "open" { connection.expect::<Begin>() } else { Err(unexpected) }
        })?;
    }
    Ok(Outcome::pass())
}

fn slow_open(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.authenticated()?;
    connection.expect::<Open>().map_err(|unexpected| Stop::set_up(&unexpected))?;
    let early = connection.gather(PAUSE, 10);
    if let Some(got) = early.iter().find(|got| got.is_end() || got.name() == "close") {
        return Ok(Outcome::fail(format!("expected it to wait for open, got {got}")));
    }
    connection.send(0, frames::open("amqp-conformance"));
    if !early.iter().any(|got| got.name() == "begin") {
        connection.expect::<Begin>()?;
    }
    Ok(closes_in_peace(&mut connection))
}
