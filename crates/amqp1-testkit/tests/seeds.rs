//! Runs of the reference model, as the program `seeds` does by the hundred thousand.

use amqp1_testkit::model::{Tally, run_seed};

#[test]
fn whatever_is_asked_both_ends_agree() {
    let mut tally = Tally::default();
    for seed in 0..300 {
        tally += run_seed(seed);
    }
    // The lists are about something.
    assert!(tally.messages > 3_000 && tally.deliveries > 2_000, "{tally:?}");
}

#[test]
fn a_seed_is_always_the_same_run() {
    for seed in [3, 77, 1 << 40] {
        assert_eq!(run_seed(seed), run_seed(seed));
    }
}
