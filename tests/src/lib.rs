//! Whole-stack tests
#![forbid(unsafe_code)]
