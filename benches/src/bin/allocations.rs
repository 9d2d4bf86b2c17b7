//! Counts the heap allocations of one of the codec's cases: `allocations CASE COUNT`. Prints a line of JSON.
//!
//! A program of its own, because an allocator that counts costs instructions.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = arguments.as_slice() else {
        eprintln!("usage: allocations CASE COUNT; the cases are {}", amqp1_benches::codec::CASES.join(", "));
        return ExitCode::from(2);
    };
    let Some((count, mut work)) =
        count.parse().ok().and_then(|count| Some((count, amqp1_benches::codec::case(name, count)?)))
    else {
        eprintln!("no such case, or no number: {name} {count}");
        return ExitCode::from(2);
    };
    let mut succeeded = 0;
    let allocations = allocation_counter::measure(|| succeeded = work());
    if succeeded != count {
        eprintln!("{name}: {succeeded} of {count} succeeded");
        return ExitCode::FAILURE;
    }
    println!(r#"{{"case":"{name}","count":{count},"allocations":{}}}"#, allocations.count_total);
    ExitCode::SUCCESS
}
