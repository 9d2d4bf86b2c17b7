//! What holds where the broker has accepted the connection holds where it has opened it.

use amqp1_testkit::TURNED;
use std::{env, process::Command};

/// All tests here once more, with a client's engine where a server's was, and the other way round: requirements that
/// apply to both peers are shown of both.
#[test]
fn every_rule_is_kept_by_the_other_engine_too() {
    if env::var_os(TURNED).is_some() {
        return;
    }
    let run = Command::new(env::current_exe().unwrap()).env(TURNED, "yes").output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}
