//! Restarts the server, by a command of the user's.

use super::ServerTrial;
use crate::verdict::Stop;
use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The time within which the server must accept connections again after the command.
const STARTING: Duration = Duration::from_secs(60);
/// The interval at which it is tried.
const INTERVAL: Duration = Duration::from_millis(100);

impl ServerTrial<'_> {
    /// Runs the command that restarts the server, and waits until a connection can be opened.
    ///
    /// # Errors
    ///
    /// If there is no such command, it fails, or the server does not come back.
    pub fn restart(&mut self) -> Result<(), Stop> {
        let Some(command) = &self.target().restart else {
            return Err(Stop::SetUp(String::from("no command restarts the server: --restart")));
        };
        let status = shell(command).stdin(Stdio::null()).stdout(Stdio::null()).status().map_err(Stop::NoConnection)?;
        if !status.success() {
            return Err(Stop::SetUp(format!("the command that restarts the server ended with {status}")));
        }
        let start = Instant::now();
        loop {
            match self.opened() {
                Ok(_) => return Ok(()),
                Err(stop) if start.elapsed() >= STARTING => return Err(stop),
                Err(_) => thread::sleep(INTERVAL),
            }
        }
    }
}

fn shell(command: &str) -> Command {
    let (program, option) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut shell = Command::new(program);
    shell.args([option, command]);
    shell
}
