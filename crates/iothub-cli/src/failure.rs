//! What a command ends with when it cannot do what it was asked.

use std::{fmt, process::ExitCode};

/// One plain sentence for the person, and the exit code for the script.
#[derive(Debug)]
pub(crate) struct Failure {
    sentence: String,
    code: u8,
}

impl Failure {
    /// Exit code 1: it did not work.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), code: 1 }
    }

    /// Exit code 2: what was asked for makes no sense.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), code: 2 }
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<iothub::Error> for Failure {
    fn from(error: iothub::Error) -> Self {
        Self::new(error.to_string())
    }
}
