//! Two applications with links between them, over one connection after another.

use super::{
    life::Life,
    message::{Sent, encoded, token_of},
};
use crate::{End, Pair, Pipe, Random, Side, receiver, sender};
use amqp1_codec::{
    DeliveryTag, EncodeStyle,
    definitions::{ReceiverSettleMode, Role},
    messaging::DeliveryState,
};
use amqp1_engine::{
    AttachReply, ConnectionConfig, Credit, Event, IncomingDelivery, LinkId, ReceiverConfig, SendOptions, SenderConfig,
    SessionConfig, SessionId, Settlement, Suspended, SuspendedReceiver, SuspendedSender,
};

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug)]
pub(super) struct World {
    pub(super) random: Random,
    pub(super) pair: Pair,
    pub(super) lives: Vec<Life>,
    pub(super) next_token: u64,
    /// The session that each end attaches links on.
    sessions: [Option<SessionId>; 2],
    /// Nothing is held back or given up any more.
    pub(super) in_peace: bool,
}

fn config(name: &'static str, random: &mut Random) -> ConnectionConfig {
    let mut config = ConnectionConfig::new(name);
    config.max_frame_size = random.pick(&[512, 700, 4096]);
    config.style = random.pick(&[EncodeStyle::Compact, EncodeStyle::Full]);
    config.idle_timeout = None;
    config
}

fn connection(random: &mut Random) -> Pair {
    let mut pair = Pair::with(config("client", random), config("server", random));
    for end in [&mut pair.client, &mut pair.server] {
        let incoming_window = random.pick(&[1, 3, 5000]);
        end.accept.sessions = Some(SessionConfig { incoming_window, ..SessionConfig::default() });
        end.accept.links = None;
    }
    pair.limit = 1 + random.below(1500);
    (pair.up, pair.down) = (Pipe::seeded(random), Pipe::seeded(random));
    pair.hangup = true;
    pair
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 1 + random.below(NAMES.len());
        let lives = NAMES.iter().take(count).map(|name| {
            let mode = random.pick(&[ReceiverSettleMode::First, ReceiverSettleMode::Second]);
            Life::new(name, random.pick(&Side::BOTH), mode)
        });
        let lives = lives.collect();
        let pair = connection(&mut random);
        Self { random, pair, lives, next_token: 0, sessions: [None; 2], in_peace: false }
    }

    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.pair.client,
            Side::Server => &mut self.pair.server,
        }
    }

    /// The next connection.
    pub(super) fn reconnect(&mut self) {
        self.pair = connection(&mut self.random);
        self.sessions = Default::default();
    }

    /// Lets some of what can happen, happen.
    pub(super) fn go_on(&mut self) {
        if self.in_peace || self.random.chance(3) {
            self.pair.drive();
        } else {
            for _ in 0..self.random.below(30) {
                if !self.pair.step() {
                    self.pair.wait_for_arrival();
                }
            }
        }
        self.look();
    }

    /// What the ends have said since.
    pub(super) fn look(&mut self) {
        for side in Side::BOTH {
            let at = side.index();
            let end = self.end(side);
            let (events, settled) = (std::mem::take(&mut end.events), std::mem::take(&mut end.settled));
            for settled in settled {
                self.settled(settled.token, settled.settlement);
            }
            for event in events {
                match event {
                    Event::LinkOffered(id) => self.answer(side, id),
                    Event::LinkDetached(id, detached) => self.detached(side, id, *detached),
                    Event::SessionEnded(id, _) if self.sessions[at] == Some(id) => self.sessions[at] = None,
                    _ => {}
                }
            }
        }
    }

    fn settled(&mut self, token: u64, settlement: Settlement) {
        let life = self.lives.iter_mut().find(|life| life.messages.contains_key(&token)).expect("a message of ours");
        if let Some(left) = &mut life.sent_so_far {
            left.settle(token);
        }
        let name = life.name;
        let sent = life.message(token);
        if let Some(before) = &sent.fate {
            panic!("message {token} on {name} has two fates: {before:?} and {settlement:?}");
        }
        sent.fate = Some(settlement);
    }

    fn detached(&mut self, side: Side, id: LinkId, detached: amqp1_engine::Detached) {
        let Some(at) = self.lives.iter_mut().position(|life| *life.endpoint(side) == Some(id)) else { return };
        let life = &mut self.lives[at];
        *life.endpoint(side) = None;
        if side == life.from {
            life.stream = None;
            let posted = life.messages.values_mut().filter(|sent| sent.posted && sent.fate.is_none());
            posted.for_each(|sent| sent.orphaned = true);
        } else {
            life.holding.clear();
        }
        match detached.suspended {
            Some(Suspended::Sender(mut left)) => {
                // What was told meanwhile is not to be sent again.
                for (token, _) in life.messages.iter().filter(|(_, sent)| sent.fate.is_some()) {
                    left.settle(*token);
                }
                life.sent_so_far = Some(left);
            }
            Some(Suspended::Receiver(left)) => life.received_so_far = Some(left),
            None => panic!("{} was to be resumed, and left nothing at the {side:?}", life.name),
        }
        for delivery in detached.undelivered {
            self.received(at, None, &delivery);
        }
    }

    /// An application has a delivery.
    fn received(&mut self, at: usize, id: Option<LinkId>, delivery: &IncomingDelivery) {
        let token = token_of(&delivery.message);
        let life = &mut self.lives[at];
        let (mode, forgetful, name) = (life.mode, life.forgetful, life.name);
        let sent = life.message(token);
        sent.received += 1;
        sent.new += u32::from(!delivery.resumed);
        let first = sent.received == 1 && !delivery.settled;
        let again = sent.new > 1 && mode == ReceiverSettleMode::Second && !forgetful;
        assert!(!again, "message {token} has come twice as a new one on {name}");
        // What is settled exists only here, and may come before what is resumed.
        if first && !forgetful {
            let newest = life.newest.replace(token);
            assert!(newest < Some(token), "{token} comes after {newest:?} on {name}");
        }
        if id.is_some() && !delivery.settled {
            life.holding.push((delivery.key, token));
        }
    }

    /// Whether an end is to attach the link, and does.
    pub(super) fn attach(&mut self, at: usize) {
        let side = self.random.pick(&Side::BOTH);
        let life = &mut self.lives[at];
        if life.sender.is_some() || life.receiver.is_some() {
            return;
        }
        let forgets = !self.in_peace && self.random.chance(12);
        if forgets {
            self.forget(at);
        }
        let Some(session) = self.session(side) else { return };
        let credit = self.credit();
        let life = &mut self.lives[at];
        let (name, mode) = (life.name, life.mode);
        if side == life.from {
            let resume = life.sent_so_far.clone();
            let config = SenderConfig { resumable: true, resume, rcv_settle_mode: mode, ..sender(name) };
            if let Ok(id) = self.end(side).attach_sender(session, config) {
                let life = &mut self.lives[at];
                (life.sender, life.sent_so_far) = (Some(id), None);
            }
        } else {
            let resume = life.received_so_far.clone();
            let config = ReceiverConfig { resumable: true, resume, rcv_settle_mode: mode, ..receiver(name, credit) };
            if let Ok(id) = self.end(side).attach_receiver(session, config) {
                let life = &mut self.lives[at];
                (life.receiver, life.received_so_far) = (Some(id), None);
            }
        }
    }

    /// An end loses what it knew of a link.
    fn forget(&mut self, at: usize) {
        let sending = self.random.chance(2);
        let life = &mut self.lives[at];
        life.forgetful = true;
        if sending {
            let left = life.sent_so_far.replace(SuspendedSender::new());
            for delivery in left.into_iter().flat_map(|left| left.deliveries) {
                life.message(delivery.token).fate = Some(Settlement::Lost { sent: delivery.begun });
            }
        } else {
            life.received_so_far = Some(SuspendedReceiver::new());
        }
    }

    fn session(&mut self, side: Side) -> Option<SessionId> {
        if self.sessions[side.index()].is_none() {
            let config = self.end(side).accept.sessions.clone()?;
            self.sessions[side.index()] = self.end(side).begin(config).ok();
        }
        self.sessions[side.index()]
    }

    fn credit(&mut self) -> Credit {
        if self.in_peace || self.random.chance(2) {
            Credit::Window(1 + self.random.below(8) as u32)
        } else {
            Credit::Manual(self.random.below(8) as u32)
        }
    }

    /// A link was offered: it goes on with what is left.
    fn answer(&mut self, side: Side, id: LinkId) {
        let Some(offered) = self.end(side).remote_attach(id) else { return };
        let credit = self.credit();
        let at = self.lives.iter().position(|life| offered.name == *life.name).expect("a link of ours");
        let life = &mut self.lives[at];
        let receives = offered.role == Role::Sender;
        assert_eq!(receives, side != life.from);
        let mut reply = AttachReply { resumable: true, credit, ..AttachReply::echo(&offered) };
        if receives {
            reply.resume_receiver =
                life.received_so_far.clone().or_else(|| offered.unsettled.is_some().then(SuspendedReceiver::new));
        } else {
            reply.resume_sender =
                life.sent_so_far.clone().or_else(|| offered.unsettled.is_some().then(SuspendedSender::new));
        }
        if self.end(side).accept_link(id, reply).is_ok() {
            let life = &mut self.lives[at];
            *life.endpoint(side) = Some(id);
            if receives { life.received_so_far = None } else { life.sent_so_far = None }
        }
    }

    /// Sends a message, whole or as a stream.
    pub(super) fn send(&mut self, at: usize) {
        let (from, Some(id)) = (self.lives[at].from, self.lives[at].sender) else { return };
        if self.lives[at].stream.is_some() {
            return self.write(at);
        }
        let token = self.next_token;
        let length = self.random.pick(&[0, 10, 300, 2500]);
        let mut sent = Sent::new();
        sent.settled = self.random.chance(8);
        sent.streamed = self.random.chance(4);
        sent.posted = !sent.settled && self.random.chance(10);
        let tag = DeliveryTag::new(&token.to_be_bytes()).expect("short");
        let state = sent.posted.then(|| DeliveryState::Transactional(Box::default()));
        let options =
            SendOptions { token, tag: Some(tag), settled: sent.settled, state, acquired: true, ..Default::default() };
        let message = encoded(token, length);
        let taken = if sent.streamed {
            self.end(from).begin_delivery(id, options)
        } else {
            self.end(from).send(id, message.clone(), options)
        };
        if taken.is_err() {
            return;
        }
        self.next_token += 1;
        if sent.streamed {
            let octets = bytes::Bytes::from(message.into_parts().concat());
            let step = 1 + self.random.below(900);
            let pieces = (0..octets.len()).step_by(step).map(|at| octets.slice(at..octets.len().min(at + step)));
            self.lives[at].stream = Some((token, pieces.collect()));
        }
        self.lives[at].messages.insert(token, sent);
    }

    /// Writes more of a stream, or ends it, or gives it up.
    fn write(&mut self, at: usize) {
        let (from, Some(id)) = (self.lives[at].from, self.lives[at].sender) else { return };
        let gives_up = !self.in_peace && self.random.chance(12);
        let Some((token, pieces)) = &mut self.lives[at].stream else { return };
        let token = *token;
        if gives_up {
            self.lives[at].stream = None;
            self.end(from).abort(id, token).expect("a stream that is open can be given up");
            return;
        }
        match pieces.pop_front() {
            Some(piece) => self.end(from).write(id, piece).expect("the link is there"),
            None => {
                self.lives[at].stream = None;
                self.end(from).finish(id).expect("the link is there");
            }
        }
    }

    /// Takes some deliveries.
    pub(super) fn take(&mut self, at: usize, most: usize) -> bool {
        let (side, Some(id)) = (self.lives[at].from.other(), self.lives[at].receiver) else { return false };
        let mut any = false;
        for _ in 0..most {
            let Some(delivery) = self.end(side).recv(id) else { break };
            self.received(at, Some(id), &delivery);
            any = true;
        }
        any
    }

    /// Settles some of what was taken.
    pub(super) fn dispose(&mut self, at: usize) -> bool {
        let side = self.lives[at].from.other();
        let (Some(id), count) = (self.lives[at].receiver, self.lives[at].holding.len()) else { return false };
        if count == 0 {
            return false;
        }
        let (key, token) = self.lives[at].holding[self.random.below(count)];
        self.lives[at].holding.retain(|(held, _)| *held != key);
        let state = if self.random.chance(5) { DeliveryState::Released } else { DeliveryState::Accepted };
        if self.end(side).dispose(id, key, state.clone()).is_ok() {
            self.lives[at].message(token).stated.push(state);
        }
        true
    }

    /// The receiving application decides about something while there is no link.
    pub(super) fn decide(&mut self, at: usize) {
        let life = &mut self.lives[at];
        let Some(left) = &mut life.received_so_far else { return };
        let undecided = left.deliveries.iter().filter(|(_, held)| held.taken && held.whole && held.outcome.is_none());
        let Some(tag) = undecided.map(|(tag, _)| *tag).next() else { return };
        assert!(left.dispose(&tag, DeliveryState::Accepted), "what was taken can be decided about");
        let token = tag.as_slice().try_into().map(u64::from_be_bytes).expect("a tag of ours");
        life.message(token).stated.push(DeliveryState::Accepted);
    }

    pub(super) fn give_credit(&mut self, at: usize) {
        let credit = self.credit();
        let (side, Some(id)) = (self.lives[at].from.other(), self.lives[at].receiver) else { return };
        let _ = self.end(side).set_credit(id, credit);
    }

    /// Detaches a link, which can be attached again.
    pub(super) fn suspend(&mut self, at: usize) {
        let side = self.random.pick(&Side::BOTH);
        let Some(id) = *self.lives[at].endpoint(side) else { return };
        let _ = self.end(side).detach(id, false, None);
    }

    /// Ends the session of one end's links.
    pub(super) fn end_session(&mut self) {
        let side = self.random.pick(&Side::BOTH);
        if let Some(session) = self.sessions[side.index()] {
            let _ = self.end(side).end(session, None);
        }
    }

    /// The connection breaks somewhere soon, or is closed in peace; both ends know of it.
    pub(super) fn lose(&mut self) {
        if self.random.chance(3) {
            let now = self.pair.now;
            let side = self.random.pick(&Side::BOTH);
            self.end(side).close(now, None);
            self.pair.drive();
        } else {
            let count = self.random.below(400);
            let pipe = if self.random.chance(2) { &mut self.pair.up } else { &mut self.pair.down };
            pipe.cut_after = Some(count);
            self.pair.drive();
        }
        (self.pair.up.cut_after, self.pair.down.cut_after) = (Some(0), Some(0));
        self.pair.drive();
        self.look();
    }
}
