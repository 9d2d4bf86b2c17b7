//! Protocol headers (§2.2).

use crate::{
    case::{Case, Check},
    client::{ClientTrial, Scenario},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::frame::ProtocolHeader;
use amqp1_script::{Got, frames};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.2-1",
        rule: "Each peer sends a protocol header of eight octets before any frame (§2.2).",
        sends: "nothing",
        wants: "a header of version 1.0.0, of AMQP, TLS or SASL",
        check: Check::Client(Scenario::Idle, header_comes_first),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.2-2",
        rule: "The peer that opened the TCP connection sends its header at once (§2.2).",
        sends: "nothing",
        wants: "a protocol header",
        check: Check::Client(Scenario::Idle, |trial| {
            let mut connection = trial.connected()?;
            connection.expect_any_header()?;
            Ok(Outcome::pass())
        }),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.2-9/version",
        rule: "Where the headers do not match, both peers stop writing (§2.2).",
        sends: "a header of version 2.0.0",
        wants: "the end of the stream",
        check: Check::Client(Scenario::Send, |trial| ends_after(trial, |asked| with_octet(asked, 5, 2))),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.2-9/id",
        rule: "Where the headers do not match, both peers stop writing (§2.2).",
        sends: "the SASL header to a client that asked for AMQP, or the other way round",
        wants: "the end of the stream",
        check: Check::Client(Scenario::Send, |trial| ends_after(trial, |asked| with_octet(asked, 4, other_id(asked)))),
        ..Case::CLIENT
    },
    Case {
        id: "T-2.2-10",
        rule: "What follows a header belongs to the protocol that it names (§2.2).",
        sends: "an open in answer to the SASL header, or sasl-mechanisms in answer to the AMQP header",
        wants: "the end of the connection",
        check: Check::Client(Scenario::Send, frame_of_other_protocol),
        ..Case::CLIENT
    },
];

fn header_comes_first(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    match connection.next() {
        Got::Header(ProtocolHeader::AMQP | ProtocolHeader::TLS | ProtocolHeader::SASL) => Ok(Outcome::pass()),
        got => Ok(Outcome::fail(format!("expected a header of version 1.0.0, got {got}"))),
    }
}

/// The header with another octet at this place.
fn with_octet(header: ProtocolHeader, at: usize, octet: u8) -> [u8; 8] {
    let mut octets = header.encode();
    if let Some(place) = octets.get_mut(at) {
        *place = octet;
    }
    octets
}

fn other_id(header: ProtocolHeader) -> u8 {
    if header == ProtocolHeader::SASL { 0 } else { 3 }
}

/// Answers the client's header with another one. The client may have sent frames before it has read that.
fn ends_after(trial: &mut ClientTrial<'_>, answer: fn(ProtocolHeader) -> [u8; 8]) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    let asked = connection.expect_any_header().map_err(|unexpected| Stop::set_up(&unexpected))?;
    connection.raw(answer(asked));
    Ok(ends(&mut connection))
}

fn ends(connection: &mut Connection) -> Outcome {
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            got if got.is_end() => return Outcome::pass(),
            Got::Frame(_) | Got::Sasl(_) => {}
            got => return Outcome::fail(format!("expected the end, got {got}")),
        }
    }
}

fn frame_of_other_protocol(trial: &mut ClientTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    let asked = connection.expect_any_header().map_err(|unexpected| Stop::set_up(&unexpected))?;
    connection.header(asked);
    if asked == ProtocolHeader::SASL {
        connection.send(0, frames::open("amqp-conformance"));
    } else {
        connection.sasl(frames::mechanisms(&["ANONYMOUS"]));
    }
    Ok(ends(&mut connection))
}
