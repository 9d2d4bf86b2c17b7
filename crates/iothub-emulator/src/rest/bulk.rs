//! Bulk changes of the registry: `POST /devices`.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;

use super::Rest;
use super::auth::RegistryWrite;
use super::body::TwinJson;
use super::errors::{Answered, Failure};
use super::reply;

pub(super) fn routes() -> Router<Rest> {
    Router::new().route("/devices", post(bulk))
}

/// 200 if all entries were done, else 400; the body has the same form.
async fn bulk(_: RegistryWrite, State(rest): State<Rest>, TwinJson(entries): TwinJson) -> Result<Response, Failure> {
    let result = rest.shared.hub(|hub, now| hub.bulk(now, &entries))?;
    let status = if result.is_successful() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let mut response = reply::json_with_status(status, &result.to_json());
    response.extensions_mut().insert(Answered);
    Ok(response)
}
