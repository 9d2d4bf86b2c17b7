//! Runs one of the cases, for a tool that counts instructions: `cases CASE COUNT`.
//!
//! What counts stands in the function `measured`; everything before it is preparation.
#![forbid(unsafe_code)]

#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

fn main() -> Result<(), String> {
    amqp1_benches::run(measured).map(|_| ())
}
