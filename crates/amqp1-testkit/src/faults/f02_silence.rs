//! Nothing arrives any more, in either direction, and nobody says so.

use super::{Fault, Scale, Side, run::Run, seeded, stream::Spec};
use crate::{Random, ledger::Ledger, secs};
use amqp1_codec::definitions::ReceiverSettleMode;
use amqp1_engine::ConnectionError;
use core::time::Duration;

pub(super) const FAULT: Fault = Fault {
    name: "F2",
    title: "Silence in both directions",
    made: "In the middle of traffic both directions stop for good, without an end of the stream. Both applications go on \
           to begin and end sessions, and to attach, drain and detach links.",
    seen: "The connection ends with `IdleTimeout` within the idle time-out and a second of the last octet, at both ends, \
           and with it everything that was waited for.",
    run,
};

fn run(scale: Scale) -> Ledger {
    seeded(scale.seeds, one)
}

fn one(seed: u64) -> Ledger {
    let mut random = Random::new(seed);
    let mut run = traffic(&mut random);
    run.pair.up.stalled = true;
    run.pair.down.stalled = true;
    ask_for_everything(&mut run);
    run.await_end();
    for side in Side::BOTH {
        noticed(&mut run, side);
        let reason = run.closed(side).cloned();
        run.ledger.expect(reason == Some(ConnectionError::IdleTimeout), || format!("{side:?}: {reason:?}"));
    }
    go_on(&mut run);
    run.done()
}

/// Links in both directions, with messages on their way.
pub(super) fn traffic(random: &mut Random) -> Run {
    let mut run = Run::new();
    run.rough_pipes(random);
    let mode = random.pick(&[ReceiverSettleMode::First, ReceiverSettleMode::Second]);
    run.converse([
        Spec { mode, ..Spec::new("out", Side::Client) },
        Spec { mode, ..Spec::new("in", Side::Server) },
        Spec::new("idle", Side::Server),
    ]);
    run.vary_outcomes();
    for stream in [0, 1, 0, 1] {
        for _ in 0..random.below(20) {
            run.write(stream, 8 + random.below(2000));
        }
        // Some of it arrives, some of what is said to it comes back.
        run.sleep(Duration::from_millis(random.below(600) as u64));
    }
    run
}

/// Begins whatever can be begun, so that it has to come to an end.
pub(super) fn ask_for_everything(run: &mut Run) {
    let session = run.begin();
    let more = run.stream(Spec::new("more", Side::Client));
    if let Some(session) = session {
        run.attach(more, session);
    }
    for stream in [0, 1] {
        run.write(stream, 100);
    }
    run.drain(2);
    run.detach(Side::Client, 1, true, None);
    let ended = run.begin();
    if let Some(session) = ended {
        run.end_session(Side::Client, session, None);
    }
}

/// An end has noticed within the idle time-out, and a second, after it has heard something last.
pub(super) fn noticed(run: &mut Run, side: Side) {
    let Some((at, _)) = run.watches[side.index()].closed else { return };
    let silence = at - run.heard[side.index()];
    run.ledger.expect(silence <= secs(61), || format!("{side:?}: noticed after {silence:?}"));
}

/// A new connection, on which everything gets by.
pub(super) fn go_on(run: &mut Run) {
    run.reconnect();
    let session = run.begin();
    for stream in 0..run.streams.len() {
        if let Some(session) = session {
            run.attach(stream, session);
        }
    }
    run.quiet();
}
