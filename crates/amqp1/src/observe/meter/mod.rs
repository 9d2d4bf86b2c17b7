//! Follows the frames of a connection, and tells an observer what they mean. It checks nothing: the engine does.

mod link;
mod session;
#[cfg(test)]
mod tests;
mod view;

use super::{ConnectionInfo, DropReason, LinkInfo, Observer};
use amqp1_codec::{
    Decode, Limits, Reader, Str,
    frame::Direction,
    performative::{Begin, Open, Performative},
};
use amqp1_engine::Instant;
use bytes::Bytes;
use session::Session;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use view::View;

/// How many octets the links and unsettled deliveries of a connection may take here. The engine has bounds of its own, but looks
/// at frames later. Links beyond it are not observed; deliveries beyond it count when they are transferred, and not when
/// they are settled.
const MOST: usize = 64 * 1024 * 1024;

/// The state of one connection as its frames show it.
pub(super) struct Meter {
    observer: Arc<dyn Observer>,
    connection: Arc<ConnectionInfo>,
    /// How many opens were seen.
    opens: u8,
    /// One end has closed it.
    is_closed: bool,
    sessions: HashMap<u64, Session>,
    /// The octets that their links and deliveries take, and may take.
    weight: usize,
    most: usize,
    next_session: u64,
    /// The sessions by the channels on which this end sends, and by those on which the peer does.
    local: HashMap<u16, u64>,
    remote: HashMap<u16, u64>,
}

impl Meter {
    pub(super) fn new(connection: ConnectionInfo, observer: Arc<dyn Observer>) -> Self {
        Self {
            observer,
            connection: Arc::new(connection),
            opens: 0,
            is_closed: false,
            sessions: HashMap::new(),
            weight: 0,
            most: MOST,
            next_session: 0,
            local: HashMap::new(),
            remote: HashMap::new(),
        }
    }

    pub(super) fn octets_received(&self, octets: usize) {
        self.observer.octets_received(&self.connection, octets);
    }

    pub(super) fn octets_sent(&self, octets: usize) {
        self.observer.octets_sent(&self.connection, octets);
    }

    /// Looks at a frame, of which these octets were kept.
    pub(super) fn frame(&mut self, direction: Direction, frame: &Bytes, size: usize, now: Instant) {
        // Frames behind the peer's close are read to their end, and mean nothing.
        if self.is_closed && direction == Direction::Incoming {
            return;
        }
        let Some((channel, performative, payload)) = read(frame, size) else { return };
        match performative {
            Performative::Open(open) => self.on_open(direction, *open),
            Performative::Begin(begin) => self.on_begin(direction, channel, &begin),
            Performative::End(_) => self.on_end(direction, channel),
            Performative::Close(_) => self.on_close(direction),
            other => self.in_session(direction, channel, now, |session, view| match other {
                Performative::Attach(attach) => session.on_attach(*attach, view),
                Performative::Flow(flow) => session.on_flow(&flow, view),
                Performative::Transfer(transfer) => session.on_transfer(&transfer, payload, view),
                Performative::Disposition(disposition) => session.on_disposition(&disposition, view),
                Performative::Detach(detach) => session.on_detach(detach.handle, view),
                _ => {}
            }),
        }
    }

    /// The engine looks at no more input.
    pub(super) fn input_ended(&mut self) {
        self.is_closed = true;
    }

    /// Looks at a frame that will not be written.
    pub(super) fn lost(&mut self, frame: &Bytes, size: usize) {
        if let Some((channel, Performative::Transfer(transfer), _)) = read(frame, size) {
            self.in_session(Direction::Outgoing, channel, Instant::default(), |session, view| {
                session.on_lost(&transfer, view);
            });
        }
    }

    /// Messages are lost that were queued on links of these names.
    pub(super) fn unsent(&self, lost: &[(Str, u64)]) {
        if lost.is_empty() {
            return;
        }
        let mut links: HashMap<&Str, &LinkInfo> = HashMap::new();
        for (info, is_over) in self.sessions.values().flat_map(Session::sending) {
            // Where links of one name live side by side, the one that is over has lost them.
            if is_over {
                links.insert(&info.name, info);
            } else {
                links.entry(&info.name).or_insert(info);
            }
        }
        for (name, count) in lost {
            // Its attach may not be written yet.
            let unseen =
                || LinkInfo { connection: self.connection.clone(), name: name.clone(), sends: true, address: None };
            let info = links.get(name).map_or_else(unseen, |info| LinkInfo::clone(info));
            self.observer.dropped(&info, DropReason::Unsent, *count);
        }
    }

    fn on_open(&mut self, direction: Direction, open: Open) {
        self.opens = self.opens.saturating_add(1);
        if direction == Direction::Incoming {
            Arc::make_mut(&mut self.connection).remote_container_id = Some(open.container_id);
        }
        if self.opens == 2 {
            self.observer.opened(&self.connection);
        }
    }

    fn channels(&mut self, direction: Direction) -> (&mut HashMap<u16, u64>, &mut HashMap<u16, u64>) {
        match direction {
            Direction::Outgoing => (&mut self.local, &mut self.remote),
            Direction::Incoming => (&mut self.remote, &mut self.local),
        }
    }

    fn on_begin(&mut self, direction: Direction, channel: u16, begin: &Begin) {
        let (_, other) = self.channels(direction);
        let answered = begin.remote_channel.and_then(|channel| other.get(&channel).copied());
        let session = answered.unwrap_or(self.next_session);
        if answered.is_none() {
            self.next_session = session.wrapping_add(1);
            self.sessions.insert(session, Session::default());
        }
        let before = self.channels(direction).0.insert(channel, session);
        // A channel that was in use is an error of the peer's, which the engine answers.
        if let Some(before) = before.filter(|before| *before != session) {
            self.forget(before);
        }
    }

    /// A session is over at both ends.
    fn forget(&mut self, id: u64) {
        self.local.retain(|_, session| *session != id);
        self.remote.retain(|_, session| *session != id);
        if let Some(mut session) = self.sessions.remove(&id) {
            self.weight = self.weight.saturating_sub(session.weight());
            session.end(&*self.observer);
        }
    }

    /// The session is over when one end says so; what the other end still says of it does not count. When the peer has ended
    /// it, messages that wait to be written are dropped until this end has answered.
    fn on_end(&mut self, direction: Direction, channel: u16) {
        let Some(id) = self.channels(direction).0.remove(&channel) else { return };
        self.remote.retain(|_, session| *session != id);
        if direction == Direction::Outgoing || !self.local.values().any(|session| *session == id) {
            return self.forget(id);
        }
        let observer = &*self.observer;
        if let Some(session) = self.sessions.get_mut(&id) {
            self.weight = self.weight.saturating_sub(session.weight());
            session.end(observer);
            self.weight = self.weight.saturating_add(session.weight());
        }
    }

    /// As [`on_end`](Self::on_end), for all sessions.
    fn on_close(&mut self, direction: Direction) {
        self.is_closed = true;
        for session in self.sessions.values_mut() {
            session.end(&*self.observer);
        }
        self.remote.clear();
        if direction == Direction::Outgoing {
            self.local.clear();
        }
        let unanswered: HashSet<u64> = self.local.values().copied().collect();
        self.sessions.retain(|id, _| unanswered.contains(id));
        self.weight = self.sessions.values().map(Session::weight).sum();
    }

    fn in_session(
        &mut self,
        direction: Direction,
        channel: u16,
        now: Instant,
        look: impl FnOnce(&mut Session, &View<'_>),
    ) {
        let Some(id) = self.channels(direction).0.get(&channel).copied() else { return };
        let room = self.most.saturating_sub(self.weight);
        let view = View { observer: &*self.observer, connection: &self.connection, direction, now, room };
        if let Some(session) = self.sessions.get_mut(&id) {
            let before = session.weight();
            look(session, &view);
            self.weight = self.weight.saturating_sub(before).saturating_add(session.weight());
        }
    }

    /// Nothing more is written or read.
    pub(super) fn end(&mut self) {
        self.on_close(Direction::Outgoing);
        if std::mem::take(&mut self.opens) >= 2 {
            self.observer.closed(&self.connection);
        }
    }
}

/// The channel, the performative and the length of the payload of a frame, of which these octets were kept; `None` of protocol
/// headers, of SASL, and of what cannot be decoded, which the engine answers.
fn read(frame: &Bytes, size: usize) -> Option<(u16, Performative, usize)> {
    let &[s0, _, _, _, doff, 0, c0, c1] = frame.first_chunk::<8>()? else { return None };
    let start = usize::from(doff).saturating_mul(4);
    if s0 == b'A' || start >= frame.len() {
        return None;
    }
    let body = frame.slice(start..);
    let mut limits = Limits::DEFAULT;
    limits.odd_advisory_data = true;
    let mut reader = Reader::with_limits(&body, limits);
    let performative = Performative::decode(&mut reader).ok()?;
    let payload = reader.remaining().saturating_add(size.saturating_sub(frame.len()));
    Some((u16::from_be_bytes([c0, c1]), performative, payload))
}
