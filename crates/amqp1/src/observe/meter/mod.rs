//! Follows the frames of a connection, and tells an observer what they mean. It checks nothing: the engine does.

mod link;
mod session;
mod view;

use super::{ConnectionInfo, Observer};
use amqp1_codec::{
    Decode, Limits, Reader,
    frame::Direction,
    performative::{Begin, Open, Performative},
};
use amqp1_engine::Instant;
use bytes::Bytes;
use session::Session;
use std::{collections::HashMap, sync::Arc};
use view::View;

/// The state of one connection as its frames show it.
pub(super) struct Meter {
    observer: Arc<dyn Observer>,
    connection: Arc<ConnectionInfo>,
    /// How many opens were seen.
    opens: u8,
    sessions: HashMap<u64, Session>,
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
            sessions: HashMap::new(),
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
        // Neither headers nor SASL.
        let Some(&[s0, _, _, _, doff, 0, c0, c1]) = frame.first_chunk::<8>() else { return };
        let start = usize::from(doff).saturating_mul(4);
        if s0 == b'A' || start >= frame.len() {
            return;
        }
        let (channel, body) = (u16::from_be_bytes([c0, c1]), frame.slice(start..));
        let mut limits = Limits::DEFAULT;
        limits.odd_advisory_data = true;
        let mut reader = Reader::with_limits(&body, limits);
        // A frame that cannot be read is answered by the engine.
        let Ok(performative) = Performative::decode(&mut reader) else { return };
        let payload = reader.remaining().saturating_add(size.saturating_sub(frame.len()));
        match performative {
            Performative::Open(open) => self.on_open(direction, *open),
            Performative::Begin(begin) => self.on_begin(direction, channel, &begin),
            Performative::End(_) => self.on_end(direction, channel),
            Performative::Close(_) => self.end_sessions(),
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
        let (own, other) = self.channels(direction);
        let answered = begin.remote_channel.and_then(|channel| other.get(&channel).copied());
        match answered {
            Some(session) => drop(own.insert(channel, session)),
            None => {
                let session = self.next_session;
                self.next_session = session.wrapping_add(1);
                self.channels(direction).0.insert(channel, session);
                self.sessions.insert(session, Session::default());
            }
        }
    }

    /// The session is over when one end says so; what the other end still says of it does not count.
    fn on_end(&mut self, direction: Direction, channel: u16) {
        let Some(id) = self.channels(direction).0.remove(&channel) else { return };
        self.local.retain(|_, session| *session != id);
        self.remote.retain(|_, session| *session != id);
        if let Some(mut session) = self.sessions.remove(&id) {
            session.end(&*self.observer);
        }
    }

    fn in_session(
        &mut self,
        direction: Direction,
        channel: u16,
        now: Instant,
        look: impl FnOnce(&mut Session, &View<'_>),
    ) {
        let Some(id) = self.channels(direction).0.get(&channel).copied() else { return };
        let view = View { observer: &*self.observer, connection: &self.connection, direction, now };
        if let Some(session) = self.sessions.get_mut(&id) {
            look(session, &view);
        }
    }

    fn end_sessions(&mut self) {
        for (_, mut session) in self.sessions.drain() {
            session.end(&*self.observer);
        }
        self.local.clear();
        self.remote.clear();
    }

    /// Nothing more is written or read.
    pub(super) fn end(&mut self) {
        self.end_sessions();
        if std::mem::take(&mut self.opens) >= 2 {
            self.observer.closed(&self.connection);
        }
    }
}
