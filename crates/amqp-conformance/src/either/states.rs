//! The states of a connection (§2.4.6): each is reached from both sides of its neighbours.

use super::{AnyTrial, UNMAPPED, cases, closed_for_error, nothing_follows, until_close};
use crate::{
    judge::closes_in_peace,
    server::{Begun, Opened},
    verdict::{Outcome, Stop},
};
use amqp1_codec::performative::Performative;
use amqp1_script::{AmqpFrame, Got, Refusal, frames};
use std::time::Duration;

cases! {
    "T-2.4.6-5" => waits_for_open():
        "Until both opens were sent and received, the connection is not open, and a peer waits (§2.4.6, OPEN SENT and \
         OPEN RCVD).",
        "an open after a while", "no answer before it, and a connection that works";
    "T-2.4.6-6" => closes_right_after_open():
        "A partner may close as soon as it has opened (§2.4.6, CLOSE PIPE).",
        "an open and a close, in one write", "close, and the end of the stream";
    "T-2.4.6-7" => exchanges_frames():
        "In an open connection both peers send any frame (§2.4.6, OPENED).",
        "a begin, empty frames, an end, and a close", "a session that begins and ends, and close";
    "T-2.4.6-8" => ignores_after_close():
        "What comes after the partner's close is not acted upon (§2.4.6, CLOSE RCVD).",
        "a close and a begin, in one write", "close, and no answer to the begin";
    "T-2.4.6-9" => silent_after_its_close():
        "Nothing is written after close, whatever else would have to be answered (§2.4.6, CLOSE SENT).",
        "in one write: flows with echo, a close, and a flow with echo", "close, and no octet after it";
    "T-2.4.6-10" => discards_after_error():
        "A peer that has closed for an error discards frames until its partner's close (§2.4.6, DISCARDING).",
        "a frame that has to be refused, and after it an open, a begin, broken frames and a close",
        "no answer, and the end of the stream";
    "T-2.4.6-11" => ends_after_both_closes():
        "When both closes were exchanged, the transport is shut down (§2.4.6, END).",
        "a close and the end of the stream", "close and the end of the stream";
}

/// The time for which the tool's open is held back.
const HELD_BACK: Duration = Duration::from_millis(150);

fn waits_for_open(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let mut connection = trial.opening()?;
    for got in connection.gather(HELD_BACK, 100) {
        // The frames of a peer that pipelines are lawful.
        let is_answer = matches!(&got, Got::Frame(AmqpFrame { body: Some(Performative::Begin(begin)), .. })
            if begin.remote_channel.is_some());
        if got.is_end() || Refusal::of(&got).is_some() || is_answer {
            return Ok(Outcome::fail(format!("expected it to wait for open, got {got}")));
        }
    }
    connection.send(0, trial.own_open());
    // Its open may have come before the tool's, or the begin of a client that pipelines.
    Ok(closes_in_peace(&mut connection))
}

fn closes_right_after_open(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let mut connection = trial.opening()?;
    let open = frames::encode(0, trial.own_open(), b"");
    connection.raw([open, frames::encode(0, frames::close(), b"")].concat());
    match until_close(&mut connection) {
        Ok(_) => nothing_follows(&mut connection),
        Err(got) => Ok(Outcome::fail(format!("expected close, got {got}"))),
    }
}

fn exchanges_frames(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.empty_frame(0);
    let session = trial.begins(&mut connection, 0, frames::begin())?;
    connection.empty_frame(0);
    trial.uses(&mut connection, &session)?;
    connection.empty_frame(0);
    Ok(closes_in_peace(&mut connection))
}

fn ignores_after_close(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection
        .raw(b"\0\0\0\x0c\x02\0\0\0\0\x53\x18\x45\0\0\0\x14\x02\0\0\0\0\x53\x11\xc0\x07\x04\x40\x43\x52\x01\x52\x01");
    match until_close(&mut connection) {
        Ok(_) => nothing_follows(&mut connection),
        Err(got) => Ok(Outcome::fail(format!("expected close, got {got}"))),
    }
}

fn silent_after_its_close(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun_plainly()?;
    let flow = amqp1_codec::performative::Flow {
        next_incoming_id: Some(session.begin.next_outgoing_id),
        echo: true,
        ..frames::flow()
    };
    let flow = frames::encode(0, flow, b"");
    connection.raw([flow.clone(), flow.clone(), frames::encode(0, frames::close(), b""), flow].concat());
    match until_close(&mut connection) {
        Ok(_) => nothing_follows(&mut connection),
        Err(got) => Ok(Outcome::fail(format!("expected close, got {got}"))),
    }
}

fn discards_after_error(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let again = frames::encode(0, open.clone(), b"");
    let mut connection = closed_for_error(trial, open)?;
    connection.raw([&again, UNMAPPED, &frames::encode(0, frames::begin(), b"")].concat());
    connection.raw(b"\0\0\0\x0c\x02\0\0\0\0\x53\x19\x45");
    connection.send(0, frames::close());
    nothing_follows(&mut connection)
}

fn ends_after_both_closes(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    if trial.has_web_socket() {
        return Ok(Outcome::skip("a WebSocket is closed in both directions at once"));
    }
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.send(0, frames::close());
    connection.finish();
    match until_close(&mut connection) {
        Ok(_) => nothing_follows(&mut connection),
        Err(got) => Ok(Outcome::fail(format!("expected close, got {got}"))),
    }
}
