//! `If-Match`: which entity a write is for.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::Rest;
use super::errors::Failure;
use crate::hub::{ErrorCode, IfMatch};

/// The precondition of a write.
///
/// Quoted tags are compared. The hub ignores unquoted ones, so that the write is done whatever the tag is; this is logged,
/// or they are compared as well if the settings say so.
pub(super) struct Precondition(pub(super) IfMatch);

impl FromRequestParts<Rest> for Precondition {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, Failure> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(IfMatch::None)) };
        let compare_unquoted = rest.shared.hub(|hub, _| hub.settings().https.compare_unquoted_etags);
        let text = value.to_str().ok().map(str::trim).unwrap_or_default();
        match parse(text, compare_unquoted) {
            Some(Parsed::Precondition(precondition)) => Ok(Self(precondition)),
            Some(Parsed::Ignored) => {
                tracing::warn!(
                    path = parts.uri.path(),
                    "If-Match is not quoted, and ignored: the write is unconditional"
                );
                Ok(Self(IfMatch::Any))
            }
            None => Err(Failure::new(ErrorCode::ArgumentInvalid, "If-Match must be * or one entity tag in quotes")),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Parsed {
    Precondition(IfMatch),
    Ignored,
}

fn parse(text: &str, compare_unquoted: bool) -> Option<Parsed> {
    let text = text.strip_prefix("W/").unwrap_or(text);
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    Some(Parsed::Precondition(match quoted {
        Some("*") => IfMatch::Any,
        None if text == "*" => IfMatch::Any,
        Some(tag) if tag.contains('"') => return None,
        Some(tag) => IfMatch::Exactly(tag.into()),
        None if text.is_empty() || text.contains('"') => return None,
        None if compare_unquoted => IfMatch::Exactly(text.into()),
        None => return Some(Parsed::Ignored),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_any_form_matches_all_and_a_quoted_tag_is_compared() {
        for text in ["*", "\"*\""] {
            assert_eq!(parse(text, false), Some(Parsed::Precondition(IfMatch::Any)));
        }
        for text in ["\"AAAAAAAAAAE=\"", "W/\"AAAAAAAAAAE=\""] {
            assert_eq!(parse(text, false), Some(Parsed::Precondition(IfMatch::Exactly("AAAAAAAAAAE=".into()))));
        }
    }

    #[test]
    fn an_unquoted_tag_is_ignored_unless_it_is_to_be_compared() {
        assert_eq!(parse("AAAAAAAAAAE=", false), Some(Parsed::Ignored));
        let exactly = IfMatch::Exactly("AAAAAAAAAAE=".into());
        assert_eq!(parse("AAAAAAAAAAE=", true), Some(Parsed::Precondition(exactly)));
        assert_eq!(parse("\"a\", \"b\"", false), None);
        assert_eq!(parse("", false), None);
        assert_eq!(parse("\"a", false), None);
    }
}
