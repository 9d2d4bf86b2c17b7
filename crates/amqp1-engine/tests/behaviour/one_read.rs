//! What is opened and ended within one read gets the answers that it gets octet by octet: an application that answers
//! events only after the read must not see errors, nor the peer.

use amqp1_codec::{
    definitions::{ErrorCondition, Role},
    frame::ProtocolHeader,
    performative::{Close, Detach, Disposition, End as EndFrame, Flow, Open, Performative},
};
use amqp1_engine::{Connection, ConnectionConfig, Event, Instant, ServerSasl, Tolerances};
use amqp1_testkit::*;
use std::collections::{BTreeMap, BTreeSet};

/// What a peer writes, and what it is owed for it.
#[derive(Debug, Default)]
struct Script {
    octets: Vec<u8>,
    names: Vec<String>,
    /// Sessions that live, with the handles of links that live.
    sessions: BTreeMap<u16, BTreeSet<u32>>,
    /// Channels and handles that were used: without an answer they cannot be used again.
    used: BTreeSet<u16>,
    links: BTreeMap<u16, u32>,
    closed: bool,
}

impl Script {
    fn write(&mut self, channel: u16, body: impl Into<Performative>) {
        let body = body.into();
        self.names.push(format!("{}({channel})", body.name()));
        self.octets.extend_from_slice(&frame(channel, body, b""));
    }

    /// One more frame that is legal without having heard an answer to those before.
    fn step(&mut self, random: &mut Random) {
        let live: Vec<u16> = self.sessions.keys().copied().collect();
        let channel = random.below(4) as u16;
        let session = (!live.is_empty()).then(|| live[random.below(live.len())]);
        match (random.below(10), session) {
            (0..=2, _) if !self.used.contains(&channel) => {
                self.write(channel, begin());
                self.used.insert(channel);
                self.sessions.insert(channel, BTreeSet::new());
            }
            (3, Some(channel)) => {
                self.sessions.remove(&channel);
                self.write(channel, EndFrame::default());
            }
            (4 | 5, Some(channel)) => {
                let next = self.links.entry(channel).or_default();
                let handle = *next;
                *next += 1;
                self.sessions.get_mut(&channel).unwrap().insert(handle);
                let role = if random.below(2) == 0 { Role::Sender } else { Role::Receiver };
                let name = ["a", "b", "c", "d"][handle as usize % 4];
                self.write(channel, attach(name, handle, role));
            }
            (6, Some(channel)) => {
                let handles = self.sessions.get_mut(&channel).unwrap();
                if let Some(handle) = handles.pop_first() {
                    let closed = random.below(2) == 0;
                    self.write(channel, Detach { handle, closed, error: None });
                }
            }
            (7, Some(channel)) => {
                let handle = self.sessions[&channel].first().copied();
                let delivery_count = handle.map(|_| amqp1_codec::SequenceNo(0));
                self.write(channel, Flow { handle, delivery_count, next_incoming_id: None, ..session_flow(100) });
            }
            (8, Some(channel)) => {
                self.write(channel, Disposition { role: Role::Receiver, settled: true, ..Disposition::default() });
            }
            _ => self.octets.extend_from_slice(b"\0\0\0\x08\x02\0\0\0"),
        }
    }

    fn random(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut script = Self::default();
        for _ in 0..random.below(14) + 1 {
            script.step(&mut random);
        }
        if random.below(3) == 0 {
            script.write(0, Close::default());
            script.closed = true;
        }
        script
    }
}

/// Names of answers, with the conditions of their errors.
type Told = Vec<(&'static str, Option<ErrorCondition>)>;

/// What was answered: of each of the peer's channels begin and end, of each link that outlives the read, or was
/// detached in it, attach and detach, and the close.
#[derive(Debug, Default, PartialEq)]
struct Answers {
    sessions: BTreeMap<u16, Told>,
    links: BTreeMap<(u16, String, bool), Told>,
    close: Option<Option<ErrorCondition>>,
}

fn answers(script: &Script, written: &[u8]) -> Answers {
    let mut answers = Answers::default();
    let mut channels = BTreeMap::new();
    let mut handles = BTreeMap::new();
    let condition = |error: &Option<amqp1_codec::definitions::AmqpError>| error.as_ref().map(|e| e.condition.clone());
    for (channel, body, _) in frames(written) {
        let Some(body) = body else { continue };
        if let Performative::Begin(begin) = &body {
            channels.insert(channel, begin.remote_channel.expect("an answer"));
        }
        let theirs = channels.get(&channel).copied();
        // The end of a session, or of the connection, answers for its links.
        let lives = theirs.is_some_and(|theirs| script.sessions.contains_key(&theirs)) && !script.closed;
        match &body {
            Performative::Begin(_) => answers.sessions.entry(theirs.unwrap()).or_default().push(("begin", None)),
            Performative::End(end) => {
                answers.sessions.entry(theirs.unwrap()).or_default().push(("end", condition(&end.error)));
                channels.remove(&channel);
            }
            Performative::Attach(attach) if lives => {
                let link = (theirs.unwrap(), attach.name.to_string(), attach.role == Role::Sender);
                handles.insert((channel, attach.handle), link.clone());
                answers.links.entry(link).or_default().push(("attach", None));
            }
            Performative::Detach(detach) if lives => {
                let link = handles.remove(&(channel, detach.handle)).unwrap();
                let name = if detach.closed { "close" } else { "detach" };
                answers.links.entry(link).or_default().push((name, condition(&detach.error)));
            }
            Performative::Close(close) => answers.close = Some(condition(&close.error)),
            _ => {}
        }
    }
    answers
}

/// A server, or a client, whose connection is open.
fn opened(server: bool, tolerances: Tolerances) -> Peer {
    let config = ConnectionConfig { tolerances, ..ConnectionConfig::new("end") };
    let engine = match server {
        true => Connection::server(config, ServerSasl::None, Instant::default()),
        false => Connection::client(config, None, Instant::default()),
    };
    Peer::new(engine).open()
}

/// What is answered when the octets come in pieces of these sizes; `limit` cuts what is left.
fn answered(script: &Script, server: bool, mut piece: impl FnMut() -> usize) -> (Answers, Peer) {
    let mut peer = opened(server, Tolerances::STRICT);
    let start = peer.end.written.len();
    let mut rest = &script.octets[..];
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
        peer.raw(now);
        rest = later;
    }
    peer.read();
    (answers(script, &peer.end.written[start..]), peer)
}

/// How many sessions and links live in the engine.
fn living(peer: &Peer) -> (usize, usize) {
    let count = |wanted: fn(&Event) -> bool| peer.end.count(wanted);
    let sessions = count(|e| matches!(e, Event::SessionOffered(_))) - count(|e| matches!(e, Event::SessionEnded(..)));
    let links = count(|e| matches!(e, Event::LinkOffered(_))) - count(|e| matches!(e, Event::LinkDetached(..)));
    (sessions, links)
}

#[test]
fn what_comes_in_one_read_is_answered_as_octet_by_octet() {
    let (mut ended, mut closed) = (0, 0);
    for seed in 0..3000 {
        let script = Script::random(seed);
        for server in [true, false] {
            let (split, by_octets) = answered(&script, server, || 1);
            let (whole, at_once) = answered(&script, server, || usize::MAX);
            assert_eq!(whole, split, "seed {seed}: {:?}", script.names);
            assert_eq!(living(&at_once), living(&by_octets), "seed {seed}: {:?}", script.names);
            let mut random = Random::new(seed);
            let (pieces, _) = answered(&script, server, || random.below(200));
            assert_eq!(pieces, split, "seed {seed}: {:?}", script.names);
            // They are what is owed.
            assert_eq!(split.close, script.closed.then_some(None), "seed {seed}");
            for channel in &script.used {
                let lives = script.sessions.contains_key(channel);
                let owed: &[_] = if lives { &[("begin", None)] } else { &[("begin", None), ("end", None)] };
                assert_eq!(split.sessions[channel], owed, "seed {seed}: {:?}", script.names);
                ended += usize::from(!lives);
            }
            closed += usize::from(script.closed);
        }
    }
    assert!(ended > 1000 && closed > 1000, "{ended} {closed}");
}

/// The same with the connection's own beginning and end in that read.
#[test]
fn a_whole_connection_in_one_read_is_answered() {
    let mut octets = ProtocolHeader::AMQP.encode().to_vec();
    octets.extend(frame(0, Open { container_id: "peer".into(), ..Open::default() }, b""));
    octets.extend(frame(0, begin(), b""));
    octets.extend(frame(0, EndFrame::default(), b""));
    octets.extend(frame(1, begin(), b""));
    octets.extend(frame(0, Close::default(), b""));
    let expected = ["open", "begin", "end", "begin", "close"];
    for piece in [1, octets.len()] {
        let mut peer = Peer::of_server(ServerSasl::None);
        octets.chunks(piece).for_each(|octets| peer.raw(octets));
        assert_eq!(peer.names(), expected);
        assert_eq!(peer.end.closed(), amqp1_engine::ConnectionError::ClosedByPeer(None));
    }
    for tolerances in [Tolerances::CLIENT, Tolerances::ACCEPTOR] {
        let mut peer = opened(true, tolerances);
        peer.raw(&[frame(0, begin(), b""), frame(0, EndFrame::default(), b"")].concat());
        assert_eq!(peer.names(), ["begin", "end"]);
        assert!(!peer.end.is_closed());
    }
}
