//! Responses that are not refusals.

use axum::body::{Body, HttpBody};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

/// Some clients parse a body only where the content type says so.
pub(super) const JSON: &str = "application/json; charset=utf-8";

/// A JSON document with status 200.
pub(super) fn json(value: &Value) -> Response {
    json_with_status(StatusCode::OK, value)
}

/// A JSON document with a status of its own.
pub(super) fn json_with_status(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

/// An entity with its tag, status 200.
pub(super) fn entity(value: &Value, etag: &str) -> Response {
    let mut response = json(value);
    // A tag that cannot be in a header is not one that the hub made.
    if let Ok(tag) = HeaderValue::try_from(format!("\"{etag}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The octets of a response's body.
pub(super) fn size(response: &Response) -> usize {
    let octets = response.body().size_hint().lower();
    usize::try_from(octets).unwrap_or(usize::MAX)
}

/// Status 204, which has no body.
pub(super) fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
