//! Close (§2.4.3, §2.4.4, §2.7.9).

use super::{AnyTrial, CLOSED, UNMAPPED, cases, closed_for_error, is_given_up, nothing_follows, refuses, until_close};
use crate::{
    case::Severity,
    judge::should,
    server::Opened,
    verdict::{Outcome, Stop},
};
use amqp1_codec::frame::ProtocolHeader;
use amqp1_script::{Got, Refusal, frames};
use std::time::Duration;

cases! {
    "T-2.4.3-1/answer" => answers_close():
        "Before a connection is shut down, each peer writes a close (§2.4.3).",
        "a close", "close, and the end of the stream";
    "T-2.4.3-1/error" => refuses(UNMAPPED, CLOSED.in_words()):
        "Before a connection is shut down, each peer writes a close, with the error if there is one (§2.4.3).",
        "an attach on a channel without a session", "close with an error";
    "T-2.4.3-2/answer" => answers_close():
        "Close is the last that a peer writes (§2.4.3).",
        "a close", "close, and no octet after it";
    "T-2.4.3-2/error" => silent_after_error(b""):
        "Close is the last that a peer writes (§2.4.3).",
        "a frame that has to be refused, and a close once it is", "close with an error, and no octet after it";
    "T-2.4.3-3" => should_wait_for_close():
        "After its close a peer reads until its partner's close comes, with a time limit (§2.4.3).",
        "a frame that has to be refused, and a close some time after it was", "the stream ends after the tool's close",
        severity: Severity::Should;
    "T-2.4.3-4/received" => honours_close_on_other_channel():
        "A close may come on any channel up to the negotiated maximum (§2.4.3).",
        "a close on channel 3", "close";
    "T-2.4.3-4/sent" => should_close_on_channel_0():
        "Close is sent on channel 0 (§2.4.3).",
        "a close", "close on channel 0", severity: Severity::Should;
    "T-2.4.3-5" => should_not_reuse_stream():
        "A stream is not used for another connection after close (§2.4.3).",
        "a close, and a protocol header once it is answered", "the end of the stream", severity: Severity::Should;
    "T-2.4.3-6" => silent_after_error(b"\0\0\0\x14\x02\0\0\0\0\x53\x11\xc0\x07\x04\x40\x43\x52\x08\x52\x08"):
        "A peer that has closed for an error discards what comes until its partner's close (§2.4.3, §2.4.6).",
        "a frame that has to be refused, a begin once it is, and a close", "no answer to the begin";
    "T-2.4.4-1" => closes_cross():
        "Where both peers close at the same time, each takes the other's close for the answer (§2.4.4).",
        "a frame that has to be refused and a close, in one write", "one close, and the end of the stream";
    "T-2.4.6-4" => closes_cross():
        "After its close a peer writes nothing more, whatever comes (§2.4.6, CLOSE SENT).",
        "a frame that has to be refused and a close, in one write", "one close, and no octet after it";
    "T-2.7.9-1/error" => given_up_after(
        b"\0\0\0\x2f\x02\0\0\0\0\x53\x18\xc0\x22\x01\0\x53\x1d\xc0\x1c\x02\xa3\x13amqp:internal-error\xa1\x04gone"
    ):
        "Close may carry an error: a condition, and then a description and more (§2.7.9, §2.8.14).",
        "a close with an error", "close";
    "T-2.7.9-1/no-condition" => given_up_after(b"\0\0\0\x12\x02\0\0\0\0\x53\x18\xc0\x05\x01\0\x53\x1d\x45"):
        "An error without a condition is malformed, and the connection ends all the same (§2.7.9, §2.8.14).",
        "a close whose error has no condition", "close, or the end of the connection";
    "T-2.7.9-1/condition-string" => given_up_after(
        b"\0\0\0\x29\x02\0\0\0\0\x53\x18\xc0\x1c\x01\0\x53\x1d\xc0\x16\x01\xa1\x13amqp:internal-error"
    ):
        "An error whose condition is no symbol is malformed, and the connection ends all the same (§2.7.9, §2.8.14).",
        "a close whose error has a string as condition", "close, or the end of the connection";
    "T-2.7.9-1/not-described" => given_up_after(
        b"\0\0\0\x26\x02\0\0\0\0\x53\x18\xc0\x19\x01\xc0\x16\x01\xa3\x13amqp:internal-error"
    ):
        "An error that is not described is malformed, and the connection ends all the same (§2.7.9).",
        "a close whose error is a list without a descriptor", "close, or the end of the connection";
}

/// After the tool's close only frames that were sent before it was read may come, then close, then the end.
fn answers_close(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.send(0, frames::close());
    match until_close(&mut connection) {
        Ok(_) => nothing_follows(&mut connection),
        Err(got) => Ok(Outcome::fail(format!("expected close, got {got}"))),
    }
}

/// Sends octets after the peer has closed for an error, then close.
fn silent_after_error(trial: &mut impl AnyTrial, octets: &[u8]) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let mut connection = closed_for_error(trial, open)?;
    connection.raw(octets);
    connection.send(0, frames::close());
    nothing_follows(&mut connection)
}

/// The time for which the tool's close is held back: well below what a peer waits.
const HELD_BACK: Duration = Duration::from_millis(150);

fn should_wait_for_close(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let mut connection = closed_for_error(trial, open)?;
    match connection.next_within(HELD_BACK) {
        Got::Timeout { .. } => {}
        got if got.is_end() => return Ok(Outcome::warn("the stream ended before the tool's close")),
        got => return Ok(Outcome::fail(format!("expected nothing after close, got {got}"))),
    }
    connection.send(0, frames::close());
    should(nothing_follows(&mut connection))
}

fn honours_close_on_other_channel(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, open } = trial.opened_plainly()?;
    if open.channel_max < 3 {
        return Ok(Outcome::skip("its channel-max is below 3"));
    }
    connection.send(3, frames::close());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if let Some(refusal) = Refusal::of(&got) {
            return Ok(Outcome::fail(format!("refused with {}", refusal.error.condition)));
        }
        match got {
            got if got.name() == "close" => return nothing_follows(&mut connection),
            Got::Frame(_) => {}
            got => return Ok(Outcome::fail(format!("expected close, got {got}"))),
        }
    }
}

fn should_close_on_channel_0(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.send(0, frames::close());
    Ok(match until_close(&mut connection) {
        Ok(0) => Outcome::pass(),
        Ok(channel) => Outcome::warn(format!("close on channel {channel}")),
        Err(got) => Outcome::fail(format!("expected close, got {got}")),
    })
}

fn should_not_reuse_stream(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.send(0, frames::close());
    if let Err(got) = until_close(&mut connection) {
        return Err(Stop::SetUp(format!("expected close, got {got}")));
    }
    connection.header(ProtocolHeader::AMQP);
    Ok(match connection.next() {
        got if got.is_end() => Outcome::pass(),
        Got::Timeout { .. } => Outcome::warn("the stream stays open after both closes"),
        Got::Header(_) => Outcome::warn("a second connection is begun on the stream"),
        got => Outcome::fail(format!("expected the end after close, got {got}")),
    })
}

fn closes_cross(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.raw([UNMAPPED, &frames::encode(0, frames::close(), b"")].concat());
    if let Err(got) = until_close(&mut connection) {
        return Ok(Outcome::fail(format!("expected close, got {got}")));
    }
    nothing_follows(&mut connection)
}

fn given_up_after(trial: &mut impl AnyTrial, octets: &[u8]) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    connection.raw(octets);
    Ok(is_given_up(&mut connection))
}
