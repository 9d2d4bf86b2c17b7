//! AMQP over WebSocket (AMQP WebSocket Binding 1.0).

use crate::{
    case::{Case, Check, Need},
    server::ServerTrial,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{frame::ProtocolHeader, performative::Open};
use amqp1_script::frames;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "E-ws-1",
        rule: "The sub-protocol is amqp, and AMQP's octets are in binary messages (WebSocket binding §2.1, §2.4).",
        sends: "a WebSocket request for the sub-protocol amqp, a header and an open",
        wants: "the sub-protocol, a header and an open in binary messages",
        needs: &[Need::WebSocket],
        check: Check::Server(|trial| {
            trial.opened()?;
            Ok(Outcome::pass())
        }),
        ..Case::SERVER
    },
    Case {
        id: "E-ws-1/boundaries",
        rule: "The boundaries of WebSocket messages mean nothing to AMQP (WebSocket binding §2.4).",
        sends: "an open in two messages, then a begin and an end in one",
        wants: "an open, a begin and an end",
        needs: &[Need::WebSocket],
        check: Check::Server(boundaries),
        ..Case::SERVER
    },
];

fn boundaries(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.authenticated()?;
    connection.header(ProtocolHeader::AMQP);
    let open = frames::encode(0, trial.open(), b"");
    let (first, second) = open.split_at(open.len() / 2);
    connection.raw(first);
    connection.raw(second);
    connection.expect_header(ProtocolHeader::AMQP)?;
    connection.expect::<Open>()?;
    connection.raw([frames::encode(0, frames::begin(), b""), frames::encode(0, frames::end(), b"")].concat());
    connection.expect::<amqp1_codec::performative::Begin>()?;
    connection.expect_skipping::<amqp1_codec::performative::End>(amqp1_script::Skip::CHATTER)?;
    Ok(Outcome::pass())
}
