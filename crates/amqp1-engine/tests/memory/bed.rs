//! An engine, and a peer that is written down, with as little of its own as possible.

use allocation_counter::{AllocationInfo, measure};
use amqp1_codec::{
    Encode, EncodeStyle, EncodedMessage, Limits, Message, SequenceNo, Symbol, Value,
    definitions::{AmqpError, ErrorCondition, Fields, Role},
    frame::{Frame, FrameDecoder, ProtocolHeader, write_frame},
    messaging::{DeliveryState, Source, Target},
    performative::{Attach, Begin, Flow, Open, Performative},
};
use amqp1_engine::{
    AttachReply, Connection, ConnectionConfig, Event, Instant, LinkId, SendOptions, ServerSasl, SessionConfig,
    SessionId, TransmitQueue,
};
use bytes::BytesMut;

pub(crate) struct Bed {
    pub(crate) engine: Connection,
    /// Octets that the peer has sent.
    pub(crate) sent: usize,
    /// Links that were offered and not answered.
    pub(crate) offered: Vec<LinkId>,
    pub(crate) session: Option<SessionId>,
}

pub(crate) fn frame(body: &impl Encode) -> BytesMut {
    let mut out = BytesMut::new();
    write_frame(0, Some(body), EncodeStyle::Compact, &mut out);
    out
}

/// An attach without properties.
pub(crate) fn attach(name: &str, handle: u32, role: Role) -> Attach {
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

/// Properties of about so many octets, which take about 40 times as many when they are decoded.
pub(crate) fn properties(octets: usize) -> Fields {
    let list: Vec<Value> = vec![Value::described(Value::Null, Value::Null); octets / 3];
    [(Symbol::from_static("x"), Value::List(list))].into_iter().collect()
}

/// An error with an info of about so many octets.
pub(crate) fn rejected(octets: usize) -> DeliveryState {
    DeliveryState::rejected(AmqpError {
        info: Some(properties(octets)),
        ..AmqpError::new(ErrorCondition::NOT_FOUND, "no such queue")
    })
}

impl Bed {
    /// A server that a peer has opened and begun a session with.
    pub(crate) fn server(config: ConnectionConfig) -> Self {
        let engine = Connection::server(config, ServerSasl::None, Instant::default());
        Self { engine, sent: 0, offered: Vec::new(), session: None }.opened(true)
    }

    /// As [`server`](Self::server), and the peer is not authenticated.
    pub(crate) fn unauthenticated() -> Self {
        let mut engine = Connection::server(ConnectionConfig::new("server"), ServerSasl::None, Instant::default());
        engine.hold_authentication();
        Self { engine, sent: 0, offered: Vec::new(), session: None }.opened(true)
    }

    /// A client whose peer has answered its open and its begin.
    pub(crate) fn client(config: ConnectionConfig) -> Self {
        let engine = Connection::client(config, None, Instant::default());
        Self { engine, sent: 0, offered: Vec::new(), session: None }.opened(false)
    }

    fn opened(mut self, offered: bool) -> Self {
        let mut input = BytesMut::from(&ProtocolHeader::AMQP.encode()[..]);
        input.extend_from_slice(&frame(&Open { container_id: "peer".into(), ..Open::default() }));
        self.take(&mut input);
        let begin = Begin { incoming_window: u32::MAX, outgoing_window: u32::MAX, ..Begin::default() };
        if offered {
            self.send(&begin);
        } else {
            self.session = Some(self.engine.begin(SessionConfig::default()).expect("the connection is open"));
            self.written();
            self.send(&Begin { remote_channel: Some(0), ..begin });
        }
        self
    }

    /// Takes octets of the peer's, and nothing else.
    pub(crate) fn take(&mut self, input: &mut BytesMut) {
        self.sent += input.len();
        while !input.is_empty() {
            let before = input.len();
            self.engine.handle_input(Instant::default(), input);
            if input.len() == before {
                break;
            }
            self.look();
        }
        self.look();
    }

    /// A frame from the peer.
    pub(crate) fn send(&mut self, body: &impl Encode) {
        self.take(&mut frame(body));
    }

    /// What the engine allocates for octets of the peer's before the application polls anything.
    pub(crate) fn measured(&mut self, mut input: BytesMut) -> AllocationInfo {
        self.sent += input.len();
        let engine = &mut self.engine;
        measure(|| engine.handle_input(Instant::default(), &mut input))
    }

    /// Polls all events, and answers sessions.
    pub(crate) fn look(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.engine.poll_event() {
            match &event {
                Event::SessionOffered(id) => {
                    self.engine
                        .session(*id)
                        .expect("a live session")
                        .accept(SessionConfig::default())
                        .expect("a session that is offered");
                    self.session = Some(*id);
                }
                Event::LinkOffered(id) => self.offered.push(*id),
                _ => events.push(event),
            }
        }
        events
    }

    /// Accepts the links that were offered.
    pub(crate) fn accept(&mut self, change: impl Fn(&mut AttachReply)) -> Vec<LinkId> {
        let offered = std::mem::take(&mut self.offered);
        for id in &offered {
            let mut reply =
                AttachReply::echo(&self.engine.link(*id).expect("a live link").remote_attach().expect("an attach"));
            change(&mut reply);
            self.engine.link(*id).expect("a live link").accept(reply).expect("a link that is offered");
        }
        offered
    }

    /// What the engine writes, as performatives.
    pub(crate) fn written(&mut self) -> Vec<Performative> {
        let mut queue = TransmitQueue::default();
        self.engine.transmit(Instant::default(), usize::MAX, &mut queue);
        let mut octets = BytesMut::from(&queue.to_vec()[..]);
        if octets.starts_with(b"AMQP") {
            drop(octets.split_to(8));
        }
        let mut decoder = FrameDecoder::new(u32::MAX, Limits::DEFAULT);
        std::iter::from_fn(|| decoder.decode(&mut octets).expect("our own frames"))
            .filter_map(|frame| match frame {
                Frame::Amqp { performative, .. } => performative,
                Frame::Sasl(_) => None,
            })
            .collect()
    }

    /// Accepts the link that was offered, on which the peer receives, and sends it so many deliveries.
    pub(crate) fn deliver(&mut self, count: u32) -> LinkId {
        let ids = self.accept(|_| {});
        let [id] = ids[..] else { panic!("one link: {ids:?}") };
        self.written();
        self.fill(id, count);
        id
    }

    /// Grants so much credit on handle 0, and sends as many deliveries.
    pub(crate) fn fill(&mut self, id: LinkId, count: u32) {
        self.send(&Flow {
            next_incoming_id: Some(SequenceNo(0)),
            incoming_window: u32::MAX,
            outgoing_window: u32::MAX,
            handle: Some(0),
            delivery_count: Some(SequenceNo(0)),
            link_credit: Some(count),
            ..Flow::default()
        });
        for token in 0..count {
            let message: EncodedMessage = Message::builder().data("x").build();
            let options = SendOptions { token: token.into(), ..SendOptions::default() };
            self.engine.sender(id).expect("a live link").send(message, options).expect("there is credit");
        }
        let transfers = self.written().into_iter().filter(|frame| matches!(frame, Performative::Transfer(_))).count();
        assert_eq!(transfers, count as usize, "live deliveries");
    }
}
