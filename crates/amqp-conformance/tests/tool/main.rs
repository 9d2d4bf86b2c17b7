//! The tool as its users run it.

mod hostile;
mod mistakes;
mod polite;
mod secrets;

use amqp_conformance::{
    Case, Check, Options, Outcome, Report, Verdict,
    run::{Runner, Selection},
    server::{ServerTarget, Sheet},
};
use amqp1_auth::sasl::scram::ScramHash;
use polite::{LetsIn, OnOtherVersion};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Output},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PASSWORD: &str = "open-sesame";

fn tool(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amqp-conformance"));
    command.args(arguments).output().expect("the tool runs")
}

fn server(address: SocketAddr, arguments: &[&str]) -> Output {
    tool(&[&["server", &address.to_string(), "--node", "q", "--patience", "1"], arguments].concat())
}

/// Runs several times at once: a run waits for silence most of the time.
fn at_once<const N: usize>(runs: [&(dyn Fn() -> Output + Sync); N]) -> [Output; N] {
    thread::scope(|scope| runs.map(|run| scope.spawn(run)).map(|run| run.join().expect("a run")))
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not ended by a signal")
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// A case that fails where nothing is refused, and one that the polite server passes.
const FAILS: &str = "T-2.5.1-3";
const PASSES: &str = "T-2.2-1";
/// A case that logs in.
const LOGS_IN: &str = "T-2.4.1-1/begin";

#[test]
fn exit_codes_tell_how_a_run_has_ended() {
    let (polite, dead) = (polite::start(OnOtherVersion::Leaves), polite::start(OnOtherVersion::Dies));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let free = listener.local_addr().expect("its address");
    drop(listener);
    let [passed, failed, tolerated, unknown, crashed, unreachable] = at_once([
        &|| server(polite, &["--only", PASSES]),
        &|| server(polite, &["--only", FAILS]),
        &|| server(polite, &["--only", FAILS, "--fail-on", "crashed"]),
        &|| server(polite, &["--only", "no-such-case"]),
        &|| server(dead, &["--only", "T-2.2", "--fail-on", "crashed"]),
        &|| server(free, &["--only", PASSES]),
    ]);
    assert_eq!(code(&passed), 0, "{}", text(&passed.stdout));
    assert_eq!(code(&failed), 1, "{}", text(&failed.stdout));
    assert_eq!(code(&tolerated), 0);
    assert_eq!(code(&unknown), 2);
    assert_eq!(code(&tool(&["server"])), 2);
    assert_eq!(code(&crashed), 4, "{}", text(&crashed.stdout));
    assert_eq!(code(&unreachable), 3, "{}", text(&unreachable.stderr));
}

#[test]
fn a_node_with_messages_is_refused_unless_it_may_be_purged() {
    let address = polite::start_with(3);
    for _ in 0..2 {
        let refused = server(address, &["--only", PASSES]);
        assert_eq!((code(&refused), refused.stdout.is_empty()), (2, true), "{}", text(&refused.stderr));
        assert!(text(&refused.stderr).contains("--purge"), "{}", text(&refused.stderr));
    }
    let purged = server(address, &["--only", PASSES, "--purge"]);
    assert_eq!(code(&purged), 0, "{}", text(&purged.stderr));
    let empty = server(address, &["--only", PASSES]);
    assert_eq!(code(&empty), 0, "{}", text(&empty.stderr));
}

#[test]
fn a_server_that_is_started_again_is_judged_to_the_end() {
    const DIES_OF: &str = "T-2.2-5/1-0-1";
    const AFTER: &str = "T-2.4.3-1/answer";
    let directory = TempDir::new().expect("a folder");
    let [one, other] = ["one.json", "other.json"].map(|name| directory.path().join(name));
    let run = |json: &Path, options: &[&str]| {
        let returns = polite::start(OnOtherVersion::DiesAndReturns);
        let only = format!("{DIES_OF},{AFTER}");
        server(returns, &[&["--only", &only, "--json", path(json)], options].concat())
    };
    let outputs = at_once([&|| run(&one, &["--jobs", "1"]), &|| run(&other, &["--keep-going"])]);
    for (output, json) in outputs.iter().zip([&one, &other]) {
        assert_eq!(code(output), 4, "{}", text(&output.stdout));
        let report = Report::from_json(&fs::read(json).expect("it was written")).expect("it is a report");
        let verdict = |id| report.cases.iter().find(|case| case.id == id).map(|case| case.outcome.verdict);
        assert!(matches!(verdict(DIES_OF), Some(Verdict::Crashed | Verdict::Hung)), "{}", text(&output.stdout));
        assert_eq!(verdict(AFTER), Some(Verdict::Pass), "{}", text(&output.stdout));
    }
}

#[test]
fn an_expected_failure_does_not_change_the_exit_code() {
    let directory = TempDir::new().expect("a folder");
    let expected = directory.path().join("expected.toml");
    fs::write(&expected, format!("[[expected]]\ncase = '{FAILS}'\nreason = 'it is polite'\n")).expect("it is written");
    let polite = polite::start(OnOtherVersion::Leaves);
    let output = server(polite, &["--only", FAILS, "--expected", path(&expected)]);
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("expected: it is polite"));
    let output = server(polite, &["--only", PASSES, "--expected", "/no/such/file"]);
    assert_eq!((code(&output), output.stdout.is_empty()), (2, true));
}

fn path(path: &Path) -> &str {
    path.to_str().expect("it is text")
}

#[test]
fn a_password_is_in_nothing_that_is_written() {
    let directory = TempDir::new().expect("a folder");
    let file = |name: &str| directory.path().join(name);
    let polite = polite::start(OnOtherVersion::Leaves);
    let login = ["--user", "me", "--password", PASSWORD];
    let [json, junit, html] = ["r.json", "r.xml", "r.html"].map(file);
    let files = ["--json", path(&json), "--junit", path(&junit), "--html", path(&html)];
    let [run, repro] = at_once([
        &|| server(polite, &[&login[..], &files, &["--verbose", "--only", "T-2.4.1,S-plain"]].concat()),
        &|| server(polite, &[&login[..], &["--repro", LOGS_IN]].concat()),
    ]);
    let script = file("script");
    fs::write(&script, &repro.stdout).expect("it is written");
    assert!(text(&repro.stdout).contains("{password:11}"), "{}", text(&repro.stdout));
    let replay = server(polite, &[&login[..], &["--replay", path(&script)]].concat());
    assert_eq!(code(&replay), 0, "{}{}", text(&replay.stdout), text(&replay.stderr));
    assert!(text(&replay.stdout).contains("sasl-init mechanism=PLAIN"));
    assert!(text(&replay.stdout).ends_with("as in the script\n"), "{}", text(&replay.stdout));
    let without = server(polite, &["--replay", path(&script)]);
    assert_eq!(code(&without), 2, "{}", text(&without.stderr));
    let mut written = vec![run.stdout, run.stderr, repro.stdout, repro.stderr, replay.stdout, replay.stderr];
    written.extend([json, junit, html].map(|path| fs::read(path).expect("it was written")));
    let hex: String = PASSWORD.bytes().map(|octet| format!("{octet:02x}")).collect();
    for octets in &written {
        let text = text(octets);
        assert!(!text.contains(PASSWORD) && !text.contains(&hex), "{text}");
    }
    let report = Report::from_json(&fs::read(directory.path().join("r.json")).expect("it was written"));
    let report = report.expect("it is a report");
    assert!(report.cases.iter().any(|case| case.wire.iter().flatten().any(|entry| entry.hex.contains(".."))));
}

/// Judges two cases on a server that offers this SCRAM alone, with an account. The keys take the time that they take.
fn by_scram(hash: ScramHash, arguments: &[&str]) -> Output {
    let polite = polite::start_for(LetsIn::ByScram(hash, PASSWORD), OnOtherVersion::Leaves).to_string();
    let run = ["server", &polite, "--node", "q", "--patience", "30", "--timeout", "200", "--user", "u", "--verbose"];
    tool(&[&run[..], &["--only", LOGS_IN, "--only", "S-scram-1/login"], arguments].concat())
}

#[test]
fn s_scram_1_the_tool_logs_in_by_scram_where_plain_is_not_offered() {
    let [sha_1, sha_256, sha_512] = ScramHash::ALL.map(|hash| move || by_scram(hash, &["--password", PASSWORD]));
    for output in at_once([&sha_1, &sha_256, &sha_512]) {
        let shown = text(&output.stdout);
        assert_eq!(code(&output), 0, "{shown}{}", text(&output.stderr));
        for passed in [LOGS_IN, "S-scram-1/login"] {
            let is_passed = |line: &str| line.contains("pass") && line.contains(passed);
            assert!(shown.lines().any(is_passed), "{shown}");
        }
    }
}

#[test]
fn s_scram_1_the_tool_logs_in_by_the_mechanism_that_is_named() {
    let hash = ScramHash::Sha256;
    let named = |mechanism, password| code(&by_scram(hash, &["--password", password, "--mechanism", mechanism]));
    assert_eq!(named(hash.mechanism(), PASSWORD), 0);
    assert_eq!(named(hash.mechanism(), "not the password"), 3);
    assert_eq!(named("EXTERNAL", PASSWORD), 2);
}

#[test]
fn a_script_tells_where_the_peer_answers_otherwise() {
    let directory = TempDir::new().expect("a folder");
    let script = directory.path().join("script");
    let text_of_script = "amqp-conformance-script 1\nrole server\n1 connect\n1 send 414d515000010000\n\
                          1 expect sasl-mechanisms\n1 leave\n";
    fs::write(&script, text_of_script).expect("it is written");
    let output = server(polite::start(OnOtherVersion::Leaves), &["--replay", path(&script)]);
    assert_eq!(code(&output), 1);
    let shown = text(&output.stdout);
    assert!(shown.contains("connection 1: sasl-mechanisms in the script, now header AMQP"), "{shown}");
}

#[test]
fn a_baseline_shows_only_what_has_changed() {
    let directory = TempDir::new().expect("a folder");
    let json = directory.path().join("old.json");
    let polite = polite::start(OnOtherVersion::Leaves);
    assert_eq!(code(&server(polite, &["--only", FAILS, "--json", path(&json)])), 1);
    let [same, other] = at_once([&|| server(polite, &["--only", FAILS, "--baseline", path(&json)]), &|| {
        server(polite, &["--only", PASSES, "--baseline", path(&json)])
    }]);
    assert_eq!(code(&same), 0, "it failed before too");
    assert!(text(&same.stdout).contains("nothing has changed"));
    assert!(text(&other.stdout).contains(&format!("new → pass  {PASSES}")), "{}", text(&other.stdout));
}

#[test]
fn reports_of_several_peers_become_one_page() {
    let directory = TempDir::new().expect("a folder");
    let json = directory.path().join("a.json");
    let polite = polite::start(OnOtherVersion::Leaves);
    server(polite, &["--only", PASSES, "--peer-name", "Polite <1>", "--json", path(&json)]);
    let output = tool(&["report", "merge", path(&json), path(&json)]);
    assert!(text(&output.stderr).contains("two reports are of \"Polite <1>\""), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).matches("<th>Polite &lt;1&gt;</th>").count(), 2);
}

#[test]
fn a_dry_run_connects_to_nothing() {
    let output = server(([127, 0, 0, 1], 1).into(), &["--dry-run", "--only", PASSES]);
    assert_eq!(code(&output), 0);
    assert!(text(&output.stdout).starts_with(PASSES), "{}", text(&output.stdout));
}

#[test]
fn profiles_are_named_with_their_role_and_printed() {
    let names = tool(&["list", "--profiles"]);
    assert_eq!(code(&names), 0);
    let names = text(&names.stdout);
    assert!(names.contains("server rabbitmq4\n") && names.contains("client rhea\n"), "{names}");
    let printed = tool(&["list", "--profiles", "rabbitmq4"]);
    assert_eq!(printed.stdout, include_bytes!("../../profiles/rabbitmq4.toml"));
    let unknown = tool(&["list", "--profiles", "rabbit"]);
    assert_eq!(code(&unknown), 2);
    assert!(text(&unknown.stderr).contains("rabbitmq4"), "{}", text(&unknown.stderr));
}

#[test]
fn list_and_dry_run_have_the_same_order() {
    const ONLY: [&str; 2] = ["--only", "Y-1.1.2,T-2.4.1,T-2.4.6"];
    let listed = text(&tool(&[&["list"], &ONLY[..]].concat()).stdout);
    let mut listed: Vec<_> = listed.lines().filter_map(|line| line.strip_prefix("server ")).collect();
    assert!(listed[0].starts_with("Y-1.1.2-1/smallulong "), "{}", listed[0]);
    let dry = tool(&[&["server", "x:1", "--node", "q", "--dry-run"], &ONLY[..]].concat());
    let dry = text(&dry.stdout);
    let dry: Vec<_> = dry.lines().collect();
    assert!(dry.len() > 2, "{dry:?}");
    // A dry run leaves out what has to be asked for.
    listed.retain(|line| dry.contains(line));
    assert_eq!(listed, dry);
}

#[test]
fn every_case_can_be_explained() {
    let output = tool(&["list", "--explain", PASSES]);
    assert!(text(&output.stdout).contains("wants"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("severity  must\n"), "{}", text(&output.stdout));
    assert_eq!(code(&tool(&["list", "--explain", "nothing"])), 2);
    assert_eq!(code(&tool(&["list", "--coverage"])), 0);
}

#[test]
fn jobs_need_a_node_each_and_have_the_same_result() {
    let polite = polite::start(OnOtherVersion::Leaves);
    let output = server(polite, &["--only", "T-2.2", "--jobs", "2"]);
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("2 jobs need 2 nodes, and there are 1"), "{}", text(&output.stderr));
    let summary = |output: &Output| text(&output.stdout).lines().last().map(String::from);
    let [one, two] = at_once([&|| server(polite, &["--only", "T-2.2,T-2.4.1"]), &|| {
        server(polite, &["--only", "T-2.2,T-2.4.1", "--jobs", "2", "--node", "q2"])
    }]);
    assert_eq!(summary(&one), summary(&two));
}

#[test]
fn a_run_is_a_function_of_the_library() {
    let target = ServerTarget::new(polite::start(OnOtherVersion::Leaves), "q");
    let selection = Selection { only: vec![PASSES.parse().expect("a selector")], ..Selection::default() };
    let report = amqp_conformance::run(target, &Options { selection, ..Options::default() }).expect("it runs");
    assert_eq!(report.count(Verdict::Pass), 1, "{report}");
}

/// A case that waits again after each time-out, without end.
static ENDLESS: Case = Case {
    id: "T-2.2-1/endless",
    check: Check::Server(|trial| {
        let mut connection = trial.connected()?;
        loop {
            connection.next();
        }
    }),
    ..Case::SERVER
};
/// A case that does nothing, without end.
static STUCK: Case = Case {
    id: "T-2.2-1/stuck",
    check: Check::Server(|_| {
        loop {
            thread::park();
        }
    }),
    ..Case::SERVER
};
/// A case that is over at once.
static SHORT: Case = Case { id: "T-2.2-1/short", check: Check::Server(|_| Ok(Outcome::pass())), ..Case::SERVER };

#[test]
fn a_case_that_exceeds_its_time_fails_and_the_run_goes_on() {
    let target = Arc::new(ServerTarget::new(polite::start(OnOtherVersion::Leaves), "q").into());
    let mut runner = Runner::new(target, Arc::new(Sheet::default()), false, Duration::from_millis(100));
    let start = Instant::now();
    for case in [&ENDLESS, &STUCK] {
        let result = runner.run(case);
        assert_eq!(result.outcome.verdict, Verdict::Fail, "{}", case.id);
        assert!(result.outcome.reason.contains("not over within 100ms"), "{}", result.outcome.reason);
    }
    assert_eq!(runner.run(&SHORT).outcome.verdict, Verdict::Pass);
    assert!(start.elapsed() < Duration::from_secs(30));
}
