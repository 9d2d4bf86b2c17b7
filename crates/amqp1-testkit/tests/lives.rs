//! Links that live through several connections, as the program `seeds` runs them by the hundred thousand.

use amqp1_testkit::lives::{Lived, run_lives};

/// Also T-2.6.13-5, M-3.4.6-2: whatever is cut, suspended and resumed, and whenever.
#[test]
fn t_2_6_13_1_links_go_on_wherever_they_were_suspended() {
    let mut lived = Lived::default();
    for seed in 0..400 {
        lived += run_lives(seed);
    }
    let Lived { messages, resumed, lost, aborted, .. } = lived;
    assert!(messages > 2000 && resumed > 100 && lost > 50 && aborted > 10, "{lived:?}");
}

#[test]
fn a_seed_is_always_the_same_run() {
    for seed in [3, 77, 1 << 40] {
        assert_eq!(run_lives(seed), run_lives(seed));
    }
}
