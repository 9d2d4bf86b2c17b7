//! Messages in a runtime of one thread and in one of two: `cargo bench -p amqp1-benches --bench threads`.
//!
//! Fails where the runtime of two threads carries less than three quarters of what the other one does. The applications of both
//! ends are tasks that do the same in each runtime. Rounds alternate, and the best of each counts, so that other work of the
//! machine decides as little as possible; it still has to have two processors to itself. With `--test` each runtime carries
//! a few messages, and nothing is judged.
#![allow(missing_docs)]

use amqp1_benches::runtime::Tasks;
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

/// The least part of the single thread's messages.
const LEAST: f64 = 0.75;
const ROUNDS: usize = 7;
const MESSAGES: usize = 50_000;

fn runtime(several: bool) -> Runtime {
    let mut builder = if several { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.worker_threads(2).enable_time().build().expect("a runtime")
}

/// The best time of each runtime.
fn measure(batch: bool, settled: bool, rounds: usize, messages: usize) -> [Duration; 2] {
    let mut best = [Duration::MAX; 2];
    let mut ends = [false, true].map(|several| Some(Tasks::connected(runtime(several), batch, settled)));
    for _ in 0..rounds {
        for (ends, best) in ends.iter_mut().zip(&mut best) {
            let start = Instant::now();
            let (carried, succeeded) = ends.take().expect("both ends").carry(messages);
            *best = start.elapsed().min(*best);
            assert_eq!(succeeded, messages);
            *ends = Some(carried);
        }
    }
    best
}

fn main() -> ExitCode {
    let has = |option| std::env::args().any(|argument| argument == option);
    // `cargo test` passes neither.
    let tests = has("--test") || !has("--bench");
    let (rounds, messages) = if tests { (1, 500) } else { (ROUNDS, MESSAGES) };
    let mut enough = true;
    for (batch, settled) in [(false, true), (false, false), (true, true), (true, false)] {
        let [one, two] = measure(batch, settled, rounds, messages).map(|time| messages as f64 / time.as_secs_f64());
        let how = if batch { "in batches" } else { "one by one" };
        let mode = if settled { "settled" } else { "at least once" };
        println!(
            "{how}, {mode}: {one:.0} messages a second on one thread, {two:.0} on two: {:.0} %",
            two / one * 100.0
        );
        enough &= tests || two / one >= LEAST;
    }
    if enough {
        return ExitCode::SUCCESS;
    }
    eprintln!("the runtime of two threads carries less than {:.0} %", LEAST * 100.0);
    ExitCode::FAILURE
}
