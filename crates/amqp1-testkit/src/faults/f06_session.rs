//! One session of several ends with an error.

use super::{Fault, Scale, Side, run::Run, seeded, stream::Spec};
use crate::{Random, error, ledger::Ledger, secs};
use amqp1_codec::definitions::ErrorCondition;
use amqp1_engine::{Cause, SessionId};
use core::time::Duration;

pub(super) const FAULT: Fault = Fault {
    name: "F6",
    title: "A session ends with an error",
    made: "Three sessions have traffic in both directions. One end or the other ends the second one with an error. A new \
           session takes its place, its links are attached there, and what was lost is sent again.",
    seen: "The links of that session end, and its messages without an outcome are reported as lost, with the error that \
           the peer gave; the other sessions go on as if nothing had happened.",
    run,
};

fn run(scale: Scale) -> Ledger {
    seeded(scale.seeds, one)
}

/// The links of the three sessions.
const NAMES: [[&str; 2]; 3] = [["a-out", "a-in"], ["b-out", "b-in"], ["c-out", "c-in"]];

fn one(seed: u64) -> Ledger {
    let mut random = Random::new(seed);
    let mut run = Run::new();
    run.rough_pipes(&mut random);
    let mut sessions = Vec::new();
    for [out, back] in NAMES {
        sessions.extend(run.converse([Spec::new(out, Side::Client), Spec::new(back, Side::Server)]));
    }
    run.vary_outcomes();
    for _ in 0..4 {
        for stream in 0..run.streams.len() {
            for _ in 0..random.below(8) {
                run.write(stream, 8 + random.below(1500));
            }
        }
        run.sleep(Duration::from_millis(random.below(400) as u64));
    }
    let ends = random.pick(&Side::BOTH);
    let pairs: Vec<(SessionId, SessionId)> = sessions.into_iter().zip(run.pair.server.offered_sessions()).collect();
    let Some((client, server)) = pairs.get(1).copied() else {
        run.ledger.wrong("there are no sessions");
        return run.over();
    };
    let (own, others) = if ends == Side::Client { (client, server) } else { (server, client) };
    run.end_session(ends, own, Some(error(ErrorCondition::RESOURCE_DELETED)));
    run.sleep(secs(30));
    let told = run.end(ends.other()).ended_session(others);
    let by_peer = told.as_ref().is_some_and(|ended| {
        ended.by == Cause::Peer
            && ended.error.as_ref().is_some_and(|error| error.condition == ErrorCondition::RESOURCE_DELETED)
    });
    run.ledger.expect(by_peer, || format!("the other end was told {told:?}"));
    for stream in [0, 1, 4, 5] {
        let (lost, todo) = (run.streams[stream].lost, run.streams[stream].todo.len());
        let name = run.streams[stream].name;
        run.ledger.expect(lost + todo == 0, || format!("{lost} lost and {todo} waiting on {name}"));
    }
    if let Some(session) = run.begin() {
        run.attach(2, session);
        run.attach(3, session);
    }
    run.quiet();
    run.done()
}
