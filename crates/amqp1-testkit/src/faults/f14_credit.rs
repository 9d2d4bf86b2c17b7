//! No credit for a long time, then more than can be used.

use super::{Fault, Scale, Side, run::Run, seeded, stream::Spec};
use crate::{Random, ledger::Ledger, secs};
use amqp1_engine::Credit;

pub(super) const FAULT: Fault = Fault {
    name: "F14",
    title: "No credit for a minute, then a flood of it",
    made: "Messages wait on links in both directions, and the receivers give no credit for a minute and more. Then they \
           give it for up to two thousand million messages at a time, and in the end drain.",
    seen: "Sending waits, and the connection stays up by its heartbeats; with the credit everything arrives in its order, \
           and what the drain finds unused is given back.",
    run,
};

/// The most credit that can be given: more than half of the numbers that delivery-counts have (§2.6.7).
const FLOOD: u32 = u32::MAX;

fn run(scale: Scale) -> Ledger {
    seeded(scale.seeds, one)
}

fn one(seed: u64) -> Ledger {
    let mut random = Random::new(seed);
    let mut run = Run::new();
    let starved = |name, from| Spec { credit: Credit::Manual(0), ..Spec::new(name, from) };
    run.converse([starved("out", Side::Client), starved("in", Side::Server)]);
    for stream in [0, 1] {
        for _ in 0..50 + random.below(50) {
            run.write(stream, 8 + random.below(800));
        }
    }
    run.sleep(secs(60 + random.below(120) as u64));
    let sent = run.ledger.sent;
    run.ledger.expect(sent == 0, || format!("{sent} messages were sent without credit"));
    for stream in [0, 1] {
        run.grant(stream, Credit::Manual(1 + random.below(i32::MAX as usize) as u32));
    }
    run.quiet();
    // Again, on top of what is there.
    for stream in [0, 1] {
        run.grant(stream, Credit::Manual(FLOOD));
        run.write(stream, 100);
    }
    run.quiet();
    for stream in [0, 1] {
        run.drain(stream);
    }
    run.quiet();
    for stream in [0, 1] {
        let from = run.streams[stream].from;
        let link = run.streams[stream].links[from.index()];
        let left = link.map(|link| run.end(from).credit(link));
        run.ledger.expect(left == Some(0), || format!("drained, and {left:?} left"));
    }
    run.done()
}
