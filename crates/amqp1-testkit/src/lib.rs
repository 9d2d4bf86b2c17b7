//! What the tests of this workspace share: two engines with a pipe between them on a virtual clock, one engine with a
//! scripted peer, a reader of the wire, and checkers of what must hold whatever happens.
//!
//! It panics where something does not hold, as tests do; it is not for programs.
#![forbid(unsafe_code)]
#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing)]

mod crowded;
mod digest;
mod end;
pub mod faults;
mod fixtures;
pub mod ledger;
pub mod lives;
pub mod model;
mod order;
mod pair;
mod part;
mod peer;
mod pipe;
mod random;
mod turned;
mod wire;

pub use crowded::CROWDED;
pub use end::{Accept, End};
pub use fixtures::{body, data, error, message, receiver, secs, sender, settled, unsettled};
pub use model::{Judge, Side};
pub use order::Checker;
pub use pair::Pair;
pub use part::Part;
pub use peer::{HELLO, Peer, attach, begin, credit, frame, refusal, session_flow, transfer};
pub use pipe::{Pipe, Segment, Stall};
pub use random::Random;
pub use turned::TURNED;
pub use wire::{Item, frames, items, max_frame_size};
