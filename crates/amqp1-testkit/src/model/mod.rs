//! The reference model: random operations on two engines, and what must come of them.
//!
//! Nothing is lost, nothing comes twice, order is kept, no end breaks a rule of the other's, every message that was taken
//! for sending has one fate, and both ends come to rest. The wire is judged frame by frame ([`Judge`]), without the
//! engine's help; the events and the messages are judged at the end.

mod agreement;
mod credit;
mod deliveries;
mod fates;
mod judge;
mod link;
mod monitor;
mod operation;
mod run;
mod shrink;
mod window;
mod world;

pub use judge::{Judge, Side};
pub use operation::{NEWEST, Operation};
pub use run::{Tally, run, run_seed};
pub(crate) use shrink::caught;
pub use shrink::{shrink, try_run, try_run_with};
