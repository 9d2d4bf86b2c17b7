//! The command `amqp-conformance`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    amqp_conformance::cli::main()
}
