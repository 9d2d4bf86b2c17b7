//! Open (§2.4.1, §2.4.2, §2.7.1).

use super::{AnyTrial, CLOSED, cases, is_given_up, refuses, refuses_at_first};
use crate::{
    judge::{closes_in_peace, tolerable},
    server::Opened,
    verdict::{Outcome, Stop},
};
use amqp1_codec::{
    Symbol, Value,
    performative::{Begin, Open},
};
use amqp1_script::{AmqpFrame, Got, Received, Skip, frames};
use std::time::Duration;

/// The largest frame, and the only channel, before the opens are exchanged.
const MIN_MAX_FRAME_SIZE: usize = 512;

cases! {
    "T-2.4.1-1/begin" like BEGIN =>
        refuses_at_first(b"\0\0\0\x14\x02\0\0\0\0\x53\x11\xc0\x07\x04\x40\x43\x52\x08\x52\x08"):
        "The first frame of a connection is an open (§2.4.1).",
        "a begin without an open before it", "close with an error, or the end of the connection";
    "T-2.4.1-1/close" => given_up_after(b"\0\0\0\x0c\x02\0\0\0\0\x53\x18\x45"):
        "The first frame of a connection is an open (§2.4.1).",
        "a close without an open before it", "close, or the end of the connection";
    "T-2.4.1-1/sent" => first_frame(|_| true):
        "The first frame of a connection is an open (§2.4.1).",
        "an open", "an open before any other frame";
    "T-2.4.1-2/received" like OPEN => refuses_at_first(b"\0\0\0\x11\x02\0\0\x01\0\x53\x10\xc0\x04\x01\xa1\x01c"):
        "Open is sent on channel 0 (§2.4.1).",
        "an open on channel 1", "close with an error, or the end of the connection";
    "T-2.4.1-2/sent" => first_frame(|open| open.channel == 0):
        "Open is sent on channel 0 (§2.4.1).",
        "an open", "an open on channel 0";
    "T-2.4.1-3/sent" => first_frame(|open| open.octets.len() <= MIN_MAX_FRAME_SIZE):
        "Before the opens are exchanged a frame has at most 512 octets (§2.4.1).",
        "an open", "an open of at most 512 octets";
    "T-2.4.1-5" like OPEN => refuses(b"\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa1\x01c", CLOSED):
        "A connection is opened once: open is only the first frame (§2.4.1, §2.7.1).",
        "a second open", "close with an error, or the end of the connection";
    "T-2.4.2-2" => keeps_to_least_limits():
        "What is sent before the partner's open is known to be within the limits of every peer: frames of 512 octets, \
         channel 0 (§2.4.1, §2.4.2).",
        "no open for a while", "no frame of more than 512 octets, and none on another channel than 0";
    "T-2.7.1-1/absent" like OPEN => refuses_at_first(b"\0\0\0\x0c\x02\0\0\0\0\x53\x10\x45"):
        "open.container-id is mandatory (§2.7.1).",
        "an open without fields", "close with an error, or the end of the connection";
    "T-2.7.1-1/null" like OPEN => refuses_at_first(b"\0\0\0\x12\x02\0\0\0\0\x53\x10\xc0\x05\x02\x40\xa1\x01h"):
        "open.container-id is mandatory (§2.7.1).",
        "an open whose container-id is null", "close with an error, or the end of the connection";
    "T-2.7.1-1/symbol" like OPEN => refuses_at_first(b"\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa3\x01c"):
        "open.container-id is a string (§2.7.1).",
        "an open whose container-id is a symbol", "close with an error, or the end of the connection";
    "T-2.7.1-1/binary" like OPEN => refuses_at_first(b"\0\0\0\x11\x02\0\0\0\0\x53\x10\xc0\x04\x01\xa0\x01c"):
        "open.container-id is a string (§2.7.1).",
        "an open whose container-id is binary", "close with an error, or the end of the connection";
    "T-2.7.1-1/sent" => first_frame(has_container_id):
        "open.container-id is mandatory (§2.7.1).",
        "an open", "an open with a container-id";
    "T-2.7.1-7/open-512" => opens_with(|open| Open { max_frame_size: 512, ..open }):
        "A max-frame-size of 512 is the smallest that is valid (§2.7.1).",
        "an open with max-frame-size 512", "the connection is open";
    "T-2.7.1-7/open-511" like OPEN =>
        refuses_narrow_frames(b"\0\0\0\x17\x02\0\0\0\0\x53\x10\xc0\x0a\x03\xa1\x01c\x40\x70\0\0\x01\xff"):
        "A max-frame-size below 512 is not valid, since every peer accepts frames of 512 octets (§2.7.1).",
        "an open with max-frame-size 511", "close with an error, or the end of the connection";
    "T-2.7.1-7/begin-512" like BEGIN => takes_512_octets():
        "Every peer accepts frames of up to 512 octets (§2.7.1).",
        "a begin of 512 octets", "the session is begun";
    "T-2.7.1-11/outgoing" => opens_with(|open| Open { outgoing_locales: locale(), ..open }):
        "A peer that writes in a language that the partner does not know is served in en-US (§2.7.1).",
        "an open with outgoing-locales xx-YY", "the connection is open";
    "T-2.7.1-11/incoming" => opens_with(|open| Open { incoming_locales: locale(), ..open }):
        "Where none of the wanted locales is supported, en-US is chosen (§2.7.1).",
        "an open with incoming-locales xx-YY", "the connection is open";
    "T-2.7.1-12" => opens_or_says_why():
        "A peer that needs a capability which its partner does not offer closes the connection (§2.7.1).",
        "an open that offers no capability", "the connection is open, or close with an error";
    "T-2.7.1-14/list" like OPEN =>
        refuses_at_first(b"\0\0\0\x1a\x02\0\0\0\0\x53\x10\xc0\x0d\x0a\xa1\x01c\x40\x40\x40\x40\x40\x40\x40\x40\x45"):
        "open.properties is a map (§2.7.1).",
        "an open whose properties are a list", "close with an error, or the end of the connection";
    "T-2.7.1-14/string-key" like OPEN => refuses_at_first(
        b"\0\0\0\x22\x02\0\0\0\0\x53\x10\xc0\x15\x0a\xa1\x01c\x40\x40\x40\x40\x40\x40\x40\x40\xc1\x07\x02\xa1\x01k\xa1\x01v"
    ):
        "The keys of open.properties are symbols (§2.7.1, §2.8.13).",
        "an open whose properties have a string as key", "close with an error, or the end of the connection";
}

fn refuses_narrow_frames(trial: &mut impl AnyTrial, octets: &[u8]) -> Result<Outcome, Stop> {
    Ok(tolerable(refuses_at_first(trial, octets)?, trial.is_strict()))
}

fn locale() -> amqp1_codec::Multiple<Symbol> {
    [Symbol::from_static("xx-YY")].into_iter().collect()
}

fn given_up_after(trial: &mut impl AnyTrial, octets: &[u8]) -> Result<Outcome, Stop> {
    let mut connection = trial.opening()?;
    connection.raw(octets);
    Ok(is_given_up(&mut connection))
}

/// Passes if the peer's first frame is an open that `is_right`.
fn first_frame(trial: &mut impl AnyTrial, is_right: fn(&AmqpFrame) -> bool) -> Result<Outcome, Stop> {
    let mut connection = trial.headed()?;
    connection.send(0, trial.own_open());
    match connection.next() {
        Got::Frame(frame) if frame.body.as_ref().is_some_and(|body| body.name() == "open") => {
            if !is_right(&frame) {
                return Ok(Outcome::fail(format!("its open has {} octets: {frame}", frame.octets.len())));
            }
        }
        got => return Ok(Outcome::fail(format!("expected open, got {got}"))),
    }
    Ok(closes_in_peace(&mut connection))
}

/// The first field, after the descriptor and the list's constructor, is a string.
fn has_container_id(open: &AmqpFrame) -> bool {
    let body = open.octets.get(8..).unwrap_or_default();
    let list = body.strip_prefix(b"\0\x53\x10").or_else(|| body.strip_prefix(b"\0\x80\0\0\0\0\0\0\0\x10"));
    let fields = match list.and_then(<[u8]>::split_first) {
        Some((0xc0, rest)) => rest.get(2..),
        Some((0xd0, rest)) => rest.get(8..),
        // A symbolic descriptor, which is as good: the codec has read the field.
        _ => return true,
    };
    fields.and_then(<[u8]>::first).is_some_and(|code| matches!(code, 0xa1 | 0xb1))
}

/// The time for which the tool's open is held back.
const HELD_BACK: Duration = Duration::from_millis(200);

fn keeps_to_least_limits(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let mut connection = trial.headed()?;
    for got in connection.gather(HELD_BACK, 100) {
        match got {
            Got::Frame(frame) if frame.octets.len() <= MIN_MAX_FRAME_SIZE && frame.channel == 0 => {}
            Got::Frame(frame) => {
                return Ok(Outcome::fail(format!("{frame}, of {} octets, before open", frame.octets.len())));
            }
            got => return Ok(Outcome::fail(format!("expected frames within the limits, got {got}"))),
        }
    }
    connection.send(0, trial.own_open());
    Ok(closes_in_peace(&mut connection))
}

fn opens_with(trial: &mut impl AnyTrial, change: fn(Open) -> Open) -> Result<Outcome, Stop> {
    let mut connection = trial.opening()?;
    connection.send(0, change(trial.own_open()));
    trial.is_open_after(&mut connection)
}

fn opens_or_says_why(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let mut connection = trial.opening()?;
    connection.send(0, trial.own_open());
    connection.send(0, frames::close());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            got if got.name() == "close" => return Ok(Outcome::pass()),
            Got::Frame(_) => {}
            got => return Ok(Outcome::fail(format!("expected open and close, got {got}"))),
        }
    }
}

/// A begin that is filled up to 512 octets by its properties.
fn takes_512_octets(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    let begin = trial.begin_for(&mut connection)?;
    let is_answer = begin.remote_channel.is_some();
    connection.raw(frames::encode(0, begin_of(begin, MIN_MAX_FRAME_SIZE), b""));
    if !is_answer {
        connection.expect_where::<Begin>(
            Skip::EMPTY,
            "a begin that answers channel 0",
            |begin: &Received<Begin>| begin.remote_channel == Some(0),
        )?;
    }
    Ok(closes_in_peace(&mut connection))
}

/// This begin with a property that makes its frame this large; a frame smaller than some hundred octets cannot be met.
pub(super) fn begin_of(begin: Begin, size: usize) -> Begin {
    let padded = |octets: usize| {
        let padding = Value::Binary(vec![0; octets].into());
        let properties = [(Symbol::from_static("padding"), padding)].into_iter().collect();
        Begin { properties: Some(properties), ..begin.clone() }
    };
    let without = frames::encode(0, padded(256), b"").len().saturating_sub(256);
    padded(size.saturating_sub(without))
}
