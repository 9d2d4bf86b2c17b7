//! Reads the same octets with the codec and with Qpid Proton, and compares what they made of them.
//!
//! See `README.md` for how it works and for every difference that is explained.
#![forbid(unsafe_code)]

mod dump;
mod explain;
mod generate;
mod make_message;
mod message;
mod mutate;
mod peer;
mod reading;
mod run;
#[cfg(test)]
mod tests;
mod tree;
mod vectors;

use clap::Parser;
use run::{Mode, Outcome};
use std::process::ExitCode;

/// Reads the same octets with the codec and with Qpid Proton, and compares what they made of them.
#[derive(Debug, Parser)]
struct Options {
    /// How many inputs: first every test vector, then what is made at random.
    #[arg(long, default_value_t = 100_000)]
    inputs: u64,
    /// Where the random inputs begin; with the same seed they are the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Compare whole messages instead of values.
    #[arg(long)]
    messages: bool,
    /// Show what both make of these octets instead.
    #[arg(long, value_name = "HEX")]
    replay: Option<String>,
    /// Show what both make of the input of this index instead.
    #[arg(long, conflicts_with = "replay")]
    index: Option<u64>,
    /// Fail where Proton is not installed.
    #[arg(long)]
    require: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let peer = match peer::start() {
        Ok(peer) => peer,
        Err(reason) => {
            println!("Not compared with Proton: {reason}.");
            return if options.require { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match compare(&options, peer) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            println!("The comparison broke off: {reason}.");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was explained.
fn compare(options: &Options, peer: peer::Peer) -> Result<bool, String> {
    let mode = if options.messages { Mode::Messages } else { Mode::Values };
    let vectors = vectors::load(mode)?;
    let octets = match (&options.replay, options.index) {
        (Some(digits), _) => {
            Some((generate::Origin::Vector, dump::unhex(digits).ok_or("what follows --replay is not hexadecimal")?))
        }
        (None, Some(index)) => Some(generate::input(mode, &vectors, options.seed, index)),
        (None, None) => None,
    };
    if let Some((origin, octets)) = octets {
        let (outcome, text) = run::one(mode, peer, origin, octets)?;
        println!("{text}");
        return Ok(!matches!(outcome, Outcome::Unexplained(_)));
    }
    let version = peer.version.clone();
    let summary = run::many(mode, peer, vectors, options.seed, options.inputs)?;
    println!("{}", summary.text(options.seed, &version));
    Ok(summary.is_explained())
}
