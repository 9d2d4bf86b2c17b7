use core::fmt;

use amqp1_codec::definitions::ErrorCondition;
use amqp1_codec::printable::printable;
use amqp1_codec::{DecodeError, Str};

use super::Refusal;

/// Why a token was not accepted, for the client.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CbsError {
    /// The reply is not a well-formed message.
    Malformed(DecodeError),
    /// The reply has no status-code, or one that is not an integer.
    MissingStatusCode,
    /// The node says no.
    Refused {
        /// The status-code, such as 401.
        code: i32,
        /// The node's description, for people.
        description: Option<Str>,
    },
}

impl CbsError {
    /// The result for the [`Renewal`](super::Renewal): a status-code of the 500s, 408 and 429 may be better next time,
    /// and so may a reply that was not understood.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Refused { code: 408 | 429 | 500..=599, .. } => Refusal::Temporary,
            Self::Refused { .. } => Refusal::Final,
            Self::Malformed(_) | Self::MissingStatusCode => Refusal::Temporary,
        }
    }

    /// The error condition that says the same, by the table of Microsoft's AMQP library.
    pub fn condition(&self) -> ErrorCondition {
        match self {
            Self::Refused { code: 400, .. } => ErrorCondition::INVALID_FIELD,
            Self::Refused { code: 401, .. } => ErrorCondition::UNAUTHORIZED_ACCESS,
            Self::Refused { code: 403, .. } => ErrorCondition::TRANSFER_LIMIT_EXCEEDED,
            Self::Refused { code: 404, .. } => ErrorCondition::NOT_FOUND,
            Self::Malformed(_) => ErrorCondition::DECODE_ERROR,
            Self::MissingStatusCode | Self::Refused { .. } => ErrorCondition::INTERNAL_ERROR,
        }
    }
}

impl fmt::Display for CbsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(_) => f.write_str("the peer's reply to put-token is malformed"),
            Self::MissingStatusCode => f.write_str("the peer's reply to put-token has no status-code"),
            Self::Refused { code, description } => {
                write!(f, "the peer refused the token with status-code {code}")?;
                match description {
                    Some(description) => write!(f, ": {}", printable(description)),
                    None => Ok(()),
                }
            }
        }
    }
}

impl core::error::Error for CbsError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DecodeError> for CbsError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// An error in a request to the node, for the server. Answer it with status-code 400: that is what
/// [`Reply::from`](super::Reply) makes of it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The message is malformed.
    Malformed(DecodeError),
    /// An application property is missing, empty or not a string.
    MissingProperty(&'static str),
    /// The body is not an amqp-value section with a string that says something.
    MissingToken,
    /// The operation is not put-token.
    UnsupportedOperation,
    /// The type is none of [`TokenType`](super::TokenType).
    UnsupportedType,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(_) => f.write_str("the request is malformed"),
            Self::MissingProperty(name) => write!(f, "the request has no application property '{name}'"),
            Self::MissingToken => f.write_str("the request's body is not a token in an amqp-value section"),
            Self::UnsupportedOperation => f.write_str("the request's operation is not put-token"),
            Self::UnsupportedType => f.write_str("the request's token type is not supported"),
        }
    }
}

impl core::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DecodeError> for RequestError {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}
