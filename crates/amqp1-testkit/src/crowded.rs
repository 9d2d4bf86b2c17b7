//! The same tests with what a busy connection has: other sessions and links, numbers that wrap, and full encodings.

use crate::{Accept, End, Pair, receiver, sender};
use amqp1_codec::{EncodeStyle, SequenceNo};
use amqp1_engine::{ConnectionConfig, Credit, Event, LinkId, SessionConfig, SessionId};
use std::sync::LazyLock;

/// The variable of the environment that makes connections crowded.
///
/// - A [`Pair`] that [`Pair::open_with`] makes has another session before the first of the test, and
///   [`Pair::session_with`] adds links of both directions to each session. Channels and handles are then not 0, and differ
///   between the two ends.
/// - Transfer ids, delivery ids and delivery counts of a [`Pair`] begin just below 2^32, where the test does not set them.
/// - The engines, and the scripted frames of a [`Peer`](crate::Peer), are written with
///   [`EncodeStyle::Full`].
pub const CROWDED: &str = "AMQP1_CROWDED_ENGINES";

/// Whether connections are crowded.
pub(crate) fn crowded() -> bool {
    static IS: LazyLock<bool> = LazyLock::new(|| std::env::var_os(CROWDED).is_some());
    *IS
}

/// The style of frames that a test does not set.
pub(crate) fn style() -> EncodeStyle {
    if crowded() { EncodeStyle::Full } else { EncodeStyle::Compact }
}

/// The configuration, with the style that is wanted.
pub(crate) fn styled(config: ConnectionConfig) -> ConnectionConfig {
    if crowded() { ConnectionConfig { style: style(), ..config } } else { config }
}

/// Where an end begins to count, unless a test says so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Numbers {
    transfer: SequenceNo,
    delivery: SequenceNo,
    count: SequenceNo,
}

impl Numbers {
    const CLIENT: Self =
        Self { transfer: SequenceNo(0xffff_fffd), delivery: SequenceNo(0xffff_fffe), count: SequenceNo(0xffff_ffff) };
    const SERVER: Self =
        Self { transfer: SequenceNo(0xffff_fff2), delivery: SequenceNo(0xffff_fff1), count: SequenceNo(0xffff_fff0) };

    /// The numbers of the two ends of a pair.
    pub(crate) fn of_pair() -> [Self; 2] {
        if crowded() { [Self::CLIENT, Self::SERVER] } else { Default::default() }
    }

    /// A session that begins with these numbers where it would begin with 0.
    pub(crate) fn session(self, config: SessionConfig) -> SessionConfig {
        SessionConfig {
            next_outgoing_id: unless_set(config.next_outgoing_id, self.transfer),
            first_delivery_id: unless_set(config.first_delivery_id, self.delivery),
            ..config
        }
    }

    /// The delivery count that a link begins with.
    pub(crate) fn link(self, count: SequenceNo) -> SequenceNo {
        unless_set(count, self.count)
    }
}

fn unless_set(number: SequenceNo, otherwise: SequenceNo) -> SequenceNo {
    if number.0 == 0 { otherwise } else { number }
}

/// The sessions and links of an end that the test does not know.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    /// While this is set, all that is offered or attached belongs here.
    collecting: bool,
    sessions: Vec<SessionId>,
    links: Vec<LinkId>,
}

impl Hidden {
    /// Whether the event is about one of them.
    pub(crate) fn hides(&mut self, event: &Event) -> bool {
        match event {
            Event::SessionOffered(id) if self.collecting => self.sessions.push(*id),
            Event::LinkOffered(id) if self.collecting => self.links.push(*id),
            _ => {}
        }
        match event {
            Event::SessionOffered(id)
            | Event::SessionBegun(id)
            | Event::SessionEnded(id, _)
            | Event::EndUnanswered(id)
            | Event::RetirementLost(id, _) => self.sessions.contains(id),
            Event::LinkOffered(id)
            | Event::LinkAttached(id)
            | Event::HandleAwaited(id)
            | Event::LinkDetached(id, _)
            | Event::Sendable(id)
            | Event::Drained(id)
            | Event::DrainRequested(id)
            | Event::DrainAnswered(id)
            | Event::FlowProperties(id) => self.links.contains(id),
            _ => false,
        }
    }
}

/// What is restored when the hidden sessions and links are there.
struct Seen {
    accept: Accept,
    written: usize,
}

fn hide(end: &mut End) -> Seen {
    end.hidden.collecting = true;
    let accept = Accept { links: Some(Credit::Manual(0)), ..Accept::default() };
    Seen { accept: core::mem::replace(&mut end.accept, accept), written: end.written.len() }
}

fn restore(end: &mut End, seen: Seen) {
    end.hidden.collecting = false;
    end.accept = seen.accept;
    end.written.truncate(seen.written);
}

/// Runs `add` with all that it adds hidden at both ends.
fn hidden(pair: &mut Pair, add: impl FnOnce(&mut Pair) -> Option<()>) {
    if !crowded() {
        return;
    }
    let (client, server) = (hide(&mut pair.client), hide(&mut pair.server));
    // Low limits leave room for fewer.
    add(pair).unwrap_or_default();
    pair.drive();
    restore(&mut pair.client, client);
    restore(&mut pair.server, server);
}

/// Begins sessions that take the first channels, and leaves a lower one free at the server than at the client.
pub(crate) fn crowd_connection(pair: &mut Pair) {
    hidden(pair, |pair| {
        begin(&mut pair.client)?;
        pair.drive();
        begin(&mut pair.client)?;
        let passing = begin(&mut pair.server)?;
        pair.drive();
        pair.server.end(passing, None).ok()?;
        Some(())
    });
}

fn begin(end: &mut End) -> Option<SessionId> {
    let id = end.begin(SessionConfig::default()).ok()?;
    end.hidden.sessions.push(id);
    Some(id)
}

/// Attaches links that take the first handles, and leaves a lower one free at the server than at the client.
pub(crate) fn crowd_session(pair: &mut Pair, client: SessionId, server: SessionId) {
    hidden(pair, |pair| {
        attach(&mut pair.client, client, "crowd-0", true)?;
        attach(&mut pair.client, client, "crowd-1", false)?;
        pair.drive();
        attach(&mut pair.client, client, "crowd-2", false)?;
        let passing = attach(&mut pair.server, server, "crowd-3", true)?;
        pair.drive();
        pair.server.detach(passing, true, None).ok()?;
        Some(())
    });
}

fn attach(end: &mut End, session: SessionId, name: &'static str, sends: bool) -> Option<LinkId> {
    let id = if sends {
        end.attach_sender(session, sender(name))
    } else {
        end.attach_receiver(session, receiver(name, Credit::Manual(0)))
    };
    let id = id.ok()?;
    end.hidden.links.push(id);
    Some(id)
}
