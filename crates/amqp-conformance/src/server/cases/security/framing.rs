//! SASL frames and who may send them (§5.3, §5.3.1).

use super::support::{HEADER, INIT, LOGIN, frame, gives_up, init_body, logs_in, offered};
use crate::{
    case::{Case, Check, Need},
    judge::tolerable,
    server::ServerTrial,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    frame::ProtocolHeader,
    sasl::{SaslBody, SaslInit, SaslMechanisms},
};
use amqp1_script::{Got, frames};
use bytes::Bytes;

const NEEDS: &[Need] = &[Need::Sasl];

/// A case that sends octets which end the dialog.
const FATAL: Case =
    Case { wants: "the end of the connection, without a success", needs: NEEDS, twin: Some(&LOGIN), ..Case::SERVER };

pub(super) const CASES: &[Case] = &[
    Case {
        id: "S-5.3-1/mechanisms",
        rule: "The SASL server is the peer that accepted the connection, so a client sends no sasl-mechanisms (§5.3.2).",
        sends: "sasl-mechanisms",
        check: Check::Server(|trial| {
            fatal(trial, b"\0\0\0\x1c\x02\x01\0\0\0\x53\x40\xc0\x0f\x01\xe0\x0c\x01\xa3\x09ANONYMOUS")
        }),
        ..FATAL
    },
    Case {
        id: "S-5.3-1/outcome",
        rule: "A client that sends sasl-outcome ok has not authenticated itself (§5.3.2).",
        sends: "sasl-outcome with code ok",
        check: Check::Server(|trial| fatal(trial, b"\0\0\0\x10\x02\x01\0\0\0\x53\x44\xc0\x03\x01\x50\x00")),
        ..FATAL
    },
    Case {
        id: "S-5.3-1/challenge",
        rule: "A client sends no sasl-challenge (§5.3.2).",
        sends: "sasl-challenge",
        check: Check::Server(|trial| fatal(trial, b"\0\0\0\x13\x02\x01\0\0\0\x53\x42\xc0\x06\x01\xa0\x03abc")),
        ..FATAL
    },
    Case {
        id: "S-5.3-2",
        rule: "The SASL layer begins with the header of protocol id 3 in both directions (§5.3).",
        sends: "the SASL header 3.1.0.0",
        wants: "the same header, and then SASL frames",
        needs: NEEDS,
        check: Check::Server(header_comes_back),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.1-1/octets-6-and-7",
        rule: "Octets 6 and 7 of a SASL frame have no meaning (§5.3.1).",
        sends: "a sasl-init whose octets 6 and 7 are be ef",
        wants: "the outcome ok",
        needs: NEEDS,
        twin: Some(&LOGIN),
        check: Check::Server(|trial| framed(trial, 2, [0xbe, 0xef])),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.1-1/extended-header",
        rule: "The extended header of a SASL frame has no meaning (§5.3.1).",
        sends: "a sasl-init with doff 3",
        wants: "the outcome ok",
        needs: NEEDS,
        twin: Some(&LOGIN),
        check: Check::Server(|trial| framed(trial, 3, [0, 0])),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.1-1/doff-1",
        rule: "A doff below 2 is malformed (§2.3.1).",
        sends: "a SASL frame with doff 1",
        check: Check::Server(|trial| {
            let init = frame(1, 1, [0, 0], &init_body(trial));
            fatal(trial, &init)
        }),
        ..FATAL
    },
    Case {
        id: "S-5.3.1-2/of-peer",
        rule: "A SASL frame has at most 512 octets (§5.3.1).",
        sends: "the SASL header",
        wants: "a sasl-mechanisms frame of up to 512 octets, whose type octet is 1",
        needs: NEEDS,
        check: Check::Server(small_frames),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.1-2/512",
        rule: "A SASL frame may have 512 octets (§5.3.1).",
        sends: "a sasl-init in a frame of 512 octets, most of which are its host name",
        wants: "the outcome ok",
        needs: NEEDS,
        twin: Some(&LOGIN),
        check: Check::Server(init_of_512),
        ..Case::SERVER
    },
    Case {
        id: "S-5.3.1-2/513",
        rule: "A SASL frame has at most 512 octets (§5.3.1).",
        sends: "a sasl-init in a frame of 513 octets",
        check: Check::Server(init_of_513),
        ..FATAL
    },
    Case {
        id: "S-5.3.1-3",
        rule: "An empty SASL frame is an error from which there is no recovery (§5.3.1).",
        sends: "a SASL frame without a body, then a good sasl-init",
        check: Check::Server(empty_frame),
        ..FATAL
    },
    Case {
        id: "S-5.3.1-4/amqp-frame",
        rule: "Only SASL frames are sent in the SASL layer (§5.3.1).",
        sends: "an open in an AMQP frame",
        check: Check::Server(|trial| fatal(trial, b"\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c")),
        ..FATAL
    },
    Case {
        id: "S-5.3.1-4/amqp-body",
        rule: "The body of a SASL frame is one of the SASL performatives (§5.3.1).",
        sends: "an open in a SASL frame",
        check: Check::Server(|trial| fatal(trial, b"\0\0\0\x11\x02\x01\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c")),
        ..FATAL
    },
    Case {
        id: "S-5.3.1-4/two-bodies",
        rule: "A SASL frame has exactly one body (§5.3.1).",
        sends: "two sasl-inits in one frame",
        check: Check::Server(two_bodies),
        ..FATAL
    },
];

/// Sends octets once mechanisms were offered; the server must give up.
fn fatal(trial: &mut ServerTrial<'_>, octets: &[u8]) -> Result<Outcome, Stop> {
    let mut connection = offered(trial)?;
    connection.raw(octets);
    Ok(gives_up(&mut connection))
}

fn header_comes_back(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.raw(HEADER);
    connection.expect_header(ProtocolHeader::SASL)?;
    connection.expect::<SaslMechanisms>()?;
    Ok(Outcome::pass())
}

fn framed(trial: &mut ServerTrial<'_>, doff: u8, ignored: [u8; 2]) -> Result<Outcome, Stop> {
    let mut connection = offered(trial)?;
    connection.raw(frame(doff, 1, ignored, &init_body(trial)));
    logs_in(trial, &mut connection)
}

fn small_frames(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.connected()?;
    connection.set_max_frame_size(512);
    connection.raw(HEADER);
    connection.expect_header(ProtocolHeader::SASL)?;
    match connection.next() {
        Got::Sasl(body) if body.name() == "sasl-mechanisms" => Ok(Outcome::pass()),
        got => Ok(Outcome::fail(format!("expected sasl-mechanisms, got {got}"))),
    }
}

/// A `sasl-init` of this many octets, which its host name fills.
fn sized_init(trial: &ServerTrial<'_>, size: usize) -> Bytes {
    let init = trial.target().login.init().unwrap_or_else(frames::anonymous);
    let with = |length: usize| {
        let hostname = Some("h".repeat(length).into());
        frames::sasl(&SaslBody::Init(SaslInit { hostname, ..init.clone() }))
    };
    // Longer than 255 octets, so that the lengths of the list and of the name take four octets each.
    let least = with(300);
    with(size.saturating_sub(least.len()).saturating_add(300))
}

fn init_of_512(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = offered(trial)?;
    connection.raw(sized_init(trial, 512));
    logs_in(trial, &mut connection)
}

fn init_of_513(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let init = sized_init(trial, 513);
    Ok(tolerable(fatal(trial, &init)?, trial.is_strict()))
}

fn empty_frame(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let init = frame(2, 1, [0, 0], &init_body(trial));
    fatal(trial, &[b"\0\0\0\x08\x02\x01\0\0", &init[..]].concat())
}

fn two_bodies(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let body = INIT.get(8..).unwrap_or_default();
    fatal(trial, &frame(2, 1, [0, 0], &[body, body].concat()))
}
