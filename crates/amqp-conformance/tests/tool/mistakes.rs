//! What the tool says of an option or a file that does not fit.

use super::{FAILS, LetsIn, OnOtherVersion, PASSES, PASSWORD, code, path, polite, server, text, tool};
use amqp_conformance::Report;
use amqp1_auth::sasl::scram::ScramHash;
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

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_takes_nothing_does_not_cost_the_reports() {
    use std::process::{Command, Stdio};
    let directory = TempDir::new().expect("a folder");
    let [json, junit, html] = ["r.json", "r.xml", "r.html"].map(|name| directory.path().join(name));
    let polite = polite::start(OnOtherVersion::Leaves).to_string();
    let run = |files: &[&str], out: Stdio| {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_amqp-conformance"));
        let tool = tool.args(["server", &polite, "--node", "q", "--only", PASSES]).args(files).stdout(out);
        tool.output().expect("the tool runs")
    };
    let full = || fs::File::options().write(true).open("/dev/full").expect("a full disk");
    let output = run(&["--json", path(&json)], full().into());
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("standard output: No space"), "{}", text(&output.stderr));
    Report::from_json(&fs::read(&json).expect("it was written")).expect("it is a report");
    let output = run(&["--json", "/dev/full", "--junit", path(&junit), "--html", path(&html)], Stdio::piped());
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("/dev/full: No space"), "{}", text(&output.stderr));
    assert!(junit.exists() && html.exists());
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
fn a_baseline_of_the_other_role_is_refused() {
    let directory = TempDir::new().expect("a folder");
    let [json, client] = ["server.json", "client.json"].map(|name| directory.path().join(name));
    let polite = polite::start(OnOtherVersion::Leaves);
    assert_eq!(code(&server(polite, &["--only", PASSES, "--json", path(&json)])), 0);
    let refused = error(&tool(&["client", "--only", PASSES, "--baseline", path(&json), "--", "no-such-program"]), 2);
    assert!(refused.contains("server.json: the baseline is the report of a server, not of a client"), "{refused}");
    // The role of the cases is what counts as well.
    let report = fs::read_to_string(&json).expect("it was written");
    fs::write(&client, report.replacen("\"role\": \"server\"", "\"role\": \"client\"", 1)).expect("it is written");
    let refused = error(&server(polite, &["--only", PASSES, "--baseline", path(&client)]), 2);
    assert!(refused.contains("client.json: the baseline is the report of a client, not of a server"), "{refused}");
}

#[test]
fn a_node_that_is_given_twice_is_refused() {
    let polite = polite::start(OnOtherVersion::Leaves);
    for jobs in ["1", "2", "3"] {
        let refused = error(&server(polite, &["--only", PASSES, "--node", "p", "--node", "q", "--jobs", jobs]), 2);
        assert!(refused.contains("the node \"q\" is given twice"), "{refused}");
    }
}

#[test]
fn a_secret_in_a_command_is_not_in_an_error() {
    let refused = error(&tool(&["client", "--only", PASSES, "--", "PASSWORD=open-sesame", "driver"]), 3);
    assert!(refused.contains("cannot be run") && !refused.contains("sesame"), "{refused}");
}

#[test]
fn sums_of_reports_that_others_have_made_do_not_overflow() {
    let directory = TempDir::new().expect("a folder");
    let [json, large, page] = ["a.json", "b.json", "page.html"].map(|name| directory.path().join(name));
    let polite = polite::start(OnOtherVersion::Leaves);
    assert_eq!(code(&server(polite, &["--only", PASSES, "--json", path(&json)])), 0);
    let report = fs::read_to_string(&json).expect("it was written");
    let report = report.replacen("\"withheld\": 0", &format!("\"withheld\": {}", u64::MAX), 1);
    fs::write(&large, report).expect("it is written");
    let merge = ["report", "merge", path(&large), path(&large), "--withhold", "--html", path(&page)];
    let merged = tool(&merge);
    assert_eq!(code(&merged), 0, "{}", text(&merged.stderr));
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

#[test]
fn a_login_that_is_refused_names_the_user_and_the_code() {
    let lets_in = LetsIn::ByScram(ScramHash::Sha256, PASSWORD);
    let address = polite::start_for(lets_in, OnOtherVersion::Leaves).to_string();
    let login = ["--user", "guest", "--password", "wrong", "--patience", "30", "--only", PASSES];
    let refused = error(&tool(&[&["server", &address, "--node", "q"][..], &login].concat()), 3);
    assert!(refused.contains("the login of user \"guest\" was refused (SASL code auth)"), "{refused}");
    assert!(!refused.contains("cannot be reached"), "{refused}");
}

#[test]
fn what_cannot_be_reached_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let free = listener.local_addr().expect("its address");
    drop(listener);
    let server = error(&server(free, &["--only", PASSES]), 3);
    assert!(server.contains(&free.to_string()), "{server}");
    let client = error(&tool(&["client", "--only", "T-2.2", "--", "no-such-program", "x"]), 3);
    assert!(client.contains("\"no-such-program\" cannot be run"), "{client}");
}

#[test]
fn a_peer_without_tls_or_web_socket_is_told_as_such() {
    let polite = polite::start(OnOtherVersion::Leaves);
    let tls = error(&server(polite, &["--only", PASSES, "--tls", "--insecure"]), 3);
    assert!(tls.contains("the peer does not speak TLS there"), "{tls}");
    let ws = error(&server(polite, &["--only", PASSES, "--ws"]), 3);
    assert!(ws.contains("the peer does not speak WebSocket there"), "{ws}");
}

#[test]
fn what_a_command_lacks_is_said_with_the_profiles_that_have_it() {
    for arguments in [&["server"][..], &["server", "127.0.0.1:1"]] {
        let lacks = error(&tool(arguments), 2);
        assert!(lacks.contains("--profile") && lacks.contains("rabbitmq4"), "{lacks}");
    }
    let dry = tool(&["server", "--dry-run", "--only", PASSES]);
    assert_eq!((code(&dry), text(&dry.stdout).starts_with(PASSES)), (0, true), "{}", text(&dry.stderr));
    let unknown = error(&tool(&["server", "--profile", "nonsense"]), 2);
    assert_eq!(unknown.matches("nonsense").count(), 1, "{unknown}");
}

#[test]
fn cases_that_have_to_be_asked_for_say_how() {
    for (only, needs) in [("hostile", "--robustness"), ("slow", "--slow"), ("strict", "--level strict")] {
        let hint = error(&tool(&["server", "--dry-run", "--only", only]), 2);
        assert!(hint.contains(needs), "{only}: {hint}");
    }
    let polite = polite::start(OnOtherVersion::Leaves);
    let row = error(&server(polite, &["--repro", "T-2.4.1-1"]), 2);
    assert!(row.contains("T-2.4.1-1/begin"), "{row}");
}

#[test]
fn what_matches_nothing_is_warned_of() {
    let directory = TempDir::new().expect("a folder");
    let expected = directory.path().join("expected.toml");
    fs::write(&expected, "[[expected]]\ncase = 'T-99'\nreason = 'a slip'\n").expect("it is written");
    let dry = tool(&["server", "--dry-run", "--exclude", "BOGUS", "--expected", path(&expected)]);
    let warnings = text(&dry.stderr);
    assert!(warnings.contains("BOGUS selects no case of a server") && warnings.contains("\"T-99\""), "{warnings}");
    let baseline = error(&server(([127, 0, 0, 1], 1).into(), &["--baseline", path(&expected)]), 2);
    assert!(baseline.contains("it is not a report (JSON)"), "{baseline}");
    let place = error(&tool(&["client", "--", "node", "driver.js", "{addr}"]), 2);
    assert!(place.contains("{addr} is not known: use {url}, {address}"), "{place}");
}

#[test]
fn an_unfinished_frame_is_no_success() {
    let directory = TempDir::new().expect("a folder");
    let input = directory.path().join("frames");
    fs::write(&input, "414d515000010000 0000000c0200").expect("it is written");
    let output = tool(&["decode", path(&input)]);
    assert_eq!(code(&output), 1);
    assert!(text(&output.stdout).starts_with("header AMQP\n"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("ends within a frame, after 6 of its octets"), "{}", text(&output.stderr));
}
