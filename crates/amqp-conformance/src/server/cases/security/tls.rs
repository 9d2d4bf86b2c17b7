//! TLS, as far as it shows without a handshake (§5.2).

use crate::{
    case::{Case, Check},
    server::{ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::frame::ProtocolHeader;
use amqp1_script::Got;

pub(super) const CASES: &[Case] = &[Case {
    id: "S-5.2-1",
    rule: "A TLS layer is begun by headers with protocol id 2; a server without it answers with a header that it \
           supports and closes (§5.2.1, §2.2).",
    sends: "the header AMQP 2 1 0 0",
    wants: "the same header, or another and the end of the connection",
    twin: Some(&twins::OPEN),
    check: Check::Server(tls_header),
    ..Case::SERVER
}];

fn tls_header(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.raw(b"AMQP\x02\x01\x00\x00");
    match connection.expect_any_header()? {
        ProtocolHeader::TLS => match connection.next() {
            Got::Timeout { .. } => Ok(Outcome::pass_with("the server begins TLS")),
            got => Ok(Outcome::fail(format!("expected the server to wait for the handshake, got {got}"))),
        },
        _ => match connection.next() {
            got if got.is_end() => Ok(Outcome::pass_with("the server does not begin TLS on this port")),
            got => Ok(Outcome::fail(format!("expected the end after another header, got {got}"))),
        },
    }
}
