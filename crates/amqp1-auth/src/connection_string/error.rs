use core::fmt;

use crate::sas::SasError;

/// Which part of a connection string is wrong.
///
/// Names of fields come from the list of known ones, positions count from 1; nothing that was written is repeated,
/// for it may be a key in the wrong place.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionStringError {
    /// Two fields that exclude each other.
    ConflictingFields(&'static str, &'static str),
    /// A field occurs twice.
    DuplicateField(&'static str),
    /// A field is there and says nothing.
    EmptyField(&'static str),
    /// A known field that a connection string of this kind does not have.
    ForeignField {
        /// The field.
        field: &'static str,
        /// The kind of connection string that was expected.
        kind: &'static str,
    },
    /// A key that is not base64.
    InvalidKey {
        /// The field.
        field: &'static str,
    },
    /// A token that cannot be read.
    InvalidToken {
        /// The field.
        field: &'static str,
        /// The error in the token.
        source: SasError,
    },
    /// A value that the field cannot have.
    InvalidValue {
        /// The field.
        field: &'static str,
        /// The possible keys.
        expected: &'static str,
    },
    /// A part between two `;` that is not `Name=value`.
    MalformedField {
        /// Which part, counted from 1.
        position: usize,
    },
    /// A field that must be there is not.
    MissingField(&'static str),
    /// The string is longer than this implementation takes.
    TooLong {
        /// The greatest length taken, in octets.
        max: usize,
    },
    /// A field with a name that no connection string has.
    UnknownField {
        /// Which part, counted from 1.
        position: usize,
    },
}

impl fmt::Display for ConnectionStringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection string ")?;
        match self {
            Self::ConflictingFields(one, other) => write!(f, "has both {one} and {other}: give one of them"),
            Self::DuplicateField(field) => write!(f, "has {field} twice"),
            Self::EmptyField(field) => write!(f, "has an empty {field}"),
            Self::ForeignField { field, kind } => {
                write!(f, "has {field}, which {kind} connection string does not have")
            }
            Self::InvalidKey { field } => write!(f, "has a {field} that is not base64: copy the whole key"),
            Self::InvalidToken { field, .. } => write!(f, "has a {field} that cannot be read"),
            Self::InvalidValue { field, expected } => write!(f, "has a wrong {field}: it should be {expected}"),
            Self::MalformedField { position } => {
                write!(f, "is not made of Name=value pairs with ';' between them: look at part {position}")
            }
            Self::MissingField(field) => write!(f, "has no {field}"),
            Self::TooLong { max } => write!(f, "is longer than {max} octets"),
            Self::UnknownField { position } => write!(f, "has an unknown name in part {position}: check its spelling"),
        }
    }
}

impl core::error::Error for ConnectionStringError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InvalidToken { source, .. } => Some(source),
            _ => None,
        }
    }
}
