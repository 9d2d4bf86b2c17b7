//! The `iothub` command.
#![forbid(unsafe_code)]
fn main() {}
