//! Clocks that step.

use super::{Fault, Scale, Side, run::Run, seeded, stream::Spec};
use crate::{Pair, Random, frames, ledger::Ledger, secs};
use amqp1_engine::{ConnectionError, Instant};
use core::time::Duration;

pub(super) const FAULT: Fault = Fault {
    name: "F21",
    title: "A clock steps by an hour",
    made: "The same conversation at one time of day, an hour earlier and an hour later. And in the middle of a \
           conversation the clock of both ends leaps an hour ahead, as after a machine's sleep; what is on its way is \
           read before or after the ends look at the clock.",
    seen: "The time of day makes no difference, not in one octet. After the leap a connection on which nothing has come \
           ends with `IdleTimeout`, once; one on which something has come lives on, with one heartbeat and not one for \
           each that was missed.",
    run,
};

const HOUR: Duration = secs(3600);

fn run(scale: Scale) -> Ledger {
    let mut all = Ledger::default();
    all.add("the time of day", seeded(scale.seeds, time_of_day));
    all.add("silence", seeded(scale.seeds, leap_in_silence));
    all.add("traffic", seeded(scale.seeds, leap_in_traffic));
    all
}

/// Links in both directions, on connections that begin at this time.
fn begun_at(start: Instant, latency: Duration) -> Run {
    let (client, server) = Pair::configs();
    let mut run = Run::at(start, client, server);
    (run.pair.up.latency, run.pair.down.latency) = (latency, latency);
    run.converse([Spec::new("out", Side::Client), Spec::new("in", Side::Server)]);
    run
}

/// A conversation with pauses that need heartbeats.
fn conversation(seed: u64, start: Instant) -> Run {
    let mut random = Random::new(seed);
    let mut run = begun_at(start, Duration::from_millis(random.below(500) as u64));
    for _ in 0..8 {
        run.write(random.below(2), 8 + random.below(3000));
        run.sleep(secs(random.below(50) as u64));
    }
    run
}

fn time_of_day(seed: u64) -> Ledger {
    let mut all = Ledger::default();
    let mut written = Vec::new();
    for hours in [1, 0, 2] {
        let mut run = conversation(seed, Instant::from_nanos(1_000) + HOUR * hours);
        run.quiet();
        written.push((run.pair.client.written.clone(), run.pair.server.written.clone()));
        all.add(&format!("begun in hour {hours}"), run.done());
    }
    let same = written.iter().all(|octets| written.first() == Some(octets));
    all.expect(same, || "what is written depends on the time of day".to_owned());
    all
}

/// How many octets each end has written.
fn marks(run: &Run) -> [usize; 2] {
    [run.pair.client.written.len(), run.pair.server.written.len()]
}

/// The names of the frames that an end has written since.
fn since(run: &mut Run, side: Side, marks: [usize; 2]) -> Vec<&'static str> {
    let written = run.end(side).written.get(marks[side.index()]..).unwrap_or_default();
    frames(written).iter().map(|(_, body, _)| body.as_ref().map_or("empty", |body| body.name())).collect()
}

fn leap_in_silence(seed: u64) -> Ledger {
    let mut random = Random::new(seed);
    let mut run = begun_at(Instant::default(), Duration::from_millis(random.below(500) as u64));
    run.write(0, 8 + random.below(3000));
    run.sleep(secs(5));
    let marks = marks(&run);
    run.patience = secs(4000);
    run.move_clock(run.pair.now + HOUR);
    run.await_end();
    for side in Side::BOTH {
        let reason = run.closed(side).cloned();
        run.ledger.expect(reason == Some(ConnectionError::IdleTimeout), || format!("{side:?}: {reason:?}"));
        let said = since(&mut run, side, marks);
        run.ledger.expect(said == ["close"], || format!("{side:?} said {said:?}"));
    }
    run.over()
}

fn leap_in_traffic(seed: u64) -> Ledger {
    let mut random = Random::new(seed);
    let mut run = begun_at(Instant::default(), secs(2));
    run.patience = secs(4000);
    // Both ends have something on its way to them.
    for stream in [0, 1] {
        run.write(stream, 8 + random.below(3000));
    }
    run.sleep(Duration::from_millis(random.below(1000) as u64));
    let marks = marks(&run);
    // They wake up, and read before they look at the clock.
    run.pair.now = run.pair.now + HOUR;
    run.sleep(Duration::ZERO);
    run.move_clock(run.pair.now);
    run.sleep(Duration::from_millis(10));
    for side in Side::BOTH {
        let beats = since(&mut run, side, marks).iter().filter(|name| **name == "empty").count();
        run.ledger.expect(beats <= 1, || format!("{side:?}: {beats} heartbeats"));
        let reason = run.closed(side).cloned();
        run.ledger.expect(reason.is_none(), || format!("{side:?}: {reason:?}"));
    }
    run.sleep(secs(120));
    run.done()
}
