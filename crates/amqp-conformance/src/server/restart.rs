//! Restarts the server, by a command of the user's.

use super::{Opened, ServerTrial};
use crate::{group::Group, verdict::Stop, wire::Connection};
use amqp1_script::frames;
use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The time that the command may take.
const RESTARTING: Duration = Duration::from_secs(60);
/// The time within which the server must accept connections again after the command.
const STARTING: Duration = Duration::from_secs(60);
/// The interval at which it is tried.
const INTERVAL: Duration = Duration::from_millis(100);

impl ServerTrial<'_> {
    /// Runs the command that restarts the server, and waits until a connection can be opened.
    ///
    /// A connection is held open meanwhile: it must end, or else the command has left the old process alone.
    ///
    /// # Errors
    ///
    /// If there is no such command, it fails or does not end, the old process still serves, or the server does not come
    /// back.
    pub fn restart(&mut self) -> Result<(), Stop> {
        let Some(command) = &self.target().restart else {
            return Err(Stop::SetUp(String::from("no command restarts the server: --restart")));
        };
        let Opened { connection: mut old, .. } = self.opened()?;
        self.run(command)?;
        if !ends(&mut old) {
            return Err(Stop::SetUp(String::from(
                "a connection that was opened before the restart is still open after it: the command that restarts the \
                 server has to end the old process before it returns",
            )));
        }
        let start = Instant::now();
        loop {
            match self.opened() {
                Ok(_) => return Ok(()),
                Err(stop) if start.elapsed() >= self.left_of(STARTING) => return Err(stop),
                Err(_) => thread::sleep(INTERVAL),
            }
        }
    }

    /// Runs the command. Only if it fails or takes too long, what it has started is killed: the server may be among it.
    fn run(&mut self, command: &str) -> Result<(), Stop> {
        let limit = self.left_of(RESTARTING);
        let mut shell = shell(command);
        let started = Group::start(shell.stdin(Stdio::null()).stdout(Stdio::null()));
        let (group, _) = started.map_err(Stop::NoConnection)?;
        self.shared_logs().add_group(&group);
        match group.wait(limit).map_err(Stop::NoConnection)? {
            Some(status) if status.success() => {
                group.release();
                Ok(())
            }
            Some(status) => Err(Stop::SetUp(format!("the command that restarts the server ended with {status}"))),
            None => Err(Stop::SetUp(format!(
                "the command that restarts the server has not ended within {} s",
                limit.as_secs()
            ))),
        }
    }
}

/// Waits for the end of a connection, whatever comes before it. A server that closes it is answered.
fn ends(connection: &mut Connection) -> bool {
    let deadline = connection.now().saturating_add(connection.patience());
    loop {
        let got = connection.next_within(deadline.saturating_sub(connection.now()));
        match got.name() {
            _ if got.is_end() => return true,
            "nothing" => return false,
            "close" => {
                connection.send(0, frames::close());
                connection.finish();
            }
            _ => {}
        }
    }
}

fn shell(command: &str) -> Command {
    let (program, option) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut shell = Command::new(program);
    shell.args([option, command]);
    shell
}
