//! What a script stops with.

use crate::{got::Got, transcript::Transcript};
use std::{borrow::Cow, fmt};

/// The peer did not do what the script waits for. `Debug` shows what `Display` does, so that a test that fails says
/// what went over the wire.
#[derive(Clone, PartialEq)]
pub struct Unexpected {
    /// What was waited for.
    pub wanted: Cow<'static, str>,
    /// What came.
    pub got: Box<Got>,
    /// All that went before, and what came.
    pub transcript: Box<Transcript>,
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wanted {}, got {}\n{}", self.wanted, self.got, self.transcript)
    }
}

impl fmt::Debug for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Unexpected {}
