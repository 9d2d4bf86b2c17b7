//! Attacks on server processes over loopback. For each, the server's peak memory and the slowest answer that a
//! well-behaved second client gets, as a ratio to its own idle run, are printed; what exceeds a generous bound fails.
//!
//! ```text
//! attacks                  all of them
//! attacks --list           their names
//! attacks --figures NAME…  some of them, without the bounds: to compare versions
//! ```
//!
//! `IOTHUB_BIN` is the emulator's binary; without it the one beside this program is taken.

mod cases;
mod floods;
mod process;
mod raw;
mod server;
mod witness;

use process::{Process, Target};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// What an attack has done: it is worth nothing if it did not take place.
pub(crate) type Evidence = String;
pub(crate) type Outcome = Result<Evidence, String>;

/// An attack.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    /// How much the server may grow, in MiB.
    pub(crate) growth: u64,
    pub(crate) attack: fn(&Process) -> Outcome,
}

/// How long the second client is looked at before the attack.
const IDLE: Duration = Duration::from_millis(500);
/// No answer may take longer than this many times the slowest one of the idle run, nor than this, whichever is more. The
/// machine may have other work.
const RATIO: f64 = 200.0;
const SLOWEST: Duration = Duration::from_secs(2);

struct Measured {
    growth: u64,
    peak: u64,
    idle: Duration,
    slowest: Duration,
    evidence: Evidence,
    took: Duration,
}

fn run(case: &Case) -> Result<Measured, String> {
    let began = Instant::now();
    let process = Process::start(case.target)?;
    let witness = process.witness()?;
    std::thread::sleep(IDLE);
    let idle = witness.as_ref().map_or(Duration::ZERO, |witness| witness.slowest());
    let before = process.peak()?;
    let evidence = (case.attack)(&process)?;
    let slowest = witness.map_or(Duration::ZERO, |witness| witness.finish());
    let peak = process.peak()?;
    Ok(Measured { growth: peak.saturating_sub(before), peak, idle, slowest, evidence, took: began.elapsed() })
}

fn report(case: &Case, result: &Result<Measured, String>, bounds: bool) -> bool {
    let name = case.name;
    let result = match result {
        Ok(result) => result,
        Err(error) => {
            println!("{name:<28} FAILED: {error}");
            return false;
        }
    };
    let ratio = result.slowest.as_secs_f64() / result.idle.as_secs_f64().max(1e-6);
    let mib = |octets: u64| octets as f64 / (1024.0 * 1024.0);
    println!(
        "{name:<28} peak {:7.1} MiB (+{:7.1})  slowest answer {:8.1} ms, {ratio:6.1} times idle ({:.1} ms)  {:4.1} s  {}",
        mib(result.peak),
        mib(result.growth),
        result.slowest.as_secs_f64() * 1000.0,
        result.idle.as_secs_f64() * 1000.0,
        result.took.as_secs_f64(),
        result.evidence,
    );
    let grown = mib(result.growth) > case.growth as f64;
    let slow = result.slowest > SLOWEST && ratio > RATIO;
    if bounds && grown {
        println!("{name:<28} FAILED: it may grow by {} MiB", case.growth);
    }
    if bounds && slow {
        println!("{name:<28} FAILED: an answer may take {SLOWEST:?}, or {RATIO} times as long as when idle");
    }
    !bounds || !(grown || slow)
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve") => return server::serve(),
        Some("client") => return server::client(arguments.get(1).map_or("", String::as_str)),
        _ => {}
    }
    let all: Vec<Case> = cases::all().into_iter().chain(floods::all()).collect();
    if arguments.first().is_some_and(|first| first == "--list") {
        all.iter().for_each(|case| println!("{}", case.name));
        return ExitCode::SUCCESS;
    }
    let figures = arguments.first().is_some_and(|first| first == "--figures");
    if figures {
        arguments.remove(0);
    }
    let wanted = |case: &&Case| arguments.is_empty() || arguments.iter().any(|name| name == case.name);
    let (mut ran, mut failed) = (0, 0);
    for case in all.iter().filter(wanted) {
        ran += 1;
        failed += usize::from(!report(case, &run(case), !figures));
    }
    println!("{ran} attacks, {failed} failed");
    if failed == 0 && ran > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
