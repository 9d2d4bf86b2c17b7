//! The peer closes the connection with an error.

use super::{
    Fault, Scale, Side,
    f02_silence::{ask_for_everything, go_on, traffic},
    seeded,
};
use crate::{Random, error, ledger::Ledger};
use amqp1_codec::definitions::ErrorCondition;
use amqp1_engine::ConnectionError;

pub(super) const FAULT: Fault = Fault {
    name: "F5",
    title: "The peer closes with amqp:connection:forced",
    made: "In the middle of traffic, with operations begun and not answered, one end or the other closes the connection \
           with an error. What is lost is sent again on a new connection.",
    seen: "The connection ends at once with `ClosedByPeer` and the error; everything that was waited for ends with it, \
           and messages without an outcome are reported as lost.",
    run,
};

fn run(scale: Scale) -> Ledger {
    seeded(scale.seeds, one)
}

fn one(seed: u64) -> Ledger {
    let mut random = Random::new(seed);
    let mut run = traffic(&mut random);
    ask_for_everything(&mut run);
    let closes = random.pick(&Side::BOTH);
    run.close(closes, Some(error(ErrorCondition::CONNECTION_FORCED)));
    run.await_end();
    let told = match run.closed(closes.other()) {
        Some(ConnectionError::ClosedByPeer(Some(error))) => Some(error.condition.clone()),
        _ => None,
    };
    run.ledger.expect(told == Some(ErrorCondition::CONNECTION_FORCED), || format!("the other end was told {told:?}"));
    let own = run.closed(closes).cloned();
    run.ledger.expect(own == Some(ConnectionError::LocallyClosed), || format!("this end: {own:?}"));
    go_on(&mut run);
    run.done()
}
