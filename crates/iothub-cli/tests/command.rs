//! The `iothub` command as a person or a script meets it.
#![allow(missing_docs)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

fn iothub() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iothub"));
    command.env_remove("IOTHUB_CONNECTION_STRING").env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    iothub().args(arguments).output().expect("the command runs")
}

fn last_json(output: &Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default()).expect("a last line of JSON")
}

/// One plain sentence, and a code that is not zero.
fn refused(output: &Output) -> String {
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    text
}

#[test]
fn the_demo_balances_its_ledger() {
    let output = run(&["demo", "--devices", "4", "--messages", "120", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let ledger = last_json(&output);
    assert_eq!(ledger["event"], "ledger");
    assert_eq!(ledger["balanced"], true);
    assert_eq!(
        (&ledger["sent"], &ledger["feedback"], &ledger["telemetry_read"]),
        (&120.into(), &120.into(), &120.into())
    );
    assert_eq!((&ledger["rejected"], &ledger["abandoned"]), (&12.into(), &17.into()));
    for counted in ["methods_called", "methods_answered", "twins_reported", "twins_read"] {
        assert_eq!(ledger[counted], 4, "{counted}");
    }
}

#[test]
fn one_device_takes_more_messages_than_the_hub_holds_for_it() {
    let output = run(&["demo", "--devices", "1", "--messages", "130", "--json"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(last_json(&output)["sent"], 130);
}

#[test]
fn a_message_that_the_hub_loses_is_noticed() {
    let output = run(&["demo", "--messages", "30", "--lose", "1", "--patience", "2", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let ledger = last_json(&output);
    assert_eq!(ledger["balanced"], false);
    assert_eq!((&ledger["sent"], &ledger["feedback"]), (&30.into(), &29.into()));
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
}

/// Ten moments from before the hub is up to the middle of the traffic: whatever was acknowledged is accounted for.
#[cfg(unix)]
#[test]
fn ctrl_c_at_any_moment_loses_nothing_that_was_acknowledged() {
    for moment in 0..10u64 {
        let mut child = iothub()
            .args(["demo", "--devices", "5", "--messages", "100000", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let mut output = BufReader::new(child.stdout.take().expect("a piped output"));
        // Once the hub has spoken, the moments are spread over what follows.
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        std::thread::sleep(Duration::from_millis(moment * 37));
        interrupt(&child);
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("text");
        let status = child.wait().expect("an end");
        let ledger: serde_json::Value =
            serde_json::from_str(rest.lines().last().unwrap_or_default()).expect("a last line of JSON");
        assert!(status.success(), "moment {moment}: {ledger}");
        assert_eq!(ledger["balanced"], true, "moment {moment}: {ledger}");
        assert_eq!(ledger["interrupted"], true, "moment {moment}: {ledger}");
    }
}

/// An emulator that runs until it is dropped, and what it said when it was ready.
struct Hub {
    child: Child,
    ready: serde_json::Value,
}

impl Hub {
    fn start(more: &[&str]) -> Self {
        Self::start_with(more, Stdio::inherit())
    }

    fn start_with(more: &[&str], errors: Stdio) -> Self {
        let mut child = iothub()
            .args(["emulator", "--listen", "127.0.0.1:0", "--json", "--device", "dev1=ZGV2aWNlLWtleS1vZi1kZXYx"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the command runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a piped output")).read_line(&mut line).expect("a line");
        Self { child, ready: serde_json::from_str(&line).expect("JSON") }
    }

    fn text(&self, key: &str) -> &str {
        self.ready[key].as_str().expect("text")
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn the_ready_line_names_the_https_address_and_why_it_is_not_the_usual_port() {
    let hub = Hub::start(&["--https-listen", "127.0.0.1:0"]);
    let address: std::net::SocketAddr = hub.text("https").parse().expect("an address");
    std::net::TcpStream::connect(address).expect("it is served");
    assert!(hub.ready["https_note"].is_null());
    let python = hub.ready["https_policies"]["service"].as_str().expect("text");
    assert!(python.starts_with(&format!("HostName=localhost:{};", address.port())), "{python}");
    let other = Hub::start(&[]);
    let address: std::net::SocketAddr = other.text("https").parse().expect("an address");
    std::net::TcpStream::connect(address).expect("it is served");
    assert_eq!(other.ready["https_note"].is_null(), address.port() == 443, "{}", other.ready);
}

#[test]
fn messages_feedback_and_telemetry_pass_between_commands() {
    let hub = Hub::start(&["--partitions", "1"]);
    let (service, ca) = (hub.text("service_connection_string"), hub.text("ca"));
    let device = hub.ready["devices"][0]["connection_string"].as_str().expect("text");
    let sent = iothub()
        .args(["c2d", "send", "--device", "dev1", "--body", "hello", "--message-id", "m1", "--ca", ca, "--json"])
        .env("IOTHUB_CONNECTION_STRING", service)
        .output()
        .expect("the command runs");
    assert!(sent.status.success(), "{sent:?}");

    let mut simulate = iothub()
        .args([
            "device",
            "simulate",
            "--connection-string",
            "-",
            "--ca",
            ca,
            "--json",
            "--count",
            "3",
            "--interval",
            "300",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command runs");
    simulate.stdin.take().expect("a piped input").write_all(device.as_bytes()).expect("written");
    let simulated = simulate.wait_with_output().expect("an end");
    let text = String::from_utf8_lossy(&simulated.stdout);
    assert!(simulated.status.success() && text.contains(r#""settled":"completed""#), "{text}");

    let monitored = run(&[
        "telemetry",
        "monitor",
        "--connection-string",
        service,
        "--ca",
        ca,
        "--json",
        "--partition",
        "0",
        "--from",
        "start",
        "--count",
        "3",
    ]);
    assert!(monitored.status.success(), "{monitored:?}");
    assert_eq!(last_json(&monitored)["device"], "dev1");
}

/// Events of the hub itself, read by a consumer group that was asked for.
#[test]
fn a_consumer_group_and_events_that_were_asked_for_are_there() {
    let hub = Hub::start(&["--partitions", "1", "--consumer-group", "g", "--events", "lifecycle"]);
    let (service, ca) = (hub.text("service_connection_string"), hub.text("ca"));
    let owner = hub.ready["policies"]["iothubowner"].as_str().expect("text");
    let https: std::net::SocketAddr = hub.text("https").parse().expect("an address");
    let port = https.port().to_string();
    let create = ["registry", "create", "--device", "new", "--connection-string", owner, "--ca", ca];
    let created = iothub().args(create).args(["--https-port", &port, "--json"]).output().expect("the command runs");
    assert!(created.status.success(), "{created:?}");
    let monitor = |group: &str| {
        let from = ["telemetry", "monitor", "--connection-string", service, "--ca", ca, "--json"];
        let group = ["--from", "start", "--count", "1", "--consumer-group", group];
        iothub().args(from).args(group).output().expect("the command runs")
    };
    let monitored = monitor("g");
    assert!(monitored.status.success(), "{monitored:?}");
    let event = last_json(&monitored);
    assert_eq!((&event["source"], &event["device"]), (&"deviceLifecycleEvents".into(), &"new".into()), "{event}");
    refused(&monitor("h"));
}

#[test]
fn an_emulator_says_whom_it_refuses_without_being_asked() {
    let mut hub = Hub::start_with(&[], Stdio::piped());
    let service = hub.text("service_connection_string").to_owned();
    refused(&run(&["c2d", "send", "--device", "dev1", "--body", "x", "--connection-string", &service]));
    let mut line = String::new();
    BufReader::new(hub.child.stderr.take().expect("a piped output")).read_line(&mut line).expect("a line");
    for part in ["WARN", "connection refused", "from=127.0.0.1:", "does not trust the certificate"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains('\u{1b}'), "{line:?}");
}

#[test]
fn a_kept_authority_stays_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let first = std::fs::read(Hub::start(&["--ca-dir", path]).text("ca")).expect("a certificate");
    let second = std::fs::read(Hub::start(&["--ca-dir", path]).text("ca")).expect("a certificate");
    assert_eq!(first, second);
}

/// The ready line is there only when signals are caught, and nothing stays behind.
#[cfg(unix)]
#[test]
fn a_signal_right_after_the_ready_line_ends_the_emulator_in_order() {
    for signal in ["-INT", "-TERM"] {
        let mut hub = Hub::start(&[]);
        let ca = std::path::PathBuf::from(hub.text("ca"));
        assert!(ca.exists());
        let pid = hub.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
        let status = hub.child.wait().expect("an end");
        assert!(status.success(), "{signal}: {status}");
        assert!(!ca.parent().expect("a folder").exists(), "the temporary folder is gone");
    }
}

/// Runs an emulator until it has told its whole story in text.
fn story(more: &[&str]) -> String {
    let arguments = ["emulator", "--listen", "127.0.0.1:0", "--https-listen", "127.0.0.1:0"];
    let mut child = iothub().args(arguments).args(more).stdout(Stdio::piped()).spawn().expect("the command runs");
    let mut story = String::new();
    for line in BufReader::new(child.stdout.take().expect("a piped output")).lines() {
        let line = line.expect("a line");
        story.push_str(&line);
        story.push('\n');
        if line.starts_with("Ctrl-C") {
            break;
        }
    }
    child.kill().expect("killed");
    child.wait().expect("an end");
    story
}

#[test]
fn the_story_shows_a_connection_string_for_each_client() {
    let thumbprint = format!("dev2=x509:{}", "a1".repeat(20));
    let story = story(&["--device", "dev1=ZGV2aWNlLWtleS1vZi1kZXYx", "--device", &thumbprint]);
    for part in [
        "Service, policy service (telemetry, messages, twins, methods and queries): HostName=localhost:",
        ";SharedAccessKeyName=iothubowner;SharedAccessKey=",
        ";SharedAccessKeyName=registryReadWrite;SharedAccessKey=",
        "Service over HTTPS, for Python, policy service: HostName=localhost:",
        "Service over HTTPS, for Python, policy iothubowner: HostName=localhost:",
        "Service over HTTPS, for Python, policy registryReadWrite: HostName=localhost:",
        "telemetry): Endpoint=sb://localhost:",
        "Device dev1: HostName=localhost:",
        "Device dev1, for Java, whose SDK refuses a host name without a dot: HostName=127.0.0.1:",
        ";DeviceId=dev2;x509=true",
        "no other port than 5671",
    ] {
        assert!(story.contains(part), "{part}: {story}");
    }
    let after = |text: &str, start: &str| {
        let (_, rest) = text.split_once(start).expect("the start");
        rest.split(|c: char| !c.is_ascii_digit()).next().expect("a port").to_owned()
    };
    let https = after(&story, "over WebSockets) on 127.0.0.1:");
    assert_eq!(after(&story, "for Python, policy service: HostName=localhost:"), https, "{story}");
    assert_ne!(after(&story, "methods and queries): HostName=localhost:"), https, "{story}");
    let named = self::story(&["--hostname", "hub.example", "--device", "dev1=ZGV2aWNlLWtleS1vZi1kZXYx"]);
    assert!(!named.contains("for Java"), "{named}");
}

#[test]
fn many_starts_at_once_share_one_kept_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca");
    let path = path.to_str().expect("UTF-8");
    let mut children: Vec<Child> = (0..12)
        .map(|_| {
            let arguments = ["emulator", "--listen", "127.0.0.1:0", "--json", "--ca-dir", path];
            iothub().args(arguments).stdout(Stdio::piped()).spawn().expect("the command runs")
        })
        .collect();
    let mut certificates = Vec::new();
    for child in &mut children {
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a piped output")).read_line(&mut line).expect("a line");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("a ready line");
        certificates.push(std::fs::read(ready["ca"].as_str().expect("text")).expect("a certificate"));
    }
    for child in &mut children {
        child.kill().expect("killed");
        child.wait().expect("an end");
    }
    assert!(certificates.iter().all(|certificate| *certificate == certificates[0]));
}

#[test]
fn what_is_wrong_is_one_plain_sentence() {
    let hub = Hub::start(&[]);
    let (service, ca) = (hub.text("service_connection_string"), hub.text("ca"));
    let send = ["c2d", "send", "--device", "dev1", "--body", "x"];
    let with = |string: &str, ca: Option<&str>, plain: bool| {
        let mut command = iothub();
        command.args(send).args(["--connection-string", string]);
        if let Some(ca) = ca {
            command.args(["--ca", ca]);
        }
        if plain {
            command.args(["--auth", "plain"]);
        }
        refused(&command.output().expect("the command runs"))
    };

    assert!(refused(&run(&send)).contains("no connection string"));
    assert!(with("HostName=localhost;SharedAccessKeyName=service", None, false).contains("SharedAccessKey"));
    assert!(with("nonsense", None, false).contains("connection string"));
    let (head, _) = service.rsplit_once("SharedAccessKey=").expect("a key");
    let wrong = format!("{head}SharedAccessKey=d3Jvbmcta2V5LXdyb25nLWtleQ==");
    for plain in [false, true] {
        let sentence = with(&wrong, Some(ca), plain);
        assert!(!sentence.contains("d3Jvbmcta2V5"), "{sentence}");
    }
    assert!(with(service, None, false).to_lowercase().contains("certificate"));

    let unknown = iothub()
        .args(["c2d", "send", "--device", "nobody", "--body", "x", "--connection-string", service, "--ca", ca])
        .output()
        .expect("the command runs");
    refused(&unknown);

    drop(std::net::TcpListener::bind("127.0.0.1:0"));
    let closed = "HostName=localhost:1;SharedAccessKeyName=service;SharedAccessKey=d3Jvbmcta2V5LXdyb25nLWtleQ==";
    refused(&iothub().args(send).args(["--connection-string", closed, "--ca", ca]).output().expect("the command runs"));
}

#[test]
fn a_key_without_its_name_is_shown_nowhere() {
    const KEY: &str = "c2VjcmV0LWtleS1vZi1kZXYxIQ==";
    let equals = format!("--policy={KEY}");
    for arguments in [
        &["emulator", "--policy", KEY][..],
        &["emulator", "--device", KEY],
        &["emulator", &equals],
        &["emulator", KEY],
        &["emulator", "--listen", KEY],
        &["c2d", "send", KEY],
        &[KEY],
    ] {
        let mut command = iothub();
        // Without this the emulator would serve, if it took the key for a name.
        command.env("RUST_LOG", "trace").args(arguments);
        if arguments[0] == "emulator" && !arguments.contains(&"--listen") {
            command.args(["--listen", "192.0.2.1:1"]);
        }
        let output = command.output().expect("the command runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(text);
            assert!(!text.contains(KEY.trim_end_matches('=')), "{arguments:?}: {text}");
        }
    }
}
