//! Protocol headers (§2.2).

use crate::{
    case::{Case, Check, Severity, Tag},
    judge::{closes_in_peace, should},
    server::ServerTrial,
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{frame::ProtocolHeader, performative::Open};
use amqp1_script::{Got, frames};
use std::time::Duration;

const UNSUPPORTED: &str = "A server that does not support the requested version sends a header that it supports, and \
                           closes the connection (§2.2).";
const UNREADABLE: &str = "A server that cannot parse the header sends a header that it supports, and closes the \
                          connection (§2.2).";
const CHOSEN: &str = "The version that is offered is the highest which is not above the requested one, else the highest \
                      (§2.2).";
const WANTED: &str = "a protocol header, and the end of the stream";

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.2-1",
        rule: "Each peer sends a protocol header of eight octets before any frame (§2.2).",
        sends: "the AMQP header 1.0.0",
        wants: "a protocol header",
        check: Check::Server(header_comes_first),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-3",
        severity: Severity::May,
        rule: "A server may wait for the client's header before it sends its own (§2.2).",
        sends: "nothing for a while, then the AMQP header",
        wants: "the AMQP header, before or after",
        check: Check::Server(header_at_either_time),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-4",
        rule: "A server that supports the requested version answers with the same header and goes on (§2.2).",
        sends: "the AMQP header 1.0.0 and an open",
        wants: "the same header and an open",
        check: Check::Server(supported_version),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-5/2-0-0",
        rule: UNSUPPORTED,
        sends: "the AMQP header 2.0.0",
        wants: WANTED,
        check: Check::Server(|trial| offers_and_ends(trial, b"AMQP\0\x02\0\0")),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-5/1-1-0",
        rule: UNSUPPORTED,
        sends: "the AMQP header 1.1.0",
        wants: WANTED,
        check: Check::Server(|trial| offers_and_ends(trial, b"AMQP\0\x01\x01\0")),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-5/1-0-1",
        rule: UNSUPPORTED,
        sends: "the AMQP header 1.0.1",
        wants: WANTED,
        check: Check::Server(|trial| offers_and_ends(trial, b"AMQP\0\x01\0\x01")),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-5/0-9-1",
        rule: UNSUPPORTED,
        sends: "the header of AMQP 0-9-1",
        wants: WANTED,
        check: Check::Server(|trial| offers_and_ends(trial, b"AMQP\0\0\x09\x01")),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-6/newer",
        severity: Severity::Should,
        rule: CHOSEN,
        sends: "the AMQP header 1.1.0",
        wants: "a header of version 1.0.0",
        check: Check::Server(|trial| should_offer_1_0_0(trial, b"AMQP\0\x01\x01\0")),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-6/older",
        severity: Severity::Should,
        rule: CHOSEN,
        sends: "the AMQP header 0.0.1",
        wants: "a header of version 1.0.0",
        check: Check::Server(|trial| should_offer_1_0_0(trial, b"AMQP\0\0\0\x01")),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-7/http",
        rule: UNREADABLE,
        sends: "a request of HTTP",
        wants: WANTED,
        check: Check::Server(|trial| offers_and_ends(trial, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-7/ssh",
        rule: UNREADABLE,
        sends: "the banner of SSH",
        wants: WANTED,
        check: Check::Server(|trial| offers_and_ends(trial, b"SSH-2.0-OpenSSH_9.0\r\n")),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-7/zeros",
        rule: UNREADABLE,
        sends: "eight zeros",
        wants: WANTED,
        check: Check::Server(|trial| offers_and_ends(trial, &[0; 8])),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-7/lower-case",
        rule: UNREADABLE,
        sends: "the AMQP header in lower case",
        wants: WANTED,
        check: Check::Server(|trial| offers_and_ends(trial, b"amqp\0\x01\0\0")),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-8/unknown",
        rule: "A server that does not accept the protocol id sends a header with one that it accepts, and closes the \
               connection (§2.2).",
        sends: "a header with the protocol id 4",
        wants: WANTED,
        check: Check::Server(|trial| offers_and_ends(trial, b"AMQP\x04\x01\0\0")),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-8/plain",
        rule: "A server that wants SASL answers the AMQP header with the SASL header, and closes the connection (§2.2).",
        sends: "the AMQP header without SASL before it",
        wants: "the AMQP header, or another and the end of the stream",
        check: Check::Server(accepted_or_ended),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-9",
        rule: "Where the headers do not match, both peers stop writing (§2.2).",
        sends: "the AMQP header 1.1.0 and an open",
        wants: "a protocol header, no open, and the end of the stream",
        check: Check::Server(|trial| {
            offers_and_ends(trial, b"AMQP\0\x01\x01\0\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c")
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-10",
        rule: "What follows a header belongs to the protocol that it names (§2.2).",
        sends: "the SASL header, and an open in an AMQP frame",
        wants: "no open, and the end of the connection",
        check: Check::Server(open_in_sasl),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-11/end",
        rule: "The connection of a client that leaves in the middle of its header is closed (§2.2).",
        sends: "five octets of a header, and the end of the stream",
        wants: "the end of the stream",
        check: Check::Server(|trial| {
            let mut connection = trial.connected()?;
            connection.raw(b"AMQP\0");
            connection.finish();
            connection.expect_gone()?;
            Ok(Outcome::pass())
        }),
        ..Case::SERVER
    },
    Case {
        id: "T-2.2-11/silence",
        rule: "A client that falls silent in the middle of its header does not hold its connection for ever (§2.2).",
        sends: "five octets of a header",
        wants: "the end of the connection within 60 s, or twelve times `--patience`",
        tags: &[Tag::Slow],
        check: Check::Server(|trial| {
            let mut connection = trial.connected()?;
            connection.raw(b"AMQP\0");
            connection.set_patience(trial.target().patience.saturating_mul(SILENCE));
            connection.expect_gone()?;
            Ok(Outcome::pass())
        }),
        ..Case::SERVER
    },
];

fn header_comes_first(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.header(ProtocolHeader::AMQP);
    match connection.next() {
        Got::Header(header) if is_1_0_0(header) => Ok(Outcome::pass()),
        got => Ok(Outcome::fail(format!("expected a protocol header, got {got}"))),
    }
}

/// The time for which a server is given the chance to speak first.
const FIRST: Duration = Duration::from_millis(100);
/// The time after which a silent client is let go, as a multiple of the patience: 60 s by default.
const SILENCE: u32 = 12;

fn header_at_either_time(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    let (early, login) = (connection.next_within(FIRST), trial.target().login.init());
    let header = if login.is_some() { ProtocolHeader::SASL } else { ProtocolHeader::AMQP };
    connection.header(header);
    match early {
        Got::Timeout { .. } => {
            connection.expect_header(header)?;
            Ok(Outcome::pass_with("the server waits for the client's header"))
        }
        Got::Header(early) if early == header => Ok(Outcome::pass_with("the server sends its header first")),
        got => Ok(Outcome::fail(format!("expected a header or nothing, got {got}"))),
    }
}

fn supported_version(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.authenticated()?;
    connection.header(ProtocolHeader::AMQP);
    connection.send(0, trial.open());
    connection.expect_header(ProtocolHeader::AMQP)?;
    connection.expect::<Open>()?;
    Ok(closes_in_peace(&mut connection))
}

/// A header of version 1.0.0, of AMQP, TLS or SASL.
fn is_1_0_0(header: ProtocolHeader) -> bool {
    [ProtocolHeader::AMQP, ProtocolHeader::TLS, ProtocolHeader::SASL].contains(&header)
}

/// The header with which the server answers what it does not support. A server of AMQP 0-9-1 as well goes on with that.
fn offered(connection: &mut Connection, asked: &[u8]) -> Result<ProtocolHeader, Stop> {
    match connection.next() {
        // Another version of AMQP may be what it offers.
        Got::Header(header) if header.encode() != asked.first_chunk().copied().unwrap_or_default() => Ok(header),
        // A method frame on channel 0 begins like this.
        Got::Undecodable { octets, .. } if octets.starts_with(b"\x01\0\0") && asked.ends_with(b"\0\0\x09\x01") => {
            Err(Outcome::pass_with("the server supports AMQP 0-9-1").into())
        }
        got => Err(Outcome::fail(format!("expected a header that the server supports, got {got}")).into()),
    }
}

fn offers_and_ends(trial: &mut ServerTrial<'_>, octets: &[u8]) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.raw(octets);
    let header = Got::Header(offered(&mut connection, octets)?);
    ends(&mut connection, &header)
}

/// Nothing may follow the header.
fn ends(connection: &mut Connection, header: &Got) -> Result<Outcome, Stop> {
    match connection.next() {
        got if got.is_end() => Ok(Outcome::pass_with(header.to_string())),
        got => Ok(Outcome::fail(format!("expected the end after {header}, got {got}"))),
    }
}

fn should_offer_1_0_0(trial: &mut ServerTrial<'_>, octets: &[u8]) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.raw(octets);
    let offered = offered(&mut connection, octets).map(|header| {
        let is_right = is_1_0_0(header);
        let header = Got::Header(header).to_string();
        if is_right { Outcome::pass_with(header) } else { Outcome::fail(format!("offered {header}")) }
    });
    should(offered)
}

fn accepted_or_ended(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.header(ProtocolHeader::AMQP);
    match connection.next() {
        Got::Header(ProtocolHeader::AMQP) => {
            connection.send(0, trial.open());
            connection.expect::<Open>()?;
            Ok(Outcome::pass_with("the server does not want SASL"))
        }
        Got::Header(header) if is_1_0_0(header) => ends(&mut connection, &Got::Header(header)),
        got => Ok(Outcome::fail(format!("expected a protocol header, got {got}"))),
    }
}

fn open_in_sasl(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.header(ProtocolHeader::SASL);
    connection.raw(frames::encode(0, trial.open(), b""));
    match connection.next() {
        Got::Header(ProtocolHeader::SASL) => {}
        Got::Header(header) => return Ok(Outcome::skip(format!("no SASL: {}", Got::Header(header)))),
        got => return Ok(Outcome::fail(format!("expected a protocol header, got {got}"))),
    }
    loop {
        match connection.next() {
            got if got.is_end() => return Ok(Outcome::pass()),
            Got::Sasl(_) => {}
            got => return Ok(Outcome::fail(format!("expected the end, got {got}"))),
        }
    }
}
