//! The commands over HTTPS as a person or a script meets them.
#![allow(missing_docs)]

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const KEY: &str = "c2VjcmV0LWtleS1vZi10aGUtb3duZXI=";

fn iothub() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iothub"));
    for variable in ["IOTHUB_CONNECTION_STRING", "IOTHUB_HTTPS_PORT", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

/// An emulator that runs until it is dropped, on ports of its own.
struct Hub {
    child: Child,
    string: String,
    ca: String,
    port: String,
}

impl Hub {
    fn start() -> Self {
        let mut child = iothub()
            .args(["emulator", "--listen", "127.0.0.1:0", "--https-listen", "127.0.0.1:0", "--json"])
            .args(["--device", "dev1=ZGV2aWNlLWtleS1vZi1kZXYx", "--policy", &format!("iothubowner={KEY}")])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a piped output")).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let text = |key: &str| ready[key].as_str().expect("text").to_owned();
        let service = text("service_connection_string");
        let (host, _) = service.split_once(';').expect("a host");
        let string = format!("{host};SharedAccessKeyName=iothubowner;SharedAccessKey={KEY}");
        let port = text("https").rsplit_once(':').expect("a port").1.to_owned();
        Self { child, string, ca: text("ca"), port }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = iothub();
        command.args(arguments).args(["--ca", &self.ca, "--https-port", &self.port]);
        command.env("IOTHUB_CONNECTION_STRING", &self.string);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).arg("--json").output().expect("the command runs")
    }

    /// What a command that succeeds prints, a line each.
    fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn line(&self, arguments: &[&str]) -> Value {
        let mut lines = self.lines(arguments);
        assert_eq!(lines.len(), 1, "{arguments:?}: {lines:?}");
        lines.remove(0)
    }

    /// A device or a module of it that runs until it is killed, with its own connection string.
    fn simulate(&self, module: Option<&str>) -> Child {
        let mut show = vec!["registry", "show", "--device", "dev1", "--keys"];
        show.extend(module.into_iter().flat_map(|module| ["--module", module]));
        let shown = self.line(&show);
        let string = shown["connection_string"].as_str().expect("text");
        iothub()
            .args(["device", "simulate", "--ca", &self.ca, "--json", "--interval", "50", "--method-status", "201"])
            .env("IOTHUB_CONNECTION_STRING", string)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command runs")
    }

    /// One plain sentence, nothing else, and this code.
    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{arguments:?}: {output:?}");
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(text.trim().lines().count(), 1, "{text}");
        assert!(!text.contains(KEY), "{text}");
        text
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn devices_are_created_listed_shown_and_deleted() {
    let hub = Hub::start();
    let created = hub.line(&["registry", "create", "--device", "new"]);
    assert_eq!((&created["status"], &created["auth_type"]), (&json!("enabled"), &json!("sas")));
    assert_eq!(created.get("primary_key"), None);
    let shown = hub.line(&["registry", "show", "--device", "new", "--keys"]);
    assert_eq!(shown["etag"], created["etag"]);
    let string = shown["connection_string"].as_str().expect("text");
    assert!(
        string.contains("DeviceId=new;SharedAccessKey=")
            && string.ends_with(shown["primary_key"].as_str().expect("a key"))
    );

    let taken = hub.refused(&["registry", "create", "--device", "new"], 1);
    assert!(taken.contains("DeviceAlreadyExists"), "{taken}");
    let thumbprint = "AB".repeat(32);
    let by_certificate = ["--auth-type", "self-signed", "--thumbprint", &thumbprint, "--disabled"];
    let arguments: Vec<_> = ["registry", "create", "--device", "cert"].into_iter().chain(by_certificate).collect();
    let created = hub.line(&arguments);
    assert_eq!((&created["status"], &created["auth_type"]), (&json!("disabled"), &json!("selfSigned")));
    hub.line(&["registry", "create", "--device", "ca", "--auth-type", "certificate-authority"]);
    let keys = ["--primary-key", KEY, "--secondary-key", KEY, "--keys"];
    let arguments: Vec<_> = ["registry", "create", "--device", "given"].into_iter().chain(keys).collect();
    assert_eq!(hub.line(&arguments)["primary_key"], KEY);

    let mut listed: Vec<_> = hub
        .lines(&["registry", "list"])
        .iter()
        .map(|device| device["device"].as_str().expect("text").to_owned())
        .collect();
    listed.sort();
    assert_eq!(listed, ["ca", "cert", "dev1", "given", "new"]);

    let stale = hub.refused(&["registry", "delete", "--device", "new", "--if-match", "x"], 1);
    assert!(stale.contains("PreconditionFailed"), "{stale}");
    assert_eq!(hub.line(&["registry", "delete", "--device", "new"])["event"], "deleted");
    assert!(hub.refused(&["registry", "show", "--device", "new"], 1).contains("DeviceNotFound"));
}

#[test]
fn modules_are_created_listed_shown_and_deleted() {
    let hub = Hub::start();
    let module = ["--device", "dev1", "--module", "m1"];
    let with = |verb: &str, more: &[&'static str]| {
        let arguments: Vec<_> = ["registry", verb].into_iter().chain(module).chain(more.iter().copied()).collect();
        hub.line(&arguments)
    };
    assert_eq!(with("create", &["--auth-type", "none"])["auth_type"], "none");
    assert_eq!(with("show", &[])["module"], "m1");
    assert_eq!(hub.lines(&["registry", "list", "--device", "dev1"]).len(), 1);
    with("delete", &[]);
    assert!(hub.lines(&["registry", "list", "--device", "dev1"]).is_empty());
    let gone = hub.refused(&["registry", "show", "--device", "dev1", "--module", "m1"], 1);
    assert!(gone.contains("ModuleNotFound"), "{gone}");
}

#[test]
fn twins_are_shown_patched_and_watched() {
    let hub = Hub::start();
    let twin = hub.line(&["twin", "get", "--device", "dev1"]);
    assert_eq!((&twin["device"], &twin["desired"]), (&json!("dev1"), &json!({"$version": 1})));
    let mut watching = hub
        .command(&["twin", "watch", "--device", "dev1", "--count", "3", "--interval", "20", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut watched = BufReader::new(watching.stdout.take().expect("a piped output")).lines();
    let mut next = || -> Value { serde_json::from_str(&watched.next().expect("a line").expect("text")).expect("JSON") };
    assert_eq!(next()["version"], twin["version"]);

    let patch =
        ["twin", "patch", "--device", "dev1", "--tags", r#"{"room":"kitchen"}"#, "--desired", r#"{"fan":{"speed":3}}"#];
    let patched = hub.line(&patch);
    assert_eq!(patched["tags"], json!({"room": "kitchen"}));
    assert_eq!(patched["desired"], json!({"fan": {"speed": 3}, "$version": 2}));
    assert_eq!(next()["version"], patched["version"]);

    let etag = patched["etag"].as_str().expect("text");
    let replace =
        ["twin", "patch", "--device", "dev1", "--desired", r#"{"lamp":true}"#, "--replace", "--if-match", etag];
    let replaced = hub.line(&replace);
    assert_eq!((&replaced["tags"], &replaced["desired"]["lamp"]), (&json!({}), &json!(true)));
    assert_eq!(replaced["desired"].get("fan"), None);
    assert_eq!(next()["version"], replaced["version"]);
    assert!(watching.wait().expect("an end").success());

    assert!(hub.refused(&replace, 1).contains("PreconditionFailed"));
    assert!(
        hub.refused(&["twin", "patch", "--device", "dev1", "--tags", "[1]"], 2).contains("--tags wants a JSON object")
    );
    assert!(hub.refused(&["twin", "get", "--device", "nobody"], 1).contains("DeviceNotFound"));
}

#[test]
fn for_people_a_twin_has_several_lines_without_control_characters() {
    let hub = Hub::start();
    hub.line(&["twin", "patch", "--device", "dev1", "--tags", "{\"a\":\"\u{202e}evil\"}"]);
    let output = hub.command(&["twin", "get", "--device", "dev1"]).output().expect("the command runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success() && text.lines().count() > 5, "{text}");
    assert!(!text.contains('\u{202e}') && text.contains("evil"), "{text}");
}

/// Nothing goes through a proxy that was not asked for.
#[test]
fn the_environment_does_not_choose_a_proxy() {
    let hub = Hub::start();
    let mut command = hub.command(&["registry", "list", "--json"]);
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(variable, "http://127.0.0.1:1");
    }
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_monitor_reads_every_partition_unless_some_are_named() {
    let hub = Hub::start();
    // Enough for several partitions of four.
    let devices: Vec<_> = (0..6).map(|number| format!("part{number}")).collect();
    for device in &devices {
        let created = hub.line(&["registry", "create", "--device", device, "--keys"]);
        let simulated = iothub()
            .args(["device", "simulate", "--count", "1", "--interval", "1", "--ca", &hub.ca])
            .env("IOTHUB_CONNECTION_STRING", created["connection_string"].as_str().expect("text"))
            .output()
            .expect("the command runs");
        assert!(simulated.status.success(), "{simulated:?}");
    }
    let monitored = iothub()
        .args(["telemetry", "monitor", "--from", "start", "--count", "6", "--json", "--ca", &hub.ca])
        .env("IOTHUB_CONNECTION_STRING", &hub.string)
        .output()
        .expect("the command runs");
    let text = String::from_utf8(monitored.stdout).expect("UTF-8");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut seen: Vec<_> = events.iter().map(|event| event["device"].as_str().expect("text")).collect();
    seen.sort_unstable();
    assert_eq!(seen, devices);
    let partitions: std::collections::BTreeSet<_> = events.iter().map(|event| event["partition"].as_u64()).collect();
    assert!(partitions.len() > 1, "{partitions:?}");
}

#[test]
fn a_method_of_a_device_that_is_not_online_says_so() {
    let hub = Hub::start();
    let invoke =
        |device: &'static str| ["method", "invoke", "--device", device, "--name", "reboot", "--payload", "[1]"];
    let offline = hub.refused(&invoke("dev1"), 1);
    assert!(offline.starts_with("iothub: the device is not online: "), "{offline}");
    assert!(hub.refused(&invoke("nobody"), 1).contains("the hub does not know the device"));
    let wrong = hub.refused(&["method", "invoke", "--device", "dev1", "--name", "x", "--payload", "{"], 2);
    assert!(wrong.contains("--payload wants JSON"), "{wrong}");
}

#[test]
fn a_method_waits_for_the_device_to_come_as_long_as_it_is_told() {
    let hub = Hub::start();
    let invoke = ["method", "invoke", "--device", "dev1", "--name", "reboot", "--payload", "[1]", "--connect-timeout"];
    let with = |seconds: &'static str| [&invoke[..], &[seconds]].concat();
    let start = Instant::now();
    let offline = hub.refused(&with("1"), 1);
    assert!(offline.starts_with("iothub: the device is not online: "), "{offline}");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());

    let waiting = hub.command(&with("120")).arg("--json").stdout(Stdio::piped()).spawn().expect("the command runs");
    let mut simulated = hub.simulate(None);
    let output = waiting.wait_with_output().expect("an end");
    simulated.kill().expect("it runs");
    simulated.wait().expect("an end");
    assert!(output.status.success(), "{output:?}");
    let response: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(response["status"], 201);
}

#[test]
fn telemetry_of_a_simulated_module_names_the_output_it_was_told() {
    let hub = Hub::start();
    let created = hub.line(&["registry", "create", "--device", "dev1", "--module", "m", "--keys"]);
    let simulated = iothub()
        .args(["device", "simulate", "--count", "1", "--interval", "1", "--output", "alerts", "--ca", &hub.ca])
        .env("IOTHUB_CONNECTION_STRING", created["connection_string"].as_str().expect("text"))
        .output()
        .expect("the command runs");
    assert!(simulated.status.success(), "{simulated:?}");
    let monitored = iothub()
        .args(["telemetry", "monitor", "--from", "start", "--count", "1", "--json", "--ca", &hub.ca])
        .env("IOTHUB_CONNECTION_STRING", &hub.string)
        .output()
        .expect("the command runs");
    let event: Value = serde_json::from_slice(&monitored.stdout).expect("JSON");
    assert_eq!((&event["device"], &event["module"]), (&json!("dev1"), &json!("m")));
    assert_eq!(event["output"], "alerts");
}

/// In the registry, in twins and in queries: whether a device is connected, since when, and what waits for it.
#[test]
fn a_device_that_is_on_is_shown_as_connected() {
    let hub = Hub::start();
    let show = ["registry", "show", "--device", "dev1"];
    let twin = ["twin", "get", "--device", "dev1"];
    let query = ["query", "SELECT deviceId FROM devices WHERE connectionState = 'Connected'"];
    assert_eq!(hub.line(&show)["connection_state"], "Disconnected");
    assert!(hub.lines(&query).is_empty());
    let sent = iothub()
        .args(["c2d", "send", "--device", "dev1", "--body", "x", "--ca", &hub.ca])
        .env("IOTHUB_CONNECTION_STRING", &hub.string)
        .output()
        .expect("the command runs");
    assert!(sent.status.success(), "{sent:?}");
    let before = hub.line(&show);
    assert_eq!((&before["messages_waiting"], &before["last_activity"]), (&json!(1), &Value::Null));

    let mut simulated = hub.simulate(None);
    let mut lines = BufReader::new(simulated.stdout.take().expect("a piped output")).lines();
    let mut wait_for = |event: &str| {
        while serde_json::from_str::<Value>(&lines.next().expect("a line").expect("text")).expect("JSON")["event"]
            != event
        {}
    };
    // The message is settled only after that, so it may be waiting still.
    wait_for("sent");
    let shown = hub.line(&show);
    assert_eq!(shown["connection_state"], "Connected");
    assert!(shown["last_activity"].is_string(), "{shown}");
    let shown = hub.line(&twin);
    assert_eq!(shown["connection_state"], "Connected");
    assert!(shown["last_activity"].is_string(), "{shown}");
    assert_eq!(hub.lines(&query), [json!({"deviceId": "dev1"})]);
    simulated.kill().expect("it runs");
    simulated.wait().expect("an end");
}

/// A simulated device, and a simulated module, at both ends of methods and twins.
#[test]
fn a_simulated_device_answers_methods_and_reports_what_its_twin_wants() {
    let hub = Hub::start();
    hub.line(&["registry", "create", "--device", "dev1", "--module", "m"]);
    for module in [None, Some("m")] {
        let mut simulated = hub.simulate(module);
        let mut lines = BufReader::new(simulated.stdout.take().expect("a piped output")).lines();
        let mut next = |event: &str| loop {
            let line = lines.next().expect("a line").expect("text");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            if line["event"] == event {
                return line;
            }
        };
        assert_eq!(next("desired")["kind"], "all");
        let with_module = |arguments: &[&'static str]| {
            let mut arguments = arguments.to_vec();
            if let Some(module) = module {
                arguments.extend(["--module", module]);
            }
            arguments
        };
        let invoke = with_module(&["method", "invoke", "--device", "dev1", "--name", "reboot", "--payload", "[1]"]);
        let response = hub.line(&invoke);
        assert_eq!(response["status"], 201);
        assert_eq!(response["payload"], json!({"method": "reboot", "payload": [1]}));
        assert_eq!(next("method")["method"], "reboot");
        hub.line(&with_module(&["twin", "patch", "--device", "dev1", "--desired", r#"{"fan":3}"#]));
        assert_eq!(next("desired")["properties"], json!({"fan": 3}));
        let twin = hub.line(&with_module(&["twin", "get", "--device", "dev1"]));
        assert_eq!(twin["reported"]["fan"], 3);
        simulated.kill().expect("it runs");
        simulated.wait().expect("an end");
    }
}

#[test]
fn a_request_that_makes_no_sense_ends_with_the_code_two() {
    let hub = Hub::start();
    hub.refused(&["query", "SELECT FROM WHERE"], 2);
    for string in ["HostName=h", "nonsense", "HostName=h;SharedAccessKeyName=p;SharedAccessKey=!"] {
        for arguments in [&["registry", "list"][..], &["telemetry", "monitor"]] {
            let output = iothub().args(arguments).env("IOTHUB_CONNECTION_STRING", string).output().expect("it runs");
            assert_eq!(output.status.code(), Some(2), "{output:?}");
        }
    }
    for empty in ["", "  "] {
        let output = iothub().args(["registry", "list"]).env("IOTHUB_CONNECTION_STRING", empty).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("no connection string"), "{output:?}");
    }
}

#[test]
fn a_closed_port_is_named_with_the_option_that_gives_another() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let string = format!("HostName=127.0.0.1;SharedAccessKeyName=service;SharedAccessKey={KEY}");
    let output = iothub()
        .args(["query", "SELECT * FROM devices", "--https-port", &free.to_string(), "--connection-string", &string])
        .output()
        .expect("the command runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("127.0.0.1:{free}")) && text.contains("with --https-port"), "{text}");
}

#[test]
fn a_host_name_that_does_not_resolve_is_named_without_a_port() {
    let string = format!("HostName=hub.invalid;SharedAccessKeyName=service;SharedAccessKey={KEY}");
    let output = iothub().args(["query", "SELECT * FROM devices", "--connection-string", &string]).output();
    let output = output.expect("the command runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("host name hub.invalid of the hub does not resolve"), "{text}");
    assert!(!text.contains("--https-port"), "{text}");
}

/// Such as that of AMQP without TLS.
#[test]
fn a_port_without_tls_is_answered_with_the_option_that_gives_another() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            std::io::Write::write_all(&mut stream, b"AMQP\x03\x01\x00\x00").ok();
            std::io::copy(&mut stream, &mut std::io::sink()).ok();
        }
    });
    let string = format!("HostName=127.0.0.1;SharedAccessKeyName=service;SharedAccessKey={KEY}");
    let output = iothub()
        .args(["query", "SELECT * FROM devices", "--https-port", &port.to_string(), "--connection-string", &string])
        .output()
        .expect("the command runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("with --https-port"), "{text}");
}

#[test]
fn what_is_wrong_with_the_way_to_the_hub_is_one_plain_sentence() {
    let hub = Hub::start();
    let without = iothub().args(["registry", "list"]).output().expect("the command runs");
    assert_eq!(without.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&without.stderr).contains("no connection string"));
    let untrusted = iothub()
        .args(["registry", "list", "--https-port", &hub.port, "--connection-string", &hub.string])
        .output()
        .expect("the command runs");
    assert_eq!(untrusted.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&untrusted.stderr).contains("with --ca"), "{untrusted:?}");
    assert!(String::from_utf8_lossy(&untrusted.stderr).to_lowercase().contains("certificate"), "{untrusted:?}");
    let mut wrong = hub.command(&["registry", "list"]);
    wrong.env("IOTHUB_CONNECTION_STRING", hub.string.replace(KEY, "d3Jvbmcta2V5LXdyb25nLWtleQ=="));
    let wrong = wrong.output().expect("the command runs");
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(1) && text.contains("refused the credentials"), "{text}");
    assert!(!text.contains("d3Jvbmcta2V5"), "{text}");
}

#[test]
fn a_query_prints_its_rows() {
    let hub = Hub::start();
    for device in ["a", "b", "c"] {
        hub.line(&["registry", "create", "--device", device]);
        hub.line(&["twin", "patch", "--device", device, "--tags", r#"{"room":"kitchen"}"#]);
    }
    let text = "SELECT deviceId FROM devices WHERE tags.room = 'kitchen'";
    let rows = hub.lines(&["query", text, "--page-size", "2"]);
    let mut ids: Vec<_> = rows.iter().map(|row| row["deviceId"].as_str().expect("text")).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!(hub.lines(&["query", "SELECT * FROM devices", "--count", "2"]).len(), 2);
    assert!(hub.lines(&["query", "SELECT * FROM devices WHERE tags.room = 'attic'"]).is_empty());
    let refused = hub.refused(&["query", "SELECT FROM WHERE"], 2);
    assert!(refused.starts_with("iothub: what was asked for makes no sense: "), "{refused}");
}
