//! The process that is attacked: started for one attack, ended by its id.

use crate::witness::Witness;
use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// What is attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `iothub emulator`.
    Emulator,
    /// An acceptor of `amqp1`.
    Acceptor,
    /// A client of `amqp1`, which connects to the attacker.
    Client,
}

/// A device of the emulator.
pub(crate) const DEVICE: &str = "a";
pub(crate) const DEVICE_KEY: &str = "ZGV2aWNlIGtleQ==";

pub(crate) struct Process {
    child: Child,
    target: Target,
    address: SocketAddr,
    /// Where a client connects to.
    pub(crate) listener: Option<TcpListener>,
}

fn emulator_binary() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("IOTHUB_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(own.with_file_name("iothub"))
}

impl Process {
    pub(crate) fn start(target: Target) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut listener = None;
        let mut command = match target {
            Target::Emulator => {
                let mut command = Command::new(emulator_binary()?);
                command.args(["emulator", "--json", "--listen", "127.0.0.1:0", "--amqp-listen", "127.0.0.1:0"]);
                command.args(["--device", &format!("{DEVICE}={DEVICE_KEY}")]);
                command
            }
            Target::Acceptor => {
                let mut command = Command::new(own);
                command.arg("serve");
                command
            }
            Target::Client => {
                let bound = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
                let port = bound.local_addr().map_err(|error| error.to_string())?.port();
                listener = Some(bound);
                let mut command = Command::new(own);
                command.args(["client", &port.to_string()]);
                command
            }
        };
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = started.map_err(|error| format!("{command:?} does not start: {error}"))?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        let ready: serde_json::Value = serde_json::from_str(&line).map_err(|_| format!("it is not ready: {line}"))?;
        let address = ready["amqp"].as_str().unwrap_or("127.0.0.1:0").parse().map_err(|_| "no address")?;
        Ok(Self { child, target, address, listener })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The most memory that it has had, in octets.
    pub(crate) fn peak(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).map_err(|error| format!("it is gone: {error}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| format!("no number: {line}"))?;
        Ok(kib * 1024)
    }

    /// A second client that behaves well. A client has none.
    pub(crate) fn witness(&self) -> Result<Option<Witness>, String> {
        match self.target {
            Target::Client => Ok(None),
            target => Witness::start(target, self.address).map(Some),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
