//! How much memory hostile peers can make an engine hold, counted exactly by the allocator. Each test also checks that the
//! attack took place: the octets that were sent, and what was live.
#![allow(missing_docs)]

mod bed;
mod floods;
mod metadata;
mod quiet;
mod states;
