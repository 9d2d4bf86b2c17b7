//! One sentence for people.

use std::fmt;

/// Why the shim has failed.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Failure {
    fn from(sentence: &str) -> Self {
        Self::new(sentence)
    }
}

impl From<amqp1::Error> for Failure {
    fn from(error: amqp1::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<amqp1::codec::DecodeError> for Failure {
    fn from(error: amqp1::codec::DecodeError) -> Self {
        Self(error.to_string())
    }
}
