//! Protocol headers and the open that follows them (§2.2, §2.4.1).

use crate::{
    case::{Case, Check},
    judge::Refused,
    server::{ServerTrial, twins},
    verdict::{Outcome, Stop},
};
use amqp1_codec::frame::ProtocolHeader;
use amqp1_script::Scope;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "T-2.2-1",
        rule: "Each peer sends a protocol header before any frame (§2.2).",
        sends: "the AMQP header 1.0.0",
        wants: "the same header",
        check: Check::Server(header_is_answered),
        ..Case::SERVER
    },
    Case {
        id: "T-2.4.1-1/begin",
        rule: "The first frame of a connection is an open (§2.4.1).",
        sends: "the AMQP header, and a begin without an open before it",
        wants: "close with an error, or the end of the connection",
        twin: Some(&twins::BEGIN),
        check: Check::Server(begin_before_open),
        ..Case::SERVER
    },
];

fn header_is_answered(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.authenticated()?;
    connection.header(ProtocolHeader::AMQP);
    connection.expect_header(ProtocolHeader::AMQP)?;
    Ok(Outcome::pass())
}

/// `00 53 11 …`: next-outgoing-id 0, both windows 8.
const BEGIN: &[u8] = b"\0\0\0\x14\x02\0\0\0\0\x53\x11\xc0\x07\x04\x40\x43\x52\x08\x52\x08";

fn begin_before_open(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.authenticated()?;
    connection.header(ProtocolHeader::AMQP);
    connection.raw(BEGIN);
    connection.expect_header(ProtocolHeader::AMQP)?;
    Ok(Refused::by(Scope::Connection).after(&["open"]).judge(&mut connection, trial.is_strict()))
}
