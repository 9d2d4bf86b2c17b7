//! Sessions (§2.5.1 to §2.5.5, §2.7.2, §2.7.8).

use super::{AnyTrial, CLOSED, cases, in_flight, refuses};
use crate::{
    case::Severity,
    judge::{Refused, closes_in_peace},
    server::{Begun, Opened},
    verdict::{Outcome, Stop, Verdict},
    wire::Connection,
};
use amqp1_codec::{
    Multiple, Symbol,
    definitions::{AmqpError, ErrorCondition},
    performative::{Begin, Flow, Performative},
};
use amqp1_script::{AmqpFrame, Got, Refusal, Scope, Session, frames};
use std::time::Duration;

static UNATTACHED_HANDLE: [ErrorCondition; 1] = [ErrorCondition::UNATTACHED_HANDLE];
/// The refusal of a frame that ends the session, for which the text names no condition.
static ENDED: Refused = Refused::by(Scope::Session);
/// The refusal of a begin, for which the text names neither a scope nor a condition.
static NOT_BEGUN: Refused = Refused::by(Scope::Session).or_wider();

cases! {
    "T-2.5.1-1" => begins_session(0):
        "A begin without remote-channel starts a session, and is answered by one with the channel as remote-channel \
         (§2.5.1).",
        "a begin on channel 0", "a begin for channel 0, and a session that works";
    "T-2.5.1-2" => begins_session(5):
        "The two ends of a session use channels of their own choice (§2.5.1).",
        "a begin on channel 5", "a begin for channel 5, and a session that works";
    "T-2.5.1-3" like BEGIN => refuses(
        b"\0\0\0\x16\x02\0\0\0\0\x53\x11\xc0\x09\x04\x60\0\x4d\x43\x52\x01\x52\x01", NOT_BEGUN
    ):
        "A begin has a remote-channel only if it answers a begin on that channel (§2.5.1).",
        "a begin with remote-channel 77, on which nothing was begun", "end or close with an error";
    "T-2.5.1-4" => should_use_lowest_channel():
        "The lowest unused channel is assigned to a session (§2.5.1).",
        "a begin", "a begin on channel 0", severity: Severity::Should;
    "T-2.5.1-5" like BEGIN => refuses_in_session(b"\0\0\0\x14\x02\0\0\0\0\x53\x11\xc0\x07\x04\x40\x43\x52\x01\x52\x01", NOT_BEGUN):
        "A begin is sent on an unused channel (§2.5.1).",
        "a second begin on the channel of a session", "end or close with an error";
    "T-2.5.1-6/attach" like BEGIN => refuses(b"\0\0\0\x13\x02\0\0\0\0\x53\x12\xc0\x06\x03\xa1\x01l\x43\x41", CLOSED):
        "Frames of a session come only on a channel on which one was begun (§2.5.1, §2.5.5).",
        "an attach on a channel without a session", "close with an error, or the end of the connection";
    "T-2.5.1-6/flow" like BEGIN => refuses(
        b"\0\0\0\x1b\x02\0\0\0\0\x53\x13\xc0\x0e\x04\x43\x70\0\0\x08\0\x52\x01\x70\0\0\x08\0", CLOSED
    ):
        "Frames of a session come only on a channel on which one was begun (§2.5.1, §2.5.5).",
        "a flow on a channel without a session", "close with an error, or the end of the connection";
    "T-2.5.1-6/transfer" like BEGIN => refuses(b"\0\0\0\x14\x02\0\0\0\0\x53\x14\xc0\x07\x04\x43\x43\xa0\x01\0\x43", CLOSED):
        "Frames of a session come only on a channel on which one was begun (§2.5.1, §2.5.5).",
        "a transfer on a channel without a session", "close with an error, or the end of the connection";
    "T-2.5.1-6/disposition" like BEGIN => refuses(b"\0\0\0\x10\x02\0\0\0\0\x53\x15\xc0\x03\x02\x41\x43", CLOSED):
        "Frames of a session come only on a channel on which one was begun (§2.5.1, §2.5.5).",
        "a disposition on a channel without a session", "close with an error, or the end of the connection";
    "T-2.5.1-6/detach" like BEGIN => refuses(b"\0\0\0\x0f\x02\0\0\0\0\x53\x16\xc0\x02\x01\x43", CLOSED):
        "Frames of a session come only on a channel on which one was begun (§2.5.1, §2.5.5).",
        "a detach on a channel without a session", "close with an error, or the end of the connection";
    "T-2.5.1-6/end" like BEGIN => refuses(b"\0\0\0\x0c\x02\0\0\0\0\x53\x17\x45", CLOSED):
        "Frames of a session come only on a channel on which one was begun (§2.5.1, §2.5.5).",
        "an end on a channel without a session", "close with an error, or the end of the connection";
    "T-2.5.2-1" => answers_end(b"\0\0\0\x0c\x02\0\0\0\0\x53\x17\x45"):
        "An end is answered by an end (§2.5.2).",
        "an end", "an end without an error";
    "T-2.5.3-1" like BEGIN => ends_cross():
        "Where both peers end a session at the same time, each takes the other's end for the answer (§2.5.3).",
        "a frame that has to be refused and an end, in one write", "one end, and a connection that works";
    "T-2.5.4-1" like BEGIN => refuses_unattached_flow():
        "A session that cannot process its input ends with an error (§2.5.4).",
        "a flow for a handle without a link", "end with amqp:session:unattached-handle";
    "T-2.5.4-2" like BEGIN => discards_after_errored_end():
        "A session that has ended for an error discards what comes until its partner's end (§2.5.4).",
        "a flow for a handle without a link, and after the refusal an attach and an end", "no answer to the attach";
    "T-2.5.5-1" => session_states():
        "A session is used once both begins were sent and received, however late the answer comes (§2.5.5).",
        "a begin after a while", "a session that works, and an end for its end";
    "T-2.7.2-1/empty" like BEGIN => refuses(b"\0\0\0\x0c\x02\0\0\0\0\x53\x11\x45", NOT_BEGUN):
        "begin.next-outgoing-id, incoming-window and outgoing-window are mandatory (§2.7.2).",
        "a begin without fields", "end or close with an error";
    "T-2.7.2-1/no-windows" like BEGIN => refuses(b"\0\0\0\x10\x02\0\0\0\0\x53\x11\xc0\x03\x02\x40\x43", NOT_BEGUN):
        "begin.next-outgoing-id, incoming-window and outgoing-window are mandatory (§2.7.2).",
        "a begin without windows", "end or close with an error";
    "T-2.7.2-1/no-id" like BEGIN => refuses(
        b"\0\0\0\x14\x02\0\0\0\0\x53\x11\xc0\x07\x04\x40\x40\x52\x01\x52\x01", NOT_BEGUN
    ):
        "begin.next-outgoing-id, incoming-window and outgoing-window are mandatory (§2.7.2).",
        "a begin whose next-outgoing-id is null", "end or close with an error";
    "T-2.7.2-3" like BEGIN => refuses_handle_above_max():
        "A handle above the partner's handle-max closes the connection (§2.7.2).",
        "an attach with the handle after the largest", "close or end with amqp:connection:framing-error";
    "T-2.7.2-4/received" => begins_with_capabilities():
        "Capabilities that the partner does not know are not used, and do no harm (§2.7.2).",
        "a begin with unknown capabilities, offered and desired", "a session that works";
    "T-2.7.8-1/error" => answers_end(
        b"\0\0\0\x2f\x02\0\0\0\0\x53\x17\xc0\x22\x01\0\x53\x1d\xc0\x1c\x02\xa3\x13amqp:internal-error\xa1\x04gone"
    ):
        "An end may carry an error, and is answered all the same (§2.7.8).",
        "an end with an error", "an end";
    "T-2.7.8-1/no-condition" => gives_up_session(b"\0\0\0\x12\x02\0\0\0\0\x53\x17\xc0\x05\x01\0\x53\x1d\x45"):
        "An error without a condition is malformed, and the session ends all the same (§2.7.8, §2.8.14).",
        "an end whose error has no condition", "end, close, or the end of the connection";
    "T-2.7.8-1/condition-string" => gives_up_session(
        b"\0\0\0\x29\x02\0\0\0\0\x53\x17\xc0\x1c\x01\0\x53\x1d\xc0\x16\x01\xa1\x13amqp:internal-error"
    ):
        "An error whose condition is no symbol is malformed, and the session ends all the same (§2.7.8, §2.8.14).",
        "an end whose error has a string as condition", "end, close, or the end of the connection";
}

/// Begins a session on this channel, or a lower one if the peer's channel-max is lower.
fn begins_session(trial: &mut impl AnyTrial, channel: u16) -> Result<Outcome, Stop> {
    let Opened { mut connection, open } = trial.opened_plainly()?;
    let session = trial.begins(&mut connection, channel.min(open.channel_max), frames::begin())?;
    trial.uses(&mut connection, &session)?;
    Ok(closes_in_peace(&mut connection))
}

fn refuses_in_session(trial: &mut impl AnyTrial, octets: &[u8], refused: Refused) -> Result<Outcome, Stop> {
    let Begun { mut connection, .. } = trial.begun_plainly()?;
    connection.raw(octets);
    Ok(refused.after(in_flight(trial)).judge(&mut connection, trial.is_strict()))
}

fn should_use_lowest_channel(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Begun { session, .. } = trial.begun_plainly()?;
    Ok(match session.remote_channel {
        0 => Outcome::pass(),
        channel => Outcome::warn(format!("the first session is on channel {channel}")),
    })
}

/// Sends an end, and waits for the peer's; frames that were sent before it came may precede that.
pub(super) fn answers_end(trial: &mut impl AnyTrial, end: &[u8]) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun_plainly()?;
    connection.raw(end);
    match until_end(&mut connection, &session) {
        Ok(None) => Ok(closes_in_peace(&mut connection)),
        Ok(Some(error)) => Ok(Outcome::fail(format!("end with {}", error.condition))),
        Err(got) => Ok(Outcome::fail(format!("expected end, got {got}"))),
    }
}

fn gives_up_session(trial: &mut impl AnyTrial, end: &[u8]) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun_plainly()?;
    connection.raw(end);
    Ok(match until_end(&mut connection, &session) {
        Ok(_) => Outcome::pass(),
        Err(got) if got.name() == "close" => Outcome::new(Verdict::PassWider, got.to_string()),
        Err(got) if got.is_end() => Outcome::new(Verdict::PassWider, "dropped without close"),
        Err(got) => Outcome::fail(format!("expected end, got {got}")),
    })
}

/// Passes over frames until the peer ends the session. Returns the error of its end.
fn until_end(connection: &mut Connection, session: &Session) -> Result<Option<AmqpError>, Box<Got>> {
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        match got {
            Got::Frame(AmqpFrame { channel, body: Some(Performative::End(end)), .. })
                if channel == session.remote_channel =>
            {
                return Ok(end.error);
            }
            Got::Frame(AmqpFrame { body: Some(Performative::Close(_)), .. }) => return Err(Box::new(got)),
            Got::Frame(_) => {}
            got => return Err(Box::new(got)),
        }
    }
}

/// A flow for a handle without a link; what it says of the session is right.
fn unattached_flow(session: &Session) -> Flow {
    Flow { next_incoming_id: Some(session.begin.next_outgoing_id), ..frames::credit(42, 1) }
}

fn refuses_unattached_flow(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun_plainly()?;
    connection.send(0, unattached_flow(&session));
    let refused = ENDED.with(&UNATTACHED_HANDLE).after(in_flight(trial));
    Ok(refused.judge(&mut connection, trial.is_strict()))
}

fn ends_cross(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun_plainly()?;
    let flow = frames::encode(0, unattached_flow(&session), b"");
    connection.raw([flow, frames::encode(0, frames::end(), b"")].concat());
    match until_end(&mut connection, &session) {
        Ok(_) => {}
        // Sessions end with their connection (§2.5.2).
        Err(got) if got.name() == "close" => return Ok(Outcome::new(Verdict::PassWider, got.to_string())),
        Err(got) => return Ok(Outcome::fail(format!("expected end, got {got}"))),
    }
    let is_ended_again = |got: &Got| matches!(got, Got::Frame(frame) if is_on(frame, &session, "end"));
    closes_without(&mut connection, is_ended_again)
}

fn is_on(frame: &AmqpFrame, session: &Session, name: &str) -> bool {
    frame.channel == session.remote_channel && frame.body.as_ref().is_some_and(|body| body.name() == name)
}

/// Closes the connection: until the peer's close nothing may come of which `is_wrong` is true.
fn closes_without(connection: &mut Connection, is_wrong: impl Fn(&Got) -> bool) -> Result<Outcome, Stop> {
    connection.send(0, frames::close());
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            got if is_wrong(&got) => return Ok(Outcome::fail(format!("got {got} on a session that has ended"))),
            got if got.name() == "close" => return Ok(Outcome::pass()),
            Got::Frame(_) => {}
            got => return Ok(Outcome::fail(format!("expected close, got {got}"))),
        }
    }
}

fn discards_after_errored_end(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun_plainly()?;
    connection.send(0, unattached_flow(&session));
    match until_end(&mut connection, &session) {
        Ok(_) => {}
        Err(got) if Refusal::of(&got).is_some() => return Ok(Outcome::new(Verdict::PassWider, got.to_string())),
        Err(got) => return Err(Stop::SetUp(format!("expected end, got {got}"))),
    }
    connection.send(0, frames::attach_receiver("discarded", 7, "discarded"));
    connection.send(0, frames::end());
    let is_answer = |got: &Got| {
        matches!(got, Got::Frame(frame) if frame.channel == session.remote_channel
        && frame.body.as_ref().is_some_and(|body| matches!(body.name(), "attach" | "end" | "detach")))
    };
    closes_without(&mut connection, is_answer)
}

/// The time for which the tool's begin is held back.
const HELD_BACK: Duration = Duration::from_millis(150);

fn session_states(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    let begin = trial.begin_for(&mut connection)?;
    let early = connection.gather(HELD_BACK, 10);
    if let Some(got) = early.iter().find(|got| got.is_end() || Refusal::of(got).is_some()) {
        return Ok(Outcome::fail(format!("expected it to wait for begin, got {got}")));
    }
    let remote_channel = begin.remote_channel;
    connection.send(0, begin);
    if let Some(remote_channel) = remote_channel {
        let session = Session { channel: 0, remote_channel, begin: Begin::default() };
        // A client may attach before the answer to its begin has come.
        if !early.iter().any(|got| got.name() == "attach") {
            trial.uses(&mut connection, &session)?;
        }
        connection.send(0, frames::end());
        return match until_end(&mut connection, &session) {
            Ok(_) => Ok(closes_in_peace(&mut connection)),
            Err(got) => Ok(Outcome::fail(format!("expected end, got {got}"))),
        };
    }
    let answer = connection.expect::<Begin>()?;
    let session = Session { channel: 0, remote_channel: answer.channel, begin: answer.body };
    trial.uses(&mut connection, &session)?;
    Ok(closes_in_peace(&mut connection))
}

fn refuses_handle_above_max(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun_plainly()?;
    let Some(handle) = session.begin.handle_max.checked_add(1) else {
        return Ok(Outcome::skip("its handle-max is the largest handle"));
    };
    connection.send(0, frames::attach_receiver("above", handle, "above"));
    let scope = if trial.is_strict() { Scope::Connection } else { Scope::Session };
    Ok(Refused::by(scope).or_wider().after(in_flight(trial)).judge(&mut connection, trial.is_strict()))
}

fn begins_with_capabilities(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, .. } = trial.opened_plainly()?;
    let unknown = |name| -> Multiple<Symbol> { [Symbol::from_static(name)].into_iter().collect() };
    let begin = Begin {
        offered_capabilities: unknown("x-amqp-conformance-offered"),
        desired_capabilities: unknown("x-amqp-conformance-desired"),
        ..frames::begin()
    };
    let session = trial.begins(&mut connection, 0, begin)?;
    trial.uses(&mut connection, &session)?;
    Ok(closes_in_peace(&mut connection))
}
