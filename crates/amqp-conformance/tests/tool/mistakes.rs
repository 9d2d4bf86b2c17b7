//! What the tool says of an option or a file that does not fit.

use super::{FAILS, OnOtherVersion, PASSES, PASSWORD, code, path, polite, server, text, tool};
use amqp_conformance::Report;
use std::{fs, net::TcpListener, process::Output};
use tempfile::TempDir;

/// The error, if the tool has ended with this exit code and has shown nothing else.
fn error(output: &Output, exit: i32) -> String {
    assert_eq!((code(output), text(&output.stdout)), (exit, String::new()), "{}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_peer_is_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("its address");
    for option in ["--json", "--junit", "--html"] {
        let error = error(&server(address, &["--only", PASSES, option, "/no/such/folder/report"]), 2);
        assert!(error.contains("/no/such/folder/report"), "{error}");
    }
    assert!(listener.accept().is_err(), "the tool has connected");
}

#[test]
fn a_run_that_does_not_begin_leaves_reports_as_they_were() {
    let directory = TempDir::new().expect("a folder");
    let [old, new] = ["old.json", "new.json"].map(|name| directory.path().join(name));
    fs::write(&old, "earlier").expect("it is written");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let free = listener.local_addr().expect("its address");
    drop(listener);
    let run = ["--only", PASSES, "--json", path(&old), "--html", path(&new)];
    error(&server(free, &run), 3);
    assert_eq!(fs::read_to_string(&old).expect("it is there"), "earlier");
    assert!(!new.exists());
    fs::write(&old, "longer than any report that is written: ".repeat(10_000)).expect("it is written");
    assert_eq!(code(&server(polite::start(OnOtherVersion::Leaves), &run)), 0);
    Report::from_json(&fs::read(&old).expect("it was written")).expect("it is a report and nothing else");
}

#[test]
fn a_baseline_is_compared_with_the_cases_that_are_selected() {
    let directory = TempDir::new().expect("a folder");
    let json = directory.path().join("old.json");
    let polite = polite::start(OnOtherVersion::Leaves);
    let both = format!("{PASSES},{FAILS}");
    assert_eq!(code(&server(polite, &["--only", &both, "--json", path(&json)])), 1);
    let output = server(polite, &["--only", PASSES, "--baseline", path(&json)]);
    let shown = text(&output.stdout);
    assert!(shown.contains("nothing has changed") && !shown.contains("gone"), "{shown}");
}

#[test]
fn a_profile_of_the_other_role_is_named_as_such() {
    let client = error(&tool(&["client", "--profile", "rabbitmq4"]), 2);
    assert!(client.contains("rabbitmq4 is the profile of a server"), "{client}");
    let server = error(&tool(&["server", "--profile", "rhea"]), 2);
    assert!(server.contains("rhea is the profile of a client"), "{server}");
}

#[test]
fn a_password_alone_is_that_of_the_profiles_user() {
    let directory = TempDir::new().expect("a folder");
    let profile = directory.path().join("mine.toml");
    fs::write(&profile, "node = 'q'\nuser = 'me'\npassword = 'another'\n").expect("it is written");
    let polite = polite::start(OnOtherVersion::Leaves);
    let output = server(polite, &["--profile", path(&profile), "--password", PASSWORD, "--repro", "T-2.4.1-1/begin"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&format!("{{password:{}}}", PASSWORD.len())), "{}", text(&output.stdout));
    let alone = error(&server(polite, &["--only", PASSES, "--password", PASSWORD]), 2);
    assert!(alone.contains("--password needs --user"), "{alone}");
    let user = error(&server(polite, &["--only", PASSES, "--user", "me"]), 2);
    assert!(user.contains("--user needs --password"), "{user}");
}
