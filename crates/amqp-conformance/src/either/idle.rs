//! The idle time-out of a connection (§2.4.5).

use super::{AnyTrial, Linked, accepts, cases, closed_for_error, tolerated_or_refused};
use crate::{
    case::{Severity, Tag},
    judge::closes_in_peace,
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::performative::Open;
use amqp1_script::{Got, Refusal, frames};
use std::time::Duration;

cases! {
    "T-2.4.5-1" as Receive => sends_in_time():
        "A peer sends frames at least as often as its partner's idle-time-out asks (§2.4.5).",
        "an open with an idle-time-out of 1 s, and then nothing", "frames no more than 1 s apart";
    "T-2.4.5-2" as Receive => should_close_after(Reaction::NotBefore):
        "The announced idle-time-out is half the threshold after which a peer closes (§2.4.5).",
        "nothing, for longer than its idle-time-out", "a close well after its idle-time-out",
        severity: Severity::Should, tags: &[Tag::Slow];
    "T-2.4.5-3" as Receive => should_close_after(Reaction::InWords):
        "A peer whose threshold is exceeded closes with an error (§2.4.5).",
        "nothing, for longer than its idle-time-out", "close with an error",
        severity: Severity::Should, tags: &[Tag::Slow];
    "T-2.4.5-4" as Receive => should_honour_or_refuse():
        "A peer that cannot keep to its partner's idle-time-out closes with an error (§2.4.5).",
        "an open with an idle-time-out of 1 ms", "close with an error, or frames that often",
        severity: Severity::Should;
    "T-2.4.5-5/channel-0" => accepts(b"\0\0\0\x08\x02\0\0\0\0\0\0\x08\x02\0\0\0"):
        "Empty frames are accepted on every valid channel (§2.4.5).",
        "two empty frames on channel 0", "close without an error";
    "T-2.4.5-5/channel-1" => accepts_empty_frame_on_channel_1():
        "Empty frames are accepted on every valid channel (§2.4.5).",
        "an empty frame on channel 1, on which no session was begun", "close without an error";
    "T-2.4.5-6" as Receive => should_use_channel_0():
        "Empty frames are sent on channel 0 (§2.4.5).",
        "an open with an idle-time-out of 1 s, and then nothing", "an empty frame on channel 0",
        severity: Severity::Should;
    "T-2.4.5-7/sent" => no_empty_frame_after_close():
        "No empty frame is sent after close (§2.4.5).",
        "an open with an idle-time-out of 1 s, a frame that has to be refused, and then nothing", "no frame after close";
    "T-2.4.5-7/received" => empty_frame_before_open():
        "Empty frames come after open; one before it is refused or passed over, since the text is silent (§2.4.5).",
        "an empty frame before open", "an open and a close, or a refusal";
    "T-2.4.5-8" as Receive => counts_every_frame():
        "Any frame keeps a connection alive (§2.4.5).",
        "a flow, and no other frame, within each half of its idle-time-out", "no close within two and a half times that time",
        severity: Severity::May, tags: &[Tag::Slow];
    "T-2.4.5-9" as Receive => takes_zero_for_none():
        "An idle-time-out of 0 asks for no time-out (§2.7.1).",
        "an open with an idle-time-out of 0", "no flood of empty frames, and no close";
    "T-2.7.1-10/milliseconds" as Receive => first_frame_is_in_time():
        "idle-time-out is in milliseconds (§2.7.1, §2.8.6).",
        "an open with an idle-time-out of 1000, and then nothing", "a frame within a second";
    "T-2.7.1-10/none" as Receive => takes_absence_for_none():
        "Without an idle-time-out no traffic is asked for (§2.7.1).",
        "an open without idle-time-out", "no close, and no flood of empty frames";
}

/// The idle-time-out that the tool announces.
const ANNOUNCED: Duration = Duration::from_secs(1);
/// The delay of a frame that is put down to the machine.
const JITTER: Duration = Duration::from_millis(250);

fn asking(open: Open, idle_time_out: u32) -> Open {
    Open { idle_time_out: Some(idle_time_out), ..open }
}

/// The longest time between frames of the peer, while it has nothing to say.
fn longest_gap(connection: &mut Connection, watched: Duration) -> Result<Duration, Box<Got>> {
    let end = connection.now().saturating_add(watched);
    let (mut last, mut longest) = (connection.now(), Duration::ZERO);
    loop {
        // A gap that reaches beyond the end is seen whole.
        let got = connection.next_within(ANNOUNCED.saturating_mul(3));
        let now = connection.now();
        longest = longest.max(now.saturating_sub(last));
        match got {
            Got::Frame(_) if Refusal::of(&got).is_none() => last = now,
            Got::Timeout { .. } => return Ok(longest),
            got => return Err(Box::new(got)),
        }
        if now >= end {
            return Ok(longest);
        }
    }
}

fn sends_in_time(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = asking(trial.own_open(), 1000);
    let mut connection = trial.quiet(open)?;
    judge_gap(trial, &mut connection, ANNOUNCED.saturating_mul(5) / 2)
}

fn judge_gap(trial: &impl AnyTrial, connection: &mut Connection, watched: Duration) -> Result<Outcome, Stop> {
    let gap = match longest_gap(connection, watched) {
        Ok(gap) => gap,
        Err(got) if Refusal::of(&got).is_some() => {
            return Ok(Outcome::pass_with(format!("it does not support such a time-out: {got}")));
        }
        Err(got) => return Ok(Outcome::fail(format!("expected frames, got {got}"))),
    };
    let is_in_time = gap <= ANNOUNCED.saturating_add(JITTER);
    let is_within_threshold = gap < ANNOUNCED.saturating_mul(2);
    let remark = format!("{} ms between two frames", gap.as_millis());
    Ok(match (is_in_time, is_within_threshold) {
        (true, _) => Outcome::pass_with(remark),
        (false, true) if !trial.is_strict() => Outcome::warn(remark),
        _ => Outcome::fail(remark),
    })
}

fn first_frame_is_in_time(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = asking(trial.own_open(), 1000);
    let mut connection = trial.quiet(open)?;
    judge_gap(trial, &mut connection, JITTER)
}

/// The part of a peer's reaction to silence that is judged.
#[derive(Clone, Copy)]
enum Reaction {
    /// It comes well after the announced time.
    NotBefore,
    /// It is a close with an error.
    InWords,
}

/// The longest idle-time-out of a peer that is waited for.
const LONGEST: Duration = Duration::from_secs(60);

/// The idle-time-out that the peer has announced, if it can be waited for.
fn announced_by_peer(open: &Open) -> Result<Duration, Stop> {
    match open.idle_time_out.map(|millis| Duration::from_millis(u64::from(millis))) {
        None | Some(Duration::ZERO) => Err(Outcome::skip("it announces no idle-time-out").into()),
        Some(longer) if longer > LONGEST => {
            Err(Outcome::skip(format!("its idle-time-out is {} s", longer.as_secs())).into())
        }
        Some(announced) => Ok(announced),
    }
}

fn should_close_after(trial: &mut impl AnyTrial, reaction: Reaction) -> Result<Outcome, Stop> {
    let crate::server::Opened { mut connection, open } = trial.opened_plainly()?;
    let announced = announced_by_peer(&open)?;
    let start = connection.now();
    let deadline = start.saturating_add(announced.saturating_mul(3)).saturating_add(ANNOUNCED);
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        let waited = connection.now().saturating_sub(start);
        let (is_end, refusal) = (got.is_end(), Refusal::of(&got));
        match (&got, reaction) {
            (Got::Timeout { .. }, _) => {
                return Ok(Outcome::warn(format!("still open after {} ms", waited.as_millis())));
            }
            (_, Reaction::NotBefore) if is_end || got.name() == "close" => {
                let remark = format!("{} ms after an announced {} ms", waited.as_millis(), announced.as_millis());
                let is_well_after = waited >= announced.saturating_mul(3) / 2;
                return Ok(if is_well_after { Outcome::pass_with(remark) } else { Outcome::warn(remark) });
            }
            (_, Reaction::InWords) if refusal.is_some() => return Ok(Outcome::pass_with(got.to_string())),
            (_, Reaction::InWords) if is_end || got.name() == "close" => {
                return Ok(Outcome::warn(format!("expected close with an error, got {got}")));
            }
            (Got::Frame(_), _) => {}
            _ => return Ok(Outcome::fail(format!("expected close, got {got}"))),
        }
    }
}

fn should_honour_or_refuse(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = asking(trial.own_open(), 1);
    let mut connection = trial.headed()?;
    connection.send(0, open);
    let got = connection.gather(Duration::from_millis(300), 100);
    if let Some(refusal) = got.iter().find(|got| Refusal::of(got).is_some()) {
        return Ok(Outcome::pass_with(refusal.to_string()));
    }
    let empty = got.iter().filter(|got| got.name() == "empty").count();
    Ok(match got.last() {
        Some(last) if last.is_end() => Outcome::warn("dropped without close"),
        _ if empty >= 50 => Outcome::pass_with("it sends frames as often"),
        _ => Outcome::warn(format!("{empty} empty frames in 300 ms, and no close")),
    })
}

fn accepts_empty_frame_on_channel_1(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let crate::server::Opened { mut connection, open } = trial.opened_plainly()?;
    if open.channel_max == 0 {
        return Ok(Outcome::skip("its channel-max is 0"));
    }
    connection.empty_frame(1);
    Ok(closes_in_peace(&mut connection))
}

fn should_use_channel_0(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = asking(trial.own_open(), 1000);
    let mut connection = trial.quiet(open)?;
    let deadline = connection.now().saturating_add(ANNOUNCED.saturating_mul(3));
    loop {
        match connection.next_within(deadline.saturating_sub(connection.now())) {
            Got::Frame(frame) if frame.body.is_none() => {
                return Ok(match frame.channel {
                    0 => Outcome::pass(),
                    channel => Outcome::warn(format!("an empty frame on channel {channel}")),
                });
            }
            got if Refusal::of(&got).is_some() => {
                return Ok(Outcome::pass_with(format!("it does not support such a time-out: {got}")));
            }
            Got::Frame(_) => {}
            got => return Ok(Outcome::fail(format!("expected an empty frame, got {got}"))),
        }
    }
}

fn no_empty_frame_after_close(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = asking(trial.own_open(), 1000);
    let mut connection = closed_for_error(trial, open)?;
    Ok(match connection.next_within(ANNOUNCED.saturating_add(JITTER)) {
        Got::Timeout { unfinished: 0, .. } | Got::Eof { .. } | Got::Reset { .. } => Outcome::pass(),
        got => Outcome::fail(format!("expected nothing after close, got {got}")),
    })
}

fn empty_frame_before_open(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let mut connection = trial.opening()?;
    connection.empty_frame(0);
    connection.send(0, trial.own_open());
    Ok(tolerated_or_refused(&mut connection))
}

fn counts_every_frame(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let Linked { mut connection, open, session, .. } = trial.peer_receives(open, frames::begin())?;
    let announced = announced_by_peer(&open)?;
    let flow =
        amqp1_codec::performative::Flow { next_incoming_id: Some(session.begin.next_outgoing_id), ..frames::flow() };
    let end = connection.now().saturating_add(announced.saturating_mul(5) / 2);
    while connection.now() < end {
        connection.send(session.channel, flow.clone());
        let next = connection.now().saturating_add(announced / 2);
        while connection.now() < next {
            let got = connection.next_within(next.saturating_sub(connection.now()));
            if got.is_end() || got.name() == "close" {
                return Ok(Outcome::fail(format!("expected it to stay, got {got}")));
            }
        }
    }
    Ok(closes_in_peace(&mut connection))
}

fn takes_zero_for_none(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = asking(trial.own_open(), 0);
    is_calm(trial, open)
}

fn takes_absence_for_none(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = Open { idle_time_out: None, ..trial.own_open() };
    is_calm(trial, open)
}

/// The time for which a peer without a time-out to keep is watched.
const CALM: Duration = Duration::from_millis(500);

fn is_calm(trial: &mut impl AnyTrial, open: Open) -> Result<Outcome, Stop> {
    let mut connection = trial.quiet(open)?;
    let got = connection.gather(CALM, 100);
    let empty = got.iter().filter(|got| got.name() == "empty").count();
    if empty > 10 {
        return Ok(Outcome::fail(format!("{empty} empty frames in {} ms", CALM.as_millis())));
    }
    Ok(closes_in_peace(&mut connection))
}
