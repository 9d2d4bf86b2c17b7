//! Hostile octets to an engine whose connection is open, with an application that goes on using it.

use amqp1_codec::{
    Encode, EncodeStyle, Message, SequenceNo,
    definitions::Role,
    frame::{FrameWriter, ProtocolHeader},
    messaging::{DeliveryState, Source, Target},
    performative::{Attach, Begin, Open, Performative},
};
use amqp1_engine::{
    AttachReply, Connection, ConnectionConfig, Credit, DeliveryKey, Event, Instant, LinkId, LinkNames, ReceiverConfig,
    SendOptions, SenderConfig, ServerSasl, SessionConfig, SessionId, StreamItem, SuspendedReceiver, SuspendedSender,
    Tolerances, TransmitQueue,
};
use bytes::{Bytes, BytesMut};

/// What the application writes is counted apart; all else is an answer, and stays in proportion to the question.
const PER_OCTET: usize = 96;
const AT_LEAST: usize = 16 * 1024;

struct Subject {
    engine: Connection,
    now: Instant,
    sessions: Vec<SessionId>,
    links: Vec<LinkId>,
    held: Vec<(LinkId, DeliveryKey)>,
    /// How links that the peer attaches are accepted.
    streamed: bool,
    /// Octets that came in, that went out, and that the application has sent.
    received: usize,
    written: usize,
    sent: usize,
    tokens: u64,
    closed: u32,
}

fn frame(channel: u16, body: Performative, payload: &[u8], out: &mut BytesMut) {
    let frame = FrameWriter::begin(channel, out);
    body.encode(EncodeStyle::Compact, out);
    out.extend_from_slice(payload);
    frame.finish(0, out);
}

fn attach(name: &'static str, handle: u32, role: Role) -> Performative {
    let attach = Attach {
        name: name.into(),
        handle,
        role,
        source: Some(Box::new(Source::at("q"))),
        target: Some(Target::at("q").into()),
        initial_delivery_count: Some(SequenceNo(0)),
        ..Attach::default()
    };
    attach.into()
}

impl Subject {
    fn new(choice: u8) -> Self {
        let now = Instant::default();
        let mut config = ConnectionConfig::new("subject");
        config.max_frame_size = if choice & 2 == 0 { 512 } else { 64 * 1024 };
        config.max_links = 64;
        config.channel_max = 15;
        config.link_names = if choice & 4 == 0 { LinkNames::Free } else { LinkNames::Steal };
        config.tolerances = if choice & 8 == 0 { Tolerances::default() } else { Tolerances::ALL };
        let engine = match choice & 1 {
            0 => Connection::client(config, None, now),
            _ => Connection::server(config, ServerSasl::None, now),
        };
        Self {
            engine,
            now,
            sessions: Vec::new(),
            links: Vec::new(),
            held: Vec::new(),
            streamed: choice & 16 != 0,
            received: 0,
            written: 0,
            sent: 0,
            tokens: 0,
            closed: 0,
        }
    }

    /// Header, open, a session of either side and links of both roles in each.
    fn open(&mut self) {
        let mut input = BytesMut::from(&ProtocolHeader::AMQP.encode()[..]);
        frame(0, Open { container_id: "peer".into(), ..Open::default() }.into(), b"", &mut input);
        let begin = Begin { incoming_window: 100, outgoing_window: 100, ..Begin::default() };
        frame(0, begin.clone().into(), b"", &mut input);
        frame(0, attach("a", 0, Role::Sender), b"", &mut input);
        frame(0, attach("b", 1, Role::Receiver), b"", &mut input);
        let session = self.engine.begin(SessionConfig { incoming_window: 9, ..SessionConfig::default() });
        self.take(&mut input);
        // Ours is on the channel that follows the one of the peer's session, or on the first.
        for channel in [0, 1] {
            let mut answer = BytesMut::new();
            frame(1, Begin { remote_channel: Some(channel), ..begin.clone() }.into(), b"", &mut answer);
            if self.closed == 0 && self.engine.ended().is_none() {
                self.take(&mut answer);
            }
        }
        let Ok(session) = session else { return };
        self.sessions.push(session);
        let resume = Some(SuspendedSender::new());
        let config = SenderConfig { resumable: true, resume, ..SenderConfig::new("c", Target::at("q")) };
        self.links.extend(self.engine.session(session).and_then(|mut session| session.attach_sender(config)));
        let resume = Some(SuspendedReceiver::new());
        let streamed = self.streamed;
        let config = ReceiverConfig { resumable: true, resume, streamed, ..ReceiverConfig::new("d", Source::at("q")) };
        self.links.extend(self.engine.session(session).and_then(|mut session| session.attach_receiver(config)));
        let mut answers = BytesMut::new();
        frame(1, attach("c", 0, Role::Receiver), b"", &mut answers);
        frame(1, attach("d", 1, Role::Sender), b"", &mut answers);
        self.take(&mut answers);
    }

    fn take(&mut self, input: &mut BytesMut) {
        let before = input.len();
        self.engine.handle_input(self.now, input);
        self.received += before - input.len();
        self.look();
    }

    fn look(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            assert_eq!(self.closed, 0, "{event:?} after Closed");
            assert!(!format!("{event:?}").is_empty());
            match event {
                Event::SessionOffered(id) => {
                    self.sessions.push(id);
                    let _ = self.engine.session(id).and_then(|mut session| session.accept(SessionConfig::default()));
                }
                Event::LinkOffered(id) => {
                    self.links.push(id);
                    let Ok(mut link) = self.engine.link(id) else { continue };
                    let Some(remote) = link.remote_attach() else { continue };
                    let mut reply = AttachReply::echo(&remote);
                    reply.credit = Credit::Window(5);
                    reply.streamed = self.streamed;
                    reply.resumable = true;
                    reply.max_message_size = Some(100_000);
                    if remote.unsettled.is_some() {
                        reply.resume_receiver = Some(SuspendedReceiver::new());
                        reply.resume_sender = Some(SuspendedSender::new());
                    }
                    let _ = link.accept(reply);
                }
                Event::Closed(_) => self.closed += 1,
                _ => {}
            }
        }
        while let Some(settled) = self.engine.poll_settled() {
            assert!(settled.token < self.tokens, "{settled:?}");
        }
        let mut out = TransmitQueue::default();
        self.engine.transmit(self.now, 1 << 20, &mut out);
        self.written += out.remaining();
    }

    /// Something that an application does.
    fn act(&mut self, action: u8) {
        let Some(link) = self.links.get(usize::from(action >> 4) % self.links.len().max(1)).copied() else { return };
        match action & 15 {
            0..=2 => {
                let Ok(mut receiver) = self.engine.receiver(link) else { return };
                while let Some(delivery) = receiver.recv() {
                    self.held.push((link, delivery.key));
                }
                while let Some(item) = receiver.poll_stream() {
                    if let StreamItem::Begin { key, .. } = item {
                        self.held.push((link, key));
                    }
                }
            }
            3 | 4 => {
                if let Some((link, key)) = self.held.pop() {
                    let _ = self.engine.receiver(link).and_then(|mut to| to.dispose(key, DeliveryState::Accepted));
                }
            }
            5 | 6 => {
                let message = Message::builder().data(vec![action; 1000]).build();
                let length = message.len();
                let options = SendOptions { token: self.tokens, settled: action & 16 != 0, ..SendOptions::default() };
                if self.engine.sender(link).is_ok_and(|mut sender| sender.send(message, options).is_ok()) {
                    self.tokens += 1;
                    self.sent += 2 * length + 128;
                }
            }
            7 => {
                let options = SendOptions { token: self.tokens, ..SendOptions::default() };
                if self.engine.sender(link).is_ok_and(|mut sender| sender.begin_delivery(options).is_ok()) {
                    self.tokens += 1;
                    self.sent += 128;
                }
            }
            8 => {
                let piece = Bytes::from(vec![action; 300]);
                if self.engine.sender(link).is_ok_and(|mut sender| sender.write(piece).is_ok()) {
                    self.sent += 428;
                }
            }
            9 => {
                let _ = self.engine.sender(link).map(|mut sender| sender.finish());
            }
            10 => {
                let _ = self.engine.sender(link).map(|mut sender| sender.abort(self.tokens.saturating_sub(1)));
            }
            11 => {
                let credit = Credit::Manual(u32::from(action >> 4));
                let _ = self.engine.receiver(link).map(|mut receiver| receiver.set_credit(credit));
            }
            12 => {
                let _ = self.engine.receiver(link).map(|mut receiver| receiver.drain());
            }
            13 => {
                let _ = self.engine.link(link).map(|mut link| link.detach(action & 16 != 0, None));
            }
            14 => {
                self.now = self.now + core::time::Duration::from_secs(7);
                self.engine.handle_timeout(self.now);
                // Heartbeats come of time, not of input; each of these may ask for a close too.
                self.sent += 256;
            }
            _ => {
                let (token, state) = (self.tokens.saturating_sub(1), Some(DeliveryState::Released));
                let _ = self.engine.sender(link).map(|mut sender| sender.settle(token, state));
            }
        }
        // A command may lead to a flow, a disposition or a detach of its own.
        self.sent += 256;
    }
}

/// Octets into an open engine of either role. The first octet chooses the role and the configuration, the second how
/// the rest is read: as it is, or as a list of frames whose lengths are put right, each after something that the
/// application does. No panic; what is written stays in proportion to what came; nothing follows the end.
pub fn engine_input(octets: &[u8]) {
    let [choice, mode, octets @ ..] = octets else { return };
    let mut subject = Subject::new(*choice);
    subject.open();
    if mode & 1 == 0 {
        for piece in octets.chunks(usize::from(mode >> 1) + 1) {
            subject.take(&mut BytesMut::from(piece));
        }
    } else {
        let mut rest = octets;
        while let [action, channel, length, tail @ ..] = rest {
            let (body, tail) = tail.split_at(usize::from(*length).min(tail.len()));
            rest = tail;
            subject.act(*action);
            let mut input = BytesMut::new();
            let size = u32::try_from(body.len() + 8).unwrap_or(u32::MAX);
            input.extend_from_slice(&size.to_be_bytes());
            input.extend_from_slice(&[2, 0, 0, channel & 3]);
            input.extend_from_slice(body);
            subject.take(&mut input);
        }
    }
    subject.engine.handle_eof(subject.now);
    subject.look();
    assert_eq!(subject.closed, 1, "the end is told once");
    let most = AT_LEAST + PER_OCTET * subject.received + subject.sent;
    assert!(subject.written <= most, "{} octets for {}, {most} at most", subject.written, subject.received);
}
