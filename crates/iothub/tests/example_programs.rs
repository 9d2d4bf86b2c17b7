//! The examples as programs, against the emulator.
#![allow(missing_docs)]

use iothub_emulator::Emulator;
use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

const KEY: &str = "c2VjcmV0LWtleS1vZi10aGUtdGhlcm1vc3RhdA==";

/// Everything that should happen happens long before.
const EVENTUALLY: Duration = Duration::from_secs(60);

/// Where the examples are built, beside the tests.
fn program(name: &str) -> Command {
    let test = std::env::current_exe().expect("a path");
    let target = test.parent().and_then(|deps| deps.parent()).expect("target, its profile, deps, the test");
    let path = target.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "build it first: cargo build -p iothub --examples");
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for variable in ["IOTHUB_CONNECTION_STRING", "IOTHUB_DEVICE_CONNECTION_STRING", "IOTHUB_CA", "IOTHUB_HTTPS_PORT"] {
        command.env_remove(variable);
    }
    command
}

/// A program that runs, and is killed with its test.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("it runs");
        let (tell, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().expect("a piped output"));
        let errors = BufReader::new(child.stderr.take().expect("a piped output"));
        let also = tell.clone();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        std::thread::spawn(move || {
            errors.lines().map_while(Result::ok).try_for_each(|line| also.send(format!("error: {line}")))
        });
        Self { child, lines }
    }

    /// Reads up to the first line that begins so.
    fn line(&self, start: &str) -> String {
        let mut before = Vec::new();
        loop {
            match self.lines.recv_timeout(EVENTUALLY) {
                Ok(line) if line.starts_with(start) => return line,
                Ok(line) => before.push(line),
                Err(error) => panic!("no line that begins with {start:?}: {error}: {before:#?}"),
            }
        }
    }

    /// Waits for the end, and gives the lines that are left.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        // They end when the program has.
        let rest = std::iter::from_fn(|| match self.lines.recv_timeout(EVENTUALLY) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end"),
        });
        let rest = rest.collect();
        (self.child.wait().expect("an end").code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A hub in a folder, with the certificate authority that the programs are to trust.
async fn hub(folder: &std::path::Path) -> (Emulator, PathBuf) {
    let hub = Emulator::builder().device("d0", KEY).policy("iothubowner", KEY).ca_dir(folder);
    // Feedback comes in batches, up to 15 s later unless set.
    let hub = hub.settings(|settings| settings.feedback.batch_delay = Duration::from_millis(200));
    let hub = hub.start().await.expect("a hub");
    let ca = hub.ca_path().expect("kept in the folder").to_owned();
    (hub, ca)
}

fn back_end(hub: &Emulator, ca: &std::path::Path, device: &str) -> Running {
    let string = hub.service_connection_string();
    let (host, _) = string.split_once(";SharedAccessKeyName").expect("a policy");
    let string = format!("{host};SharedAccessKeyName=iothubowner;SharedAccessKey={KEY}");
    let mut command = program("back_end");
    command.arg(device).env("IOTHUB_CONNECTION_STRING", string).env("IOTHUB_CA", ca);
    command.env("IOTHUB_HTTPS_PORT", hub.https_addr().port().to_string());
    Running::start(command)
}

fn worker(string: &str, ca: &std::path::Path) -> Running {
    let mut command = program("device_worker");
    command.env("IOTHUB_DEVICE_CONNECTION_STRING", string).env("IOTHUB_CA", ca);
    Running::start(command)
}

/// As a reader of the examples would try them: the back end first, which waits for the device.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_device_and_the_back_end_do_with_each_other_what_they_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let (hub, ca) = hub(folder.path()).await;
    let whole = tokio::task::spawn_blocking(move || {
        let back_end = back_end(&hub, &ca, "d0");
        assert_eq!(back_end.line("d0"), "d0 is Enabled");
        let worker = worker(&hub.device_connection_string("d0").expect("a device"), &ca);
        assert_eq!(worker.line("d0"), "d0 is connected; Ctrl-C ends it.");
        assert_eq!(back_end.line("reboot"), r#"reboot: 200 {"rebooting":true}"#);
        assert_eq!(worker.line("reboot"), r#"reboot: {"delay":3}"#);
        back_end.line("twin: version");
        let change = worker.line("desired properties, version 2");
        assert!(change.contains("interval"), "{change}");
        assert_eq!(back_end.line("feedback"), "feedback: Success");
        assert_eq!(worker.line("message"), "message: hello");
        let telemetry = back_end.line("telemetry of d0");
        assert!(telemetry.starts_with(r#"telemetry of d0: {"reading":"#), "{telemetry}");
        assert_eq!(back_end.end(), (Some(0), Vec::new()));
        let sent = Command::new("kill").args(["-INT", &worker.child.id().to_string()]).status();
        assert!(sent.expect("a shell's kill").success());
        assert_eq!(worker.end(), (Some(0), Vec::new()));
        drop(hub);
    });
    whole.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_not_there_is_created_with_a_string_that_connects() {
    let folder = tempfile::tempdir().expect("a folder");
    let (hub, ca) = hub(folder.path()).await;
    let whole = tokio::task::spawn_blocking(move || {
        let back_end = back_end(&hub, &ca, "new");
        assert_eq!(back_end.line("new"), "new is new");
        let line = back_end.line("its connection string: ");
        let worker = worker(line.strip_prefix("its connection string: ").expect("the same line"), &ca);
        assert_eq!(worker.line("new"), "new is connected; Ctrl-C ends it.");
        back_end.line("feedback: Success");
        drop((worker, hub));
    });
    whole.await.expect("no panic");
}

#[test]
fn what_is_missing_is_said() {
    for (name, variable) in
        [("device_worker", "IOTHUB_DEVICE_CONNECTION_STRING"), ("back_end", "IOTHUB_CONNECTION_STRING")]
    {
        let mut command = program(name);
        command.arg("d0");
        let (status, lines) = Running::start(command).end();
        assert_eq!(status, Some(1));
        assert!(lines.iter().any(|line| line.contains(variable)), "{lines:?}");
    }
}
