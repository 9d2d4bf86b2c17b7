//! The command line.

mod args;
mod client;
mod decode;
mod files;
mod list;
mod output;
mod progress;
mod ready;
mod report;
mod server;
mod signals;

use crate::group;
use args::{Args, Command};
use clap::Parser;
use std::{fmt, process::ExitCode};

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exit {
    AsExpected = 0,
    Failed = 1,
    Usage = 2,
    Unreachable = 3,
    Crashed = 4,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that ends the program, and its exit code.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    reason: String,
}

impl Failure {
    fn usage(reason: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, reason: reason.to_string() }
    }

    fn unreachable(reason: impl fmt::Display) -> Self {
        Self { exit: Exit::Unreachable, reason: reason.to_string() }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Server(args) => server::run(&args),
        Command::Client(args) => client::run(&args),
        Command::List(args) => list::run(&args),
        Command::Decode(args) => decode::run(&args),
        Command::Report(command) => report::run(&command),
    };
    group::end_all();
    match result {
        Ok(exit) => exit.into(),
        Err(Failure { exit, reason }) => {
            eprintln!("amqp-conformance: {}", crate::report::one_line(&reason));
            exit.into()
        }
    }
}
