//! Behaviour of a broker's parts: alone, and with two engines that talk over a pipe on a virtual clock.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod commits;
mod held;
mod roles;
mod terminus;
mod transactions;
