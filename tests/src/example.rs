//! The broker among the examples of `amqp1`, as a process of its own.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::OnceCell,
    task::JoinHandle,
    time::timeout,
};

/// Names a program to run in the place of the one that cargo builds.
pub const PROGRAM: &str = "AMQP1_BROKER";

/// How many of the last lines that it printed are kept.
const LINES: usize = 50;

/// A broker that runs until it is dropped.
#[derive(Debug)]
pub struct ExampleBroker {
    address: SocketAddr,
    child: Child,
    printed: Arc<Mutex<VecDeque<String>>>,
    /// Reads what it prints as errors.
    errors: JoinHandle<()>,
}

/// Builds the example once, in the folder and the profile of this test.
async fn program() -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let build = || async {
        if let Some(program) = std::env::var_os(PROGRAM) {
            return PathBuf::from(program);
        }
        // TARGET/PROFILE/deps/TEST
        let test = std::env::current_exe().expect("a test has a file");
        let profile = test.ancestors().nth(2).expect("a folder of the profile");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--package", "amqp1", "--example", "broker", "--target-dir"]);
        cargo.arg(profile.parent().expect("a target folder"));
        // What cargo says of this package; build scripts that look at it would run again.
        let about_this =
            |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_"].iter().any(|of| name.starts_with(of));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(about_this)) {
            cargo.env_remove(name);
        }
        if profile.file_name().is_some_and(|name| name == "release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().await.expect("cargo").success(), "the example does not compile");
        profile.join("examples/broker")
    };
    BUILT.get_or_init(build).await.clone()
}

impl ExampleBroker {
    /// Starts it on a free port, with further arguments.
    ///
    /// # Panics
    ///
    /// If it does not say where it listens.
    pub async fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(program().await);
        command.arg("127.0.0.1:0").args(arguments).kill_on_drop(true);
        // It ends when its input does.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the example `broker`");
        let printed = Arc::default();
        let errors = tokio::spawn(keep(child.stderr.take().expect("a piped output"), Arc::clone(&printed)));
        let mut lines = BufReader::new(child.stdout.take().expect("a piped output")).lines();
        let listening = async {
            loop {
                let line = lines.next_line().await.expect("text").expect("where it listens");
                if let Some(address) = line.strip_prefix("listening on ") {
                    return address.parse().expect("an address");
                }
            }
        };
        let address = timeout(Duration::from_secs(20), listening).await.expect("a broker in time");
        tokio::spawn(keep(lines.into_inner(), Arc::clone(&printed)));
        Self { address, child, printed, errors }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The end of what it has printed.
    pub fn printed(&self) -> String {
        let lines = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("broker: {line}\n")).collect()
    }

    /// Ends it, and returns how many messages it still had.
    ///
    /// # Errors
    ///
    /// What it printed, if it had not run without fault until then.
    pub async fn stop(mut self) -> Result<u64, String> {
        drop(self.child.stdin.take());
        match timeout(Duration::from_secs(20), self.child.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            ended => return Err(format!("the broker ended with {ended:?}\n{}", self.printed())),
        }
        self.errors.await.ok();
        let lines = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        let left = lines.iter().find_map(|line| line.strip_prefix("broker: ended with ")?.split_once(' '));
        left.and_then(|(left, _)| left.parse().ok()).ok_or_else(|| "the broker did not say what it had".to_owned())
    }
}

/// Reads to the end, so that a full pipe stops nobody.
async fn keep(output: impl AsyncRead + Unpin, printed: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
        printed.push_back(line);
        if printed.len() > LINES {
            printed.pop_front();
        }
    }
}
