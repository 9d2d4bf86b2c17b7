//! What the whole-stack tests share.
#![forbid(unsafe_code)]

pub mod bodies;
pub mod broker;
pub mod example;
pub mod expected;
pub mod peer;
pub mod relay;
pub mod traffic;

/// The README's programs, so that they compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
