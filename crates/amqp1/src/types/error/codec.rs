//! Messages that cannot be read, and bodies that cannot be made.

use super::{Error, ErrorKind};
use amqp1_codec::DecodeError;

/// [`ErrorKind::Codec`]: what a message's accessors return, for functions that return an [`Error`].
impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::new(ErrorKind::Codec, format!("the message cannot be read: {error}")).with_source(error)
    }
}

/// [`ErrorKind::Codec`].
#[cfg(feature = "serde")]
impl From<amqp1_codec::serde::Error> for Error {
    fn from(error: amqp1_codec::serde::Error) -> Self {
        Self::new(ErrorKind::Codec, error.to_string()).with_source(error)
    }
}
