//! The flaws of octets.

use std::fmt;

/// The rule that octets break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They are no encoding of a value (§1.2, §1.6).
    Encoding,
    /// A descriptor is neither ulong nor symbol, or is unknown where it must be known (§1.5).
    Descriptor,
    /// A composite is not a list (§1.3.2).
    NotAList,
    /// A mandatory field is absent (§1.3.4).
    Missing,
    /// A field has another type (§1.3.4).
    WrongType,
    /// A list has more items than the type has fields (§1.3.4).
    TooMany,
    /// A value is not among the choices of a restricted type (§1.3.5).
    Choice,
    /// A field of several values is not an array of its type (§1.4).
    Multiple,
    /// Sections of a message are in another order, or occur twice (§3.2).
    Order,
    /// The sections of a body do not belong together, or there are none (§3.2).
    Body,
    /// A key or value of annotations or of application-properties has a type that is not allowed (§3.2.5, §3.2.10).
    Entry,
}

/// A flaw, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The rule.
    pub kind: Kind,
    /// The place and the flaw in words.
    pub text: String,
}

impl Flaw {
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(super) fn encoding(text: impl Into<String>) -> Self {
        Self::new(Kind::Encoding, text)
    }

    pub(super) fn within(self, place: &str) -> Self {
        Self { text: format!("{place}: {}", self.text), ..self }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
