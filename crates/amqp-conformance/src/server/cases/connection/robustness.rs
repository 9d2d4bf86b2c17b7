//! What a server on a network has to bear (rules of which the text does not speak).

use crate::{
    case::{Case, Check, Severity, Tag},
    either::{UNMAPPED, robustness::open_with_fresh_symbols},
    judge::{closes_in_peace, should},
    server::{Attached, ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::{frame::ProtocolHeader, performative::Disposition};
use amqp1_script::{Got, Skip, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-rob-1",
        rule: "Symbols that were seen once, before a login is complete, are not kept for ever.",
        sends: "48 000 symbols that differ, in the opens of 800 connections",
        wants: "an answer on each of them, and to an open at the end",
        tags: &[Tag::Hostile],
        twin: Some(&twins::OPEN),
        check: Check::Server(fresh_symbols),
        ..Case::SERVER
    },
    Case {
        id: "T-rob-6/no-open",
        severity: Severity::Should,
        rule: "A client that sends its header and no open is disconnected after some time.",
        sends: "a header, and then nothing",
        wants: "the end of the connection within 90 s, or 18 times `--patience`",
        tags: &[Tag::Slow],
        check: Check::Server(|trial| {
            let mut connection = trial.authenticated()?;
            connection.header(ProtocolHeader::AMQP);
            connection.set_patience(trial.target().patience.saturating_mul(OCTETS));
            should(connection.expect_gone().map(|()| Outcome::pass()).map_err(Stop::from))
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-rob-6/slow-open",
        severity: Severity::Should,
        rule: "A client that sends its open octet by octet is disconnected after some time.",
        sends: "a header, and an octet of an open each 5 s, or as often as `--patience` says",
        wants: "the end of the connection within 90 s, or 18 times `--patience`",
        tags: &[Tag::Slow],
        check: Check::Server(slow_open),
        ..Case::SERVER
    },
    Case {
        id: "T-rob-7",
        rule: "What is refused on one connection does no harm to another.",
        sends: "frames that have to be refused, on connections of their own, and a message on another one",
        wants: "the message is accepted",
        twin: Some(&twins::TRANSFER),
        check: Check::Server(others_are_served),
        ..Case::SERVER
    },
];

/// The symbols of one open, which has at most 512 octets.
const SYMBOLS: u32 = 60;
const CONNECTIONS: u32 = 800;
/// The number of times that a server's patience with an unfinished open is tried.
const OCTETS: u32 = 18;

fn fresh_symbols(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    for number in 0..CONNECTIONS {
        let open = open_with_fresh_symbols(trial.open(), number.saturating_mul(SYMBOLS), SYMBOLS);
        let mut connection = trial.authenticated()?;
        connection.header(ProtocolHeader::AMQP);
        connection.send(0, open);
        connection.expect_header(ProtocolHeader::AMQP)?;
        match connection.next() {
            got if got.is_end() || got.name() == "open" || got.name() == "close" => {}
            got => return Ok(Outcome::fail(format!("connection {number}: expected open, got {got}"))),
        }
    }
    Ok(closes_in_peace(&mut trial.opened()?.connection))
}

fn slow_open(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.authenticated()?;
    connection.header(ProtocolHeader::AMQP);
    let (start, interval) = (connection.now(), trial.target().patience);
    for octet in frames::encode(0, trial.open(), b"").iter().take(usize::try_from(OCTETS).unwrap_or(usize::MAX)) {
        connection.raw([*octet]);
        let next = connection.now().saturating_add(interval);
        while connection.now() < next {
            let got = connection.next_within(next.saturating_sub(connection.now()));
            if got.is_end() || got.name() == "close" {
                return Ok(Outcome::pass_with(got.to_string()));
            }
            if !matches!(got, Got::Timeout { .. } | Got::Header(_) | Got::Frame(_)) {
                return Ok(Outcome::fail(format!("expected the end, got {got}")));
            }
        }
    }
    Ok(Outcome::warn(format!("still open after {} ms", connection.now().saturating_sub(start).as_millis())))
}

fn others_are_served(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Attached { mut connection, link, .. } = trial.sender()?;
    let broken: [&[u8]; 3] = [UNMAPPED, b"\0\0\0\0\x02\0\0\0", b"\0\0\0\x0c\x02\0\0\0\0\x53\x19\x45"];
    for octets in broken {
        let mut other = trial.opened()?.connection;
        other.raw(octets);
        // However it ends, the first connection is what counts.
        other.next();
    }
    connection.send_with(link.channel, frames::transfer(link.handle, 0), frames::message("served"));
    connection.expect_skipping::<Disposition>(Skip::FLOWS)?;
    let outcome = closes_in_peace(&mut connection);
    trial.purge()?;
    Ok(outcome)
}
