//! Foreign programs as child processes: started with a pipe as their input, whose end ends them.

use serde_json::Value;
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// Where the programs stand.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("interop")
}

fn cache() -> PathBuf {
    std::env::var_os("AMQP1_INTEROP_CACHE").map_or_else(|| folder().join(".cache"), PathBuf::from)
}

/// What `setup.sh` has built or installed, by its path in the cache.
///
/// # Panics
///
/// If it is not there.
pub fn built(path: &str) -> PathBuf {
    let path = cache().join(path);
    assert!(path.exists(), "{} is missing: run tests/interop/setup.sh", path.display());
    path
}

/// A program of `interop/`, by the name of its file, or of its folder if it is one of Go's.
pub fn program(file: &str) -> Command {
    if file.starts_with("go/") {
        let mut command = Command::new(built(file));
        command.kill_on_drop(true);
        return command;
    }
    let script = folder().join(file);
    let mut command = if file.ends_with(".js") {
        let mut command = Command::new("node");
        command.env("NODE_PATH", cache().join("node_modules"));
        command
    } else {
        Command::new(cache().join("venv/bin/python"))
    };
    command.arg(script).kill_on_drop(true);
    command
}

/// A Java program, by its folder in `interop/java/` and its class.
pub fn java(folder: &str, class: &str) -> Command {
    let built = cache().join("java").join(folder);
    let mut command = Command::new("java");
    // What starts fast is what counts here.
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx512m"]);
    command.arg("-cp").arg(format!("{0}/classes:{0}/lib/*", built.display())).arg(class).kill_on_drop(true);
    command
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    /// What it said when it was ready.
    pub ready: Value,
    /// Its input stays open for as long as it is wanted.
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a program and waits until it says that it is ready.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub async fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the packages that tests/interop/setup.sh installs");
        let mut output = BufReader::new(child.stdout.take().expect("a piped output")).lines();
        let line = timeout(Duration::from_secs(90), output.next_line()).await.expect("ready in time");
        let line = line.expect("a readable output").expect("a line that says ready");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(ready["event"], "ready", "{line}");
        Self { ready, child, output }
    }

    /// The port of plain AMQP.
    ///
    /// # Panics
    ///
    /// If the server named none.
    pub fn port(&self) -> u64 {
        self.ready["amqp"].as_u64().expect("a port")
    }

    /// The port of AMQP over TLS.
    ///
    /// # Panics
    ///
    /// If the server named none.
    pub fn tls_port(&self) -> u64 {
        self.ready["amqps"].as_u64().expect("a port")
    }

    /// Sends it a signal, by its name: STOP freezes it, CONT lets it go on.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-s", signal, &id]).status().expect("kill");
        assert!(sent.success());
    }

    /// Kills it.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Ends the server in order, and gives what else it printed: JSON, a line each.
    ///
    /// # Panics
    ///
    /// If it does not end, or prints something else.
    pub async fn finish(mut self) -> Vec<Value> {
        drop(self.child.stdin.take());
        let reading = async {
            let mut lines = Vec::new();
            while let Some(line) = self.output.next_line().await.expect("a readable output") {
                lines.push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}")));
            }
            lines
        };
        timeout(Duration::from_secs(90), reading).await.expect("it ends")
    }

    /// Closes the server's input and waits for its end.
    pub async fn stop(mut self) {
        drop(self.child.stdin.take());
        if timeout(Duration::from_secs(20), self.child.wait()).await.is_err() {
            self.child.kill().await.ok();
        }
    }
}

/// Runs a client to its end and returns the last line that it printed, if it succeeded.
///
/// # Errors
///
/// What it printed, if it did not.
pub async fn run(mut command: Command) -> Result<Value, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = timeout(Duration::from_secs(180), command.output()).await;
    let output = output.map_err(|_| "it did not end".to_owned())?.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(format!("{}: {text} {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|error| format!("{last:?}: {error}"))
}
