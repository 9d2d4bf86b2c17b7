//! Random operations on two engines, against a small model of what must come of them.
//!
//! Nothing is lost, nothing comes twice, order is kept, no end breaks a rule of the other's, every message that was
//! taken for sending has one fate, and both ends come to rest.

use amqp1_codec::{
    EncodedMessage, Message,
    definitions::{ErrorCondition, ReceiverSettleMode},
    messaging::DeliveryState,
};
use amqp1_engine::{
    ConnectionError, Credit, DeliveryKey, Event, LinkId, ReceiverConfig, SendError, SenderConfig, SessionConfig,
    SessionId, Settlement,
};
use amqp1_testkit::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Where an operation happens.
#[derive(Clone, Copy, Debug)]
enum Side {
    Client,
    Server,
}

/// Links and sessions are named by a number modulo how many there are.
#[derive(Clone, Debug)]
enum Operation {
    Begin(Side),
    Attach { session: usize, sends: bool, second: bool, credit: u32 },
    Send { link: usize, count: usize, length: usize, settled: bool },
    Take { link: usize, most: usize },
    Dispose { link: usize, which: usize, outcome: u8 },
    SetCredit { link: usize, credit: u32, window: bool },
    Drain { link: usize },
    Detach { link: usize, by_sender: bool, closed: bool, error: bool },
    End { session: usize, error: bool },
    Steps(usize),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let side = prop_oneof![Just(Side::Client), Just(Side::Server)];
    let operation = prop_oneof![
        1 => side.prop_map(Operation::Begin),
        3 => (any::<usize>(), any::<bool>(), any::<bool>(), 0u32..8)
            .prop_map(|(session, sends, second, credit)| Operation::Attach { session, sends, second, credit }),
        12 => (any::<usize>(), 1usize..5, 0usize..2500, any::<bool>())
            .prop_map(|(link, count, length, settled)| Operation::Send { link, count, length, settled }),
        6 => (any::<usize>(), 1usize..5).prop_map(|(link, most)| Operation::Take { link, most }),
        6 => (any::<usize>(), any::<usize>(), 0u8..4)
            .prop_map(|(link, which, outcome)| Operation::Dispose { link, which, outcome }),
        3 => (any::<usize>(), 0u32..8, any::<bool>())
            .prop_map(|(link, credit, window)| Operation::SetCredit { link, credit, window }),
        1 => any::<usize>().prop_map(|link| Operation::Drain { link }),
        1 => (any::<usize>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(link, by_sender, closed, error)| Operation::Detach { link, by_sender, closed, error }
        ),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(session, error)| Operation::End { session, error }),
        12 => (1usize..12).prop_map(Operation::Steps),
    ];
    prop::collection::vec(operation, 1..90)
}

struct Link {
    name: String,
    /// Which end sends: the client or the server.
    sender: Side,
    /// The end that attached it, and its id there.
    attached: (Side, LinkId),
    session: usize,
    sent: Vec<(u64, bool)>,
    received: Vec<u64>,
    /// Taken and not disposed of.
    held: Vec<(u64, DeliveryKey)>,
    stated: BTreeMap<u64, DeliveryState>,
    /// Somebody detached it or ended its session.
    ended: bool,
    draining: bool,
}

struct Model {
    pair: Pair,
    sessions: Vec<(Side, SessionId)>,
    links: Vec<Link>,
    next_token: u64,
}

fn outcome(number: u8) -> DeliveryState {
    match number {
        0 => DeliveryState::Accepted,
        1 => DeliveryState::Released,
        2 => DeliveryState::Modified(Box::default()),
        _ => DeliveryState::rejected(error(ErrorCondition::NOT_FOUND)),
    }
}

/// A message that carries its token.
fn marked(token: u64, length: usize) -> EncodedMessage {
    let data = [&token.to_be_bytes()[..], &body(token as usize, length)].concat();
    Message::builder().data(data).build()
}

/// The token of a message, which must be whole.
fn token(message: &Message) -> u64 {
    let data = data(message);
    let (token, rest) = data.split_first_chunk().expect("a token");
    let token = u64::from_be_bytes(*token);
    assert_eq!(rest, body(token as usize, rest.len()));
    token
}

fn why(wanted: bool) -> Option<amqp1_codec::definitions::AmqpError> {
    wanted.then(|| error(ErrorCondition::DETACH_FORCED))
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (mut client, mut server) = Pair::configs();
        client.max_frame_size = [512, 700, 4096][random.below(3)];
        server.max_frame_size = [512, 700, 4096][random.below(3)];
        let mut pair = Pair::open_with(client, server);
        let window = || SessionConfig::default().incoming_window;
        for end in [&mut pair.client, &mut pair.server] {
            let incoming_window = [1, 2, 7, window()][random.below(4)];
            end.accept.sessions = Some(SessionConfig { incoming_window, ..SessionConfig::default() });
            end.accept.links = Some(Credit::Window(1 + random.below(9) as u32));
        }
        pair.limit = 1 + random.below(3000);
        pair.up.segment = Segment::UpTo(1 + random.below(900), random.clone());
        pair.down.segment = Segment::UpTo(1 + random.below(900), random);
        Self { pair, sessions: Vec::new(), links: Vec::new(), next_token: 0 }
    }

    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.pair.client,
            Side::Server => &mut self.pair.server,
        }
    }

    /// The link's id at one of its ends, if that end has seen it.
    fn id(&mut self, at: usize, sending: bool) -> Option<(Side, LinkId)> {
        let link = &self.links[at];
        let side = match (link.sender, sending) {
            (side, true) => side,
            (Side::Client, false) => Side::Server,
            (Side::Server, false) => Side::Client,
        };
        let (attached_by, id) = link.attached;
        if core::mem::discriminant(&attached_by) == core::mem::discriminant(&side) {
            return Some((side, id));
        }
        let name = link.name.clone();
        self.end(side).names.get(&name).map(|id| (side, *id))
    }

    fn pick(&self, number: usize) -> Option<usize> {
        number.checked_rem(self.links.len())
    }

    fn apply(&mut self, operation: &Operation) -> Option<()> {
        match *operation {
            Operation::Begin(side) => {
                let config = self.end(side).accept.sessions.clone()?;
                let session = self.end(side).begin(config).unwrap();
                self.sessions.push((side, session));
            }
            Operation::Attach { session, sends, second, credit } => {
                let session = session.checked_rem(self.sessions.len())?;
                let (owner, id) = self.sessions[session];
                self.attach(owner, (session, id), sends, second, credit);
            }
            Operation::Send { link, count, length, settled } => {
                let at = self.pick(link)?;
                for _ in 0..count {
                    self.send(at, length, settled)?;
                }
            }
            Operation::Take { link, most } => {
                let at = self.pick(link)?;
                self.take(at, most)?;
            }
            Operation::Dispose { link, which, outcome: number } => {
                let at = self.pick(link)?;
                let (side, id) = self.id(at, false)?;
                let link = &mut self.links[at];
                let (token, key) = link.held.remove(which.checked_rem(link.held.len())?);
                if self.end(side).dispose(id, key, outcome(number)).is_ok() {
                    self.links[at].stated.insert(token, outcome(number));
                }
            }
            Operation::SetCredit { link, credit, window } => {
                let at = self.pick(link)?;
                let (side, id) = self.id(at, false)?;
                let credit = if window { Credit::Window(credit) } else { Credit::Manual(credit) };
                let _ = self.end(side).set_credit(id, credit);
                self.links[at].draining = false;
            }
            Operation::Drain { link } => {
                let at = self.pick(link)?;
                let (side, id) = self.id(at, false)?;
                self.links[at].draining = self.end(side).drain(id).is_ok();
            }
            Operation::Detach { link, by_sender, closed, error } => {
                let at = self.pick(link)?;
                let (side, id) = self.id(at, by_sender)?;
                let _ = self.end(side).detach(id, closed, why(error));
                self.links[at].ended = true;
            }
            Operation::End { session, error } => {
                let at = session.checked_rem(self.sessions.len())?;
                let (side, id) = self.sessions[at];
                let _ = self.end(side).end(id, why(error));
                self.links.iter_mut().filter(|link| link.session == at).for_each(|link| link.ended = true);
            }
            Operation::Steps(count) => {
                for _ in 0..count {
                    self.pair.step();
                }
            }
        }
        Some(())
    }

    fn send(&mut self, at: usize, length: usize, settled: bool) -> Option<()> {
        let (side, id) = self.id(at, true)?;
        let token = self.next_token;
        let options = if settled { amqp1_testkit::settled(token) } else { unsettled(token) };
        let credit = self.end(side).credit(id);
        match self.end(side).send(id, marked(token, length), options) {
            Ok(()) => {
                assert!(credit > 0);
                self.next_token += 1;
                self.links[at].sent.push((token, settled));
                Some(())
            }
            Err(SendError::NoCredit) => {
                assert_eq!(credit, 0);
                None
            }
            Err(SendError::Detached) => None,
            Err(other) => panic!("{other}"),
        }
    }

    fn attach(&mut self, side: Side, session: (usize, SessionId), sends: bool, second: bool, credit: u32) {
        let name = format!("link {}", self.links.len());
        let rcv_settle_mode = if second { ReceiverSettleMode::Second } else { ReceiverSettleMode::First };
        let attached = if sends {
            let config = SenderConfig { name: name.as_str().into(), rcv_settle_mode, ..sender("") };
            self.end(side).attach_sender(session.1, config)
        } else {
            let config = receiver("", Credit::Manual(credit));
            let config = ReceiverConfig { name: name.as_str().into(), rcv_settle_mode, ..config };
            self.end(side).attach_receiver(session.1, config)
        };
        let Ok(id) = attached else { return };
        let sender = match (side, sends) {
            (side, true) => side,
            (Side::Client, false) => Side::Server,
            (Side::Server, false) => Side::Client,
        };
        self.links.push(Link {
            name,
            sender,
            attached: (side, id),
            session: session.0,
            sent: Vec::new(),
            received: Vec::new(),
            held: Vec::new(),
            stated: BTreeMap::new(),
            ended: false,
            draining: false,
        });
    }

    /// Takes deliveries at the receiving end; whether there were any.
    fn take(&mut self, at: usize, most: usize) -> Option<bool> {
        let (side, id) = self.id(at, false)?;
        let mut any = false;
        for _ in 0..most {
            let Some(delivery) = self.end(side).recv(id) else { break };
            any = true;
            let token = token(&delivery.message);
            let link = &mut self.links[at];
            link.received.push(token);
            if !delivery.settled {
                link.held.push((token, delivery.key));
            }
        }
        Some(any)
    }

    /// Lets everything come to its end: all that is on its way arrives, is taken and accepted.
    fn settle_down(&mut self) {
        self.pair.drive();
        for at in 0..self.links.len() {
            self.check_drained(at);
            if let Some((side, id)) = self.id(at, false) {
                let _ = self.end(side).set_credit(id, Credit::Window(20));
            }
        }
        let mut busy = true;
        while busy {
            busy = false;
            self.pair.drive();
            for at in 0..self.links.len() {
                busy |= self.take(at, usize::MAX).unwrap_or_default();
                while self.apply(&Operation::Dispose { link: at, which: 0, outcome: 0 }).is_some() {}
            }
        }
    }

    fn check_drained(&mut self, at: usize) {
        if !self.links[at].draining || self.links[at].ended {
            return;
        }
        let (receiving, sending) = (self.id(at, false), self.id(at, true));
        if let (Some((receiver, rx)), Some((sender, tx))) = (receiving, sending) {
            assert!(self.end(receiver).drained(rx), "no Drained for {}", self.links[at].name);
            assert_eq!(self.end(sender).credit(tx), 0);
        }
    }

    /// What was taken when the links went belongs to what was received.
    fn collect_undelivered(&mut self) {
        for at in 0..self.links.len() {
            let Some((side, id)) = self.id(at, false) else { continue };
            if let Some(detached) = self.end(side).detached(id) {
                let tokens: Vec<_> = detached.undelivered.iter().map(|delivery| token(&delivery.message)).collect();
                self.links[at].received.extend(tokens);
            }
        }
    }

    fn check(&mut self) {
        let mut fates: BTreeMap<u64, Settlement> = BTreeMap::new();
        for end in [&self.pair.client, &self.pair.server] {
            for (token, settlement) in end.settlements() {
                assert!(fates.insert(token, settlement).is_none(), "message {token} has two fates");
            }
            let broken = end.events.iter().find_map(|event| match event {
                Event::LinkDetached(_, detached) => detached.error.clone(),
                Event::SessionEnded(_, ended) => ended.error.clone(),
                _ => None,
            });
            assert!(broken.is_none_or(|e| e.condition == ErrorCondition::DETACH_FORCED), "{:?}", end.events);
        }
        for link in &self.links {
            let sent: Vec<_> = link.sent.iter().map(|(token, _)| *token).collect();
            if link.ended {
                let mut order = sent.iter();
                let in_order = link.received.iter().all(|token| order.any(|sent| sent == token));
                assert!(in_order, "{}: {:?} of {sent:?}", link.name, link.received);
            } else {
                assert_eq!(link.received, sent, "{}", link.name);
            }
            for (token, settled) in &link.sent {
                let fate = fates.remove(token);
                match (&fate, settled) {
                    (Some(Settlement::Sent), true) => {}
                    (Some(Settlement::Outcome(state)), false) => {
                        assert_eq!(state.as_ref(), link.stated.get(token), "message {token}");
                    }
                    (Some(Settlement::Lost { sent }), _) => {
                        assert!(link.ended, "message {token} is lost");
                        assert!(*sent || !link.received.contains(token), "message {token} was not sent");
                    }
                    _ => panic!("message {token}: {fate:?}"),
                }
            }
        }
        assert!(fates.is_empty(), "{fates:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_both_ends_agree(seed in any::<u64>(), operations in operations()) {
        let mut model = Model::new(seed);
        // Something to work with, whatever comes first.
        for side in [Side::Client, Side::Server] {
            model.apply(&Operation::Begin(side));
            for sends in [true, false] {
                let session = model.sessions.len() - 1;
                model.apply(&Operation::Attach { session, sends, second: sends, credit: 3 });
            }
        }
        for operation in &operations {
            model.apply(operation);
        }
        model.settle_down();
        model.pair.client.engine.close(model.pair.now, None);
        model.pair.drive();
        prop_assert_eq!(model.pair.client.closed(), ConnectionError::LocallyClosed);
        prop_assert_eq!(model.pair.server.closed(), ConnectionError::ClosedByPeer(None));
        prop_assert!(model.pair.client.is_finished() && model.pair.server.is_finished());
        model.collect_undelivered();
        model.check();
    }
}
