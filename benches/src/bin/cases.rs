//! Runs one of the codec's cases, for a tool that counts instructions: `cases CASE COUNT`.
//!
//! What counts stands in the function `measured`; everything before it is preparation.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = arguments.as_slice() else {
        eprintln!("usage: cases CASE COUNT; the cases are {}", amqp1_benches::codec::CASES.join(", "));
        return ExitCode::from(2);
    };
    let Some((count, mut work)) =
        count.parse().ok().and_then(|count| Some((count, amqp1_benches::codec::case(name, count)?)))
    else {
        eprintln!("no such case, or no number: {name} {count}");
        return ExitCode::from(2);
    };
    let mut succeeded = 0;
    measured(&mut || succeeded = work());
    if succeeded != count {
        eprintln!("{name}: {succeeded} of {count} succeeded");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
