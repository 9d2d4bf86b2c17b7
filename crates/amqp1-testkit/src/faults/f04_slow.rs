//! A line on which an octet takes a second.

use super::{Fault, Scale, Side, run::Run, seeded, stream::Spec};
use crate::{Pair, Random, ledger::Ledger, secs};
use core::time::Duration;

pub(super) const FAULT: Fault = Fault {
    name: "F4",
    title: "An octet a second",
    made: "Octets arrive one by one in both directions, a second apart and up to a second late, from the first one of the \
           connection on. The ends are given the time for that by their configuration of handshake and close.",
    seen: "Everything arrives, and nobody is taken for dead: octets of a frame that is not whole yet are signs of life.",
    run,
};

fn run(scale: Scale) -> Ledger {
    seeded(scale.seeds, one)
}

fn one(seed: u64) -> Ledger {
    let mut random = Random::new(seed);
    let (mut client, mut server) = Pair::configs();
    for config in [&mut client, &mut server] {
        (config.handshake_timeout, config.close_timeout) = (secs(3600), secs(3600));
    }
    let mut run = Run::with(client, server);
    run.slow = Some(secs(1));
    run.patience = secs(24 * 3600);
    for side in Side::BOTH {
        let jitter = (Duration::from_millis(1000), random.fork());
        run.pipe_from(side).jitter = Some(jitter);
    }
    run.converse([Spec::new("out", Side::Client), Spec::new("in", Side::Server)]);
    for stream in [0, 1, 0] {
        run.write(stream, 8 + random.below(200));
        // Longer than the idle time-out without any message.
        run.sleep(secs(random.below(300) as u64));
    }
    run.sleep(secs(3600));
    run.done()
}
