//! What the examples `send` and `receive` share: one sentence for people when something fails.

use clap::Parser;
use std::{fmt, process::ExitCode};

/// One sentence.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<amqp1::Error> for Failure {
    fn from(error: amqp1::Error) -> Self {
        Self(error.to_string())
    }
}

/// Runs the example: 0 if it did what it was asked, 1 if not, 2 if the command line makes no sense.
pub(crate) fn main<T: Parser>(name: &str, run: impl AsyncFnOnce(T) -> Result<(), Failure>) -> ExitCode {
    let options = match T::try_parse() {
        Ok(options) => options,
        // Help, and the version.
        Err(error) if !error.use_stderr() => error.exit(),
        // What was given is not repeated: a URL may hold a password.
        Err(error) => {
            eprintln!("{name}: {}: see --help", error.kind());
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(options)),
        Err(error) => Err(Failure::new(format!("the runtime does not start: {error}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{name}: {failure}");
            ExitCode::FAILURE
        }
    }
}
