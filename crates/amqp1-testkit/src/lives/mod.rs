//! Links that live through several connections, by seeds: what random sends, streams, settlements, suspensions and breaks
//! must come to in the end.
//!
//! Where the [reference model](crate::model) reads every frame of one connection, this looks at what applications see over
//! several: each message has one fate, what was accepted was received whole, nothing that both ends remember comes twice
//! as new, and nothing is kept when everything is settled.

mod life;
mod message;
mod run;
mod world;

pub use run::{Lived, run_lives, try_run_lives};
