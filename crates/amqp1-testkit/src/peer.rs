//! One engine, and a peer that is written down: for what a real one would not do.

use crate::{
    Checker, End,
    crowded::{style, styled},
    frames,
    turned::turned,
};
use amqp1_codec::{
    Encode, SequenceNo,
    definitions::{ErrorCondition, Role},
    frame::{FrameWriter, ProtocolHeader},
    messaging::{Source, Target},
    performative::{Attach, Begin, Flow, Open, Performative, Transfer},
};
use amqp1_engine::{Connection, ConnectionConfig, Instant, ServerSasl, SessionConfig, SessionId};
use bytes::{Bytes, BytesMut};

/// One engine, and a peer that says what it is told to say.
#[derive(Debug)]
pub struct Peer {
    /// What is tested.
    pub end: End,
    /// The clock. It moves when it is asked to.
    pub now: Instant,
    /// How much of what it wrote was looked at.
    seen: usize,
    checker: Checker,
}

impl Peer {
    /// A peer of this engine, in whatever state that is.
    pub fn new(engine: Connection) -> Self {
        Self { end: End::new(engine), now: Instant::default(), seen: 0, checker: Checker::default() }
    }

    /// The engine has this configuration and has seen nothing. It is a server's, and a client's where the engines are
    /// turned: for tests of what both have to keep.
    pub fn with(config: ConnectionConfig) -> Self {
        let config = styled(config);
        Self::new(if turned() {
            Connection::client(config, None, Instant::default())
        } else {
            Connection::server(config, ServerSasl::None, Instant::default())
        })
    }

    /// As [`Peer::with`], with a configuration that nothing depends on.
    pub fn fresh() -> Self {
        Self::with(ConnectionConfig::new("ours"))
    }

    /// The engine is a server that has seen nothing.
    pub fn of_server(sasl: ServerSasl) -> Self {
        Self::new(Connection::server(styled(ConnectionConfig::new("server")), sasl, Instant::default()))
    }

    /// The engine is a client that has seen nothing.
    pub fn of_client() -> Self {
        Self::new(Connection::client(styled(ConnectionConfig::new("client")), None, Instant::default()))
    }

    /// An engine of either role, after header and open.
    pub fn open(mut self) -> Self {
        self.raw(&ProtocolHeader::AMQP.encode());
        self.send(0, Open { container_id: "peer".into(), ..Open::default() });
        assert!(self.end.opened(), "{:?}", self.end.events);
        self.read();
        self
    }

    /// A server after header, open, and begin on channel 0.
    pub fn with_session() -> Self {
        let mut peer = Self::fresh().open();
        peer.send(0, begin());
        assert_eq!(peer.names(), ["begin"]);
        peer
    }

    /// A client after header and open, with a session that the peer has answered.
    pub fn client_with_session() -> (Self, SessionId) {
        let peer = if turned() { Self::of_server(ServerSasl::None) } else { Self::of_client() };
        let mut peer = peer.open();
        let session = peer.end.begin(SessionConfig::default()).expect("the connection is open");
        peer.send(0, Begin { remote_channel: Some(0), ..begin() });
        peer.read();
        (peer, session)
    }

    /// A server with a session, and a link with handle 0 on which the peer sends.
    pub fn with_sender() -> Self {
        let mut peer = Self::with_session();
        peer.send(0, attach("l", 0, Role::Sender));
        assert_eq!(peer.names(), ["attach", "flow"]);
        peer
    }

    /// A server with a session, and a link with handle 0 on which the peer receives.
    pub fn with_receiver() -> Self {
        let mut peer = Self::with_session();
        peer.send(0, attach("l", 0, Role::Receiver));
        assert_eq!(peer.names(), ["attach"]);
        peer
    }

    /// Octets from the peer.
    pub fn raw(&mut self, octets: &[u8]) {
        self.checker.heard_octets(octets);
        self.end.input.extend_from_slice(octets);
        self.end.take_input(self.now);
        self.flush();
    }

    /// Lets the engine write.
    pub fn flush(&mut self) {
        loop {
            let before = self.end.input.len();
            let wrote = !self.end.write_out(self.now, 4096).is_empty();
            self.end.check(&mut self.checker);
            self.end.take_input(self.now);
            if !wrote && self.end.input.len() == before {
                return;
            }
        }
    }

    /// A frame from the peer.
    pub fn send(&mut self, channel: u16, body: impl Into<Performative>) {
        self.raw(&frame(channel, body, b""));
    }

    /// A transfer frame from the peer.
    pub fn send_payload(&mut self, channel: u16, transfer: Transfer, payload: &[u8]) {
        self.raw(&frame(channel, transfer, payload));
    }

    /// The frames that the engine has written since this was last asked, without heartbeats.
    pub fn read(&mut self) -> Vec<(u16, Performative, Bytes)> {
        self.flush();
        let fresh = frames(self.end.written.get(self.seen..).unwrap_or_default());
        self.seen = self.end.written.len();
        fresh.into_iter().filter_map(|(channel, body, payload)| Some((channel, body?, payload))).collect()
    }

    /// The names of those frames.
    pub fn names(&mut self) -> Vec<&'static str> {
        self.read().iter().map(|(_, body, _)| body.name()).collect()
    }

    /// The name and the condition of the only frame that tells an error, among those.
    pub fn refusal(&mut self) -> Option<(&'static str, ErrorCondition)> {
        refusal(&self.read())
    }
}

/// The name and the condition of the first frame that tells an error.
pub fn refusal(frames: &[(u16, Performative, Bytes)]) -> Option<(&'static str, ErrorCondition)> {
    frames.iter().find_map(|(_, body, _)| {
        let error = match body {
            Performative::Detach(body) => body.error.as_ref(),
            Performative::End(body) => body.error.as_ref(),
            Performative::Close(body) => body.error.as_ref(),
            _ => None,
        };
        error.map(|error| (body.name(), error.condition.clone()))
    })
}

/// The octets of a frame.
pub fn frame(channel: u16, body: impl Into<Performative>, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    let frame = FrameWriter::begin(channel, &mut out);
    body.into().encode(style(), &mut out);
    out.extend_from_slice(payload);
    frame.finish(0, &mut out);
    out.freeze()
}

/// A begin with wide windows that starts counting at 0.
pub fn begin() -> Begin {
    Begin { incoming_window: 1000, outgoing_window: 1000, ..Begin::default() }
}

/// An attach to or from the node "q".
pub fn attach(name: &'static str, handle: u32, role: Role) -> Attach {
    Attach {
        name: name.into(),
        handle,
        role,
        source: Some(Box::new(Source::at("q"))),
        target: Some(Target::at("q").into()),
        initial_delivery_count: (role == Role::Sender).then_some(SequenceNo(0)),
        ..Attach::default()
    }
}

/// A flow that grants this many deliveries from the first on.
pub fn credit(handle: u32, credit: u32) -> Flow {
    Flow { handle: Some(handle), delivery_count: Some(SequenceNo(0)), link_credit: Some(credit), ..session_flow(1000) }
}

/// A flow without a link that tells this incoming window.
pub fn session_flow(window: u32) -> Flow {
    Flow { next_incoming_id: Some(SequenceNo(0)), incoming_window: window, outgoing_window: 1000, ..Flow::default() }
}

/// The first transfer of an unsettled delivery.
pub fn transfer(handle: u32, id: u32) -> Transfer {
    Transfer {
        handle,
        delivery_id: Some(SequenceNo(id)),
        delivery_tag: Some(id.into()),
        message_format: Some(0),
        ..Transfer::default()
    }
}

/// A small valid message.
pub const HELLO: &[u8] = b"\x00\x53\x75\xa0\x05hello";
