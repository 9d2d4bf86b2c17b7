//! The scripted peer against itself, against hostile input, and against the engine.

mod bad;
mod engine;
mod hostile;
mod loopback;
mod memory;
mod support;
