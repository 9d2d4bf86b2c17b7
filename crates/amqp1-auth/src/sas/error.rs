use core::fmt;

use crate::UnixSeconds;

/// An error in a token or a key. No text repeats any part of either.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SasError {
    /// The signature was not made with this key over this token's resource and expiry.
    BadSignature,
    /// A field occurs twice.
    DuplicateField {
        /// `sr`, `sig`, `se` or `skn`.
        field: &'static str,
    },
    /// The token is past its expiry. Its signature is right.
    Expired {
        /// When it expired.
        expiry: UnixSeconds,
        /// The time it was compared with.
        now: UnixSeconds,
    },
    /// A field is not base64.
    InvalidBase64 {
        /// `sig`.
        field: &'static str,
    },
    /// A character that must not stand in a token: a space, a control character or one outside of ASCII.
    InvalidCharacter,
    /// `se` is not a decimal number of seconds that fits 64 bits.
    InvalidExpiry,
    /// The key is empty or not base64.
    InvalidKey,
    /// A percent escape is cut short, has digits that are not hexadecimal, or decodes to something not UTF-8.
    InvalidPercentEncoding {
        /// `sr`, `sig` or `skn`.
        field: &'static str,
    },
    /// A part between two `&` has no `=`.
    MalformedField,
    /// A field that every token must have is missing or empty.
    MissingField {
        /// `sr`, `sig` or `se`.
        field: &'static str,
    },
    /// The text does not begin with `SharedAccessSignature` and a space.
    MissingPrefix,
    /// The token is longer than this implementation takes.
    TooLong {
        /// The greatest length taken, in octets.
        max: usize,
    },
}

impl fmt::Display for SasError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadSignature => f.write_str("the token's signature was not made with the expected key"),
            Self::DuplicateField { field } => write!(f, "the token has its field {field} twice"),
            Self::Expired { expiry, now } => {
                write!(f, "the token expired at {expiry} (seconds since 1970), it is {now} now")
            }
            Self::InvalidBase64 { field } => write!(f, "the token's field {field} is not base64"),
            Self::InvalidCharacter => {
                f.write_str("the token holds a space, a control character or a character outside of ASCII")
            }
            Self::InvalidExpiry => f.write_str("the token's field se is not a number of seconds since 1970"),
            Self::InvalidKey => f.write_str("the shared access key is empty or not base64"),
            Self::InvalidPercentEncoding { field } => {
                write!(f, "the token's field {field} has a wrong percent escape")
            }
            Self::MalformedField => f.write_str("a field of the token has no '='"),
            Self::MissingField { field } => write!(f, "the token has no field {field}"),
            Self::MissingPrefix => f.write_str("the token does not begin with 'SharedAccessSignature '"),
            Self::TooLong { max } => write!(f, "the token is longer than {max} octets"),
        }
    }
}

impl core::error::Error for SasError {}
