use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of an identity or of a twin, to be compared and nothing else.
///
/// It is kept without the quotes that it has in a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct ETag(String);

impl ETag {
    /// The ETag of this text, with or without quotes.
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        let text = text.strip_prefix("W/").unwrap_or(text);
        let unquoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Self(unquoted.unwrap_or(text).to_owned())
    }

    /// The text, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for ETag {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<&str> for ETag {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<ETag> for String {
    fn from(etag: ETag) -> Self {
        etag.0
    }
}

/// The condition of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IfMatch {
    /// Whatever the version is.
    #[default]
    Any,
    /// Only if the version is still this one; otherwise the change fails with
    /// [`ErrorKind::PreconditionFailed`](crate::ErrorKind::PreconditionFailed).
    ETag(ETag),
}

impl IfMatch {
    /// The value of the header `If-Match`. The hub ignores an ETag that is not quoted.
    pub(super) fn to_header(&self) -> String {
        match self {
            Self::Any => "\"*\"".to_owned(),
            Self::ETag(etag) => format!("\"{etag}\""),
        }
    }
}

impl From<ETag> for IfMatch {
    fn from(etag: ETag) -> Self {
        Self::ETag(etag)
    }
}

impl From<&ETag> for IfMatch {
    fn from(etag: &ETag) -> Self {
        Self::ETag(etag.clone())
    }
}

/// An identity that was never read has no ETag, and is changed in any case.
impl From<Option<ETag>> for IfMatch {
    fn from(etag: Option<ETag>) -> Self {
        etag.map_or(Self::Any, Self::ETag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_the_same_with_and_without_quotes_and_always_sent_with_them() {
        for text in ["AAAA=", "\"AAAA=\"", "W/\"AAAA=\"", " \"AAAA=\" "] {
            assert_eq!(ETag::new(text).as_str(), "AAAA=");
            assert_eq!(IfMatch::from(ETag::new(text)).to_header(), "\"AAAA=\"");
        }
        assert_eq!(IfMatch::from(None).to_header(), "\"*\"");
    }
}
