//! The lawful counterparts of cases on encodings.

use super::{
    conversation::converses,
    support::{open, opens},
};
use crate::{
    case::{Check, Twin},
    judge::closes_in_peace,
    octets::{self, Body, Style, open_with_property},
    server::{Attached, Begun, ServerTrial},
    verdict::{Outcome, Stop},
};

/// An open with the container-id alone, written by hand.
pub(super) static RAW_OPEN: Twin = Twin { name: "raw-open", check: Check::Server(raw_open) };
/// An open with a property, written by hand.
pub(super) static OPEN_WITH_PROPERTY: Twin = Twin { name: "open-with-property", check: Check::Server(with_property) };
/// A begin, written by hand.
pub(super) static RAW_BEGIN: Twin = Twin { name: "raw-begin", check: Check::Server(raw_begin) };
/// An attach, written by hand.
pub(super) static RAW_ATTACH: Twin = Twin { name: "raw-attach", check: Check::Server(raw_attach) };
/// A flow on a link, written by hand.
pub(super) static RAW_FLOW: Twin = Twin { name: "raw-flow", check: Check::Server(raw_flow) };
/// A message through the queue, with frames that are written by hand.
pub(super) static RAW_CONVERSATION: Twin = Twin { name: "raw-conversation", check: Check::Server(raw_conversation) };

fn raw_open(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    opens(trial, &[octets::vector("open-min")])
}

fn with_property(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let body = open_with_property(open(trial), &octets::string("text"));
    opens(trial, &[body.encode(&Style::COMPACT)])
}

fn raw_begin(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let mut connection = trial.opened()?.connection;
    connection.raw(octets::frame(0, &Body::begin(None, 0).encode(&Style::COMPACT)));
    connection.expect::<amqp1_codec::performative::Begin>()?;
    Ok(closes_in_peace(&mut connection))
}

fn raw_attach(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let node = trial.node();
    let Begun { mut connection, session, .. } = trial.begun()?;
    let attach = Body::attach("sender", 0, false, None, Some(node));
    connection.raw(octets::frame(session.channel, &attach.encode(&Style::COMPACT)));
    connection.expect::<amqp1_codec::performative::Attach>()?;
    Ok(closes_in_peace(&mut connection))
}

fn raw_flow(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    let Attached { mut connection, session, .. } = trial.sender()?;
    let next = session.begin.next_outgoing_id.0;
    connection.raw(octets::frame(session.channel, &Body::flow(next, 0, 0, 0).encode(&Style::COMPACT)));
    Ok(closes_in_peace(&mut connection))
}

fn raw_conversation(trial: &mut ServerTrial<'_>) -> Result<Outcome, Stop> {
    converses(trial, &Style::COMPACT)
}
