//! TLS (§5.2).

use crate::{
    case::{Case, Check, Need, Severity},
    server::{ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::frame::ProtocolHeader;
use amqp1_script::Got;

const NEEDS: &[Need] = &[Need::Tls];

pub(super) const CASES: &[Case] = &[
    Case {
        id: "S-5.2-1",
        rule: "A TLS layer is begun by headers with protocol id 2; a server without it answers with a header that it \
               supports and closes (§5.2.1, §2.2).",
        sends: "the header AMQP 2 1 0 0",
        wants: "the same header, or another and the end of the connection",
        twin: Some(&twins::OPEN),
        check: Check::Server(tls_header),
        ..Case::SERVER
    },
    Case {
        id: "S-5.2-4",
        rule: "Inside TLS headers are exchanged again, the client's first (§5.2).",
        sends: "the SASL or AMQP header, once the handshake is over",
        wants: "the same header",
        needs: NEEDS,
        check: Check::Server(header_inside),
        ..Case::SERVER
    },
    Case {
        id: "S-5.2-5",
        severity: Severity::May,
        rule: "A peer may close TLS without waiting for the other's closure alert (§5.2).",
        sends: "close, and the closure alert at once",
        wants: "the end of the stream; another connection is served",
        needs: NEEDS,
        twin: Some(&twins::OPEN),
        check: Check::Server(closed_at_once),
        ..Case::SERVER
    },
    Case {
        id: "S-5.2.1-1",
        severity: Severity::May,
        rule: "On a port of its own TLS begins without a header (§5.2.1).",
        sends: "a TLS handshake, and an open inside it",
        wants: "an open",
        needs: NEEDS,
        check: Check::Server(pure_tls),
        ..Case::SERVER
    },
    Case {
        id: "S-5.2.1-1/other-port",
        severity: Severity::May,
        rule: "On a port without TLS a handshake is not a header that is supported (§2.2, §5.2.1).",
        sends: "a ClientHello without a header, if the port has no TLS",
        wants: "the end of the connection, or a TLS record; a header may come first",
        twin: Some(&twins::OPEN),
        check: Check::Server(handshake_without_tls),
        ..Case::SERVER
    },
];

fn tls_header(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.raw(b"AMQP\x02\x01\x00\x00");
    match connection.expect_any_header()? {
        ProtocolHeader::TLS => match connection.next() {
            Got::Timeout { .. } => Ok(Outcome::pass_with("the server begins TLS")),
            got => Ok(Outcome::fail(format!("expected the server to wait for the handshake, got {got}"))),
        },
        _ => match connection.next() {
            got if got.is_end() => Ok(Outcome::pass_with("the server does not begin TLS by a header here")),
            got => Ok(Outcome::fail(format!("expected the end after another header, got {got}"))),
        },
    }
}

fn header_inside(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    let header = if trial.target().login.init().is_some() { ProtocolHeader::SASL } else { ProtocolHeader::AMQP };
    connection.header(header);
    connection.expect_header(header)?;
    Ok(Outcome::pass())
}

fn closed_at_once(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut opened = trial.opened()?;
    opened.connection.send(0, amqp1_script::frames::close());
    opened.connection.finish();
    opened.connection.expect_gone()?;
    Ok(Outcome::pass())
}

fn pure_tls(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    trial.opened()?;
    Ok(Outcome::pass())
}

/// The record and the beginning of a ClientHello of TLS 1.2, with one cipher and no extensions.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03\
    conformance conformance conforma\x00\x00\x02\xc0\x2b\x01\x00\x00\x00";

fn handshake_without_tls(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    if trial.target().layers.tls.is_some() {
        return Ok(Outcome::skip("the port has TLS"));
    }
    let mut connection = trial.connected()?;
    connection.raw(CLIENT_HELLO);
    match connection.next() {
        got if got.is_end() => Ok(Outcome::pass()),
        // An alert or a handshake of TLS.
        Got::Undecodable { octets, .. } if matches!(octets.first(), Some(0x15 | 0x16)) => {
            Ok(Outcome::pass_with("the server answers with TLS"))
        }
        Got::Header(_) => match connection.next() {
            got if got.is_end() => Ok(Outcome::pass()),
            got => Ok(Outcome::fail(format!("expected the end after the header, got {got}"))),
        },
        got => Ok(Outcome::fail(format!("expected the end of the connection, got {got}"))),
    }
}
