//! The examples as programs of their own: how they are run, and what they print.
#![allow(dead_code, reason = "each test uses a part")]

use crate::support::{PATIENCE, soon};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
};

/// Where the examples are built, beside the tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let target = test.parent().and_then(|deps| deps.parent()).expect("target, its profile, deps, the test");
    let path = target.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "build it first: cargo build -p amqp1 --examples");
    path
}

pub(crate) async fn run(name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program(name));
    command.args(arguments);
    soon(tokio::task::spawn_blocking(move || command.output().expect("it runs"))).await.expect("no panic")
}

/// Each line that it printed.
pub(crate) fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// It failed with one sentence.
pub(crate) fn sentence(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end().to_owned()
}

pub(crate) fn check_success(output: &Output) {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

/// A broker on a free port, and its URL, which it prints when it listens.
#[cfg(unix)]
pub(crate) fn broker(stdin: Stdio) -> (Child, String) {
    broker_with(&[], stdin)
}

#[cfg(unix)]
pub(crate) fn broker_with(arguments: &[&str], stdin: Stdio) -> (Child, String) {
    let mut command = Command::new(program("broker"));
    command.arg("127.0.0.1:0").args(arguments).stdin(stdin);
    started(command)
}

#[cfg(unix)]
pub(crate) fn started(mut command: Command) -> (Child, String) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
    let address = line.trim_end().strip_prefix("listening on ").expect("where it listens");
    (child, format!("amqp://{address}"))
}

/// Ends a broker by its input. Returns what it has said.
#[cfg(unix)]
pub(crate) async fn ended(mut child: Child) -> String {
    drop(child.stdin.take());
    let output = soon(tokio::task::spawn_blocking(move || child.wait_with_output().expect("an end"))).await;
    String::from_utf8(output.expect("no panic").stderr).expect("UTF-8")
}

/// Runs what waits for programs, for no longer than [`PATIENCE`].
pub(crate) fn bounded(scenario: impl FnOnce() + Send + 'static) {
    let (done, ended) = channel();
    let thread = thread::spawn(move || {
        scenario();
        drop(done);
    });
    let waited: Result<(), _> = ended.recv_timeout(PATIENCE);
    assert_ne!(waited, Err(RecvTimeoutError::Timeout), "it hangs");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A program that runs until it is interrupted; it is killed if the test fails before.
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program(name));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, output }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// The next line, as JSON.
    pub(crate) fn json(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// As Ctrl-C does.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.expect("a shell's kill").success());
    }

    /// Waits for its end. Returns its exit code, what else it prints, and its errors.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let (mut output, mut errors) = (String::new(), String::new());
        self.output.read_to_string(&mut output).expect("UTF-8");
        let mut stderr = self.child.stderr.take().expect("its errors");
        stderr.read_to_string(&mut errors).expect("UTF-8");
        (self.child.wait().expect("an end").code(), output, errors.trim_end().to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended cannot be killed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
