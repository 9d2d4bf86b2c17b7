//! What holds for the engine of a client holds for that of a server.

use amqp1_testkit::TURNED;
use std::{env, process::Command};

/// Tests of what only the end does that takes the connection.
const OF_SERVERS: [&str; 1] = ["an_open_that_is_held_is_answered_when_the_application_says_so"];

/// All tests here once more, with a client's engine where a server's was, and the other way round: requirements that
/// apply to both peers are shown of both.
#[test]
fn every_rule_is_kept_by_the_other_engine_too() {
    if env::var_os(TURNED).is_some() {
        return;
    }
    let skipped = OF_SERVERS.iter().flat_map(|test| ["--skip", test]);
    let run = Command::new(env::current_exe().unwrap()).args(skipped).env(TURNED, "yes").output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}
