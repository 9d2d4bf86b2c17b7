//! Deliveries in every state are cut off, and resumed.

use super::{Fault, Scale, Side, run::Run, seeded, stream::Spec};
use crate::{Pair, Random, ledger::Ledger, secs};
use amqp1_codec::{definitions::ReceiverSettleMode, messaging::DeliveryState};
use amqp1_engine::{Credit, Suspended};

pub(super) const FAULT: Fault = Fault {
    name: "F22",
    title: "Links are resumed with unsettled maps on both sides",
    made: "Several deliveries are on a resumable link, whose sending end is the client or the server, when the connection \
           breaks at an octet of either direction: some not begun, some half received, some received and not taken, \
           some taken, some with an outcome that the sender may not know. The link is resumed on the next connection, \
           which may break too, up to three times. Meanwhile the receiving application may decide about what it holds. \
           In some runs there are so many deliveries that they take several attaches to name.",
    seen: "No send is lost: each ends with its outcome on a later connection. In mode *second* each message is received \
           exactly once, in mode *first* at least once; what is resumed has its old tag and says that it is resumed. \
           When all is settled, neither end keeps anything.",
    run,
};

/// How many cuts each seed makes, in each direction.
const CUTS: usize = 20;

/// What each seed is to show, by the name under which it is counted.
const STATES: [&str; 6] = ["not begun", "begun", "half received", "received", "taken", "stated"];

fn run(scale: Scale) -> Ledger {
    let mut all = seeded(scale.seeds, |seed| {
        let mut of_seed = Ledger::default();
        for broken in Side::BOTH {
            for cut in 0..CUTS {
                of_seed.add(&format!("{broken:?} is cut off, cut {cut}"), one(seed, broken, cut));
            }
        }
        of_seed
    });
    for state in STATES {
        let seen = all.states.contains_key(state);
        all.expect(seen, || format!("no delivery was {state} when the connection broke"));
    }
    let reattached = all.reattached;
    all.expect(reattached > 0, || "all maps fitted".to_owned());
    all
}

fn one(seed: u64, broken: Side, cut: usize) -> Ledger {
    let from = if seed % 2 == 0 { Side::Client } else { Side::Server };
    let mode = if seed / 2 % 2 == 0 { ReceiverSettleMode::First } else { ReceiverSettleMode::Second };
    let mut random = Random::new(seed * 1000 + cut as u64);
    let (mut client, mut server) = Pair::configs();
    (client.max_frame_size, server.max_frame_size) = (512, 512);
    let mut run = Run::with(client, server);
    run.resumable = true;
    run.narrow = true;
    run.pair.limit = 1;
    run.converse([Spec { mode, credit: Credit::Manual(300), ..Spec::new("l", from) }]);
    run.streams[0].holds = random.pick(&[(|_| false) as fn(u64) -> bool, |n| n % 2 == 0, |n| n % 3 != 0]);
    run.streams[0].outcome = |number| if number % 5 == 1 { DeliveryState::Released } else { DeliveryState::Accepted };
    run.streams[0].appetite = 1 + random.below(if seed % 5 == 4 { 150 } else { 6 });
    // The octets of about eight messages, or of what is said about them.
    let octets = if broken == from { 9_000 } else { 300 };
    run.pipe_from(broken).cut_after = Some(1 + octets * cut / CUTS + random.below(octets / CUTS));
    // Of so many, the maps do not fit into a frame of 512 octets.
    let (count, most) = if seed % 5 == 4 { (150, 50) } else { (8, 2000) };
    for _ in 0..count {
        run.write(0, 8 + random.below(most));
    }
    run.quiet();
    if random.chance(2) {
        run.release(0);
        run.quiet();
    }
    for round in 0..=random.below(3) {
        // If it has not broken at its octet, it breaks now.
        run.pair.up.cut_after = Some(0);
        run.pair.down.cut_after = Some(0);
        run.await_end();
        count_states(&mut run, from);
        if random.chance(3) {
            decide(&mut run, from.other());
        }
        run.reconnect();
        let session = run.begin();
        run.streams[0].appetite = run.streams[0].appetite.max(random.below(4));
        if round < 2 && random.chance(2) {
            // This one breaks while the link is resumed.
            run.pipe_from(random.pick(&Side::BOTH)).cut_after = Some(100 + random.below(2500));
        }
        if let Some(session) = session {
            run.attach(0, session);
        }
        run.quiet();
    }
    finish(&mut run);
    nothing_kept(&mut run);
    let duplicates = if mode == ReceiverSettleMode::Second { run.ledger.duplicates } else { 0 };
    run.ledger.expect(duplicates == 0, || format!("mode second, and {duplicates} received twice"));
    let lost = run.ledger.lost;
    run.ledger.expect(lost == 0, || format!("{lost} lost on a link that is resumed"));
    run.done()
}

/// What each end has kept.
fn count_states(run: &mut Run, from: Side) {
    let mut seen = Vec::new();
    if let Some(Suspended::Sender(kept)) = run.kept[from.index()].get("l") {
        seen.extend(kept.deliveries.iter().map(|delivery| if delivery.begun { "begun" } else { "not begun" }));
    }
    if let Some(Suspended::Receiver(kept)) = run.kept[from.other().index()].get("l") {
        seen.extend(kept.deliveries.values().map(|delivery| {
            match (&delivery.outcome, delivery.taken, delivery.whole) {
                (Some(_), _, _) => "stated",
                (None, true, _) => "taken",
                (None, false, true) => "received",
                (None, false, false) => "half received",
            }
        }));
    }
    for state in seen {
        *run.ledger.states.entry(state).or_default() += 1;
    }
}

/// The receiving application decides while there is no link.
fn decide(run: &mut Run, side: Side) {
    let Some(Suspended::Receiver(kept)) = run.kept[side.index()].get_mut("l") else { return };
    let taken = kept.deliveries.iter().filter(|(_, delivery)| delivery.taken && delivery.outcome.is_none());
    let tags: Vec<_> = taken.map(|(tag, _)| *tag).collect();
    for tag in tags {
        let decided = kept.dispose(&tag, DeliveryState::Accepted);
        run.ledger.expect(decided, || "what was taken could not be decided about".to_owned());
    }
}

/// Everything is settled: a link that is suspended now leaves nothing at either end.
fn nothing_kept(run: &mut Run) {
    run.detach(Side::Client, 0, false, None);
    run.quiet();
    for side in Side::BOTH {
        let kept = run.kept[side.index()].get("l");
        let empty = kept.is_some_and(|kept| match kept {
            Suspended::Sender(kept) => kept.is_empty(),
            Suspended::Receiver(kept) => kept.is_empty(),
        });
        run.ledger.expect(empty, || format!("{side:?} keeps {kept:?}"));
    }
}

/// A connection that does not break, and an application that takes and accepts everything.
fn finish(run: &mut Run) {
    if run.pair.up.is_cut() || run.pair.down.is_cut() {
        run.await_end();
        run.reconnect();
        if let Some(session) = run.begin() {
            run.attach(0, session);
        }
    }
    run.pair.up.cut_after = None;
    run.pair.down.cut_after = None;
    run.streams[0].holds = |_| false;
    run.streams[0].appetite = usize::MAX;
    run.quiet();
    run.release(0);
    run.sleep(secs(1));
}
