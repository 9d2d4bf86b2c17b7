//! What the whole-stack tests share.
#![forbid(unsafe_code)]

pub mod bodies;
pub mod broker;
pub mod peer;
pub mod traffic;
