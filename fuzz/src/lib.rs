//! Fuzz targets of the codec; the bodies are also run by its tests.
#![forbid(unsafe_code)]

pub mod bodies;
