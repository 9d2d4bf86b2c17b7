//! What an AMQP 1.0 server needs to play a broker's part, without IO.
//!
//! A connection of [`amqp1_engine`] carries links, and leaves to the application what their sources and targets are.
//! For an application that has nodes, this crate answers what the specification demands of them:
//!
//! - [`terminus`]: which of a peer's wishes are granted, what outlives a link, and the messages at a node;
//! - [`transaction`]: the coordinator, which keeps the work of transactions until they are discharged.
//!
//! Time is an argument, as in the engine.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

extern crate alloc;

pub mod terminus;
pub mod transaction;

/// The README's examples are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
