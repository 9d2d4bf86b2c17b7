//! Queries of twins: `/devices/query`.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::post;
use serde_json::Value;

use super::Rest;
use super::auth::ServiceConnect;
use super::body::Json;
use super::errors::Failure;
use super::reply;
use crate::hub::ErrorCode;
use crate::hub::query::{DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE};

/// How many rows a page is to have.
const MAX_ITEM_COUNT: &str = "x-ms-max-item-count";
/// What leads to the next page. Some clients take an empty one for a next page, so the last page has none.
const CONTINUATION: HeaderName = HeaderName::from_static("x-ms-continuation");
/// What the rows are. Some clients fail without it.
const ITEM_TYPE: HeaderName = HeaderName::from_static("x-ms-item-type");

/// How many twins are looked at under one hold of the lock.
const STEP: usize = 100;

pub(super) fn routes() -> Router<Rest> {
    Router::new().route("/devices/query", post(query))
}

async fn query(
    _: ServiceConnect,
    State(rest): State<Rest>,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Failure> {
    let text = match body.get("query") {
        Some(Value::String(text)) => text,
        None | Some(Value::Null) => return Err(Failure::new(ErrorCode::ArgumentNull, "the body has no query")),
        Some(_) => return Err(Failure::new(ErrorCode::ArgumentInvalid, "query must be a text")),
    };
    let page_size = page_size(&headers)?;
    // A value that is not text is not one that the hub gave.
    let continuation = headers.get(CONTINUATION).map(|value| value.to_str().unwrap_or("?"));
    let continuation = continuation.filter(|continuation| !continuation.is_empty());
    let mut run = rest.shared.hub(|hub, _| hub.begin_query(text, page_size, continuation))?;
    // A step at a time: all others wait while the hub is looked at.
    while !rest.shared.hub(|hub, _| hub.continue_query(&mut run, STEP))? {
        tokio::task::yield_now().await;
    }
    let page = run.into_page();
    let mut response = reply::json(&page.rows.into());
    rest.shared.charge(|| reply::size(&response));
    let headers = response.headers_mut();
    headers.insert(ITEM_TYPE, HeaderValue::from_static(page.item_type.as_str()));
    if let Some(Ok(continuation)) = page.continuation.map(HeaderValue::try_from) {
        headers.insert(CONTINUATION, continuation);
    }
    Ok(response)
}

/// Pages larger than the largest are asked for now and then; they are that large.
fn page_size(headers: &HeaderMap) -> Result<usize, Failure> {
    let Some(value) = headers.get(MAX_ITEM_COUNT) else { return Ok(DEFAULT_PAGE_SIZE) };
    let size = value.to_str().ok().and_then(|size| size.trim().parse::<usize>().ok()).filter(|size| *size > 0);
    size.map(|size| size.min(MAX_PAGE_SIZE)).ok_or_else(|| {
        Failure::new(ErrorCode::ArgumentInvalid, format!("{MAX_ITEM_COUNT} must be a number from 1 to {MAX_PAGE_SIZE}"))
    })
}
