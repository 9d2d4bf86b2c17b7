//! What a peer on a network has to bear (rules of which the text does not speak).

use super::{AnyTrial, Linked, cases, refusals::tolerated_or_refused};
use crate::{
    case::Tag,
    server::{Begun, Opened},
    verdict::{Outcome, Stop, Verdict},
    wire::Connection,
};
use amqp1_codec::{
    Symbol,
    performative::{Flow, Open, Performative, Transfer},
};
use amqp1_script::{AmqpFrame, Got, Refusal, Scope, Written, frames};
use std::{collections::HashSet, hash::Hash, ops::Range, time::Duration};

cases! {
    "T-rob-2" like BEGIN => answers_flood_of_echoes():
        "A flood of flows that ask for an answer costs a bounded amount of work and memory.",
        "10 000 flows with echo in one write, and a close", "close, or a refusal, within 20 s; no more answers than flows",
        tags: &[Tag::Hostile];
    "T-rob-3" as Receive like ATTACH_RECEIVER => takes_many_tiny_transfers():
        "A delivery in very many small transfers costs no more than its octets.",
        "50 000 transfers of one delivery with one octet each, as the windows allow", "a disposition, a refusal, or the end of its credit",
        tags: &[Tag::Hostile];
    "T-rob-4/sessions" like BEGIN => limits_sessions():
        "Sessions are limited to channel-max, and each costs little.",
        "begins on every channel up to channel-max, 2000 of them at most", "a begin for each, or a refusal",
        tags: &[Tag::Hostile];
    "T-rob-4/links" like BEGIN => limits_links():
        "Links are limited to handle-max, and each costs little.",
        "attaches with every handle up to handle-max, 2000 of them at most", "an attach for each, or a refusal", tags: &[Tag::Hostile];
    "T-rob-5" as Receive like ATTACH_RECEIVER => bounds_its_buffer():
        "What exceeds the announced window is refused or not read, but not kept.",
        "100 000 transfers of one delivery, whatever the window", "a refusal, or a connection that goes on as its window grows",
        tags: &[Tag::Hostile];
}

/// The time in which a peer gets over a flood, as a multiple of the patience with it.
const OVER: u32 = 4;

/// Waits longer for each answer, since a flood has to be read before it. Returns the time that is waited now.
fn be_patient(connection: &mut Connection) -> Duration {
    let longer = connection.patience().saturating_mul(OVER);
    connection.set_patience(longer);
    longer
}

/// Reads until the peer closes, refuses or leaves. Returns the frames with this name that came before.
fn count_until_end(connection: &mut Connection, name: &str) -> (usize, Got) {
    let deadline = connection.now().saturating_add(connection.patience());
    let mut count = 0usize;
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        if got.is_end() || got.name() == "close" || Refusal::of(&got).is_some() || !matches!(got, Got::Frame(_)) {
            return (count, got);
        }
        count = count.saturating_add(usize::from(got.name() == name));
    }
}

const FLOOD: usize = 10_000;

fn answers_flood_of_echoes(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun_plainly()?;
    let next_incoming_id = Some(session.begin.next_outgoing_id);
    let flow = frames::encode(0, Flow { next_incoming_id, echo: true, ..frames::flow() }, b"");
    let over = be_patient(&mut connection);
    let close = frames::encode(0, frames::close(), b"");
    let written = connection.raw([&flow.repeat(FLOOD)[..], &close].concat());
    let (answers, end) = count_until_end(&mut connection, "flow");
    let remark = format!("{answers} answers, then {end}");
    Ok(match (written, end) {
        _ if answers > FLOOD.saturating_add(10) => Outcome::fail(remark),
        (Written::All, Got::Timeout { .. }) => Outcome::fail(format!("no close within {over:?}: {remark}")),
        // The peer stops reading while nothing reads its answers: that bounds them too.
        _ => Outcome::pass_with(remark),
    })
}

/// The transfers of one delivery, each with one octet of a message that does not end.
fn piece(linked: &Linked, number: u32) -> bytes::Bytes {
    let first = frames::transfer(linked.link.handle, 0);
    let transfer = if number == 0 { first } else { Transfer { handle: first.handle, ..Transfer::default() } };
    // A data section of 1 MiB begins: eight octets, of which the first transfer has all.
    let payload: &[u8] = if number == 0 { b"\0\x53\x75\xb0\0\x10\0\0" } else { b"x" };
    frames::encode(linked.session.channel, Transfer { more: true, ..transfer }, payload)
}

/// The transfers with these numbers. All but the first are the same.
pub(super) fn pieces(linked: &Linked, numbers: Range<u32>) -> Vec<u8> {
    let first = if numbers.contains(&0) { piece(linked, 0) } else { bytes::Bytes::new() };
    let others = numbers.len().saturating_sub(usize::from(!first.is_empty()));
    [&first[..], &piece(linked, 1).repeat(others)].concat()
}

const PIECES: u32 = 50_000;

fn takes_many_tiny_transfers(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let mut linked = trial.peer_receives(open, frames::begin())?;
    be_patient(&mut linked.connection);
    let mut allowed = linked.session.begin.incoming_window;
    let mut sent = 0u32;
    while sent < PIECES {
        if sent >= allowed {
            match linked.connection.next_within(Duration::from_secs(2)) {
                got if Refusal::of(&got).is_some() => {
                    return end_of_pieces(trial, linked, &format!("after {sent}: {got}"));
                }
                Got::Frame(frame) => allowed = allowed_by(&frame.body, allowed),
                Got::Timeout { .. } => {
                    return end_of_pieces(trial, linked, &format!("its window stays closed after {sent} transfers"));
                }
                got => return end_of_pieces(trial, linked, &format!("after {sent}: {got}")),
            }
            continue;
        }
        let until = allowed.min(PIECES).min(sent.saturating_add(1000));
        let pieces = pieces(&linked, sent..until);
        if linked.connection.raw(pieces) != Written::All {
            return end_of_pieces(trial, linked, &format!("after {sent} transfers it reads no more"));
        }
        sent = until;
    }
    end_of_pieces(trial, linked, &format!("it has taken {sent} transfers"))
}

/// The number of transfers that the peer's flow allows in all; the tool has counted from 0.
fn allowed_by(body: &Option<Performative>, before: u32) -> u32 {
    match body {
        Some(Performative::Flow(Flow { next_incoming_id: Some(next), incoming_window, .. })) => {
            next.0.saturating_add(*incoming_window)
        }
        _ => before,
    }
}

/// Leaves: the connection may be closed, refused or dropped, but not hang.
fn end_of_pieces(trial: &mut impl AnyTrial, mut linked: Linked, remark: &str) -> Result<Outcome, Stop> {
    let outcome = tolerated_or_refused(&mut linked.connection);
    drop(linked);
    trial.tidy()?;
    Ok(match outcome.verdict {
        Verdict::Pass | Verdict::PassWider => Outcome::pass_with(remark),
        _ => outcome,
    })
}

const EXCESS: u32 = 100_000;

fn bounds_its_buffer(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let open = trial.own_open();
    let mut linked = trial.peer_receives(open, frames::begin())?;
    be_patient(&mut linked.connection);
    let octets = pieces(&linked, 0..EXCESS);
    let written = linked.connection.raw(&octets);
    let remark = match written {
        Written::All => format!("{EXCESS} transfers were taken"),
        Written::Reset(count) => format!("the connection ended after {count} octets"),
        Written::Timeout(count) => format!("it reads no more after {count} octets"),
    };
    end_of_pieces(trial, linked, &remark)
}

/// The largest number of sessions or links that is asked for.
const MANY: u16 = 2000;

fn limits_sessions(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Opened { mut connection, open } = trial.opened_plainly()?;
    trial.has_opened(&mut connection)?;
    let last = open.channel_max.min(MANY);
    let begins: Vec<_> = (0..=last).map(|channel| frames::encode(channel, frames::begin(), b"")).collect();
    be_patient(&mut connection);
    connection.raw(begins.concat());
    let mut unanswered: HashSet<u16> = (0..=last).collect();
    let end = answered(&mut connection, &mut unanswered, |got| match got {
        Got::Frame(AmqpFrame { body: Some(Performative::Begin(begin)), .. }) => begin.remote_channel,
        _ => None,
    });
    Ok(judge_answers(&mut connection, "sessions", begins.len(), unanswered.len(), end))
}

fn limits_links(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun_plainly()?;
    let last = session.begin.handle_max.min(u32::from(MANY));
    let name = |handle| format!("many-{handle}");
    let attaches: Vec<_> = (0..=last)
        .map(|handle| frames::encode(0, frames::attach_receiver(name(handle), handle, "many"), b""))
        .collect();
    be_patient(&mut connection);
    connection.raw(attaches.concat());
    let mut unanswered: HashSet<String> = (0..=last).map(name).collect();
    let end = answered(&mut connection, &mut unanswered, |got| match got {
        Got::Frame(AmqpFrame { body: Some(Performative::Attach(attach)), .. }) => Some(attach.name.to_string()),
        _ => None,
    });
    Ok(judge_answers(&mut connection, "links", attaches.len(), unanswered.len(), end))
}

/// Reads until everything is answered, and takes what is from `unanswered`. Returns what ends this before: a refusal of
/// more than a link, the end of the connection, or nothing in time.
fn answered<T: Eq + Hash>(
    connection: &mut Connection,
    unanswered: &mut HashSet<T>,
    answers: impl Fn(&Got) -> Option<T>,
) -> Option<Got> {
    let deadline = connection.now().saturating_add(connection.patience());
    while !unanswered.is_empty() {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        let is_refusal = Refusal::of(&got).is_some_and(|refusal| refusal.scope != Scope::Link);
        if is_refusal || !matches!(got, Got::Frame(_)) || got.name() == "close" {
            return Some(got);
        }
        if let Some(answer) = answers(&got) {
            unanswered.remove(&answer);
        }
    }
    None
}

fn judge_answers(
    connection: &mut Connection,
    what: &str,
    asked: usize,
    unanswered: usize,
    end: Option<Got>,
) -> Outcome {
    let Some(end) = end else {
        let outcome = tolerated_or_refused(connection);
        let remark = format!("all of {asked} {what}");
        return if outcome.verdict <= Verdict::PassWider { Outcome { reason: remark, ..outcome } } else { outcome };
    };
    let remark = format!("{} of {asked} {what} were answered, then came {end}", asked.saturating_sub(unanswered));
    if end.is_end() || Refusal::of(&end).is_some() { Outcome::pass_with(remark) } else { Outcome::fail(remark) }
}

/// An open with symbols that no other open has; it has at most 512 octets.
pub(crate) fn open_with_fresh_symbols(open: Open, first: u32, count: u32) -> Open {
    let names = (first..first.saturating_add(count)).filter_map(|number| Symbol::new(format!("f{number:x}")).ok());
    Open { desired_capabilities: names.collect(), ..open }
}
