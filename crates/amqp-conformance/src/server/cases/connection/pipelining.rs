//! Frames that are sent ahead (§2.1.2, §2.4.2, §2.4.6).

use crate::{
    case::{Case, Check},
    either::nothing_follows,
    server::{ServerTrial, twins},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    frame::ProtocolHeader,
    performative::{Begin, Flow, Open},
};
use amqp1_script::{Got, frames};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.1.2-1",
        rule: "Frames arrive and are processed in the order in which they were sent (§2.1.2).",
        sends: "in one write: header, open, begin, attach, detach, end and close",
        wants: "open, begin, end and close in this order; attach and detach between, unless the end comes first",
        twin: Some(&twins::ATTACH_SENDER),
        check: Check::Server(|trial| {
            let frames = [
                frames::encode(0, frames::attach_sender("ordered", 0, trial.node()), b""),
                frames::encode(0, frames::detach(0), b""),
                frames::encode(0, frames::end(), b""),
            ];
            answers_in_order(trial, &frames.concat(), &["open", "begin", "attach?", "detach?", "end", "close"])
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-2.4.2-1",
        rule: "A client may send frames before the server's header and open have come (§2.4.2).",
        sends: "in one write: header, open, begin, attach, flow and close",
        wants: "header, open, begin and close; an attach between, unless the close comes first",
        twin: Some(&twins::ATTACH_RECEIVER),
        check: Check::Server(|trial| {
            let flow = Flow { delivery_count: None, next_incoming_id: None, ..frames::credit(0, 1) };
            let frames = [
                frames::encode(0, frames::attach_receiver("pipelined", 0, trial.node()), b""),
                frames::encode(0, flow, b""),
            ];
            answers_in_order(trial, &frames.concat(), &["open", "begin", "attach?", "end?", "close"])
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-2.4.6-1",
        rule: "Before the headers were exchanged every frame is illegal (§2.4.6, START).",
        sends: "an open without a header before it",
        wants: "the end of the connection",
        check: Check::Server(open_without_header),
        ..Case::SERVER
    },
    Case {
        id: "T-2.4.6-2",
        rule: "The open may come any time after the headers (§2.4.6, HDR RCVD and HDR EXCH).",
        sends: "a header in two parts, and an open after a while",
        wants: "the header, then an open",
        check: Check::Server(slow_header),
        ..Case::SERVER
    },
    Case {
        id: "T-2.4.6-3",
        rule: "A peer that has sent its header and open may go on before anything has come (§2.4.6, OPEN PIPE).",
        sends: "in one write: header, open and begin; an end once they are answered",
        wants: "header, open, begin and end",
        check: Check::Server(open_pipe),
        ..Case::SERVER
    },
    Case {
        id: "T-2.4.6-4/pipelined",
        rule: "A peer that has sent header, open and close before anything has come only reads (§2.4.6, OC PIPE).",
        sends: "in one write: header, open and close",
        wants: "header, open, close, and the end of the stream",
        check: Check::Server(|trial| {
            let mut connection = trial.authenticated()?;
            let open = frames::encode(0, trial.open(), b"");
            let close = frames::encode(0, frames::close(), b"");
            connection.raw([&ProtocolHeader::AMQP.encode()[..], &open, &close].concat());
            connection.expect_header(ProtocolHeader::AMQP)?;
            in_order(&mut connection, &["open", "close"])
        }),
        ..Case::SERVER
    },
];

/// Sends header, open, begin, these frames and close in one write. The answers must come in this order; those with a
/// question mark may be missing.
fn answers_in_order(trial: &mut ServerTrial<'_>, rest: &[u8], order: &[&str]) -> Result<Outcome, Stop> {
    let mut connection = trial.authenticated()?;
    let open = frames::encode(0, trial.open(), b"");
    let begin = frames::encode(0, frames::begin(), b"");
    let close = frames::encode(0, frames::close(), b"");
    connection.raw([&ProtocolHeader::AMQP.encode()[..], &open, &begin, rest, &close].concat());
    connection.expect_header(ProtocolHeader::AMQP)?;
    in_order(&mut connection, order)
}

/// Waits for frames with these names, up to the last. Flows, transfers and empty frames may come between them.
fn in_order(connection: &mut Connection, order: &[&str]) -> Result<Outcome, Stop> {
    let mut rest = order;
    while let Some(wanted) = rest.first() {
        let got = connection.next();
        let name = if got.is_end() { "the end of the stream" } else { got.name() };
        if matches!(name, "flow" | "empty" | "transfer") {
            continue;
        }
        let skipped = rest.iter().take_while(|wanted| wanted.ends_with('?') && wanted.trim_end_matches('?') != name);
        let skipped = skipped.count();
        match rest.get(skipped..).and_then(<[_]>::split_first) {
            Some((next, after)) if next.trim_end_matches('?') == name => rest = after,
            _ => return Ok(Outcome::fail(format!("expected {}, got {got}", wanted.trim_end_matches('?')))),
        }
    }
    nothing_follows(connection)
}

fn open_without_header(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.send(0, trial.open());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            got if got.is_end() => return Ok(Outcome::pass()),
            Got::Header(_) => {}
            // A peer that says why may have to open first.
            Got::Frame(frame) if frame.body.as_ref().is_some_and(|body| matches!(body.name(), "open" | "close")) => {}
            got => return Ok(Outcome::fail(format!("expected the end, got {got}"))),
        }
    }
}

const PAUSE: Duration = Duration::from_millis(100);

fn slow_header(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.authenticated()?;
    let header = ProtocolHeader::AMQP.encode();
    let (first, second) = header.split_at(3);
    connection.raw(first);
    let early = connection.next_within(PAUSE);
    connection.raw(second);
    match early {
        Got::Timeout { .. } => connection.expect_header(ProtocolHeader::AMQP)?,
        Got::Header(ProtocolHeader::AMQP) => {}
        got => return Ok(Outcome::fail(format!("expected a header, got {got}"))),
    }
    // The server's open may come before the tool's.
    let early = connection.next_within(PAUSE);
    connection.send(0, trial.open());
    match early {
        Got::Timeout { .. } => drop(connection.expect::<Open>()?),
        got if got.name() == "open" => {}
        got => return Ok(Outcome::fail(format!("expected open, got {got}"))),
    }
    Ok(crate::judge::closes_in_peace(&mut connection))
}

fn open_pipe(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.authenticated()?;
    let open = frames::encode(0, trial.open(), b"");
    let begin = frames::encode(0, frames::begin(), b"");
    connection.raw([&ProtocolHeader::AMQP.encode()[..], &open, &begin].concat());
    connection.expect_header(ProtocolHeader::AMQP)?;
    connection.expect::<Open>()?;
    connection.expect::<Begin>()?;
    connection.send(0, frames::end());
    connection.expect::<amqp1_codec::performative::End>()?;
    Ok(crate::judge::closes_in_peace(&mut connection))
}
