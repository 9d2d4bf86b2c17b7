//! One delivery that nobody settles, and all the others.

use super::{Fault, Scale, Side, run::Run, stream::Spec};
use crate::{ledger::Ledger, secs};
use amqp1_codec::{SequenceNo, definitions::ReceiverSettleMode};
use amqp1_engine::SessionConfig;

pub(super) const FAULT: Fault = Fault {
    name: "F16",
    title: "One delivery is held for ever",
    made: "The receiving application takes one delivery and does not settle it, while thousands of others pass it by (a \
           million with `--long`), in each direction and each receiver-settle-mode. The ids of deliveries and transfers \
           come round to 0 meanwhile. In the end it is accepted after all.",
    seen: "The others are settled as ever, memory stays what the deliveries cost that are not settled, and the one that \
           was held can still be settled.",
    run,
};

fn run(scale: Scale) -> Ledger {
    let mut all = Ledger::default();
    for from in Side::BOTH {
        for mode in [ReceiverSettleMode::First, ReceiverSettleMode::Second] {
            all.add(&format!("{from:?} sends, {mode:?}"), one(from, mode, scale.passing));
        }
    }
    all
}

/// What passes by at a time.
const BATCH: usize = 100;

fn one(from: Side, mode: ReceiverSettleMode, passing: usize) -> Ledger {
    let mut run = Run::new();
    // What is written is not kept: it would be the only thing that grows.
    run.checked = false;
    run.patience = secs(24 * 3600);
    let near_the_end = SequenceNo(u32::MAX - 500);
    let session =
        SessionConfig { next_outgoing_id: near_the_end, first_delivery_id: near_the_end, ..SessionConfig::default() };
    run.pair.server.accept.sessions = Some(session.clone());
    run.session = session;
    run.converse([Spec { mode, ..Spec::new("l", from) }]);
    run.streams[0].holds = |number| number == 0;
    for _ in 0..=passing / BATCH {
        for _ in 0..BATCH {
            run.write(0, 20);
        }
        run.quiet();
        let left = run.book.undone();
        run.ledger.expect(left == 1, || format!("{left} messages are held"));
        run.sleep(secs(1));
    }
    run.release(0);
    run.quiet();
    run.done()
}
