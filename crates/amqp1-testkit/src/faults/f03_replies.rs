//! One direction is lost.

use super::{
    Fault, Scale, Side,
    f02_silence::{ask_for_everything, go_on, noticed, traffic},
    seeded,
};
use crate::{Random, ledger::Ledger};
use amqp1_codec::definitions::ErrorCondition;
use amqp1_engine::ConnectionError;

pub(super) const FAULT: Fault = Fault {
    name: "F3",
    title: "Only the replies are lost",
    made: "In the middle of traffic nothing arrives at one end any more, while all that it says still arrives at the \
           other.",
    seen: "The end that hears nothing reports `IdleTimeout` within the idle time-out and a second; the other end is told \
           why by the close. Messages whose outcome was lost are reported as lost, and as sent.",
    run,
};

fn run(scale: Scale) -> Ledger {
    seeded(scale.seeds, one)
}

fn one(seed: u64) -> Ledger {
    let mut random = Random::new(seed);
    let mut run = traffic(&mut random);
    let deaf = random.pick(&Side::BOTH);
    run.pipe_from(deaf.other()).stalled = true;
    ask_for_everything(&mut run);
    run.await_end();
    noticed(&mut run, deaf);
    let reason = run.closed(deaf).cloned();
    run.ledger.expect(reason == Some(ConnectionError::IdleTimeout), || format!("{deaf:?}: {reason:?}"));
    let told = match run.closed(deaf.other()) {
        Some(ConnectionError::ClosedByPeer(Some(error))) => Some(error.condition.clone()),
        _ => None,
    };
    let expected = told == Some(ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
    run.ledger.expect(expected, || format!("the other end was told {told:?}"));
    go_on(&mut run);
    run.done()
}
