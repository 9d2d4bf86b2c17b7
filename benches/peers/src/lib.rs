//! What the Rust programs have in common: the octets that are decoded, the command line, and the line of figures.
#![forbid(unsafe_code)]

pub mod inputs;

use std::process::ExitCode;

/// The names of the cases.
pub const CASES: [&str; 9] = [
    "encode-transfer",
    "decode-transfer-view",
    "decode-transfer-full",
    "encode-flow",
    "decode-flow",
    "encode-disposition",
    "decode-disposition",
    "encode-attach",
    "decode-attach",
];

/// How a program calls its function `measured`, whose name the tool that counts instructions knows.
pub type Measure = fn(&mut dyn FnMut());

/// Something to do a number of times; all that it needs is built already.
///
/// Returns the number of octets that were encoded, or the number of frames whose contents were as expected.
pub type Work = Box<dyn FnMut() -> usize>;

/// Counts heap allocations. A feature, because an allocator that counts costs instructions.
#[cfg(feature = "allocations")]
mod allocations {
    use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
    use std::alloc::System;

    #[global_allocator]
    static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

    /// Allocations so far.
    pub(super) fn count() -> usize {
        let stats = ALLOCATOR.stats();
        stats.allocations + stats.reallocations
    }
}

#[cfg(not(feature = "allocations"))]
mod allocations {
    pub(super) fn count() -> usize {
        0
    }
}

/// Runs one case of a program and prints its line.
///
/// `case` is given the case's name and the count, and is `None` for a name it does not know.
pub fn run(measured: Measure, case: impl FnOnce(&str, usize) -> Option<Work>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match arguments.as_slice() {
        [name, count] => count.parse().ok().filter(|count| *count > 0).map(|count: usize| (name, count)),
        _ => None,
    };
    let Some((name, count)) = parsed else {
        eprintln!("usage: PROGRAM CASE COUNT; the cases are {}", CASES.join(", "));
        return ExitCode::from(2);
    };
    let Some(mut work) = case(name, count) else {
        eprintln!("no such case: {name}; the cases are {}", CASES.join(", "));
        return ExitCode::from(2);
    };
    let mut result = 0;
    let before = allocations::count();
    measured(&mut || result = work());
    let allocations = allocations::count() - before;
    if name.starts_with("encode-") {
        let octets = result / count;
        println!(r#"{{"case":"{name}","count":{count},"allocations":{allocations},"octets":{octets}}}"#);
    } else if result == count {
        println!(r#"{{"case":"{name}","count":{count},"allocations":{allocations}}}"#);
    } else {
        eprintln!("{name}: {result} of {count} frames were read as expected");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
