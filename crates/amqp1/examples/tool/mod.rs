//! The common part of the examples that are programs: the connection, and one sentence for people when something fails.
#![allow(dead_code, reason = "each example uses a part")]

use amqp1::{Client, Connection, tls::TlsClient};
use clap::{
    Args, Parser,
    error::{ContextKind, ContextValue},
};
use std::{fmt, path::PathBuf, process::ExitCode, time::Duration};

/// The peer.
#[derive(Args)]
pub(crate) struct Peer {
    /// amqp:// or amqps://, then [user[:password]@]host[:port].
    pub(crate) url: String,
    /// Trust the certificates of this PEM file in place of those that the platform trusts; for amqps://.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

impl Peer {
    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        let mut builder = Client::builder(&self.url);
        if let Some(file) = &self.ca {
            builder = builder.tls(TlsClient::with_ca_file(file)?);
        }
        Ok(builder.connect().await?)
    }
}

/// A duration in seconds, with or without a fraction.
pub(crate) fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or("not a number of seconds")
}

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
            eprintln!("{name}: {}: see --help", misuse(&error));
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

/// What is wrong with the command line. The options at fault are named, never what was given as a value. An option that
/// does not exist may be a value that stands in the wrong place, so only the similar one that exists is named.
fn misuse(error: &clap::Error) -> String {
    let kind = error.kind();
    if let Some(similar) = error.get(ContextKind::SuggestedArg) {
        return format!("{kind}: is {similar} meant?");
    }
    match error.get(ContextKind::InvalidArg).filter(|_| kind != clap::error::ErrorKind::UnknownArgument) {
        Some(ContextValue::Strings(names)) => format!("{kind}: {}", names.join(", ")),
        Some(name) => format!("{kind}: {name}"),
        None => kind.to_string(),
    }
}
