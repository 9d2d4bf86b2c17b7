//! One octet at a time, in the smallest frames.

use super::{Fault, Scale, Side, run::Run, seeded, stream::Spec};
use crate::{Pair, Random, Segment, ledger::Ledger, secs};
use amqp1_codec::definitions::ReceiverSettleMode;

pub(super) const FAULT: Fault = Fault {
    name: "F19",
    title: "Segments of one octet and frames of 512",
    made: "Every octet arrives by itself, and both ends take no frame larger than 512 octets, the smallest maximum there \
           is. Messages of up to 20,000 octets go both ways, in both receiver-settle-modes.",
    seen: "Nothing but that it takes longer.",
    run,
};

fn run(scale: Scale) -> Ledger {
    seeded(scale.seeds, one)
}

fn one(seed: u64) -> Ledger {
    let mut random = Random::new(seed);
    let (mut client, mut server) = Pair::configs();
    (client.max_frame_size, server.max_frame_size) = (512, 512);
    let mut run = Run::with(client, server);
    (run.pair.up.segment, run.pair.down.segment) = (Segment::Of(1), Segment::Of(1));
    run.pair.limit = 1 + random.below(1000);
    run.converse([
        Spec::new("out", Side::Client),
        Spec { mode: ReceiverSettleMode::Second, ..Spec::new("out-second", Side::Client) },
        Spec::new("in", Side::Server),
        Spec { mode: ReceiverSettleMode::Second, ..Spec::new("in-second", Side::Server) },
    ]);
    for stream in 0..run.streams.len() {
        run.write(stream, 8 + random.below(20_000));
        for _ in 0..random.below(5) {
            run.write(stream, 8 + random.below(600));
        }
        if random.chance(2) {
            run.sleep(secs(1));
        }
    }
    run.quiet();
    for stream in [2, 3] {
        run.drain(stream);
    }
    run.quiet();
    for stream in 0..run.streams.len() {
        run.detach(random.pick(&Side::BOTH), stream, true, None);
    }
    run.quiet();
    run.done()
}
