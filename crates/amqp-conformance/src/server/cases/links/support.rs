//! Helpers that the cases of links share.

use crate::{
    delivery::Delivery,
    server::{Attached, ServerTrial},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    Message,
    performative::{Attach, Flow, Handle, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Got, Session, Unexpected, frames};
use bytes::Bytes;

pub(super) type Checked = Result<Outcome, Stop>;

/// A frame with this body.
pub(super) fn frame(channel: u16, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len().saturating_add(8)).unwrap_or(u32::MAX);
    [&size.to_be_bytes()[..], &[2, 0], &channel.to_be_bytes(), body].concat()
}

/// A described list with this descriptor and these encoded fields, in a frame on channel 0.
pub(super) fn list(code: u8, fields: &[&[u8]]) -> Vec<u8> {
    let encoded = fields.concat();
    let count = u32::try_from(fields.len()).unwrap_or(u32::MAX);
    let size = u32::try_from(encoded.len().saturating_add(4)).unwrap_or(u32::MAX);
    frame(0, &[&[0, 0x53, code, 0xd0][..], &size.to_be_bytes(), &count.to_be_bytes(), &encoded].concat())
}

pub(super) fn set_up(unexpected: Unexpected) -> Stop {
    Stop::set_up(&unexpected)
}

/// A flow of a session on which nothing was received yet, which gives this credit to a link.
pub(super) fn credit(session: &Session, handle: Handle, link_credit: u32) -> Flow {
    Flow {
        next_incoming_id: Some(session.begin.next_outgoing_id),
        delivery_count: None,
        ..frames::credit(handle, link_credit)
    }
}

/// The names of frames, for a remark.
pub(super) fn names(frames: &[Got]) -> String {
    frames.iter().map(Got::name).collect::<Vec<_>>().join(", ")
}

/// The transfers among these frames.
pub(super) fn transfers(frames: &[Got]) -> Vec<&Transfer> {
    let transfer = |got| match got {
        &Got::Frame(AmqpFrame { body: Some(Performative::Transfer(ref transfer)), .. }) => Some(transfer),
        _ => None,
    };
    frames.iter().filter_map(transfer).collect()
}

/// The data of a delivery's message as text; empty without one.
pub(super) fn text(delivery: &Delivery) -> String {
    let message = Message::from_bytes(delivery.message.clone()).ok();
    let data = message.and_then(|message| message.data()).unwrap_or_default();
    String::from_utf8_lossy(&data).into_owned()
}

/// The texts of everything that the queue holds, which is removed.
pub(super) fn left(trial: &mut ServerTrial<'_>) -> Result<Vec<String>, Stop> {
    Ok(trial.emptied()?.iter().map(crate::server::Delivered::text).collect())
}

/// Fails unless the queue holds messages with these texts, in any order. They are removed.
pub(super) fn holds(trial: &mut ServerTrial<'_>, wanted: &[&str], remark: &str) -> Checked {
    let mut found = left(trial)?;
    let mut wanted: Vec<String> = wanted.iter().map(|text| String::from(*text)).collect();
    found.sort();
    wanted.sort();
    if found == wanted {
        return Ok(Outcome::pass_with(remark));
    }
    Ok(Outcome::fail(format!("the queue holds {found:?}, expected {wanted:?}")))
}

/// A message of about this many octets.
pub(super) fn large(octets: usize) -> Bytes {
    frames::message(vec![b'x'; octets])
}

/// Attaches one more link on the same session.
pub(super) fn attach_more(attached: &mut Attached, attach: Attach) -> Result<amqp1_script::Link, Unexpected> {
    let session = attached.session.clone();
    attached.connection.attached(&session, attach)
}

/// Sends a message as one transfer, unsettled.
pub(super) fn send(attached: &mut Attached, id: u32, text: &'static str) {
    let transfer = frames::transfer(attached.link.handle, id);
    attached.connection.send_with(attached.session.channel, transfer, frames::message(text));
}

/// The next frame that is not empty, nor a flow, nor a disposition.
pub(super) fn next_event(connection: &mut Connection) -> Got {
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if !matches!(got.name(), "empty" | "flow" | "disposition") {
            return got;
        }
    }
}
