//! File uploads: what devices ask and say about them.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::post;
use serde_json::{Value, json};

use super::Rest;
use super::auth::DeviceConnect;
use super::blobs::CONTAINER;
use super::body::Json;
use super::errors::Failure;
use super::messages::usable;
use super::path::{Segments, Subject};
use super::reply;
use crate::hub::{ErrorCode, ServiceError};

pub(super) fn routes() -> Router<Rest> {
    Router::new()
        .route("/devices/{device}/files", post(begin))
        .route("/devices/{device}/files/notifications", post(complete))
        .route("/devices/{device}/files/notifications/{correlation}", post(complete))
}

/// The host as the client has named it: what it reaches for REST it reaches for files.
fn host(rest: &Rest, headers: &HeaderMap) -> String {
    let endpoint = rest.shared.hub(|hub, _| hub.settings().file_uploads.blob_endpoint.as_ref().map(|e| e.host.clone()));
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    endpoint.or(named).unwrap_or_else(|| rest.shared.hub(|hub, _| hub.settings().host_name.clone()))
}

async fn begin(
    _: DeviceConnect,
    Subject(id): Subject,
    State(rest): State<Rest>,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Failure> {
    let Some(name) = body.get("blobName").and_then(Value::as_str) else {
        return Err(Failure::new(ErrorCode::ArgumentInvalid, "the body has no blobName"));
    };
    let host = host(&rest, &headers);
    let ticket = rest.shared.hub(|hub, now| {
        usable(hub, &id)?;
        hub.touched(now, &id);
        let ticket = hub.begin_upload(now, &id.device, name)?;
        hub.charge(now, || body.to_string().len());
        Ok::<_, ServiceError>(ticket)
    })?;
    Ok(reply::json(&json!({
        "correlationId": ticket.correlation_id,
        "hostName": host,
        "containerName": ticket.container.as_deref().unwrap_or(CONTAINER),
        "blobName": ticket.blob,
        "sasToken": ticket.sas,
    })))
}

/// Some clients name the upload in the path, others in the body.
async fn complete(
    _: DeviceConnect,
    Subject(id): Subject,
    State(rest): State<Rest>,
    segments: axum::Extension<Segments>,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Failure> {
    let in_body = body.get("correlationId").and_then(Value::as_str);
    let Some(correlation_id) = segments.get(4).or(in_body) else {
        return Err(Failure::new(ErrorCode::InvalidFileUploadCorrelationId, "the body has no correlationId"));
    };
    let Some(is_success) = body.get("isSuccess").and_then(Value::as_bool) else {
        let text = "isSuccess must be true or false";
        return Err(Failure::new(ErrorCode::InvalidFileUploadCompletionStatus, text));
    };
    let host = host(&rest, &headers);
    rest.shared.hub(|hub, now| {
        usable(hub, &id)?;
        hub.touched(now, &id);
        let endpoint = hub.settings().file_uploads.blob_endpoint.as_ref();
        let container = endpoint.map_or(CONTAINER, |endpoint| &endpoint.container);
        let url = format!("https://{host}/{container}");
        hub.complete_upload(now, &id.device, correlation_id, is_success, &url)?;
        hub.charge(now, || body.to_string().len());
        Ok::<_, ServiceError>(())
    })?;
    Ok(reply::no_content())
}
