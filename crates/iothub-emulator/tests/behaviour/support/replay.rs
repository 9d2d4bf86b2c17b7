//! A recorded client: writes what it wrote, and waits for the answers that it waited for.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use amqp1::codec::Limits;
use amqp1::codec::frame::{Frame, FrameDecoder, ProtocolHeader, ProtocolId};
use amqp1::codec::performative::{Attach, Performative};
use amqp1::codec::sasl::SaslBody;
use amqp1::{
    Message,
    link::{DeliveryState, Role},
};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A server that needs longer than this for an answer will not give it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A link as the client counts: its channel and handle.
type ClientLink = (u16, u32);

/// Cuts octets into protocol headers and frames.
struct Cutter {
    input: BytesMut,
    sasl: bool,
}

enum Piece {
    Header(u8),
    Frame(Frame, Vec<u8>),
}

impl Cutter {
    fn new() -> Self {
        Self { input: BytesMut::new(), sasl: false }
    }

    fn next(&mut self) -> Option<Piece> {
        if self.input.len() >= 8 && self.input.starts_with(b"AMQP") {
            let octets: [u8; 8] = self.input.split_to(8).as_ref().try_into().unwrap();
            let header = ProtocolHeader::decode(&octets).unwrap();
            self.sasl = header.id == ProtocolId::Sasl;
            return Some(Piece::Header(octets[4]));
        }
        let make = if self.sasl { FrameDecoder::sasl } else { FrameDecoder::new };
        let before = self.input.clone();
        let frame = make(1 << 20, Limits::DEFAULT).decode(&mut self.input).expect("a well-formed frame")?;
        let octets = before[..before.len() - self.input.len()].to_vec();
        Some(Piece::Frame(frame, octets))
    }
}

/// See the module's documentation.
pub struct Replay {
    name: String,
    stream: TcpStream,
    client: Cutter,
    server: Cutter,
    /// The client's links by name, as they were attached last.
    links: BTreeMap<(u16, String, bool), u32>,
    /// Links for methods, on which nothing is called.
    silent: BTreeSet<ClientLink>,
    /// Links for the twin that the client receives on. Nothing changes, so there are answers only.
    twins: BTreeSet<ClientLink>,
    /// The client's requests that the twin answers.
    asked: usize,
    /// The server's numbers for the client's.
    channels: BTreeMap<u16, u16>,
    handles: BTreeMap<ClientLink, ClientLink>,
    /// What was answered, and what was waited for, by the line that describes it.
    answers: BTreeMap<String, usize>,
    wanted: BTreeMap<String, usize>,
    outcomes: BTreeMap<(u16, u32), DeliveryState>,
    closed: bool,
}

impl Replay {
    pub async fn connect(name: &str, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            name: name.into(),
            stream,
            client: Cutter::new(),
            server: Cutter::new(),
            links: BTreeMap::new(),
            silent: BTreeSet::new(),
            twins: BTreeSet::new(),
            asked: 0,
            channels: BTreeMap::new(),
            handles: BTreeMap::new(),
            answers: BTreeMap::new(),
            wanted: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            closed: false,
        }
    }

    /// How many requests the twin has answered, of how many that it answers.
    pub fn of_the_twin(&self) -> (usize, usize) {
        let lines = self.twins.iter().map(|(channel, handle)| format!("transfer {channel} {handle}"));
        (lines.filter_map(|line| self.answers.get(&line)).sum(), self.asked)
    }

    /// How many transfers came on links for methods.
    pub fn on_silent_links(&self) -> usize {
        let lines = self.silent.iter().map(|(channel, handle)| format!("transfer {channel} {handle}"));
        lines.filter_map(|line| self.answers.get(&line)).sum()
    }

    /// The outcomes of the client's deliveries on a channel.
    pub fn outcomes(&self, channel: u16) -> impl Iterator<Item = &DeliveryState> {
        self.outcomes.iter().filter(move |((own, _), _)| *own == channel).map(|(_, state)| state)
    }

    /// Writes what the client wrote.
    pub async fn send(&mut self, hex: &str) {
        let octets: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        self.client.input.extend_from_slice(&octets);
        while let Some(piece) = self.client.next() {
            if let Piece::Frame(Frame::Amqp { channel, performative: Some(performative), payload }, _) = piece {
                self.note(channel, &performative, &payload);
            }
        }
        self.stream.write_all(&octets).await.unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    fn note(&mut self, channel: u16, performative: &Performative, payload: &Bytes) {
        match performative {
            Performative::Attach(attach) => {
                let name = attach.name.as_str().to_owned();
                let receiver = attach.role == Role::Receiver;
                self.links.insert((channel, name, receiver), attach.handle);
                let address = address_of(attach).unwrap_or_default();
                if address.contains("/methods/") {
                    self.silent.insert((channel, attach.handle));
                } else if address.ends_with("/twin") && receiver {
                    self.twins.insert((channel, attach.handle));
                }
            }
            Performative::Transfer(_) => {
                let message = Message::from_bytes(payload.clone()).expect("a message");
                let operation = message.message_annotation("operation").expect("annotations");
                let operation = operation.and_then(|operation| operation.as_text());
                self.asked += usize::from(matches!(operation, Some("GET" | "PATCH" | "PUT" | "DELETE")));
            }
            _ => {}
        }
    }

    /// Waits until everything is answered that the client has waited for so far.
    pub async fn expect(&mut self, lines: &[&str]) {
        for line in lines {
            let once = line.starts_with("flow") || line.starts_with("disposition");
            let count = self.wanted.entry((*line).to_owned()).or_default();
            *count = if once { 1 } else { *count + 1 };
        }
        let wait = async {
            while let Some(missing) = self.missing() {
                if !self.read().await {
                    panic!("{}: the connection ended before {missing:?}; answers: {:?}", self.name, self.answers);
                }
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("{}: no answer {:?}; answers: {:?}", self.name, self.missing(), self.answers);
        }
    }

    /// The first line that has not been answered.
    fn missing(&self) -> Option<String> {
        self.wanted.iter().find(|(line, count)| !self.is_answered(line, **count)).map(|(line, _)| line.clone())
    }

    fn is_answered(&self, line: &str, count: usize) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse().ok());
        let channel = number(1).and_then(|n: u32| u16::try_from(n).ok());
        let link = channel.zip(number(2));
        match words.as_slice() {
            ["disposition", _, range, _] => {
                let (first, last) = range.split_once('-').unwrap();
                let channel = channel.unwrap();
                (first.parse().unwrap()..=last.parse::<u32>().unwrap())
                    .map(|id| (channel, id))
                    .all(|id| self.outcomes.contains_key(&id))
            }
            ["transfer", ..] if link.is_some_and(|link| self.silent.contains(&link)) => true,
            ["transfer", ..] if link.is_some_and(|link| self.twins.contains(&link)) => {
                self.answers.get(line).copied().unwrap_or_default() >= count.min(self.asked)
            }
            // Where the client has ended the session meanwhile, the end says it for all links.
            ["detach", own, _] if self.answers.contains_key(&format!("end {own}")) => true,
            // A flow of the session alone is the server's own business.
            ["flow", _] => true,
            _ => self.answers.get(line).is_some_and(|answers| *answers >= count),
        }
    }

    /// Reads what there is. `false`: the server has nothing more to say.
    async fn read(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.server.input).await;
        if read.unwrap_or_else(|error| panic!("{}: {error}", self.name)) == 0 {
            return false;
        }
        while let Some(piece) = self.server.next() {
            let answer = match piece {
                Piece::Header(id) => format!("header {id}"),
                Piece::Frame(Frame::Sasl(SaslBody::Mechanisms(_)), _) => "sasl-mechanisms".into(),
                Piece::Frame(Frame::Sasl(SaslBody::Outcome(outcome)), _) => {
                    assert_eq!(outcome.code.number(), 0, "{}: SASL failed", self.name);
                    assert_eq!(outcome.additional_data.map(|data| data.0).as_deref(), Some(&b"Welcome!"[..]));
                    "sasl-outcome".into()
                }
                Piece::Frame(Frame::Amqp { channel, performative: Some(performative), .. }, octets) => {
                    // Clients that index lists without looking: every field is written, and never list0.
                    let format = octets.get(11).copied();
                    assert!(matches!(format, Some(0xC0 | 0xD0)), "{}: {performative:?} as {format:02x?}", self.name);
                    self.answer(channel, performative)
                }
                Piece::Frame(..) => continue,
            };
            *self.answers.entry(answer).or_default() += 1;
        }
        true
    }

    fn answer(&mut self, channel: u16, performative: Performative) -> String {
        let name = performative.name();
        if let Performative::Begin(begin) = &performative {
            assert!(begin.handle_max > 0);
            self.channels.insert(channel, begin.remote_channel.expect("an answer to a begin"));
        }
        let own = self.channels.get(&channel).copied().unwrap_or_default();
        let link = |handle: u32| self.handles.get(&(channel, handle)).copied().expect("a handle that was attached");
        match performative {
            Performative::Open(_) => name.into(),
            Performative::Close(close) => {
                assert_eq!(close.error, None, "{}: closed with an error", self.name);
                self.closed = true;
                name.into()
            }
            Performative::Begin(_) => format!("{name} {own}"),
            Performative::End(end) => {
                assert_eq!(end.error, None, "{}: session ended with an error", self.name);
                format!("{name} {own}")
            }
            Performative::Attach(attach) => {
                let receiver = attach.role == Role::Sender;
                let key = (own, attach.name.as_str().to_owned(), receiver);
                let handle = *self.links.get(&key).expect("a link that was asked for");
                self.handles.insert((channel, attach.handle), (own, handle));
                format!("{name} {own} {handle}")
            }
            Performative::Flow(flow) => match flow.handle.map(link) {
                Some((_, handle)) => format!("{name} {own} {handle}"),
                None => format!("{name} {own}"),
            },
            Performative::Transfer(transfer) => format!("{name} {own} {}", link(transfer.handle).1),
            Performative::Detach(detach) => {
                let (_, handle) = link(detach.handle);
                match detach.error {
                    None => format!("{name} {own} {handle}"),
                    Some(error) => format!("{name} {own} {handle} {}", error.condition),
                }
            }
            Performative::Disposition(disposition) => {
                let last = disposition.last.unwrap_or(disposition.first);
                if disposition.role == Role::Receiver
                    && let Some(state) = &disposition.state
                {
                    assert_eq!(*state, DeliveryState::Accepted, "{}", self.name);
                    // Also where the client asked for mode second: it waits for this.
                    assert!(disposition.settled, "{}", self.name);
                    for id in disposition.first.0..=last.0 {
                        self.outcomes.insert((own, id), state.clone());
                    }
                }
                format!("{name} {own} {}-{}", disposition.first.0, last.0)
            }
        }
    }

    /// The client has nothing more to say. The server must not complain about what it said.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
        let rest = async { while self.read().await {} };
        assert!(tokio::time::timeout(PATIENCE, rest).await.is_ok(), "{}: the connection stays open", self.name);
        let closed_by_client = self.wanted.contains_key("close");
        assert!(self.closed || !closed_by_client);
    }
}

fn address_of(attach: &Attach) -> Option<String> {
    let address = match attach.role {
        Role::Receiver => attach.source.as_ref()?.address.as_ref()?,
        Role::Sender => attach.target.as_ref()?.as_target()?.address.as_ref()?,
    };
    Some(address.as_str().to_ascii_lowercase())
}
