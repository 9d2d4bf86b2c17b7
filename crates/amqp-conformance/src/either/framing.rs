//! Frames (§2.3).

use super::{AnyTrial, CLOSED, FRAMING, accepts, answers_or_refuses, cases, refuses, refuses_at_first};
use crate::{
    judge::closes_in_peace,
    server::{Begun, Opened},
    verdict::{Outcome, Stop},
};
use amqp1_codec::performative::Begin;
use amqp1_script::{AmqpFrame, Got, Received, Skip, frames};

cases! {
    "T-2.3.1-1" => frames_are_whole():
        "SIZE counts the frame header, the extended header and the body (§2.3.1).",
        "a session is begun and ended, and the connection is closed",
        "frames that can be read, and no octet beyond them";
    "T-2.3.1-2/size-0" like OPEN => refuses(b"\0\0\0\0\x02\0\0\0", FRAMING):
        "A SIZE below 8 is malformed (§2.3.1).",
        "a frame of SIZE 0", "close with amqp:connection:framing-error";
    "T-2.3.1-2/size-1" like OPEN => refuses(b"\0\0\0\x01\x02\0\0\0", FRAMING):
        "A SIZE below 8 is malformed (§2.3.1).",
        "a frame of SIZE 1", "close with amqp:connection:framing-error";
    "T-2.3.1-2/size-4" like OPEN => refuses(b"\0\0\0\x04\x02\0\0\0", FRAMING):
        "A SIZE below 8 is malformed (§2.3.1).",
        "a frame of SIZE 4", "close with amqp:connection:framing-error";
    "T-2.3.1-2/size-7" like OPEN => refuses(b"\0\0\0\x07\x02\0\0\0", FRAMING):
        "A SIZE below 8 is malformed (§2.3.1).",
        "a frame of SIZE 7", "close with amqp:connection:framing-error";
    "T-2.3.1-3/doff-0" like OPEN => refuses(b"\0\0\0\x08\0\0\0\0", FRAMING):
        "A DOFF below 2 is malformed (§2.3.1).",
        "a frame of DOFF 0", "close with amqp:connection:framing-error";
    "T-2.3.1-3/doff-1" like OPEN => refuses(b"\0\0\0\x08\x01\0\0\0", FRAMING):
        "A DOFF below 2 is malformed (§2.3.1).",
        "a frame of DOFF 1", "close with amqp:connection:framing-error";
    "T-2.3.1-4/over-size" like OPEN => refuses(b"\0\0\0\x08\x03\0\0\0", FRAMING):
        "A body that begins beyond the end of its frame is malformed (§2.3.1).",
        "a frame of SIZE 8 and DOFF 3", "close with amqp:connection:framing-error";
    "T-2.3.1-4/255" like OPEN => refuses(b"\0\0\0\x0c\xff\0\0\0\0\0\0\0", FRAMING):
        "A body that begins beyond the end of its frame is malformed (§2.3.1).",
        "a frame of SIZE 12 and DOFF 255", "close with amqp:connection:framing-error";
    "T-2.3.1-5/open" like OPEN => extended_open():
        "The extended header of an AMQP frame is passed over (§2.3.1, §2.3.2).",
        "an open with an extended header of 12 octets", "the connection is open";
    "T-2.3.1-5/largest" like BEGIN => extended_begin():
        "The extended header of an AMQP frame is passed over (§2.3.1, §2.3.2).",
        "a begin with DOFF 255, so that its extended header has 1012 octets", "the session is begun";
    "T-2.3.1-6/type-2" like OPEN => refuses(b"\0\0\0\x08\x02\x02\0\0", CLOSED):
        "TYPE is 0 for AMQP frames and 1 for SASL frames; there is no other (§2.3.1).",
        "a frame of TYPE 2", "close with an error, or the end of the connection";
    "T-2.3.1-6/type-255" like OPEN => refuses(b"\0\0\0\x08\x02\xff\0\0", CLOSED):
        "TYPE is 0 for AMQP frames and 1 for SASL frames; there is no other (§2.3.1).",
        "a frame of TYPE 255", "close with an error, or the end of the connection";
    "T-2.3.1-6/sasl" like OPEN => refuses(b"\0\0\0\x19\x02\x01\0\0\0\x53\x41\xc0\x0c\x01\xa3\x09ANONYMOUS", CLOSED):
        "What follows a header belongs to its protocol: an AMQP connection has no SASL frames (§2.2, §2.3.1).",
        "a sasl-init in a SASL frame, after open", "close with an error, or the end of the connection";
    "T-2.3.2-1/undescribed" like OPEN => refuses(b"\0\0\0\x0e\x02\0\0\0\xc0\x04\x01\xa1\x01c", CLOSED):
        "The body of an AMQP frame begins with a performative, which is a described type (§2.3.2).",
        "a frame whose body is a list without a descriptor", "close with an error, or the end of the connection";
    "T-2.3.2-1/unknown-code" like OPEN => refuses(b"\0\0\0\x0c\x02\0\0\0\0\x53\x19\x45", CLOSED):
        "The performative is one of those that the specification defines (§2.3.2).",
        "a frame whose body has the descriptor 0x19", "close with an error, or the end of the connection";
    "T-2.3.2-1/unknown-symbol" like OPEN =>
        refuses(b"\0\0\0\x1f\x02\0\0\0\0\xa3\x0eamqp:opan:list\xc0\x04\x01\xa1\x01c", CLOSED):
        "The performative is one of those that the specification defines (§2.3.2).",
        "a frame whose body has the descriptor amqp:opan:list", "close with an error, or the end of the connection";
    "T-2.3.2-1/section" like OPEN => refuses(b"\0\0\0\x0c\x02\0\0\0\0\x53\x70\x45", CLOSED):
        "The performative is one of those that the specification defines (§2.3.2).",
        "a frame whose body is a section of a message", "close with an error, or the end of the connection";
    "T-2.3.2-1/sasl" like OPEN => refuses(b"\0\0\0\x19\x02\0\0\0\0\x53\x41\xc0\x0c\x01\xa3\x09ANONYMOUS", CLOSED):
        "The performative is one of those that the specification defines (§2.3.2).",
        "a sasl-init in an AMQP frame", "close with an error, or the end of the connection";
    "T-2.3.2-1/first" like OPEN => refuses_at_first(b"\0\0\0\x0c\x02\0\0\0\0\x53\x19\x45"):
        "The performative is one of those that the specification defines (§2.3.2).",
        "a frame whose body has the descriptor 0x19, instead of open", "close with an error, or the end of the connection";
    "T-2.3.2-2" => accepts(b"\0\0\0\x08\x02\0\0\0"):
        "A frame without a body only keeps the connection alive (§2.3.2, §2.4.5).",
        "an empty frame, then close", "close without an error";
    "T-2.3.2-3/sent" => payload_is_of_transfers():
        "Only a transfer has a payload (§2.3.2, §2.7).",
        "a session is begun and ended, and the connection is closed", "frames without a payload";
    "T-2.3.2-3/received" like BEGIN => answers_or_refuses(b"\0\0\0\x15\x02\0\0\0\0\x53\x11\xc0\x07\x04\x40\x43\x52\x08\x52\x08\x40"):
        "Octets after a performative other than transfer are refused or passed over: the text is silent (§2.3.2).",
        "a begin that one octet follows, then close", "close, with or without an error";
}

/// Begins and ends a session and closes the connection, and shows each frame that the peer sends.
fn converse(trial: &mut impl AnyTrial, mut look: impl FnMut(&AmqpFrame) -> Result<(), Stop>) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun_plainly()?;
    connection.send(session.channel, frames::end());
    connection.send(0, frames::close());
    let mut is_closed = false;
    loop {
        // That nothing comes after close is another rule.
        match connection.next() {
            Got::Frame(frame) => {
                look(&frame)?;
                if frame.body.is_some_and(|body| body.name() == "close") {
                    is_closed = true;
                    connection.finish();
                }
            }
            Got::Eof { unfinished } | Got::Reset { unfinished } if is_closed && unfinished.is_empty() => {
                return Ok(Outcome::pass());
            }
            got => return Ok(Outcome::fail(format!("expected end, close and the end of the stream, got {got}"))),
        }
    }
}

fn frames_are_whole(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    converse(trial, |_| Ok(()))
}

fn payload_is_of_transfers(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    converse(trial, |frame| {
        let name = frame.body.as_ref().map_or("empty", |body| body.name());
        if name == "transfer" || frame.payload.is_empty() {
            return Ok(());
        }
        Err(Outcome::fail(format!("{} octets follow {name}", frame.payload.len())).into())
    })
}

fn extended_open(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = frames::encode(0, trial.own_open(), b"");
    let mut connection = trial.opening()?;
    connection.raw(frames::with_extended_header(&open, b"passed over!"));
    trial.is_open_after(&mut connection)
}

fn extended_begin(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, open } = trial.opened_plainly()?;
    if open.max_frame_size < 1040 {
        return Ok(Outcome::skip("its max-frame-size is smaller than such a frame"));
    }
    let begin = trial.begin_for(&mut connection)?;
    let remote_channel = begin.remote_channel;
    connection.raw(frames::with_extended_header(&frames::encode(0, begin, b""), &[0xff; 1012]));
    if remote_channel.is_none() {
        connection.expect_where::<Begin>(
            Skip::EMPTY,
            "a begin that answers channel 0",
            |begin: &Received<Begin>| begin.remote_channel == Some(0),
        )?;
    }
    Ok(closes_in_peace(&mut connection))
}
