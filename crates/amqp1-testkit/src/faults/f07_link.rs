//! A link is detached with an error, while transfers are in flight.

use super::{Fault, Scale, Side, run::Run, seeded, stream::Spec};
use crate::{Random, error, ledger::Ledger, secs};
use amqp1_codec::definitions::{ErrorCondition, ReceiverSettleMode};
use core::time::Duration;

pub(super) const FAULT: Fault = Fault {
    name: "F7",
    title: "A link is detached with an error",
    made: "Transfers are in flight on two links of a session. The sending or the receiving end of one of them detaches it \
           with an error. Then it is attached again, and what was lost is sent again.",
    seen: "That link ends with the error that the peer gave, and its messages without an outcome are reported as lost; \
           the other link of the session goes on.",
    run,
};

fn run(scale: Scale) -> Ledger {
    seeded(scale.seeds, one)
}

fn one(seed: u64) -> Ledger {
    let mut random = Random::new(seed);
    let mut run = Run::new();
    run.rough_pipes(&mut random);
    let from = random.pick(&Side::BOTH);
    let mode = random.pick(&[ReceiverSettleMode::First, ReceiverSettleMode::Second]);
    let session = run.converse([Spec { mode, ..Spec::new("hit", from) }, Spec { mode, ..Spec::new("beside", from) }]);
    run.vary_outcomes();
    for _ in 0..4 {
        for stream in [0, 1] {
            for _ in 0..random.below(12) {
                run.write(stream, 8 + random.below(3000));
            }
        }
        run.sleep(Duration::from_millis(random.below(500) as u64));
    }
    // At least this much is in flight, and no two in a row are sent settled.
    for stream in [0, 0, 1] {
        run.write(stream, 5000);
    }
    run.sleep(Duration::ZERO);
    let detaches = random.pick(&Side::BOTH);
    let other = run.streams[0].links[detaches.other().index()];
    run.detach(detaches, 0, random.chance(2), Some(error(ErrorCondition::DETACH_FORCED)));
    run.sleep(secs(30));
    let told = other.and_then(|link| run.end(detaches.other()).detached(link)).and_then(|detached| detached.error);
    let expected = told.as_ref().is_some_and(|error| error.condition == ErrorCondition::DETACH_FORCED);
    run.ledger.expect(expected, || format!("the other end was told {told:?}"));
    let (lost, beside, todo) = (run.streams[0].lost, run.streams[1].lost, run.streams[1].todo.len());
    run.ledger.expect(lost > 0, || "nothing was in flight".to_owned());
    run.ledger.expect(beside + todo == 0, || format!("{beside} lost and {todo} waiting on the other link"));
    if let Some(session) = session {
        run.attach(0, session);
    }
    run.quiet();
    run.done()
}
