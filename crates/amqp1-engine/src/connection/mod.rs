//! One connection (§2.4) and everything on it.

mod attach;
mod close;
mod commands;
mod detach;
mod dispositions;
mod drain;
mod errant;
mod flow;
mod frame_size;
mod handles;
mod handshake;
mod idle;
mod input;
mod leaving;
mod lookup;
mod malformed;
mod metadata;
mod open;
mod output;
mod quiet;
mod resume;
mod sessions;
mod share;
mod state;
mod stop;
mod streams;
mod transactional;
mod transfers;
mod undecodable;

use crate::{
    config::{ConnectionConfig, ServerSasl},
    control::Body,
    event::{Event, EventsEnd, Settled},
    link::Link,
    metadata::Meter,
    numbers::Numbers,
    outbox::Outbox,
    session::Session,
    store::{LinkId, SessionId, Store},
    time::Instant,
    violation::PeerMisbehaved,
};
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
};
use amqp1_auth::sasl::ClientMechanism;
use amqp1_codec::{
    DecodeError, Str,
    frame::{FrameDecoder, MIN_MAX_FRAME_SIZE},
    performative::Performative,
    printable::bounded_debug,
};
use bytes::BytesMut;
use drain::Drains;
pub use handshake::HandshakeStage;
use handshake::Layer;
use idle::Idle;
use metadata::RemoteOpen;
pub(crate) use quiet::{shrink_queue, shrink_set, shrink_vec};
pub(crate) use share::Pace;
pub use state::ConnectionState;
use state::{Ending, NoTransition};
pub(crate) use transactional::Postings;
pub use transactional::TransactionRole;
pub(crate) use undecodable::{message_of, undecodable};

/// A connection, its sessions and its links.
///
/// | call | after it, look at |
/// |---|---|
/// | [`handle_input`](Self::handle_input) | `transmit`, `poll_timeout`, `poll_event`, `poll_settled` |
/// | [`handle_timeout`](Self::handle_timeout), [`handle_eof`](Self::handle_eof) | the same |
/// | a command | `transmit` |
///
/// Take the events before calling `transmit`: a drain, for one, is answered by a `transmit` after its event was taken.
pub struct Connection {
    config: ConnectionConfig,
    state: ConnectionState,
    ending: Ending,
    layer: Layer,
    /// The input that the handshake waits for, or waited for.
    stage: HandshakeStage,
    decoder: FrameDecoder,
    /// Layer headers and SASL frames to write.
    preamble: BytesMut,
    /// Everything that waits to be written and polled.
    outbox: Outbox,

    remote_open: Option<RemoteOpen>,
    /// The application wants to see the peer's open before ours leaves.
    hold_open: bool,
    /// A rule of the connection's scope that the frame broke that is being dealt with.
    violation: Option<PeerMisbehaved>,
    /// The fault of the attach that is being dealt with, of which only the name, the handle and the role were read.
    unreadable_attach: Option<DecodeError>,
    /// The peer has not answered our close in time.
    close_unanswered: bool,

    sessions: Store<SessionId, Session>,
    links: Store<LinkId, Link>,
    /// Where links can be stolen: the endpoints that the peer has attached to last, by their names, sending ones
    /// (`true`) and receiving ones apart.
    endpoints: BTreeMap<(bool, Str), LinkId>,
    by_remote_channel: BTreeMap<u16, SessionId>,
    by_channel: BTreeMap<u16, SessionId>,
    /// The highest channel on which the peer has ended a session. Channels are used lowest first, so it speaks for
    /// those below.
    ended_up_to: Option<u16>,
    /// The channels that this end uses.
    channels: Numbers,
    /// Sessions that wait for the peer's open.
    waiting: VecDeque<SessionId>,
    /// Links of the peer that wait for a handle, and until when.
    awaited_handles: BTreeSet<(Instant, LinkId)>,
    /// The peer's metadata that is kept.
    meter: Meter,
    /// The application says when the peer is authenticated.
    hold_authentication: bool,
    authenticated: bool,
    idle: Idle,
    drains: Drains,
    handshake_octets: usize,
    /// Whether a transfer has left since this was asked last.
    transferred: bool,
    /// Octets of the input that were seen and left where they are.
    left_over: usize,
    stops: stop::Stops,
    shares: share::Shares,
    postings: Postings,
    /// Deliveries that have asked for mode second on links of mode first.
    second_on_first: u64,
}

impl Connection {
    /// The client's end. Without SASL the AMQP header is sent at once (§2.2). If its open would not fit (see
    /// [`ConnectionConfig::check_open`]), the connection has ended from the start, and nothing is sent.
    pub fn client(config: ConnectionConfig, sasl: Option<Box<dyn ClientMechanism>>, now: Instant) -> Self {
        let layer = Layer::client(sasl);
        let mut connection = Self::new(config, layer, now);
        connection.authenticated = true;
        match connection.config.check_open() {
            Ok(()) => connection.start_client(),
            Err(error) => {
                connection.enter_end();
                connection.terminate(error);
            }
        }
        connection
    }

    /// The server's end, which waits for the client's header.
    pub fn server(config: ConnectionConfig, sasl: ServerSasl, now: Instant) -> Self {
        Self::new(config, Layer::server(sasl), now)
    }

    fn new(mut config: ConnectionConfig, layer: Layer, now: Instant) -> Self {
        config.max_frame_size = config.max_frame_size.max(MIN_MAX_FRAME_SIZE);
        Self {
            decoder: FrameDecoder::new(config.max_frame_size, config.frame_limits()),
            idle: Idle::new(&config, now),
            outbox: Outbox::new(config.max_queued),
            config,
            state: ConnectionState::Start,
            ending: Ending::No,
            stage: layer.stage(),
            layer,
            preamble: BytesMut::new(),
            remote_open: None,
            hold_open: false,
            violation: None,
            unreadable_attach: None,
            close_unanswered: false,
            sessions: Store::default(),
            links: Store::default(),
            endpoints: BTreeMap::new(),
            by_remote_channel: BTreeMap::new(),
            by_channel: BTreeMap::new(),
            ended_up_to: None,
            channels: Numbers::default(),
            waiting: VecDeque::new(),
            awaited_handles: BTreeSet::new(),
            meter: Meter::default(),
            hold_authentication: false,
            authenticated: false,
            drains: Drains::default(),
            handshake_octets: 0,
            transferred: false,
            left_over: 0,
            stops: stop::Stops::default(),
            shares: share::Shares::default(),
            postings: Postings::default(),
            second_on_first: 0,
        }
    }

    /// Events, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.outbox.events.pop_front()
    }

    /// Whether there are events or settlements to poll.
    pub fn has_events(&self) -> bool {
        self.outbox.has_events()
    }

    /// The end of what waits to be polled now: see [`has_polled`](Self::has_polled).
    pub fn events_end(&self) -> EventsEnd {
        EventsEnd { events: self.outbox.events.counts().1, settled: self.outbox.settled.counts().1 }
    }

    /// Whether all events and settlements were polled that there were at an earlier time. A delivery is received
    /// without regard to events: who must know what came before it polls so far first. A resource does so with a
    /// discharge, to know of all of the work of its transaction.
    pub fn has_polled(&self, end: EventsEnd) -> bool {
        self.outbox.events.counts().0 >= end.events && self.outbox.settled.counts().0 >= end.settled
    }

    /// The fates of messages that were sent, oldest first.
    pub fn poll_settled(&mut self) -> Option<Settled> {
        self.outbox.settled.pop_front()
    }

    /// How far the headers, opens and closes were exchanged. Frames count as sent once they are queued.
    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// Queues a frame of a session, behind its begin. Nothing follows an end.
    fn push_in(&mut self, id: SessionId, body: impl Into<Performative>) {
        self.push_body_in(id, Body::Performative(body.into()));
    }

    fn push_body_in(&mut self, id: SessionId, body: Body) {
        if let Some(mut session) = self.session_mut(id) {
            session.push_body(body);
        }
    }

    /// Takes a transition, which the code that asks for it allows.
    fn step(&mut self, next: Result<ConnectionState, NoTransition>) {
        debug_assert!(next.is_ok(), "there is no such transition from {:?}", self.state);
        if let Ok(state) = next {
            self.state = state;
        }
    }
}

impl core::fmt::Debug for Connection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        bounded_debug(f, |f| {
            f.debug_struct("Connection")
                .field("container_id", &self.config.container_id)
                .field("state", &self.state)
                .field("layer", &self.layer)
                .field("ended", &self.ended())
                .field("sessions", &self.sessions)
                .field("links", &self.links)
                .finish_non_exhaustive()
        })
    }
}
