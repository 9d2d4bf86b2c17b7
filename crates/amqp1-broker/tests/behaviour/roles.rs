//! What holds where the broker has accepted the connection holds where it has opened it, and where the connection is busy
//! otherwise.

use amqp1_testkit::{CROWDED, TURNED};
use std::{env, process::Command};

/// Runs all tests here again in a variant.
fn run_again(variant: &str) {
    if [TURNED, CROWDED].iter().any(|variable| env::var_os(variable).is_some()) {
        return;
    }
    let run = Command::new(env::current_exe().unwrap()).env(variant, "yes").output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}

/// All tests here once more, with a client's engine where a server's was, and the other way round: requirements that
/// apply to both peers are shown of both.
#[test]
fn every_rule_is_kept_by_the_other_engine_too() {
    run_again(TURNED);
}

/// All tests here once more, with other sessions and links on the connection, numbers that wrap, and full encodings: no
/// rule may depend on channel 0, handle 0 or ids that count from 0.
#[test]
fn every_rule_is_kept_in_a_crowd_too() {
    run_again(CROWDED);
}
