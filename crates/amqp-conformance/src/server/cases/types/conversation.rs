//! A whole conversation with frames that are written by hand, in a choice of encodings.

use crate::{
    case::Need,
    octets::{self, Body, Style},
    server::{ServerTrial, relay::changed},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    definitions::Role,
    frame::ProtocolHeader,
    messaging::DeliveryState,
    performative::{Attach, Begin, Close, Detach, Disposition, End, Flow, Open, Transfer},
};
use amqp1_script::{Received, Skip};

/// The delivery-id with which the tool begins, so that it shows whether the server reads numbers right.
const FIRST: u32 = 7;
const CHANNEL: u16 = 0;
/// The number of flows without credit after which none is waited for.
const MOST_FLOWS: u32 = 100;
/// The handles of the tool's sender and receiver.
const SENDER: u32 = 0;
const RECEIVER: u32 = 3;

/// Opens a connection, sends a message, receives it if the server has a queue, and closes everything, in this style.
/// Passes if the server does its part.
pub(super) fn converses(trial: &mut ServerTrial<'_>, style: &Style) -> Result<Outcome, Stop> {
    let node = trial.node();
    let open = super::support::open(trial);
    let mut connection = trial.authenticated()?;
    connection.header(ProtocolHeader::AMQP);
    write(&mut connection, &open, style);
    connection.expect_header(ProtocolHeader::AMQP)?;
    connection.expect::<Open>()?;
    write(&mut connection, &Body::begin(None, FIRST), style);
    let begin = connection.expect::<Begin>()?;
    if begin.remote_channel != Some(CHANNEL) {
        return Ok(Outcome::fail(format!("begin answers channel {:?}", begin.remote_channel)));
    }
    write(&mut connection, &Body::attach("sender", SENDER, false, None, Some(node)), style);
    let sender = expect_attach(&mut connection, "sender", Role::Receiver)?;
    let flow = credited(&mut connection, sender.handle)?;
    if flow.next_incoming_id.is_some_and(|id| id.0 != FIRST) {
        return Ok(Outcome::fail(format!("next-incoming-id is {:?}, not {FIRST}", flow.next_incoming_id)));
    }
    let message = octets::vector("msg-value");
    let transfer = Body::transfer(SENDER, FIRST, b"tag", false).encode(style);
    connection.raw(octets::frame(CHANNEL, &[transfer, message.clone()].concat()));
    let outcome = connection.expect_skipping::<Disposition>(Skip::FLOWS)?;
    if outcome.first.0 != FIRST || outcome.state != Some(DeliveryState::Accepted) {
        return Ok(Outcome::fail(format!("the message's disposition is {:?}", outcome.body)));
    }
    if !outcome.settled {
        write(&mut connection, &Body::accepted(false, FIRST), style);
    }
    let mut links = vec![(SENDER, sender.handle)];
    if trial.sheet().has(Need::Queue) {
        let next = begin.next_outgoing_id.0;
        match receive(&mut connection, node, next, &message, style)? {
            Ok(handle) => links.push((RECEIVER, handle)),
            Err(outcome) => return Ok(outcome),
        }
    }
    for (handle, remote) in links {
        write(&mut connection, &Body::detach(handle), style);
        let detach = connection.expect_skipping::<Detach>(Skip::CHATTER)?;
        if detach.handle != remote || detach.error.is_some() {
            return Ok(Outcome::fail(format!("detach of handle {handle} was answered by {:?}", detach.body)));
        }
    }
    write(&mut connection, &Body::end(), style);
    let end = connection.expect_skipping::<End>(Skip::CHATTER)?;
    write(&mut connection, &Body::close(), style);
    let close = connection.expect::<Close>()?;
    match end.body.error.or(close.body.error) {
        Some(error) => Ok(Outcome::fail(format!("the end was answered with {}", error.condition))),
        None => Ok(Outcome::pass()),
    }
}

/// Receives the message from the queue, and accepts it. Returns the server's handle.
fn receive(
    connection: &mut Connection,
    node: &str,
    next: u32,
    message: &[u8],
    style: &Style,
) -> Result<Result<u32, Outcome>, Stop> {
    write(connection, &Body::attach("receiver", RECEIVER, true, Some(node), None), style);
    let receiver = expect_attach(connection, "receiver", Role::Sender)?;
    let count = receiver.initial_delivery_count.unwrap_or_default().0;
    let flow = Body::flow(next, FIRST.wrapping_add(1), RECEIVER, 1).with(5, octets::Item::Uint(count));
    write(connection, &flow, style);
    let delivery = connection.expect_skipping::<Transfer>(Skip::CHATTER)?;
    if let Some(change) = changed(message, &delivery.payload)? {
        return Ok(Err(Outcome::fail(change)));
    }
    write(connection, &Body::accepted(true, delivery.delivery_id.unwrap_or_default().0), style);
    Ok(Ok(receiver.handle))
}

fn write(connection: &mut Connection, body: &Body, style: &Style) {
    connection.raw(octets::frame(CHANNEL, &body.encode(style)));
}

fn expect_attach(connection: &mut Connection, name: &'static str, role: Role) -> Result<Received<Attach>, Stop> {
    let is_answer = |attach: &Received<Attach>| {
        let terminus = if role == Role::Receiver { attach.target.is_some() } else { attach.source.is_some() };
        *attach.name == *name && attach.role == role && terminus
    };
    Ok(connection.expect_where(Skip::FLOWS, "an attach that answers the tool's", is_answer)?)
}

/// The flow with which the server gives credit.
fn credited(connection: &mut Connection, handle: u32) -> Result<Received<Flow>, Stop> {
    for _ in 0..MOST_FLOWS {
        let flow = connection.expect::<Flow>()?;
        if flow.handle == Some(handle) && flow.link_credit.is_some_and(|credit| credit > 0) {
            return Ok(flow);
        }
    }
    Err(Outcome::fail(format!("{MOST_FLOWS} flows gave no credit")).into())
}
