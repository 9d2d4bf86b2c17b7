//! A run of several connections, and what must hold when all is settled.

use super::world::World;
use crate::{Random, digest::digest, model::caught};
use amqp1_codec::{definitions::ReceiverSettleMode, messaging::DeliveryState};
use amqp1_engine::Settlement;

/// What happened in a run, so that it is seen to be about something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lived {
    /// Connections.
    pub connections: u64,
    /// Messages that were taken for sending.
    pub messages: u64,
    /// Deliveries that were received and said to be resumed.
    pub resumed: u64,
    /// Messages that were lost, as streams and what is settled from the start may be.
    pub lost: u64,
    /// Messages that were given up.
    pub aborted: u64,
    /// The sum of the digests of what both engines have written on each connection, modulo 2^64.
    pub wire: u64,
}

impl core::ops::AddAssign for Lived {
    fn add_assign(&mut self, other: Self) {
        self.connections += other.connections;
        self.messages += other.messages;
        self.resumed += other.resumed;
        self.lost += other.lost;
        self.aborted += other.aborted;
        self.wire = self.wire.wrapping_add(other.wire);
    }
}

/// As [`run_lives`].
///
/// # Errors
///
/// What did not hold.
pub fn try_run_lives(seed: u64) -> Result<Lived, String> {
    caught(|| run_lives(seed))
}

/// Lets the links of a seed live.
///
/// # Panics
///
/// If something does not hold.
pub fn run_lives(seed: u64) -> Lived {
    let mut world = World::new(seed);
    let mut lived = Lived::default();
    let connections = 1 + world.random.below(4);
    for _ in 0..connections {
        lived.connections += 1;
        begin(&mut world);
        for _ in 0..world.random.below(120) {
            operate(&mut world);
        }
        world.lose();
        for at in 0..world.lives.len() {
            if world.random.chance(4) {
                world.decide(at);
            }
        }
        lived.wire = lived.wire.wrapping_add(digest(seed, lived.connections, &world.pair));
        world.reconnect();
    }
    lived.connections += 1;
    settle_all(&mut world);
    for life in &world.lives {
        for (token, sent) in &life.messages {
            lived.messages += 1;
            lived.resumed += u64::from(sent.received - sent.new);
            lived.lost += u64::from(matches!(sent.fate, Some(Settlement::Lost { .. })));
            lived.aborted += u64::from(sent.fate == Some(Settlement::Aborted));
            check(*token, life.mode, life.forgetful, sent);
        }
    }
    leave_nothing(&mut world);
    lived.wire = lived.wire.wrapping_add(digest(seed, lived.connections, &world.pair));
    lived
}

/// Links are attached at once, mostly.
fn begin(world: &mut World) {
    for at in 0..world.lives.len() {
        if !world.random.chance(3) {
            world.attach(at);
            world.go_on();
        }
    }
}

fn operate(world: &mut World) {
    let at = world.random.below(world.lives.len());
    match world.random.below(16) {
        0..4 => world.send(at),
        4..7 => drop(world.take(at, 2)),
        7..9 => drop(world.dispose(at)),
        9 => world.give_credit(at),
        10..12 => world.attach(at),
        12 if world.random.chance(4) => world.suspend(at),
        13 if world.random.chance(8) => world.end_session(),
        _ => world.go_on(),
    }
}

/// A connection that stays, and applications that take and settle everything.
fn settle_all(world: &mut World) {
    world.in_peace = true;
    for round in 0.. {
        assert!(round < 200, "it does not come to an end: {:?}", world.lives);
        let mut busy = false;
        for at in 0..world.lives.len() {
            world.attach(at);
            world.go_on();
            if world.lives[at].stream.is_some() {
                world.send(at);
                busy = true;
            }
            world.give_credit(at);
            busy |= world.take(at, usize::MAX);
            while world.dispose(at) {
                busy = true;
            }
        }
        world.go_on();
        let attached = world.lives.iter().all(|life| life.sender.is_some() && life.receiver.is_some());
        if !busy && attached && world.lives.iter().all(|life| life.is_settled()) {
            return;
        }
    }
}

/// What must hold of a message.
fn check(token: u64, mode: ReceiverSettleMode, forgetful: bool, sent: &super::message::Sent) {
    let fate = sent.fate.as_ref().expect("everything is settled");
    let say = |what: &str| format!("message {token}: {what}: {sent:?}");
    match fate {
        Settlement::Outcome(Some(state)) => {
            assert!(sent.received > 0, "{}", say("settled, and never received"));
            assert!(sent.stated.contains(state), "{}", say("settled as nobody has said"));
            assert!(!sent.settled, "{}", say("settled from the start, and has an outcome"));
        }
        Settlement::Outcome(None) => {
            // The receiver has settled in a way that only it knows, as who forgets does.
            assert!(forgetful, "{}", say("settled without an outcome"));
        }
        Settlement::Sent => {
            assert!(sent.settled, "{}", say("not settled from the start"));
            assert!(sent.received <= 1, "{}", say("received twice"));
        }
        Settlement::Aborted => assert!(sent.streamed && sent.received == 0, "{}", say("given up and received")),
        Settlement::Lost { sent: left } => {
            let may_be = sent.streamed || sent.settled || sent.posted || forgetful;
            assert!(may_be, "{}", say("lost on a link that is resumed"));
            assert!(*left || sent.received == 0 || forgetful, "{}", say("received, and never sent"));
        }
    }
    if sent.orphaned {
        assert!(matches!(fate, Settlement::Lost { .. }), "{}", say("posted, and has outlived its endpoint"));
    }
    let kept = !sent.streamed && !sent.settled && !sent.posted && !forgetful;
    assert!(!kept || sent.received > 0, "{}", say("never received"));
    if mode == ReceiverSettleMode::Second && !forgetful {
        assert!(sent.new <= 1, "{}", say("received twice as new"));
        let accepted = sent.stated.iter().filter(|state| **state == DeliveryState::Accepted).count();
        assert!(!kept || sent.stated.len() <= 1 || accepted <= sent.stated.len(), "{}", say("settled twice"));
    }
}

/// Suspended now, links leave nothing at either end.
fn leave_nothing(world: &mut World) {
    world.random = Random::new(0);
    for at in 0..world.lives.len() {
        world.suspend(at);
    }
    world.go_on();
    for life in &world.lives {
        let (sent, received) = (life.sent_so_far.as_ref(), life.received_so_far.as_ref());
        assert!(sent.is_some_and(|left| left.is_empty()), "{} keeps {sent:?}", life.name);
        assert!(received.is_some_and(|left| left.is_empty()), "{} keeps {received:?}", life.name);
    }
}
