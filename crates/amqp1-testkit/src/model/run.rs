//! A whole run: operations, then rest, then the end, with everything checked.

use super::{Operation, Side, fates, world::World};
use crate::{digest::digest, frame, secs};
use amqp1_codec::{SequenceNo, definitions::Role, messaging::DeliveryState, performative::Disposition};
use amqp1_engine::{ConnectionError, Credit};
use bytes::BytesMut;

/// What a run had in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Operations.
    pub operations: u64,
    /// Messages that were taken for sending.
    pub messages: u64,
    /// Deliveries that were begun on the wire.
    pub deliveries: u64,
    /// Frames that were judged.
    pub frames: u64,
    /// The sum of the digests of what both engines have written, modulo 2^64.
    pub wire: u64,
}

impl core::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.operations += other.operations;
        self.messages += other.messages;
        self.deliveries += other.deliveries;
        self.frames += other.frames;
        self.wire = self.wire.wrapping_add(other.wire);
    }
}

/// Runs the list of a seed.
///
/// # Panics
///
/// If something does not hold.
pub fn run_seed(seed: u64) -> Tally {
    run(seed, &Operation::list(seed), |_| {})
}

/// Runs a list, on engines and pipes that the seed has thought out. `trace` is shown each operation before it happens.
///
/// # Panics
///
/// If something does not hold.
pub fn run(seed: u64, operations: &[Operation], mut trace: impl FnMut(&Operation)) -> Tally {
    let mut world = World::new(seed);
    for operation in operations {
        trace(operation);
        world.apply(operation);
    }
    settle_down(&mut world);
    if !world.cut && !world.closed && seed % 2 == 0 {
        take_down(&mut world);
    }
    end(&mut world);
    fates::check(&mut world);
    let judge = world.pair.judge.as_ref().expect("a judge");
    Tally {
        operations: operations.len() as u64,
        messages: world.next_token,
        deliveries: judge.deliveries() as u64,
        frames: judge.frames(),
        wire: digest(seed, 0, &world.pair),
    }
}

/// Lets everything come to rest: all that is on its way arrives, is taken and accepted. Then both ends agree.
fn settle_down(world: &mut World) {
    for side in [Side::Client, Side::Server] {
        world.apply(&Operation::Hold { side, hold: false });
    }
    world.pair.drive();
    for at in 0..world.links.len() {
        world.answer(at, false);
    }
    world.pair.drive();
    for at in 0..world.links.len() {
        world.apply(&Operation::AnswerDrain { link: at });
    }
    world.pair.drive();
    for at in 0..world.links.len() {
        check_drained(world, at);
    }
    take_all(world);
    for at in 0..world.links.len() {
        check_not_starved(world, at);
        world.apply(&Operation::SetCredit { link: at, credit: Credit::Window(20) });
    }
    take_all(world);
    world.pair.drive();
    if !world.cut && !world.closed {
        check_rest(world);
        claim_everything(world);
    }
}

/// A disposition of half of all the ids that there can be, when nothing is left to settle: it means nothing, and must
/// cost as little (T-2.7.6-5). No engine writes such a thing, so nobody judges it.
fn claim_everything(world: &mut World) {
    let now = world.pair.now;
    for side in [Side::Client, Side::Server] {
        let channels = world.pair.judge.as_ref().expect("a judge").channels(side);
        for channel in channels {
            let claim = Disposition {
                role: Role::Receiver,
                first: SequenceNo(0),
                last: Some(SequenceNo(i32::MAX as u32)),
                settled: true,
                state: Some(DeliveryState::Accepted),
                ..Disposition::default()
            };
            world.end(side).engine.handle_input(now, &mut BytesMut::from(&frame(channel, claim, b"")[..]));
        }
    }
}

/// All that is on its way arrives, is taken and accepted, until nothing comes any more.
fn take_all(world: &mut World) {
    let mut busy = true;
    while busy {
        busy = false;
        world.pair.drive();
        for at in 0..world.links.len() {
            busy |= world.take(at, usize::MAX).unwrap_or_default();
            busy |= world.dispose(at, 0, usize::MAX, false, 0).is_some();
        }
    }
}

/// A receiver that gives credit anew as it takes has taken all, so its sender has some.
fn check_not_starved(world: &mut World, at: usize) {
    let (receiving, sending) = (world.id(at, false), world.id(at, true));
    let (Some((receiver, rx)), Some((sender, tx))) = (receiving, sending) else { return };
    let link = &world.links[at];
    if !link.window || link.ended {
        return;
    }
    let name = link.name.clone();
    if world.end(receiver).attached_now(rx) && world.end(sender).attached_now(tx) {
        assert!(world.end(sender).credit(tx) > 0, "{name} has no credit although all is taken");
    }
}

fn check_drained(world: &mut World, at: usize) {
    let (receiving, sending) = (world.id(at, false), world.id(at, true));
    let (Some((receiver, rx)), Some((sender, tx))) = (receiving, sending) else { return };
    let link = &world.links[at];
    let (ended, draining, drains, harsh, name) =
        (link.ended, link.draining, link.drains, link.harsh, link.name.clone());
    let drained = |event: &amqp1_engine::Event| matches!(event, amqp1_engine::Event::Drained(id) if *id == rx);
    let said = world.end(receiver).count(drained);
    assert!(said <= drains, "{name} was drained {drains} times, and {said} times it was said");
    if draining && !ended && world.end(receiver).attached_now(rx) {
        assert!(said > 0, "no Drained for {name}");
        assert_eq!(world.end(sender).credit(tx), 0, "{name} is drained and has credit");
        let left = if harsh { 0 } else { world.end(sender).queued(tx) };
        assert_eq!(left, 0, "{name} is drained although it had to send");
    }
}

/// Nothing waits anywhere, and both ends agree.
fn check_rest(world: &mut World) {
    for at in 0..world.links.len() {
        for sending in [true, false] {
            let Some((side, id)) = world.id(at, sending) else { continue };
            let end = world.end(side);
            assert_eq!((end.buffered(id), end.queued(id)), (0, 0), "something waits on link {at}");
        }
    }
    for end in [&world.pair.client, &world.pair.server] {
        assert!(!end.has_output() && end.input.is_empty(), "{end:?} is not at rest");
    }
    world.pair.judge.as_ref().expect("a judge").check_agreement();
}

/// Ends every session in peace: what the engines hold is what they held at first.
fn take_down(world: &mut World) {
    for session in 0..world.sessions.len() {
        world.apply(&Operation::End { session, by_owner: true, error: false });
    }
    world.pair.drive();
    check_rest(world);
    for end in [&world.pair.client, &world.pair.server] {
        let state = format!("{:?}", end.engine);
        assert!(state.contains("sessions: 0 of") && state.contains("links: 0 of"), "something stays in {state}");
    }
}

/// Closes the connection, or waits until both ends know that it has broken.
fn end(world: &mut World) {
    if world.cut {
        world.pair.sleep(secs(2000));
        if !world.pair.client.is_closed() {
            world.close(Side::Client, false);
            world.pair.sleep(secs(2000));
        }
    } else {
        let closed = world.closed;
        world.close(Side::Client, false);
        world.pair.drive();
        let reasons = [world.pair.client.closed(), world.pair.server.closed()];
        let expected = [ConnectionError::LocallyClosed, ConnectionError::ClosedByPeer(None)];
        assert!(closed || reasons == expected, "{reasons:?}");
    }
    for end in [&world.pair.client, &world.pair.server] {
        assert!(end.is_finished() && end.poll_timeout().is_none(), "{end:?} goes on");
    }
}
