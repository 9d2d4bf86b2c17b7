//! Bugs on purpose: whether the random lists find them, and how soon.
//!
//! `RUSTFLAGS='--cfg amqp1_planted' cargo test -p amqp1-testkit --test planted`
#![cfg(amqp1_planted)]

use amqp1_engine::{Planted, plant};
use amqp1_testkit::model::{Operation, run_seed, try_run};
use std::{sync::mpsc, thread, time::Duration};

/// Seeds after which a bug counts as not found.
const SEEDS: u64 = 3_000;

/// Longer than any seed takes by far: one that is still at it goes round in circles.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a seed came out: well, with what was found, or not at all.
fn outcome(seed: u64) -> Option<Result<(), String>> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(try_run(seed, &Operation::list(seed)).map(drop)));
    told.recv_timeout(PATIENCE).ok()
}

/// One test, since a planted bug is planted in the whole process.
#[test]
fn each_planted_bug_is_found_and_its_seed_passes_without_it() {
    for bug in [
        Planted::CreditOffByOne,
        Planted::WindowPerMessage,
        Planted::RangeWalkedIdById,
        Planted::SettledTwice,
        Planted::LostWakeUp,
    ] {
        plant(Some(bug));
        let found = (0..SEEDS).find_map(|seed| match outcome(seed) {
            Some(Ok(())) => None,
            Some(Err(what)) => Some((seed, what)),
            None => Some((seed, String::from("it does not come to an end"))),
        });
        plant(None);
        let (seed, what) = found.unwrap_or_else(|| panic!("{bug:?} was not found in {SEEDS} seeds"));
        println!("{bug:?}: seed {seed}: {}", what.lines().next().unwrap_or_default());
        run_seed(seed);
    }
}
