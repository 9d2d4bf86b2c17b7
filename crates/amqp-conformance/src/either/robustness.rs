//! What a peer on a network has to bear (rules of which the text does not speak).

use super::{AnyTrial, Linked, cases, refusals::tolerated_or_refused};
use crate::{
    case::Tag,
    server::{Begun, Opened},
    verdict::{Outcome, Stop},
    wire::Connection,
};
use amqp1_codec::{
    Symbol,
    performative::{Flow, Open, Transfer},
};
use amqp1_script::{Got, Refusal, Written, frames};
use std::{ops::Range, time::Duration};

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
        "begins on every channel up to channel-max, 2000 of them at most", "an answer to each, or a refusal",
        tags: &[Tag::Hostile];
    "T-rob-4/links" like BEGIN => limits_links():
        "Links are limited to handle-max, and each costs little.",
        "2000 attaches", "a connection that is closed or refused in good order", tags: &[Tag::Hostile];
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
fn allowed_by(body: &Option<amqp1_codec::performative::Performative>, before: u32) -> u32 {
    match body {
        Some(amqp1_codec::performative::Performative::Flow(Flow {
            next_incoming_id: Some(next),
            incoming_window,
            ..
        })) => next.0.saturating_add(*incoming_window),
        _ => before,
    }
}

/// Leaves: the connection may be closed, refused or dropped, but not hang.
fn end_of_pieces(trial: &mut impl AnyTrial, mut linked: Linked, remark: &str) -> Result<Outcome, Stop> {
    let outcome = tolerated_or_refused(&mut linked.connection);
    drop(linked);
    trial.tidy()?;
    Ok(match outcome.verdict {
        crate::Verdict::Pass | crate::Verdict::PassWider => Outcome::pass_with(remark),
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
    connection.send(0, frames::close());
    let (answers, end) = count_until_end(&mut connection, "begin");
    let remark = format!("{answers} of {} sessions, then {end}", u32::from(last).saturating_add(1));
    Ok(if matches!(end, Got::Timeout { .. } | Got::Undecodable { .. }) {
        Outcome::fail(remark)
    } else {
        Outcome::pass_with(remark)
    })
}

fn limits_links(trial: &mut impl AnyTrial) -> Result<Outcome, Stop> {
    let Begun { mut connection, session, .. } = trial.begun_plainly()?;
    let last = session.begin.handle_max.min(u32::from(MANY));
    let attaches: Vec<_> = (0..=last)
        .map(|handle| frames::encode(0, frames::attach_receiver(format!("many-{handle}"), handle, "many"), b""))
        .collect();
    be_patient(&mut connection);
    connection.raw(attaches.concat());
    connection.send(0, frames::close());
    let (answers, end) = count_until_end(&mut connection, "attach");
    let remark = format!("{answers} of {} links, then {end}", last.saturating_add(1));
    let is_over = !matches!(end, Got::Timeout { .. } | Got::Undecodable { .. });
    Ok(if is_over { Outcome::pass_with(remark) } else { Outcome::fail(remark) })
}

/// An open with symbols that no other open has; it has at most 512 octets.
pub(crate) fn open_with_fresh_symbols(open: Open, first: u32, count: u32) -> Open {
    let names = (first..first.saturating_add(count)).filter_map(|number| Symbol::new(format!("f{number:x}")).ok());
    Open { desired_capabilities: names.collect(), ..open }
}
