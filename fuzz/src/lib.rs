//! What the fuzz targets do; the crates' tests run the same over the seed corpora.
#![forbid(unsafe_code)]

pub mod auth;
pub mod codec;
pub mod engine;
pub mod engine_input;
pub mod engine_ops;
pub mod serde;
